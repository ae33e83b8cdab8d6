use proptest::prelude::*;

use super::*;
use crate::init::spelling::SPELLINGS;

/// What a spelling cannot do without.
fn complete(name: &str) -> String {
    match name {
        "constant" => "constant(value=0.5)".into(),
        "sparse" => "sparse(sparsity=0.9)".into(),
        name => name.into(),
    }
}

#[test]
fn every_spelling_is_read_in_any_case_and_with_torchs_underscore() {
    for spelling in SPELLINGS {
        let text = complete(spelling.name);
        let plain = spec(&text);
        assert_eq!(spec(&text.to_uppercase().replace("(VALUE", "(value").replace("(SPARSITY", "(sparsity")), plain);
        assert_eq!(spec(&text.replacen(spelling.name, &format!("{}_", spelling.name), 1)), plain);
        assert_eq!(spec(&plain.to_string()), plain, "{text} displays as {plain}");
    }
}

#[test]
fn every_canonical_name_is_a_spelling_that_displays_as_itself() {
    for name in NAMES {
        let displayed = spec(&complete(name)).to_string();
        assert!(displayed.starts_with(name), "{name} displays as {displayed}");
    }
    for spelling in SPELLINGS {
        let displayed = spec(&complete(spelling.name)).to_string();
        let name = displayed.split('(').next().unwrap();
        assert!(NAMES.contains(&name), "{} displays as {displayed}", spelling.name);
    }
}

#[test]
fn canonical_spellings_say_what_a_reader_could_mistake() {
    for (written, canonical) in [
        ("kaiming_normal_", "he_normal"),
        ("kaiming_normal_( a = 0.2 , mode = FAN_OUT )", "he_normal(mode=fan_out, a=0.2)"),
        ("he_normal(nonlinearity=leaky_relu)", "he_normal(a=0)"),
        ("he_normal(nonlinearity=leaky_relu, a=0.3)", "he_normal(a=0.3)"),
        ("xavier_normal(nonlinearity=leaky_relu)", "xavier_normal(a=0.01)"),
        ("he_normal(nonlinearity=swish)", "he_normal(nonlinearity=silu)"),
        ("he_uniform(nonlinearity=linear)", "he_uniform(gain=1)"),
        ("HeNormal", "he_normal(distribution=truncated_normal)"),
        ("glorot_normal", "xavier_normal(distribution=truncated_normal)"),
        ("lecun_normal(distribution=untruncated_normal)", "lecun_normal(distribution=untruncated_normal)"),
        ("LecunNormal", "lecun_normal"),
        ("normal_", "normal(std=1)"),
        ("RandomNormal(stddev=0.01)", "normal(std=0.01)"),
        ("uniform_(a=-1, b=1)", "uniform(low=-1, high=1)"),
        ("trunc_normal_(std=.02)", "trunc_normal(std=0.02, cut=2, cut_in=abs)"),
        ("trunc_normal(std=.02, a=-1)", "trunc_normal(std=0.02, low=-1, high=2, cut_in=abs)"),
        ("trunc_normal_tf_(std=.02)", "trunc_normal(std=0.02, cut=2, cut_in=sigma)"),
        ("TruncatedNormal(cut=3)", "trunc_normal(std=0.05, cut=3, cut_in=sigma)"),
        ("constant_(val=0)", "zeros"),
        ("constant(1)", "ones"),
        ("constant(-0.0)", "constant(value=-0)"),
        ("normal(std=1e-30)", "normal(std=1e-30)"),
        ("orthogonal(1.5)", "orthogonal(gain=1.5)"),
        ("orthogonal_(gain=1)", "orthogonal"),
        ("dirac_(groups=4)", "dirac(groups=4)"),
        ("eye_", "identity"),
        ("sparse_(sparsity=0.9)", "sparse(sparsity=0.9, std=0.01)"),
        ("variance_scaling(scale=2, mode=fan_avg)", "variance_scaling(mode=fan_avg, scale=2)"),
        ("lsuv", "lsuv"),
        ("lsuv(tol=0.05, target=2)", "lsuv(tol=0.05, target=2)"),
        ("auto", "auto"),
        ("match", "match"),
    ] {
        assert_eq!(spec(written).to_string(), canonical, "{written}");
    }
}

