use crate::init::elementary::*;
use crate::init::moments::*;

#[test]
fn the_logarithm_is_within_one_unit_in_the_last_place() {
    let mut worst = 0f64;
    for bits in (0x2F80_0000u32..=0x3F80_0000).step_by(997) {
        let x = f32::from_bits(bits);
        let exact = f64::from(x).ln();
        let unit = f64::from((exact as f32).next_up() - exact as f32).abs();
        worst = worst.max((f64::from(ln(x)) - exact).abs() / unit);
    }
    assert!(worst < 1.0, "{worst}");
    assert_eq!(ln(1.0), 0.0);
}

#[test]
fn the_radius_is_a_number_for_every_kind_of_word() {
    let near_one = (0..100_000u32).map(|i| u32::MAX - i * 3);
    let others = (0..100_000u32).map(|i| i.wrapping_mul(42_949));
    for word in near_one.chain(others).chain([0, 1, 2, 3]) {
        let r = radius(word);
        assert!((0.0..=crate::init::draws::LARGEST_NORMAL).contains(&r), "{word}: {r}");
    }
    let largest = (2.0 * 32.0 * 2f64.ln()).sqrt() as f32;
    assert!((radius(0) - largest).abs() < 1e-6);
    assert_eq!(radius(u32::MAX), 0.0);
}

#[test]
fn sine_and_cosine_go_once_around() {
    let mut worst = 0f64;
    for word in (0..=u32::MAX).step_by(65_521) {
        let quadrant = f64::from(word >> 30);
        let inside = f64::from((word << 2) as i32) / 2f64.powi(31);
        let angle = std::f64::consts::FRAC_PI_2 * quadrant + std::f64::consts::FRAC_PI_4 * inside;
        let (cosine, sine) = cos_sin(word);
        worst = worst.max((f64::from(cosine) - angle.cos()).abs()).max((f64::from(sine) - angle.sin()).abs());
    }
    assert!(worst < 1.5e-7, "{worst}");
}

#[test]
fn the_double_functions_agree_with_the_standard_library() {
    for i in -7000..=7000 {
        let x = f64::from(i) / 10.003;
        assert!((exp(x) / x.exp() - 1.0).abs() < 1e-15, "exp {x}: {} {}", exp(x), x.exp());
        let y = x.exp();
        assert!((ln_f64(y) - y.ln()).abs() <= 4e-16 * y.ln().abs().max(0.5), "ln {y}: {} {}", ln_f64(y), y.ln());
    }
    assert_eq!((exp(0.0), ln_f64(1.0)), (1.0, 0.0));
}

#[test]
fn moments_of_cut_normals_are_those_of_the_closed_form() {
    for (cut, std) in [(1.0, 0.539_560_09), (2.0, 0.879_625_66), (3.0, 0.986_578_39)] {
        let found = truncated_moments(-cut, cut);
        assert!((found.std - std).abs() < 1e-8 && found.mean.abs() < 1e-12, "±{cut}: {found:?}");
    }
    assert!((truncated_moments(-2.0, 2.0).std - TRUNCATED_AT_TWO).abs() < 1e-13);
    let unlimited = truncated_moments(-1e300, f64::MAX);
    assert!((unlimited.std - 1.0).abs() < 1e-12 && unlimited.mean.abs() < 1e-12, "{unlimited:?}");
    // the half normal: mean √(2/π), variance 1 − 2/π
    let half = truncated_moments(0.0, 40.0);
    assert!((half.mean - (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-11, "{half:?}");
    assert!((half.std - (1.0 - 2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-11, "{half:?}");
    // far out it is exponential, in a narrow interval uniform
    let tail = truncated_moments(-1e9, -1e4);
    assert!((tail.std * 1e4 - 1.0).abs() < 1e-6 && ((-1e4 - tail.mean) * 1e4 - 1.0).abs() < 1e-6, "{tail:?}");
    let narrow = truncated_moments(3.0, 3.0 + 1e-6);
    assert!((narrow.std / (1e-6 / 12f64.sqrt()) - 1.0).abs() < 1e-6, "{narrow:?}");
    assert_eq!(truncated_moments(7.0, 7.0), Moments { mean: 7.0, std: 0.0 });
}
