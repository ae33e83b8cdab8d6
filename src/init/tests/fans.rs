use super::*;

fn conv(out: u64, in_per_group: u64, kernel: u64, groups: u64) -> Fans {
    Fans::conv(out, in_per_group, kernel, groups)
}

#[test]
fn a_depthwise_convolution_reaches_one_output_channel_from_each_input() {
    // pytorch #23854: torch says (9, 36) and (9, 576)
    assert_eq!(conv(4, 1, 9, 4), Fans { fan_in: 9, fan_out: 9 });
    assert_eq!(conv(64, 1, 9, 64), Fans { fan_in: 9, fan_out: 9 });
}

#[test]
fn a_grouped_convolution_sums_its_own_group_only() {
    // mlx #4536: fan_in of the ungrouped layer
    assert_eq!(conv(128, 32, 9, 2), Fans { fan_in: 288, fan_out: 576 });
    assert_eq!(conv(128, 64, 9, 1), Fans { fan_in: 576, fan_out: 1152 });
    assert_eq!(conv(64, 3, 49, 1), Fans { fan_in: 147, fan_out: 3136 });
}

#[test]
fn a_transposed_convolution_sums_over_its_inputs_although_they_are_axis_0() {
    // pytorch #30079: torch says (out / groups · k, in · k)
    let plain = Fans::conv_transpose(128, 64, 16, 1, 1);
    assert_eq!(plain, Fans { fan_in: 2048, fan_out: 1024 });
    let strided = Fans::conv_transpose(128, 64, 16, 4, 1);
    assert_eq!(strided, Fans { fan_in: 512, fan_out: 1024 });
    let grouped = Fans::conv_transpose(128, 16, 16, 1, 4);
    assert_eq!(grouped, Fans { fan_in: 512, fan_out: 256 });
    let gaps = Fans::conv_transpose(8, 8, 1, 4, 1);
    assert_eq!(gaps, Fans { fan_in: 2, fan_out: 8 });
}

#[test]
fn a_matrix_has_the_same_fans_whichever_way_it_is_stored_and_however_it_is_fused() {
    let (inputs, outputs) = (768, 2304);
    let q_of_fused = Fans::linear(inputs, outputs / 3);
    let std = |fans| resolve("xavier_normal", fans, &[768, 768]).std.unwrap();
    assert!((std(q_of_fused) - (2f64 / (768.0 + 768.0)).sqrt()).abs() < 1e-15);
    // what torch does to the fused tensor: √½ of it
    let ratio = std(Fans::linear(inputs, outputs)) / std(q_of_fused);
    assert!((ratio - 0.5f64.sqrt()).abs() < 1e-12);
}

#[test]
fn sizes_beyond_64_bits_have_the_largest_fans() {
    assert_eq!(Fans::conv(4, u64::MAX, 2, 2), Fans { fan_in: u64::MAX, fan_out: 4 });
    assert_eq!(Fans::conv_transpose(u64::MAX, 1, 3, 1, 1), Fans { fan_in: u64::MAX, fan_out: 3 });
}
