//! Operations against naive code, number by number.

use super::*;
use crate::adapt::float::{Float, NonFinite, Real, non_finite};
use crate::instructions::Instructions;

/// The element of a tensor at an index, as bytes.
fn at<'a>(stored: &'a Stored, index: &[u64]) -> &'a [u8] {
    let unit = stored.info.dtype.unit().1 as usize;
    let flat = index.iter().zip(&stored.info.shape).fold(0, |flat, (i, size)| flat * size + i) as usize;
    &stored.bytes[flat * unit..(flat + 1) * unit]
}

/// Every index of a shape, in row-major order.
fn indices(shape: &[u64]) -> Vec<Vec<u64>> {
    shape.iter().fold(vec![Vec::new()], |all, size| {
        all.into_iter().flat_map(|i| (0..*size).map(move |k| [i.clone(), vec![k]].concat())).collect()
    })
}

/// Where an element of the result comes from: which input, and the index there.
fn origin(op: &Op, inputs: &[Stored], index: &[u64]) -> (usize, Vec<u64>) {
    let mut from = index.to_vec();
    match op {
        Op::Transpose => (0, vec![index[1], index[0]]),
        Op::Permute { order } => {
            order.iter().zip(index).for_each(|(axis, i)| from[*axis] = *i);
            (0, from)
        }
        Op::Narrow { axis, start, .. } => {
            from[*axis] += start;
            (0, from)
        }
        Op::Concat { axis } => {
            for (i, input) in inputs.iter().enumerate() {
                if from[*axis] < input.info.shape[*axis] {
                    return (i, from);
                }
                from[*axis] -= input.info.shape[*axis];
            }
            panic!("{index:?} is in no input")
        }
        Op::Stack => (index[0] as usize, index[1..].to_vec()),
        Op::Gather { axis, runs } => {
            let all: Vec<(usize, u64)> = runs
                .iter()
                .flat_map(|r| (0..r.len).map(|k| (r.input, (r.start as i64 + r.step * k as i64) as u64)))
                .collect();
            let (input, i) = all[index[*axis] as usize];
            from[*axis] = i;
            (input, from)
        }
        Op::RopePermute { heads, rotary, to } => {
            let head = inputs[0].info.shape[0] / heads;
            let (h, j) = (index[0] / head, index[0] % head);
            // transformers: view(heads, 2, head/2, …).transpose(1, 2) one way, view(heads, head/2, 2, …) the other
            let mut order: Vec<u64> = (0..head).collect();
            for pair in 0..rotary / 2 {
                for side in 0..2 {
                    let (neighbour, half) = (2 * pair + side, side * rotary / 2 + pair);
                    match to {
                        RopeLayout::ToHalves => order[half as usize] = neighbour,
                        RopeLayout::ToNeighbours => order[neighbour as usize] = half,
                    }
                }
            }
            from[0] = h * head + order[j as usize];
            (0, from)
        }
        _ => panic!("{op} does not move by index"),
    }
}

