use super::*;

fn spec(text: &str) -> SchemeSpec {
    text.parse().unwrap_or_else(|error: crate::error::Error| panic!("{text}: {error} {:?}", error.hints()))
}

#[test]
fn a_first_fill_draws() {
    let mut out = vec![0f32; 1000];
    Generator::new(0, "w").fill(&Scheme::Normal { mean: 0.0, std: 1.0 }, &[10, 100], 0, 0..1000, &mut out).unwrap();
    let var = out.iter().map(|x| x * x).sum::<f32>() / 1000.0;
    assert!((0.8..1.2).contains(&var), "{var} {:?}", &out[..8]);
    assert_eq!(spec("kaiming_normal_"), SchemeSpec::Formula(Formula::he_normal(Nonlinearity::Relu)));
}
