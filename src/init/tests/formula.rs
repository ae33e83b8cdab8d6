use super::*;

/// A shape, its fans by torch's rule, and what the schemes make of them; computed with numpy.
struct Row {
    shape: &'static [u64],
    fan_in: u64,
    fan_out: u64,
    xavier_bound: f64,
    xavier_std: f64,
    he_bound: f64,
    he_std: f64,
    he_std_fan_out: f64,
    torch_bound: f64,
    lecun_sigma: f64,
}

#[rustfmt::skip]
const TABLE: [Row; 7] = [
    Row { shape: &[512, 256], fan_in: 256, fan_out: 512, xavier_bound: 0.088388, xavier_std: 0.051031, he_bound: 0.153093, he_std: 0.088388, he_std_fan_out: 0.062500, torch_bound: 0.062500, lecun_sigma: 0.071053 },
    Row { shape: &[3072, 768], fan_in: 768, fan_out: 3072, xavier_bound: 0.039528, xavier_std: 0.022822, he_bound: 0.088388, he_std: 0.051031, he_std_fan_out: 0.025516, torch_bound: 0.036084, lecun_sigma: 0.041022 },
    Row { shape: &[10, 512], fan_in: 512, fan_out: 10, xavier_bound: 0.107211, xavier_std: 0.061898, he_bound: 0.108253, he_std: 0.062500, he_std_fan_out: 0.447214, torch_bound: 0.044194, lecun_sigma: 0.050242 },
    Row { shape: &[64, 3, 7, 7], fan_in: 147, fan_out: 3136, xavier_bound: 0.042750, xavier_std: 0.024682, he_bound: 0.202031, he_std: 0.116642, he_std_fan_out: 0.025254, torch_bound: 0.082479, lecun_sigma: 0.093766 },
    Row { shape: &[64, 1, 3, 3], fan_in: 9, fan_out: 576, xavier_bound: 0.101274, xavier_std: 0.058471, he_bound: 0.816497, he_std: 0.471405, he_std_fan_out: 0.058926, torch_bound: 0.333333, lecun_sigma: 0.378949 },
    Row { shape: &[128, 64, 3, 3], fan_in: 576, fan_out: 1152, xavier_bound: 0.058926, xavier_std: 0.034021, he_bound: 0.102062, he_std: 0.058926, he_std_fan_out: 0.041667, torch_bound: 0.041667, lecun_sigma: 0.047369 },
    Row { shape: &[256, 128, 4, 4], fan_in: 2048, fan_out: 4096, xavier_bound: 0.031250, xavier_std: 0.018042, he_bound: 0.054127, he_std: 0.031250, he_std_fan_out: 0.022097, torch_bound: 0.022097, lecun_sigma: 0.025121 },
];

const DRAWS: usize = 32_768;

/// The draws of a scheme lie within its bound, reach it, and have its deviation within five standard errors.
fn check(text: &str, row: &Row, bound: Option<f64>, std: f64, kurtosis: f64) {
    let fans = Fans { fan_in: row.fan_in, fan_out: row.fan_out };
    let resolved = resolve(text, fans, row.shape);
    assert!((resolved.std.unwrap() - std).abs() < 1e-6, "{text} {:?}: {resolved:?}, expected {std}", row.shape);
    let values = drawn(7, &format!("{text} {:?}", row.shape), &resolved.scheme, DRAWS);
    if let Some(bound) = bound {
        let Scheme::Uniform { low, high } = resolved.scheme else { panic!("{resolved:?}") };
        assert!((high - bound).abs() <= 5.1e-7 && low == -high, "{text}: {resolved:?}, expected {bound}");
        let largest = values.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max);
        assert!(largest <= high && largest >= 0.9985 * high, "{text}: {largest} of {high}");
    }
    let n = DRAWS as f64;
    let found = (values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / n).sqrt();
    let standard_error = ((kurtosis - 1.0) / (4.0 * n)).sqrt();
    assert!((found / resolved.std.unwrap() - 1.0).abs() < 5.0 * standard_error, "{text} {:?}: {found}", row.shape);
}

