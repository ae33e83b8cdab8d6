use crate::arch::{Architecture, FamilyBlock};
use crate::checkpoint::Listing;
use crate::family::{Class, Inputs, by_name};
use crate::graph::{Builder, Parameter};
use crate::plan::assignment::Step;
use crate::plan::testing::*;
use crate::tensor::{Dtype, Role};

#[test]
fn the_prefix_of_a_bert_is_added_or_removed_on_either_side() {
    let (bare, with_head) = (bert_of("BertModel", 2), bert_of("BertForSequenceClassification", 2));
    let from_bare = case(checkpoint_of(&bare, Dtype::F32), with_head.clone());
    let matched = from_bare.matched().clean();
    assert_eq!(matched.from("bert.encoder.layer.1.output.dense.weight"), "encoder.layer.1.output.dense.weight");
    assert_eq!(matched.step("bert.pooler.dense.bias"), Step::Prefix);
    assert_eq!(matched.from("classifier.weight"), "new");
    assert_eq!(matched.unused(), Vec::<String>::new());
    let to_bare = case(checkpoint_of(&with_head, Dtype::F32), bare);
    let matched = to_bare.matched().clean();
    assert_eq!(matched.from("embeddings.word_embeddings.weight"), "bert.embeddings.word_embeddings.weight");
    assert_eq!(matched.unused(), ["classifier.bias", "classifier.weight"]);
}

#[test]
fn an_encoder_that_fits_two_prefixes_is_an_ambiguity_with_the_rules_to_type() {
    let source = "seq.encoder.layers.{0-2}.{a,b}.weight 4x4\nseq.decoder.layers.{0-2}.{a,b}.weight 4x4";
    let case = texts(source, "layers.{0-2}.{a,b}.weight 4x4");
    let matched = case.matched();
    assert_eq!(matched.from("layers.0.a.weight"), "new");
    assert_eq!(
        matched.violations(),
        [
            "layers.0.a.weight and 5 more are ambiguous: `seq.decoder.layers.0.a.weight` and `seq.encoder.layers.0.a.weight` fit alike"
        ]
    );
    assert_eq!(matched.hints(), ["--map 'layers.**=seq.decoder.layers.**'", "--map 'layers.**=seq.encoder.layers.**'"]);
    let hint = "layers.**=seq.encoder.layers.**";
    let decided = texts(source, "layers.{0-2}.{a,b}.weight 4x4").map(&[hint]);
    assert_eq!(decided.matched().clean().from("layers.2.b.weight"), "seq.encoder.layers.2.b.weight");
}

#[test]
fn a_prefix_with_strictly_more_tensors_wins() {
    let source = "encoder.layers.{0-1}.{a,b}.weight 4x4\nencoder.norm.weight 4\ndecoder.layers.{0-1}.{a,b}.weight 4x4";
    let case = texts(source, "layers.{0-1}.{a,b}.weight 4x4\nnorm.weight 4");
    let matched = case.matched().clean();
    assert_eq!(matched.from("layers.1.a.weight"), "encoder.layers.1.a.weight");
    assert_eq!(matched.from("norm.weight"), "encoder.norm.weight");
    assert_eq!(matched.unused().len(), 4);
}

#[test]
fn shapes_decide_between_two_towers() {
    let source = "text.encoder.layers.{0-1}.{a,b}.weight 4x4\nvision.encoder.layers.{0-1}.{a,b}.weight 6x6";
    let case = texts(source, "encoder.layers.{0-1}.{a,b}.weight 6x6");
    let matched = case.matched().clean();
    assert_eq!(matched.from("encoder.layers.0.a.weight"), "vision.encoder.layers.0.a.weight");
}

#[test]
fn disjoint_parts_of_the_target_have_prefixes_of_their_own() {
    let case = texts(
        "{0-1}.{a,b}.weight 4x4\nold.vision.{0-1}.{a,b}.weight 6x6",
        "text.{0-1}.{a,b}.weight 4x4\nvision.{0-1}.{a,b}.weight 6x6",
    );
    let matched = case.matched().clean();
    assert_eq!(matched.from("text.1.b.weight"), "1.b.weight");
    assert_eq!(matched.from("vision.0.a.weight"), "old.vision.0.a.weight");
}

