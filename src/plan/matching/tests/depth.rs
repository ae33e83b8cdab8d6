use crate::arch::{Architecture, Flags};
use crate::graph::Builder;
use crate::plan::error::PlanError;
use crate::plan::testing::*;
use crate::tensor::Dtype;

const LAYER: &str = "attn.{q,k}.weight 4x4";

fn layers(path: &str, count: u64) -> String {
    format!("{path}.{{0-{}}}.{LAYER}", count - 1)
}

fn stacks(source: u64, target: u64) -> Case {
    texts(&layers("enc", source), &layers("enc", target))
}

/// The source layers of each layer of the target, `-` for new.
fn filled(case: &Case, path: &str, count: u64) -> Vec<String> {
    let matched = case.matched();
    let layer = |index: u64| matched.from(&format!("{path}.{index}.attn.q.weight"));
    let numbers = |words: String| {
        words.split(|c: char| !c.is_ascii_digit()).filter(|d| !d.is_empty()).collect::<Vec<_>>().join("+")
    };
    (0..count).map(|index| Some(numbers(layer(index))).filter(|n| !n.is_empty()).unwrap_or("-".into())).collect()
}

#[test]
fn the_first_layers_fill_a_shorter_stack_and_the_reason_says_so() {
    let case = stacks(6, 4);
    assert_eq!(filled(&case, "enc", 4), ["0", "1", "2", "3"]);
    let matched = case.matched().clean();
    assert!(matched.of("enc.0.attn.q.weight").reason.contains("first"));
    assert_eq!(matched.unused().len(), 4);
    assert!(matched.unused_reasons[0].values().all(|reason| reason.contains("left out by depth first")));
}

#[test]
fn lists_choose_layers() {
    for (rule, expected) in [
        ("enc=every:2", vec!["0", "2", "4"]),
        ("enc=last", vec!["3", "4", "5"]),
        ("enc=spaced", vec!["0", "2", "5"]),
        ("enc=-1,0,2", vec!["5", "0", "2"]),
        ("enc=1,new,1", vec!["1", "-", "1"]),
        ("enc=interpolate", vec!["0", "2+3", "5"]),
    ] {
        let case = stacks(6, 3).depth(rule);
        assert_eq!(filled(&case, "enc", 3), expected, "{rule}");
        case.matched().clean();
    }
    for (rule, expected) in [
        ("enc=stack", vec!["0", "1", "2", "0", "1"]),
        ("enc=interleave", vec!["0", "0", "1", "1", "2"]),
        ("enc=first", vec!["0", "1", "2", "-", "-"]),
        ("enc=0-2,new,new", vec!["0", "1", "2", "-", "-"]),
    ] {
        let case = stacks(3, 5).depth(rule);
        assert_eq!(filled(&case, "enc", 5), expected, "{rule}");
        case.matched().clean();
    }
}

#[test]
fn a_layer_of_a_depth_list_that_is_new_is_declared() {
    let case = stacks(3, 4).depth("enc=0-2,new");
    let matched = case.matched().clean();
    assert!(matched.of("enc.3.attn.k.weight").declared);
}

#[test]
fn a_list_of_the_wrong_length_or_beyond_the_source_is_an_error() {
    assert!(stacks(6, 3).depth("enc=0,1").found().is_err());
    assert!(stacks(6, 2).depth("enc=0,6").found().is_err());
}

#[test]
fn depth_goes_with_every_step() {
    let prefixed = texts(&layers("net.enc", 6), &layers("enc", 3)).depth("enc=every:2");
    assert_eq!(filled(&prefixed, "enc", 3), ["0", "2", "4"]);
    let wrapped = texts(&layers("module.enc", 6), &layers("enc", 3)).depth("enc=every:2");
    assert_eq!(filled(&wrapped, "enc", 3), ["0", "2", "4"]);
    let by_suffix = texts(&layers("a.blocks", 6), &layers("b.layers", 3)).depth("b.layers=every:2");
    assert_eq!(filled(&by_suffix, "b.layers", 3), ["0", "2", "4"]);
}

#[test]
fn a_map_rule_s_index_goes_through_depth() {
    let flags =
        Flags { map: vec!["enc.{i}.**=old.{i}.**".into()], depth: vec!["enc=every:2".into()], ..Flags::default() };
    let case = texts(&layers("old", 6), &layers("enc", 3)).flags(flags);
    assert_eq!(filled(&case, "enc", 3), ["0", "2", "4"]);
    let stars = Flags { map: vec!["enc.**=old.**".into()], depth: vec!["enc=last".into()], ..Flags::default() };
    let case = texts(&layers("old", 6), &layers("enc", 3)).flags(stars);
    assert_eq!(filled(&case, "enc", 3), ["3", "4", "5"]);
}

#[test]
fn arithmetic_and_a_depth_rule_on_one_block_are_an_error() {
    let flags =
        Flags { map: vec!["enc.{i}.**=old.{i+1}.**".into()], depth: vec!["enc=first".into()], ..Flags::default() };
    let case = texts(&layers("old", 6), &layers("enc", 3)).flags(flags);
    assert!(matches!(case.error(), PlanError::ArithmeticAndDepth { block, .. } if block == "enc"));
}