#[test]
fn every_rule_has_the_bounds_and_deviations_of_the_reference_table() {
    for row in &TABLE {
        check("xavier_uniform", row, Some(row.xavier_bound), row.xavier_bound / 3f64.sqrt(), 1.8);
        check("xavier_normal", row, None, row.xavier_std, 3.0);
        check("he_uniform", row, Some(row.he_bound), row.he_bound / 3f64.sqrt(), 1.8);
        check("he_normal", row, None, row.he_std, 3.0);
        check("he_normal(mode=fan_out)", row, None, row.he_std_fan_out, 3.0);
        check("kaiming_uniform_(a=sqrt(5))", row, Some(row.torch_bound), row.torch_bound / 3f64.sqrt(), 1.8);
        check("lecun_normal", row, None, row.lecun_sigma * 0.879_625_661, 3.0);
        let lecun = resolve("lecun_normal", Fans { fan_in: row.fan_in, fan_out: row.fan_out }, row.shape);
        let Scheme::TruncatedNormal { std, low, high, .. } = lecun.scheme else { panic!("{lecun:?}") };
        assert!((std - row.lecun_sigma).abs() < 1e-6 && (high, low) == (2.0 * std, -2.0 * std));
    }
}

#[test]
fn the_grouped_fan_gives_a_depthwise_kernel_its_deviation_in_both_modes() {
    let fans = Fans::conv(64, 1, 9, 64);
    for mode in ["fan_in", "fan_out", "fan_avg"] {
        let std = resolve(&format!("he_normal(mode={mode})"), fans, &[64, 1, 3, 3]).std.unwrap();
        assert!((std - 0.471405).abs() < 1e-6, "{mode}: {std}");
    }
}

#[test]
fn gains_are_those_of_torch_and_where_it_has_none_keep_the_second_moment() {
    assert_eq!(Nonlinearity::Tanh.gain(), 5.0 / 3.0);
    assert_eq!(Nonlinearity::Selu.gain(), 0.75);
    assert!((Nonlinearity::LeakyRelu.gain() - 1.414_142_9).abs() < 1e-7);
    let gain = |text: &str| resolve(text, Fans::linear(1, 1), &[1, 1]).std.unwrap();
    assert!((gain("he_normal(a=0.2)") - 1.386_750_5).abs() < 1e-7);
    assert!((gain("he_normal(a=sqrt(5))") - 0.577_350_3).abs() < 1e-7);
    assert_eq!(gain("he_normal"), std::f64::consts::SQRT_2);
    assert_eq!(gain("xavier_normal(nonlinearity=tanh)"), 5.0 / 3.0);
    assert_eq!(gain("xavier_uniform(gain=0.5)"), 0.5);

    type Activation = (Nonlinearity, fn(f64) -> f64);
    let measured: [Activation; 5] = [
        (Nonlinearity::Relu, |z| z.max(0.0)),
        (Nonlinearity::Silu, |z| z / (1.0 + (-z).exp())),
        (Nonlinearity::Elu, |z| if z > 0.0 { z } else { z.exp_m1() }),
        (Nonlinearity::GeluTanh, |z| {
            0.5 * z * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z.powi(3))).tanh())
        }),
        (Nonlinearity::Gelu, |z| z * super::statistics::normal_cdf(z)),
    ];
    for (nonlinearity, function) in measured {
        let step = 1e-3;
        let second: f64 = (-10_000..10_000)
            .map(|i| (f64::from(i) + 0.5) * step)
            .map(|z| function(z).powi(2) * (-z * z / 2.0).exp() * step / (2.0 * std::f64::consts::PI).sqrt())
            .sum();
        let expected = 1.0 / second.sqrt();
        assert!((nonlinearity.gain() - expected).abs() < 1e-6, "{nonlinearity:?}: {expected}");
    }
}

#[test]
fn keras_and_torch_disagree_about_normal_and_both_are_spoken() {
    let fans = Fans::linear(256, 512);
    let shape = &[512, 256];
    assert!(matches!(resolve("he_normal", fans, shape).scheme, Scheme::Normal { .. }));
    let keras = resolve("HeNormal", fans, shape);
    let Scheme::TruncatedNormal { std, high, .. } = keras.scheme else { panic!("{keras:?}") };
    assert!((std * 0.879_625_661_034_239_8 - (2f64 / 256.0).sqrt()).abs() < 1e-15 && high == 2.0 * std);
    assert_eq!(keras.std, resolve("he_normal", fans, shape).std);
    assert_eq!(keras, resolve("VarianceScaling(scale=2.0)", fans, shape));
    assert_eq!(resolve("GlorotUniform", fans, shape), resolve("xavier_uniform", fans, shape));
    let same = resolve("variance_scaling(mode=fan_avg, distribution=uniform)", fans, shape);
    assert_eq!(same, resolve("xavier_uniform", fans, shape));
    assert_eq!(resolve("RandomNormal", fans, shape).scheme, Scheme::Normal { mean: 0.0, std: 0.05 });
    assert_eq!(resolve("RandomUniform", fans, shape).scheme, Scheme::Uniform { low: -0.05, high: 0.05 });
}