#[test]
fn rivals_that_tie_in_all_are_decided_within_the_parts_where_they_differ() {
    let source = "a.text.{0-1}.{x,y}.weight 4x4\na.image.0.{x,y}.weight 4x4\nb.image.{0-1}.{x,y}.weight 4x4\nb.text.0.{x,y}.weight 4x4";
    let case = texts(source, "text.{0-1}.{x,y}.weight 4x4\nimage.{0-1}.{x,y}.weight 4x4");
    let matched = case.matched().clean();
    assert_eq!(matched.from("text.0.x.weight"), "a.text.0.x.weight");
    assert_eq!(matched.from("image.0.x.weight"), "b.image.0.x.weight");
}

#[test]
fn one_source_for_two_alike_parts_of_the_target_is_an_ambiguity() {
    let case = texts(
        "layers.{0-1}.{a,b}.weight 4x4",
        "encoder.layers.{0-1}.{a,b}.weight 4x4\ndecoder.layers.{0-1}.{a,b}.weight 4x4",
    );
    let matched = case.matched();
    assert_eq!(matched.violations.len(), 1, "{:?}", matched.violations());
    assert_eq!(matched.hints(), ["--map 'decoder.**=**'", "--map 'encoder.**=**'"]);
}

#[test]
fn a_head_s_dense_layer_is_not_fed_from_another_head_s() {
    let source = checkpoint_of(&bert_of("BertForPreTraining", 1), Dtype::F32).listing;
    let pooled = source.tensors.iter().filter(|tensor| !tensor.name.starts_with("cls.")).cloned();
    let pooled = Listing::new(
        crate::checkpoint::CheckpointFormat::Safetensors,
        pooled.collect(),
        Vec::new(),
        source.config.clone(),
    );
    let case = case(pooled, bert_of("BertForMaskedLM", 1));
    let matched = case.matched().clean();
    assert_eq!(matched.from("cls.predictions.transform.dense.weight"), "new");
    assert_eq!(matched.unused(), ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]);
}

#[test]
fn a_dense_layer_of_one_s_own_takes_no_dense_layer_of_the_body() {
    let source = "bert.encoder.layer.{0-1}.output.dense.{weight,bias} 4\nbert.pooler.dense.{weight,bias} 4";
    let target = "bert.encoder.layer.{0-1}.output.dense.{weight,bias} 4\ndense.{weight,bias} 4";
    let case = texts(source, target);
    let matched = case.matched().clean();
    assert_eq!((matched.from("dense.weight"), matched.from("dense.bias")), ("new".into(), "new".into()));
}

#[test]
fn one_layer_of_a_stack_is_no_prefix() {
    let case = texts("layers.{0-3}.{a,b}.weight 4x4", "{a,b}.weight 4x4");
    assert_eq!(case.matched().clean().from("a.weight"), "new");
    let case = texts("{a,b}.weight 4x4", "layers.{0-3}.{a,b}.weight 4x4");
    assert_eq!(case.matched().clean().from("layers.2.a.weight"), "new");
}

#[test]
fn a_numbered_wrapper_is_a_prefix() {
    let case = texts("0.auto_model.enc.{a,b}.weight 4x4\n2.linear.weight 3x3", "enc.{a,b}.weight 4x4");
    assert_eq!(case.matched().clean().from("enc.a.weight"), "0.auto_model.enc.a.weight");
}

#[test]
fn a_tensor_whose_shape_differs_follows_the_prefix_that_the_others_found() {
    let case = texts(
        "net.fc.weight 4x4\nnet.mid.weight 4x4\nnet.head.weight 2x4", "fc.weight 4x4\nmid.weight 4x4\nhead.weight 5x4",
    );
    let matched = case.matched().clean();
    assert_eq!(matched.from("head.weight"), "net.head.weight");
    assert_eq!(matched.shape("head.weight"), [2, 4]);
}

#[test]
fn whole_repeated_modules_are_matched_by_their_common_suffix() {
    let source = "bert.encoder.layer.{0-2}.attn.{q,k}.weight 4x4\nbert.encoder.layer.{0-2}.mlp.weight 8x4";
    let case = texts(source, "trunk.blocks.{0-2}.attn.{q,k}.weight 4x4\ntrunk.blocks.{0-2}.mlp.weight 8x4");
    let matched = case.matched().clean();
    assert_eq!(matched.from("trunk.blocks.2.attn.k.weight"), "bert.encoder.layer.2.attn.k.weight");
    assert_eq!(matched.step("trunk.blocks.0.mlp.weight"), Step::Suffix);
}

