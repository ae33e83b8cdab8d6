use crate::arch::Rules;
use crate::hash::HashSet;
use crate::plan::assignment::Step;
use crate::plan::matching::match_all;
use crate::plan::matching::matches::Origin;
use crate::plan::testing::*;
use crate::plan::value::Value;
use crate::tensor::Dtype;

fn cases() -> Vec<(&'static str, Case)> {
    let masked = || bert_of("BertForMaskedLM", 3);
    let model = || bert_of("BertModel", 2);
    let mut all = vec![
        ("own", case(checkpoint_of(&masked(), Dtype::F32), masked())),
        ("bare", case(checkpoint_of(&masked(), Dtype::F32), model())),
        ("head", case(checkpoint_of(&model(), Dtype::F32), bert_of("BertForSequenceClassification", 2))),
        (
            "old",
            case(
                renamed(checkpoint_of(&model(), Dtype::F32), |name| {
                    format!("module.{}", name.replace("Norm.weight", "Norm.gamma"))
                }),
                model(),
            ),
        ),
        ("depth", case(checkpoint_of(&masked(), Dtype::F32), model()).depth("encoder.layer=last")),
        ("interpolated", case(checkpoint_of(&masked(), Dtype::F32), model()).depth("encoder.layer=interpolate")),
        ("foreign", case(listed("x.{0-3}.y.weight 4x4"), model())),
    ];
    all.push(("split", texts("qkv.weight 6x4", "{q,k,v}.weight 2x4").map(&["q.weight,k.weight,v.weight=qkv.weight"])));
    all.push(("two", texts("a.weight 4x4", "a.weight 4x4\nb.weight 4x4").and("other", listed("b.weight 4x4"))));
    all
}

fn leaves(value: &Value, read: &mut Vec<(usize, String)>) {
    match value {
        Value::Source { source, tensor, .. } => read.push((*source, tensor.to_string())),
        Value::Apply { inputs, .. } => inputs.iter().for_each(|input| leaves(input, read)),
        Value::Init { .. } | Value::Count { .. } | Value::Computed { .. } | Value::Tied { .. } => {}
    }
}

#[test]
fn a_tensor_counts_as_used_exactly_where_a_value_reads_it() {
    for (name, case) in cases() {
        let matched = case.matched();
        let mut read = Vec::new();
        for one in &matched.matches {
            if let Origin::Found { value, .. } = &one.origin {
                leaves(value, &mut read);
            }
        }
        for (source, ((_, stored), used)) in case.sources.iter().zip(&matched.used).enumerate() {
            for (tensor, used) in stored.listing.tensors.iter().zip(used) {
                assert_eq!(*used, read.contains(&(source, tensor.name.to_string())), "{name}: {}", tensor.name);
            }
        }
    }
}

#[test]
fn there_is_one_match_for_each_parameter_in_order_and_a_second_run_gives_the_same() {
    for (name, case) in cases() {
        let (first, second) = (case.found().unwrap(), case.found().unwrap());
        assert_eq!(first.matches.len(), case.target.parameters.len(), "{name}");
        assert_eq!(first.matches, second.matches, "{name}");
    }
}

#[test]
fn one_to_one_without_rules() {
    for (name, case) in cases().into_iter().filter(|(_, case)| case.target.rules == Rules::default()) {
        let matched = case.matched();
        let mut read = Vec::new();
        for one in matched.matches.iter().filter(|one| one.step != Step::Tie) {
            if let Origin::Found { value, .. } = &one.origin {
                leaves(value, &mut read);
            }
        }
        let distinct: HashSet<_> = read.iter().collect();
        assert_eq!(distinct.len(), read.len(), "{name}");
    }
}

#[test]
fn an_output_matched_onto_its_own_architecture_is_all_copies() {
    for class in [
        "BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification",
        "BertForQuestionAnswering",
    ] {
        let target = bert_of(class, 2);
        let case = case(checkpoint_of(&target, Dtype::F32), target);
        let matched = case.matched().clean();
        for (parameter, one) in case.target.parameters.iter().zip(&matched.matches) {
            match &one.origin {
                Origin::Found { value: Value::Source { tensor, .. }, .. } => assert_eq!(tensor, &parameter.name),
                Origin::Tied(_) => assert!(parameter.tied_to.is_some()),
                other => panic!("{class}: {} is {other:?}", parameter.name),
            }
        }
        assert_eq!(matched.unused(), Vec::<String>::new());
        assert_eq!(matched.warnings, Vec::<String>::new());
    }
}

#[test]
fn prefixing_every_name_changes_nothing_but_the_names() {
    let target = bert_of("BertForMaskedLM", 2);
    for prefix in ["module", "net", "a.b.c", "0.auto_model"] {
        let case = case(renamed(checkpoint_of(&target, Dtype::F32), |name| format!("{prefix}.{name}")), target.clone());
        let matched = case.matched().clean();
        assert_eq!(matched.unused(), Vec::<String>::new(), "{prefix}");
    }
}

#[test]
fn the_time_grows_with_the_tensors_and_not_with_their_square() {
    let names = |layers: u64| format!("net.enc.{{0-{}}}.{{a,b,c,d,e,f,g,h}}.{{weight,bias}} 4x4", layers - 1);
    let time = |layers: u64| {
        let case = texts(&names(layers), &names(layers).replace("net.", ""));
        let views = case.views();
        let start = std::time::Instant::now();
        match_all(&views, &case.target).unwrap();
        start.elapsed().as_secs_f64()
    };
    let (small, large) = (time(100), time(1600));
    // sixteen times the tensors: far below the 256 of a square, whatever else the machine does
    assert!(large < small.max(0.002) * 100.0, "{small} s, {large} s");
}

#[test]
fn a_name_of_a_hundred_thousand_components_is_no_work() {
    let long = |first: &str| format!("{first}.{}weight", "0.".repeat(100_000));
    let case = texts(&format!("{} 2\nb.weight 2", long("a")), &format!("{} 2\nb.weight 2", long("c")));
    let started = std::time::Instant::now();
    assert_eq!(case.matched().from(&long("c")), "new");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