#[test]
fn truncation_is_absolute_in_torch_and_relative_in_timm_and_keras() {
    let cut = |text: &str| {
        let resolved = resolve(text, Fans::linear(1, 1), &[4, 4]);
        match resolved.scheme {
            Scheme::TruncatedNormal { mean, std, low, high } => (mean, std, low, high, resolved.std.unwrap()),
            other => panic!("{other:?}"),
        }
    };
    let (_, std, low, high, after) = cut("trunc_normal_(std=0.02)");
    assert_eq!((std, low, high), (0.02, -2.0, 2.0));
    assert!((after - 0.02).abs() < 1e-12, "±100 deviations are no cut: {after}");
    let (_, std, low, high, after) = cut("trunc_normal_tf_(std=0.02)");
    assert_eq!((std, low, high), (0.02, -0.04, 0.04));
    assert!((after / 0.02 - 0.879_625_66).abs() < 1e-8);
    assert_eq!(cut("trunc_normal(std=0.02, cut=2)"), cut("trunc_normal_tf_(std=0.02)"));
    assert_eq!(cut("trunc_normal(std=0.02, cut=2, cut_in=abs)"), cut("trunc_normal_(std=0.02, a=-2, b=2)"));
    let (_, std, low, high, after) = cut("trunc_normal(std=0.02, cut=2, correct_std=true)");
    assert!((after - 0.02).abs() < 1e-12 && (std - 0.02 / 0.879_625_661).abs() < 1e-10);
    assert!((high - 2.0 * std).abs() < 1e-15 && low == -high);
    let (mean, std, low, high, _) = cut("trunc_normal(mean=1, std=0.5, low=-1, high=3, cut_in=sigma)");
    assert_eq!((mean, std, low, high), (1.0, 0.5, 0.5, 2.5));
    assert_eq!(cut("TruncatedNormal").1, 0.05);
}

#[test]
fn a_scheme_that_needs_a_fan_says_so_on_a_bias() {
    for text in ["he_normal", "xavier_uniform", "lecun_normal", "VarianceScaling"] {
        let SchemeSpec::Formula(formula) = spec(text) else { panic!("{text}") };
        let error = formula.resolve(LayerFacts { fans: None, shape: &[7], groups: 1 }).unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(InitError::NoFans { shape, .. }) if shape == &[7]),
            "{text}: {error}"
        );
        assert!(!error.hints().is_empty());
    }
    for text in ["normal(std=0.02)", "zeros", "ones", "constant(value=3)", "uniform", "trunc_normal"] {
        let SchemeSpec::Formula(formula) = spec(text) else { panic!("{text}") };
        formula.resolve(LayerFacts { fans: None, shape: &[7], groups: 1 }).unwrap();
    }
}

#[test]
fn a_scheme_for_matrices_says_so_on_other_ranks() {
    let cases: [(&str, &[u64]); 5] =
        [("orthogonal", &[7]), ("eye", &[7]), ("eye", &[2, 2, 2]), ("dirac", &[2, 2]), ("sparse(sparsity=0.1)", &[3])];
    for (text, wrong) in cases {
        let SchemeSpec::Formula(formula) = spec(text) else { panic!("{text}") };
        let error = formula.resolve(LayerFacts { fans: None, shape: wrong, groups: 1 }).unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(InitError::Rank { shape, .. }) if shape == wrong),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_fan_of_zero_belongs_to_an_empty_tensor_and_is_no_division_by_zero() {
    let resolved = resolve("he_normal", Fans::linear(0, 3), &[3, 0]);
    assert_eq!(resolved.std, Some(std::f64::consts::SQRT_2));
}
