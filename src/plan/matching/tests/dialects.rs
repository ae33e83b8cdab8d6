use super::*;

fn old(name: &str) -> String {
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
}

#[test]
fn gamma_and_beta_of_an_old_bert_are_weight_and_bias() {
    let target = bert(&bert_config("BertModel", 2));
    let case = case(renamed(saved(&target), old), target);
    let matched = case.matched().clean();
    assert_eq!(matched.from("embeddings.LayerNorm.weight"), "embeddings.LayerNorm.gamma");
    assert_eq!(matched.from("encoder.layer.1.output.LayerNorm.bias"), "encoder.layer.1.output.LayerNorm.beta");
    assert_eq!(matched.step("embeddings.LayerNorm.weight"), Step::Dialect);
    assert_eq!(matched.matching.families, [Some("bert".to_string())]);
    assert_eq!(matched.matching.dialects[0].len(), 1);
    assert_eq!(matched.unused(), Vec::<String>::new());
}

#[test]
fn an_old_bert_with_its_prefix_fills_one_without() {
    let target = bert(&bert_config("BertModel", 2));
    let source = renamed(saved(&target), |name| format!("module.bert.{}", old(name)));
    let case = case(source, target);
    let matched = case.matched().clean();
    assert_eq!(matched.from("embeddings.LayerNorm.weight"), "module.bert.embeddings.LayerNorm.gamma");
    assert_eq!(matched.unused(), Vec::<String>::new());
}

#[test]
fn an_honest_gamma_stays_a_gamma_beside_old_norms() {
    let norms = "enc.{0-1}.LayerNorm.{gamma,beta} 4\nenc.{0-1}.scale.gamma 4";
    let case = texts(norms, "enc.{0-1}.LayerNorm.{weight,bias} 4\nenc.{0-1}.scale.gamma 4");
    let matched = case.matched().clean();
    assert_eq!(matched.from("enc.0.scale.gamma"), "enc.0.scale.gamma");
    assert_eq!(matched.from("enc.0.LayerNorm.weight"), "enc.0.LayerNorm.gamma");
    assert_eq!(matched.from("enc.1.LayerNorm.bias"), "enc.1.LayerNorm.beta");
}

#[test]
fn a_gamma_is_no_weight_where_the_target_has_a_gamma_there() {
    let case = texts("ls.gamma 4", "ls.weight 4\nls.gamma 4");
    let matched = case.matched();
    assert_eq!((matched.from("ls.weight"), matched.from("ls.gamma")), ("new".into(), "ls.gamma".into()));
}

#[test]
fn gamma_within_a_component_is_no_norm() {
    let case = texts("ls.gamma_1 4\nx.gammas 4", "ls.weight_1 4\nx.weights 4");
    let matched = case.matched();
    assert_eq!((matched.from("ls.weight_1"), matched.from("x.weights")), ("new".into(), "new".into()));
}

#[test]
fn an_old_target_takes_a_new_source() {
    let target = bert(&bert_config("BertModel", 1));
    let source = saved(&target);
    let mut parameters = target.parameters.clone();
    parameters.iter_mut().for_each(|parameter| parameter.name = old(&parameter.name));
    let case = case(source, of_parameters(parameters));
    let matched = case.matched().clean();
    assert_eq!(matched.from("embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight");
}