#[test]
fn moves_take_each_element_from_where_the_definition_says() {
    let mut seen = 0;
    for (op, inputs) in cases() {
        let index_wise = !matches!(op, Op::Reshape { .. }) && keeps_bytes(&op);
        if !index_wise || inputs[0].info.dtype == Dtype::F4 {
            continue;
        }
        let out = whole(&op, &inputs).unwrap();
        for index in indices(&out.info.shape) {
            let (input, from) = origin(&op, &inputs, &index);
            assert_eq!(at(&out, &index), at(&inputs[input], &from), "{op} {index:?}");
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_reshape_keeps_the_bytes() {
    for (op, inputs) in cases().into_iter().filter(|(op, _)| matches!(op, Op::Reshape { .. })) {
        assert!(whole(&op, &inputs).unwrap().bytes == inputs[0].bytes, "{op}");
    }
}

#[test]
fn elements_of_half_a_byte_move_by_rows_in_reverse() {
    let a = Stored::scrambled("a", Dtype::F4, &[3, 4]);
    let out = whole(&Op::Gather { axis: 0, runs: [run(0, 2, -1, 3)].into() }, std::slice::from_ref(&a)).unwrap();
    let expected: Vec<u8> = a.bytes.chunks(2).rev().flatten().copied().collect();
    assert_eq!(out.bytes, expected);
}

/// Equal but for the rounding of the result, and that of terms up to 64 that may cancel.
fn near(found: &[f64], expected: &[f64], rounding: f64, computed: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= rounding * b.abs() + 64.0 * computed, "{a} is not {b}");
    }
}

/// Each element less the zero point of its block, times its scale, by the index of the block along every axis.
fn dequantized(block: &[u64], inputs: &[Stored]) -> Vec<f64> {
    let (shape, scales) = (&inputs[0].info.shape, inputs[1].values());
    let zeros = inputs.get(2).map(Stored::values);
    let counts: Vec<u64> = shape.iter().zip(block).map(|(size, block)| size.div_ceil(*block)).collect();
    let value = |(at, code): (usize, f64)| {
        let (mut rest, mut place, mut stride) = (at as u64, 0, 1);
        for axis in (0..shape.len()).rev() {
            place += rest % shape[axis] / block[axis] * stride;
            rest /= shape[axis];
            stride *= counts[axis];
        }
        let zero = zeros.as_ref().map_or(0.0, |zeros| zeros[place as usize]);
        (code - zero) * scales[place as usize]
    };
    inputs[0].values().into_iter().enumerate().map(value).collect()
}

fn two_to(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Half a unit in the last place of a type.
fn precision(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F16 => two_to(-10),
        Dtype::Bf16 => two_to(-7),
        Dtype::F32 => two_to(-22),
        _ => two_to(-50),
    }
}

#[test]
fn computations_agree_with_naive_ones() {
    let mut seen = std::collections::BTreeSet::new();
    for (op, inputs) in cases() {
        let input = &inputs[0];
        if keeps_bytes(&op) {
            continue;
        }
        let a = input.values();
        let row = input.info.row_elements().unwrap() as usize;
        let expected: Vec<f64> = match &op {
            Op::Cast { .. } => a.clone(),
            Op::Dequantize { block } => dequantized(block, &inputs),
            Op::Affine { scale, offset } => a.iter().map(|x| scale * x + offset).collect(),
            Op::Lerp { t } => a.iter().zip(inputs[1].values()).map(|(a, b)| (1.0 - t) * a + t * b).collect(),
            Op::MeanHeads { heads, groups } => {
                let head = a.len() / *heads as usize;
                let each = (heads / groups) as usize;
                let mean = |i: usize| {
                    (0..each).map(|k| a[(i / head.max(1) * each + k) * head + i % head]).sum::<f64>() / each as f64
                };
                (0..head * *groups as usize).map(mean).collect()
            }
            Op::MeanRows => {
                let n = input.info.rows() as usize;
                (0..row).map(|i| (0..n).map(|k| a[k * row + i]).sum::<f64>() / n as f64).collect()
            }
            Op::ResizeRows { rows, prefix } => resized(&a, row, *rows as usize, *prefix as usize),
            Op::WeightNorm { axis } => {
                let (shape, v) = (&inputs[1].info.shape, inputs[1].values());
                let inner: usize = shape[axis + 1..].iter().product::<u64>() as usize;
                let place = |i: usize| i / inner % shape[*axis] as usize;
                let norm =
                    |at: usize| (0..v.len()).filter(|i| place(*i) == at).map(|i| v[i] * v[i]).sum::<f64>().sqrt();
                (0..v.len()).map(|i| a[place(i)] * v[i] / norm(place(i))).collect()
            }
            Op::LowRank { scale, turned } => {
                let (down, up) = (inputs[1].values(), inputs[2].values());
                let rank = inputs[1].info.rows() as usize;
                let wide = down.len() / rank;
                let delta = |o: usize, i: usize| (0..rank).map(|r| up[o * rank + r] * down[r * wide + i]).sum::<f64>();
                let at = |i: usize| if *turned { delta(i % row, i / row) } else { delta(i / row, i % row) };
                a.iter().enumerate().map(|(i, w)| w + scale * at(i)).collect()
            }
            Op::MeanCovariance { scale } => {
                let (z, n) = (inputs[1].values(), input.info.rows() as usize);
                let mean: Vec<f64> = (0..row).map(|c| (0..n).map(|r| a[r * row + c]).sum::<f64>() / n as f64).collect();
                let spread =
                    |j: usize, c: usize| (0..n).map(|r| z[j * n + r] * (a[r * row + c] - mean[c])).sum::<f64>();
                let rows = inputs[1].info.rows() as usize * row;
                (0..rows).map(|i| mean[i % row] + (scale / n as f64).sqrt() * spread(i / row, i % row)).collect()
            }
            other => panic!("{other} has no naive code"),
        };
        let out = whole(&op, &inputs).unwrap();
        let computed = precision(if input.info.dtype == Dtype::F64 { Dtype::F64 } else { Dtype::F32 });
        near(&out.values(), &expected, precision(out.info.dtype), computed);
        seen.insert(op.name());
    }
    assert_eq!(seen.len(), 10);
}

fn resized(a: &[f64], row: usize, rows: usize, prefix: usize) -> Vec<f64> {
    let (kept, body) = a.split_at(prefix * row);
    let (n, m) = (body.len() / row, rows - prefix);
    let mut out = kept.to_vec();
    for d in 0..m {
        let x = ((d as f64 + 0.5) * n as f64 / m as f64 - 0.5).max(0.0);
        let low = (x.floor() as usize).min(n - 1);
        let high = (low + 1).min(n - 1);
        out.extend(
            (0..row).map(|i| body[low * row + i] + (x - x.floor()) * (body[high * row + i] - body[low * row + i])),
        );
    }
    out
}

/// `torch.nn.functional.interpolate(torch.tensor([[[0., 1., 4.]]]), size=n, mode="linear", align_corners=False)`.
#[test]
fn resized_rows_are_those_of_torch() {
    let a = Stored::f32("a", &[3], &[0.0, 1.0, 4.0]);
    let of = |rows| whole(&Op::ResizeRows { rows, prefix: 0 }, std::slice::from_ref(&a)).unwrap().values();
    assert_eq!(of(6), [0.0, 0.25, 0.75, 1.75, 3.25, 4.0]);
    assert_eq!(of(2), [0.25, 3.25]);
    assert_eq!(of(3), [0.0, 1.0, 4.0]);
    assert_eq!(of(1), [1.0]);
}

#[test]
fn a_row_that_falls_on_a_row_ignores_its_neighbour() {
    let a = Stored::f32("a", &[3], &[f32::INFINITY, 1.0, f32::NAN]);
    let out = whole(&Op::ResizeRows { rows: 3, prefix: 0 }, &[a]).unwrap().values();
    assert_eq!(out[1], 1.0);
}

/// The representable value that is nearest, ties to even, found by search over all of them.
fn nearest_half(value: f64, all: &[(f64, u16)]) -> u16 {
    let after = all.partition_point(|(v, _)| *v < value);
    let candidates = &all[after.saturating_sub(1)..(after + 1).min(all.len())];
    let best = candidates.iter().map(|(v, _)| (v - value).abs()).fold(f64::INFINITY, f64::min);
    let nearest: Vec<u16> = candidates.iter().filter(|(v, _)| (v - value).abs() == best).map(|(_, b)| *b).collect();
    *nearest.iter().find(|bits| nearest.len() == 1 || **bits % 2 == 0).unwrap()
}

#[test]
fn a_cast_from_f64_rounds_once_where_the_half_crate_does_not() {
    // just above the tie between 1 and the next bf16: the low 32 bits decide
    let value = 1.0 + two_to(-8) + two_to(-40);
    assert_eq!(half::bf16::from_f64(value).to_bits(), 0x3f80, "the half crate rounds this right by now");
    let mut out = [0; 2];
    f64::encode(Float::Bf16, &[value], &mut out);
    assert_eq!(u16::from_le_bytes(out), 0x3f81);
}

#[test]
fn casts_from_f64_give_the_nearest_value_for_ties_and_what_surrounds_them() {
    let f16s: Vec<(f64, u16)> = (0..0x7c00u16).map(|b| (half::f16::from_bits(b).to_f64(), b)).collect();
    let bf16s: Vec<(f64, u16)> = (0..0x7f80u16).map(|b| (half::bf16::from_bits(b).to_f64(), b)).collect();
    for (float, all) in [(Float::F16, &f16s), (Float::Bf16, &bf16s)] {
        for pair in all.windows(2).step_by(37) {
            let middle = (pair[0].0 + pair[1].0) / 2.0;
            for value in [middle, middle.next_up(), middle.next_down(), pair[0].0, middle * (1.0 + two_to(-30))] {
                let mut out = [0; 2];
                f64::encode(float, &[value], &mut out);
                assert_eq!(u16::from_le_bytes(out), nearest_half(value, all), "{value:e} as {float:?}");
                f64::encode(float, &[-value], &mut out);
                assert_eq!(u16::from_le_bytes(out), nearest_half(value, all) | 0x8000, "{value:e} as {float:?}");
            }
        }
    }
    let mut out = [0; 2];
    for (value, bits) in [(65519.9, 0x7bff), (65520.0, 0x7c00), (1e300, 0x7c00), (f64::INFINITY, 0x7c00), (1e-300, 0)] {
        f64::encode(Float::F16, &[value], &mut out);
        assert_eq!(u16::from_le_bytes(out), bits, "{value}");
    }
}

#[test]
fn every_half_survives_the_way_to_f32_and_back() {
    for (dtype, float) in [(Dtype::F16, Float::F16), (Dtype::Bf16, Float::Bf16)] {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let a = Stored { info: TensorInfo::new("a", dtype, [1 << 16]), bytes };
        let wide = whole(&Op::Cast { dtype: Dtype::F32 }, std::slice::from_ref(&a)).unwrap();
        let back = whole(&Op::Cast { dtype }, std::slice::from_ref(&wide)).unwrap();
        let mut values = vec![0f32; 1 << 16];
        f32::decode(float, &a.bytes, &mut values);
        for (i, (before, after)) in a.bytes.chunks(2).zip(back.bytes.chunks(2)).enumerate() {
            assert!(before == after || values[i].is_nan() && wide.values()[i..=i][0].is_nan(), "{i:#x}");
        }
    }
}

#[test]
fn what_is_computed_of_nan_is_the_one_quiet_nan() {
    let a = Stored::f32("a", &[3], &[f32::from_bits(0xffc0_1234), f32::INFINITY, -0.0]);
    let zero = whole(&Op::Affine { scale: 0.0, offset: 0.0 }, std::slice::from_ref(&a)).unwrap();
    assert_eq!(zero.bytes[..8], [f32::NAN.to_le_bytes(), f32::NAN.to_le_bytes()].concat());
    let same = whole(&Op::Affine { scale: 1.0, offset: 0.0 }, &[a]).unwrap();
    assert_eq!(same.bytes[8..], (-0.0f32).to_le_bytes());
}

#[test]
fn a_mean_of_rows_is_summed_in_f64() {
    let mut values = vec![1e8f32];
    values.extend([1.0f32; 1000]);
    let a = Stored::f32("a", &[1001, 1], &values);
    let out = whole(&Op::MeanRows, &[a]).unwrap().values();
    assert_eq!(out, [f64::from(((1e8 + 1000.0) / 1001.0f64) as f32)]);
}

#[test]
fn a_scan_that_misses_rows_is_an_error() {
    let info = TensorInfo::new("a", Dtype::F32, [3, 1]);
    let mut scan = Op::MeanRows.scan(&[info]).unwrap().unwrap();
    scan.push(&[0; 8]).unwrap();
    assert!(scan.finish(&mut [0; 4]).is_err());
}

#[test]
fn nan_and_infinity_are_counted_apart_in_every_float() {
    let values = [0.0, f64::NAN, f64::INFINITY, -f64::NAN, f64::NEG_INFINITY, 1.0, f64::INFINITY];
    for (dtype, float) in
        [(Dtype::F16, Float::F16), (Dtype::Bf16, Float::Bf16), (Dtype::F32, Float::F32), (Dtype::F64, Float::F64)]
    {
        let mut bytes = vec![0; values.len() * float.bytes()];
        f64::encode(float, &values, &mut bytes);
        assert_eq!(non_finite(dtype, &bytes), NonFinite { nan: 2, infinite: 3 }, "{dtype}");
        let many = bytes.repeat(5000);
        assert_eq!(non_finite(dtype, &many), NonFinite { nan: 10000, infinite: 15000 }, "{dtype}");
    }
    assert_eq!(non_finite(Dtype::I32, &f32::NAN.to_le_bytes()), NonFinite::default());
}

/// `torch.tensor([0x00, 0x01, 0x07, 0x08, 0x38, 0x7E, 0x7F, 0x80, 0xB8, 0xFE], dtype=torch.uint8).view(torch.float8_e4m3fn).float()`, and the
/// same of `torch.float8_e5m2`.
#[test]
fn bytes_are_the_numbers_of_torch() {
    let bytes = [0x00u8, 0x01, 0x07, 0x08, 0x38, 0x7E, 0x80, 0xB8, 0xFE];
    let of = |dtype, bytes: &[u8], scale: f32| {
        let info = TensorInfo::new("w", dtype, [1, bytes.len() as u64]);
        let packed = Stored { info, bytes: bytes.to_vec() };
        let wide = bytes.len() as u64;
        whole(&Op::Dequantize { block: vec![1, wide] }, &[packed, Stored::f32("s", &[], &[scale])]).unwrap().values()
    };
    assert_eq!(
        of(Dtype::F8E4m3, &bytes, 1.0),
        [0.0, 0.001953125, 0.013671875, 0.015625, 1.0, 448.0, -0.0, -1.0, -448.0]
    );
    assert!(of(Dtype::F8E4m3, &[0x7F], 1.0)[0].is_nan());
    assert_eq!(of(Dtype::F8E5m2, &[0x00, 0x01, 0x3C, 0x7B, 0xBC], 1.0), [0.0, 1.52587890625e-05, 1.0, 57344.0, -1.0]);
    assert!(of(Dtype::F8E5m2, &[0x7C], 1.0)[0].is_infinite());
    assert_eq!(of(Dtype::I8, &[0x80, 0xFF, 0x7F], 0.5), [-64.0, -0.5, 63.5]);
}

/// The bits of `torch.arange(256, dtype=torch.uint8).view(dtype).float()`, NaN as 0x7fc00000, by FNV-1a over whole numbers of 32 bits.
#[test]
fn every_byte_of_every_type_is_the_number_of_torch() {
    for (dtype, digest) in [
        (Dtype::F8E4m3, 0x08993af4628bb725u64),
        (Dtype::F8E5m2, 0x0cee2838e6bb725),
        (Dtype::F8E4m3fnuz, 0x4065565af2abb725),
        (Dtype::F8E5m2fnuz, 0x39969815ceabb725),
        (Dtype::F8E8m0, 0x56f9e0582b6bb725),
    ] {
        let codes = Stored { info: TensorInfo::new("w", dtype, [256]), bytes: (0..=255).collect() };
        let bytes = whole(&Op::Cast { dtype: Dtype::F32 }, &[codes]).unwrap().bytes;
        let words = bytes.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_le_bytes(*word)));
        let found = words.fold(0xcbf2_9ce4_8422_2325u64, |hash, word| (hash ^ word).wrapping_mul(0x100_0000_01b3));
        assert_eq!(found, digest, "{dtype}: {found:#x}");
    }
}