#[test]
fn slips_are_answered_with_the_nearest_word() {
    for (text, nearest) in [
        ("he_norml", "he_normal"),
        ("kaming_uniform_", "kaiming_uniform"),
        ("GlorotUnifrom", "glorotuniform"),
        ("he_normal(mdoe=fan_in)", "mode"),
        ("he_normal(mode=fan_inn)", "fan_in"),
        ("he_normal(nonlinearity=gleu)", "gelu"),
        ("trunc_normal(cut_in=sigmas)", "sigma"),
        ("normal(sdt=1)", "std"),
    ] {
        let error = refusal(text);
        assert!(error.hints().iter().any(|hint| hint.contains(nearest)), "{text}: {error} {:?}", error.hints());
        assert_eq!(error.exit(), crate::error::Exit::Input);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for text in [
        "", " ", "(", "he_normal(", "he_normal)", "he_normal(a=)", "he_normal(=1)", "he_normal(a=0.2",
        "he_normal(a=0.2))", "he_normal(a=0.2)x", "he_normal(,)", "he_normal(a=1,,mode=fan_in)", "he_normal(0.2)",
        "he_normal(a=1, 2)", "normal(std=nan)", "normal(std=-1)", "normal(std=inf)", "normal(std=1e999)",
        "normal(mean=NaN)", "normal(mean=-inf)", "normal(std=sqrt(-1))", "normal(std=sqrt(sqrt(2)))",
        "uniform(low=2, high=1)", "uniform(low=inf)", "constant", "constant(value=inf)", "sparse",
        "sparse(sparsity=1.5)", "sparse(sparsity=-0.1)", "he_normal(gain=-1)", "he_normal(gain=2, a=1)",
        "he_normal(gain=2, nonlinearity=relu)", "he_normal(nonlinearity=relu, a=1)", "he_normal(a=1, a=2)",
        "he_normal(a=1, negative_slope=2)", "he_normal(mode=fan_geo)", "he_normal(distribution=uniform)",
        "he_uniform(distribution=uniform)", "variance_scaling(scale=0)", "variance_scaling(distribution=normal)",
        "trunc_normal(cut=-1)", "trunc_normal(cut=1, low=0)", "trunc_normal(low=1, high=0)",
        "trunc_normal(correct_std=true)", "trunc_normal(cut=0, correct_std=true)", "trunc_normal(correct_std=yes)",
        "orthogonal(gain=-1)", "dirac(groups=0)", "dirac(groups=1.5)", "dirac(groups=-1)", "zeros(1)",
        "zeros(value=1)", "auto(std=1)", "match(a=1)", "lsuv(tol=0)", "lsuv(target=-1)", "lsuv(tol=nan)", "he normal",
        "he_normal__", "zéros", "normal(std=1\0)",
    ] {
        refusal(text);
    }
}

#[test]
fn texts_from_files_are_limited_in_length_and_depth() {
    let deep = format!("normal(std={}1{})", "sqrt(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(refusal(&deep).downcast_ref(), Some(InitError::Malformed { reason: "it is too long", .. })));
    let nested = format!("normal(std={}1{})", "(".repeat(50), ")".repeat(50));
    assert!(
        matches!(refusal(&nested).downcast_ref(), Some(InitError::Malformed { reason, .. }) if reason.contains("deep"))
    );
    for error in
        [refusal(&"é".repeat(1000)), refusal(&"x".repeat(1000)), refusal(&format!("normal(std={})", "9".repeat(900)))]
    {
        assert!(error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn a_spec_is_its_text_in_json() {
    let written = spec("he_normal(mode=fan_out)");
    let json = serde_json::to_string(&written).unwrap();
    assert_eq!(json, "\"he_normal(mode=fan_out)\"");
    assert_eq!(serde_json::from_str::<SchemeSpec>(&json).unwrap(), written);
    assert_eq!(serde_json::from_str::<SchemeSpec>(r#""he\u005fnormal(mode=fan_out)""#).unwrap(), written);
    assert!(
        serde_json::from_str::<SchemeSpec>("\"he_norml\"").unwrap_err().to_string().contains("did you mean he_normal")
    );
}

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![-10.0..10.0, any::<f64>().prop_filter("finite", |x| x.is_finite()), Just(0.0), Just(1.0)]
}

fn text() -> impl Strategy<Value = String> {
    let mode = prop_oneof![Just("fan_in"), Just("fan_out"), Just("fan_avg")];
    let rule = prop::sample::select(vec![
        "he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "lecun_uniform", "HeNormal",
        "glorot_normal", "GlorotUniform",
    ]);
    let gain = prop_oneof![
        finite().prop_map(|a| format!(", a={a}")),
        finite().prop_map(|gain| format!(", gain={}", gain.abs())),
        prop::sample::select(Nonlinearity::ALL.to_vec()).prop_map(|known| format!(", nonlinearity={}", known.name())),
        Just(String::new()),
    ];
    prop_oneof![
        (rule, mode.clone(), gain).prop_map(|(rule, mode, gain)| format!("{rule}(mode={mode}{gain})")),
        (finite(), mode, prop::sample::select(vec!["truncated_normal", "untruncated_normal", "uniform"])).prop_map(
            |(scale, mode, shape)| format!(
                "variance_scaling(scale={}, mode={mode}, distribution={shape})",
                scale.abs() + 1e-300
            )
        ),
        (finite(), finite()).prop_map(|(mean, std)| format!("normal(mean={mean}, std={:e})", std.abs())),
        (finite(), finite()).prop_map(|(a, b)| format!("uniform(a={}, b={})", a.min(b), a.max(b))),
        (finite(), finite(), any::<bool>()).prop_map(|(a, b, abs)| format!(
            "trunc_normal(a={}, b={}, cut_in={})",
            a.min(b),
            a.max(b),
            if abs { "abs" } else { "sigma" }
        )),
        (finite(), 0.1..5.0)
            .prop_map(|(mean, cut)| format!("trunc_normal_tf_(mean={mean}, cut={cut}, correct_std=true)")),
        finite().prop_map(|value| format!("constant({value})")),
        finite().prop_map(|gain| format!("orthogonal(gain={})", gain.abs())),
        (1u64..=u64::MAX).prop_map(|groups| format!("dirac(groups={groups})")),
        (0.0..=1.0, finite()).prop_map(|(sparsity, std)| format!("sparse(sparsity={sparsity}, std={})", std.abs())),
        (1e-9..10.0, 1e-9..10.0).prop_map(|(tol, target)| format!("lsuv(tol={tol}, target={target})")),
    ]
}

proptest! {
    #[test]
    fn the_canonical_spelling_reads_back_equal(text in text()) {
        let read = spec(&text);
        prop_assert_eq!(&spec(&read.to_string()), &read, "{} displays as {}", text, read);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z_]{0,12}[(=,)]?[a-z_=,.0-9() é-]{0,40}") {
        let _ = text.parse::<SchemeSpec>();
    }
}
