use crate::arch::Flags;
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::evidence::{Answer, Question};
use crate::plan::testing::*;
use crate::tensor::Dtype;

const TIED: &str = "embed.weight 10x4\nhead.weight 10x4 = embed.weight";

fn equal(answer: bool) -> Vec<(Question, Answer)> {
    let question = Question::Equal { source: 0, a: "embed.weight".into(), b: "head.weight".into() };
    vec![(question, Answer::Equal(answer))]
}

#[test]
fn a_tied_name_follows_its_owner() {
    let case = texts("embed.weight 10x4", TIED);
    let matched = case.matched().clean();
    assert_eq!(
        (matched.from("embed.weight"), matched.from("head.weight")),
        ("embed.weight".into(), "tied to embed.weight".into())
    );
    assert_eq!(case.questions(), []);
}

#[test]
fn a_source_that_has_only_the_other_name_fills_the_owner() {
    let case = texts("head.weight 10x4", TIED);
    let matched = case.matched().clean();
    assert_eq!(matched.from("embed.weight"), "head.weight");
    assert!(matched.of("embed.weight").reason.contains("other name head.weight"));
}

#[test]
fn two_equal_copies_are_asked_about_and_written_once() {
    let mut case = texts("embed.weight 10x4\nhead.weight 10x4", TIED);
    assert_eq!(case.questions(), equal(true).into_iter().map(|(question, _)| question).collect::<Vec<_>>());
    case.evidence = equal(true);
    let matched = case.matched().clean();
    assert_eq!(matched.from("embed.weight"), "embed.weight");
    assert_eq!(matched.unused(), Vec::<String>::new());
}

#[test]
fn two_different_copies_are_a_violation_unless_a_rule_chooses() {
    let mut case = texts("embed.weight 10x4\nhead.weight 10x4", TIED);
    case.evidence = equal(false);
    let matched = case.matched();
    assert_eq!(matched.violations.len(), 1);
    assert_eq!(matched.hints(), ["--map 'embed.weight=embed.weight'", "--map 'embed.weight=head.weight'"]);
    for (rule, chosen) in [
        ("embed.weight=embed.weight", "embed.weight"),
        ("embed.weight=head.weight", "head.weight"),
        ("head.weight=head.weight", "head.weight"),
    ] {
        let case = texts("embed.weight 10x4\nhead.weight 10x4", TIED).map(&[rule]);
        assert_eq!(case.questions(), [], "{rule}");
        assert_eq!(case.matched().clean().from("embed.weight"), chosen, "{rule}");
    }
}

#[test]
fn copies_of_different_shapes_differ_without_being_measured() {
    let case = texts("embed.weight 10x4\nhead.weight 9x4", TIED);
    assert_eq!(case.questions(), []);
    assert!(matches!(case.matched().violations.as_slice(), [PlanError::TieDiffers { .. }]));
}

#[test]
fn copies_that_nobody_measured_are_an_error() {
    let case = texts("embed.weight 10x4\nhead.weight 10x4", TIED);
    assert!(matches!(case.error(), PlanError::Unmeasured { .. }));
}

#[test]
fn an_untied_target_has_both_copied_from_the_one_that_is_stored() {
    let untied = serde_json::json!({
        "architectures": ["BertForMaskedLM"], "num_hidden_layers": 1, "tie_word_embeddings": false,
    });
    let source = checkpoint_of(&bert_of("BertForMaskedLM", 1), Dtype::F32);
    assert_eq!(source.listing.position("cls.predictions.decoder.weight"), None);
    let case = case(source, bert(untied));
    let matched = case.matched().clean();
    assert_eq!(matched.from("cls.predictions.decoder.weight"), "bert.embeddings.word_embeddings.weight");
    assert_eq!(matched.from("cls.predictions.decoder.bias"), "cls.predictions.bias");
    assert!(matched.of("cls.predictions.decoder.bias").reason.starts_with("untied"));
}

#[test]
fn an_untied_listing_takes_its_copy_by_what_the_source_s_family_ties() {
    let whole = bert_of("BertForMaskedLM", 1);
    let mut target = of_parameters(whole.parameters.clone());
    target.parameters.iter_mut().for_each(|parameter| parameter.tied_to = None);
    let case = case(checkpoint_of(&whole, Dtype::F32), target);
    let matched = case.matched().clean();
    assert_eq!(matched.from("cls.predictions.decoder.weight"), "bert.embeddings.word_embeddings.weight");
    assert_eq!(matched.step("cls.predictions.decoder.weight"), Step::Tie);
}

#[test]
fn an_owner_that_is_initialised_afresh_keeps_its_tie() {
    let case = texts("embed.weight 10x4", TIED).flags(Flags { reinit: vec!["embed.*".into()], ..Flags::default() });
    let matched = case.matched().clean();
    assert_eq!(
        (matched.from("embed.weight"), matched.from("head.weight")),
        ("new".into(), "tied to embed.weight".into())
    );
}

#[test]
fn reinit_of_the_other_name_leaves_the_owner_alone() {
    let case = texts("embed.weight 10x4", TIED).flags(Flags { reinit: vec!["head.*".into()], ..Flags::default() });
    assert_eq!(case.matched().clean().from("embed.weight"), "embed.weight");
}