#[test]
fn a_scale_of_exponents_is_a_power_of_two_and_a_zero_point_is_taken_away_first() {
    let codes = Stored { info: TensorInfo::new("w", Dtype::U8, [2, 2]), bytes: vec![0, 3, 128, 255] };
    for dtype in [Dtype::F8E8m0, Dtype::U8] {
        let scale = Stored { info: TensorInfo::new("s", dtype, [2, 1]), bytes: vec![128, 126] };
        let zero = Stored { info: TensorInfo::new("z", Dtype::U8, [2]), bytes: vec![3, 128] };
        let out = whole(&Op::Dequantize { block: vec![1, 2] }, &[codes.clone(), scale, zero]).unwrap().values();
        assert_eq!(out, [-6.0, 0.0, 0.0, 63.5], "{dtype}");
    }
}

#[test]
fn every_element_has_the_scale_of_its_block() {
    let packed = Stored { info: TensorInfo::new("w", Dtype::I8, [5, 4]), bytes: vec![1; 20] };
    let scales = Stored::f32("s", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let out = whole(&Op::Dequantize { block: vec![2, 3] }, &[packed, scales]).unwrap().values();
    let row = |a: f64, b: f64| vec![a, a, a, b];
    assert_eq!(out, [row(1.0, 2.0), row(1.0, 2.0), row(3.0, 4.0), row(3.0, 4.0), row(5.0, 6.0)].concat());
}

#[test]
fn every_kind_of_f32_becomes_the_bf16_that_the_half_crate_makes_of_it() {
    // every upper half, with lower halves on both sides of every decision
    for low in [0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff] {
        let values: Vec<f32> = (0..=0xffffu32).map(|high| f32::from_bits(high << 16 | low)).collect();
        let mut out = vec![0; 2 * values.len()];
        f32::encode(Float::Bf16, &values, &mut out);
        for (value, found) in values.iter().zip(out.as_chunks::<2>().0) {
            let expected = half::bf16::from_f32(*value).to_le_bytes();
            assert_eq!(*found, expected, "{:#010x}", value.to_bits());
        }
    }
}

#[test]
fn what_is_not_finite_is_counted_in_every_type_and_at_every_place() {
    let (one, infinity, nan) = (1f32.to_le_bytes(), f32::NEG_INFINITY.to_le_bytes(), f32::NAN.to_le_bytes());
    let cases = [
        (Dtype::F32, [&one[..], &infinity, &nan]),
        (Dtype::F16, [&[0xff, 0x7b], &[0x00, 0xfc], &[0x01, 0x7c]]),
        (Dtype::Bf16, [&[0x7f, 0x7f], &[0x80, 0xff], &[0x81, 0x7f]]),
    ];
    for (dtype, [finite, infinite, nan]) in cases {
        for len in [1, 7, 4096, 4097, 9000] {
            let mut bytes = finite.repeat(len);
            assert_eq!(non_finite(dtype, &bytes), NonFinite::default());
            for (place, value) in [(0, infinite), (len - 1, nan)] {
                bytes[place * finite.len()..][..finite.len()].copy_from_slice(value);
            }
            let expected = NonFinite { nan: 1, infinite: u64::from(len > 1) };
            assert_eq!(non_finite(dtype, &bytes), expected, "{dtype} of {len}");
        }
        let all = non_finite(dtype, &infinite.repeat(70_000));
        assert_eq!(all, NonFinite { nan: 0, infinite: 70_000 }, "{dtype}");
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn every_set_of_instructions_rounds_and_counts_alike() {
    // every pattern of the upper half, ties and NaN and infinities among them
    let singles: Vec<f32> =
        (0..=u32::from(u16::MAX)).map(|bits| f32::from_bits(bits << 16 | (bits & 3) << 14)).collect();
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let all = || {
        let mut halves = vec![0; 2 * singles.len()];
        f32::encode(Float::Bf16, &singles, &mut halves);
        let counts = [Dtype::F16, Dtype::Bf16].map(|dtype| non_finite(dtype, &halves));
        (counts, non_finite(Dtype::F32, &bytes(&singles)), halves)
    };
    let expected = Instructions::Portable.at_most(all);
    assert_eq!(expected.1, NonFinite { nan: 254, infinite: 2 });
    for instructions in Instructions::ALL {
        match instructions.are_here() {
            true => assert!(instructions.at_most(all) == expected, "{instructions:?}"),
            false => eprintln!("{instructions:?}: not tested, this processor does not have them"),
        }
    }
}