#[test]
fn a_block_inside_a_block_has_a_depth_of_its_own() {
    let source = "stages.{0-1}.blocks.{0-3}.fc.{weight,bias} 4";
    let case = texts(source, "stages.{0-1}.blocks.{0-1}.fc.{weight,bias} 4").depth("stages.*.blocks=last");
    let matched = case.matched().clean();
    assert_eq!(matched.from("stages.1.blocks.0.fc.weight"), "stages.1.blocks.2.fc.weight");
}

#[test]
fn more_layers_than_the_source_and_no_word_is_a_violation_with_the_flags() {
    let case = stacks(3, 5);
    let matched = case.matched();
    assert_eq!(matched.violations(), ["layers {3-4} of enc are wholly new: the target has 5, the source 3"]);
    assert_eq!(matched.hints(), ["--depth 'enc=first'", "--depth 'enc=stack'", "--depth 'enc=expand'"]);
    let declared = stacks(3, 5).flags(Flags { new: vec!["enc.3.**".into(), "enc.4.**".into()], ..Flags::default() });
    declared.matched().clean();
}

#[test]
fn a_depth_rule_without_a_block_in_the_source_is_an_error_unless_all_is_new() {
    let case = texts("x.weight 4x4", &layers("enc", 2)).depth("enc=stack");
    assert!(matches!(case.error(), PlanError::DepthWithoutSource { block, .. } if block == "enc"));
    texts("x.weight 4x4", &layers("enc", 2)).depth("enc=new,new").matched().clean();
}

#[test]
fn layers_of_a_bert_are_chosen_through_its_prefix() {
    let source = checkpoint_of(&bert_of("BertForMaskedLM", 4), Dtype::F32);
    let case = case(source, bert_of("BertModel", 2)).depth("encoder.layer=every:2");
    let matched = case.matched().clean();
    assert_eq!(matched.from("encoder.layer.1.output.dense.weight"), "bert.encoder.layer.2.output.dense.weight");
}

#[test]
fn expand_is_impossible_where_the_norm_comes_after_the_sum() {
    let source = checkpoint_of(&bert_of("BertModel", 2), Dtype::F32);
    let case = case(source, bert_of("BertModel", 3)).depth("encoder.layer=expand");
    let matched = case.matched();
    let [violation] = matched.violations.as_slice() else { panic!("{:?}", matched.violations()) };
    assert!(
        matches!(violation, PlanError::ExpandImpossible { why, .. } if why.contains("LayerNorm comes after the sum"))
    );
}

#[test]
fn expand_needs_a_graph() {
    assert!(
        matches!(stacks(2, 3).depth("enc=expand").error(), PlanError::ExpandWithoutGraph { block } if block == "enc")
    );
}

/// x + fc2(relu(fc1(norm(x)))), so many times.
fn pre_norm(layers: u64) -> Architecture {
    use crate::graph::{Dim, Layer, Nonlinearity};
    let mut at = Builder::new();
    let mut hidden = at.input("x", vec![Dim::Batch, Dim::Known(4)], Dtype::F32, None).unwrap();
    for index in 0..layers {
        hidden = at
            .under(&format!("enc.{index}"), |at| {
                let branch = at.branch(|at| {
                    let normed = at.layer("norm", Layer::LayerNorm { eps: 1e-5, bias: true }, &[hidden])?;
                    let wide = at.layer("fc1", Layer::Linear { out: 8, bias: true }, &[normed])?;
                    let active = at.layer("", Layer::Activation(Nonlinearity::Relu), &[wide])?;
                    let narrow = at.layer("fc2", Layer::Linear { out: 4, bias: true }, &[active])?;
                    at.layer("", Layer::Dropout, &[narrow])
                })?;
                at.layer("", Layer::Add, &[branch, hidden])
            })
            .unwrap();
    }
    let (parameters, graph) = at.finish(vec![("out".into(), hidden)]).unwrap();
    let mut architecture = of_parameters(parameters);
    architecture.graph = Some(graph);
    architecture
}

#[test]
fn expand_zeroes_the_ends_of_the_branches_of_new_layers_where_the_norm_comes_first() {
    let case = case(checkpoint_of(&pre_norm(2), Dtype::F32), pre_norm(3)).depth("enc=expand");
    let matched = case.matched().clean();
    let fillings: Vec<String> = (0..3).map(|layer| matched.from(&format!("enc.{layer}.fc1.weight"))).collect();
    assert_eq!(fillings, ["enc.0.fc1.weight", "enc.1.fc1.weight", "enc.1.fc1.weight"]);
    assert_eq!((matched.from("enc.2.fc2.weight"), matched.from("enc.2.fc2.bias")), ("zeros".into(), "zeros".into()));
    assert_eq!(matched.from("enc.1.fc2.weight"), "enc.1.fc2.weight");
    assert_eq!(matched.from("enc.2.norm.weight"), "enc.1.norm.weight");
}