#[test]
fn a_repeated_module_that_lacks_a_tensor_is_not_matched_by_suffix() {
    let case = texts("x.layer.{0-2}.attn.q.weight 4x4", "y.blocks.{0-2}.attn.{q,k}.weight 4x4");
    assert_eq!(case.matched().from("y.blocks.0.attn.q.weight"), "new");
}

#[test]
fn two_repeated_modules_with_suffixes_alike_are_an_ambiguity() {
    let case = texts("x.{0-2}.{a,b}.weight 4x4\nz.{0-2}.{a,b}.weight 4x4", "y.{0-2}.{a,b}.weight 4x4");
    let matched = case.matched();
    assert_eq!(matched.hints(), ["--map 'y.**=x.**'", "--map 'y.**=z.**'"]);
}

#[test]
fn a_suffix_never_joins_two_members_of_one_family() {
    let target = bert_of("BertModel", 2);
    let source = renamed(checkpoint_of(&target, Dtype::F32), |name| name.replace("encoder.layer", "decoder.block"));
    let case = case(source, target);
    let matched = case.matched();
    assert_eq!(matched.from("encoder.layer.0.output.dense.weight"), "new");
}

#[test]
fn a_single_tensor_is_never_matched_by_suffix() {
    let case = texts("x.norm.weight 4", "y.norm.weight 4");
    assert_eq!(case.matched().clean().from("y.norm.weight"), "new");
}

/// The config of a BERT below a path of a larger model.
fn nested(path: &str, layers: u64) -> Architecture {
    let family = by_name("bert").unwrap();
    let config = bert_of("BertModel", layers).config.unwrap();
    let mut at = Builder::new();
    let outputs = at.under(path, |at| family.build(&config, &Inputs::default(), &Class::Bare, at)).unwrap();
    let (parameters, graph) = at.finish(outputs).unwrap();
    let mut architecture = of_parameters(parameters);
    architecture.graph = Some(graph);
    architecture.blocks = vec![FamilyBlock { path: path.into(), family, config }];
    architecture
}

#[test]
fn a_family_s_block_under_a_path_of_its_own_takes_the_body_under_the_source_s() {
    let source = || checkpoint_of(&bert_of("BertForSequenceClassification", 2), Dtype::F32);
    for path in ["bert", "text", "towers.text", "module.text"] {
        let case = case(source(), nested(path, 2));
        let matched = case.matched().clean();
        for tail in ["embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.bias", "pooler.dense.weight"] {
            assert_eq!(matched.from(&format!("{path}.{tail}")), format!("bert.{tail}"));
        }
        assert_eq!(matched.unused(), ["classifier.bias", "classifier.weight"]);
    }
    let old = renamed(source(), |name| format!("model.{}", name.replace("LayerNorm.weight", "LayerNorm.gamma")));
    let case = case(old, nested("text", 2));
    assert_eq!(
        case.matched().clean().from("text.embeddings.LayerNorm.weight"),
        "model.bert.embeddings.LayerNorm.gamma"
    );
}

#[test]
fn a_listing_of_one_s_own_net_takes_a_known_body_under_another_path() {
    let source = checkpoint_of(&bert_of("BertForMaskedLM", 2), Dtype::F32);
    let mut target = of_parameters(nested("text", 2).parameters);
    target.parameters.push(Parameter::new("head.dense.weight", [4, 4], Role::Linear));
    target.parameters.push(Parameter::new("head.dense.bias", [4], Role::Bias));
    let case = case(source, target);
    let matched = case.matched().clean();
    assert_eq!(matched.from("text.embeddings.word_embeddings.weight"), "bert.embeddings.word_embeddings.weight");
    assert_eq!(matched.from("text.encoder.layer.1.output.dense.weight"), "bert.encoder.layer.1.output.dense.weight");
    assert_eq!(matched.from("head.dense.weight"), "new");
}

#[test]
fn a_single_tensor_that_ends_alike_is_a_suggestion_for_who_asks() {
    let case = texts("x.norm.weight 4", "y.norm.weight 4");
    let matched = case.matched();
    assert_eq!(
        matched.of("y.norm.weight").runners_up,
        ["`x.norm.weight` ends alike: --map 'y.norm.weight=x.norm.weight'"]
    );
}
