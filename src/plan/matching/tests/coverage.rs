use crate::arch::Flags;
use crate::plan::error::PlanError;
use crate::plan::names::is_known_buffer;
use crate::plan::testing::*;
use crate::tensor::Dtype;

#[test]
fn a_hole_in_one_layer_is_a_violation_that_names_it() {
    let source = "enc.{0-3}.fc.weight 4x4\nenc.{0,1,3}.fc.bias 4";
    let case = texts(source, "enc.{0-3}.fc.{weight,bias} 4");
    let matched = case.matched();
    assert_eq!(matched.violations(), ["enc.*.fc.bias is missing in layers {2} of the source and found in {0-1, 3}"]);
    assert_eq!(matched.hints(), ["--new 'enc.2.fc.bias'"]);
    let declared = texts(source, "enc.{0-3}.fc.{weight,bias} 4")
        .flags(Flags { new: vec!["enc.2.fc.bias".into()], ..Flags::default() });
    declared.matched().clean();
}

#[test]
fn a_rename_in_every_layer_is_a_violation_with_the_rules_that_pair_the_names() {
    let source = "enc.{0-1}.attn.{query,key}.weight 4x4\nenc.{0-1}.mlp.weight 8x4";
    let target = "enc.{0-1}.attn.{q_proj,k_proj}.weight 4x4\nenc.{0-1}.mlp.weight 8x4";
    let case = texts(source, target);
    let matched = case.matched();
    assert!(matches!(matched.violations.as_slice(), [PlanError::Rename { count: 4, unused: 4, .. }]));
    let rules =
        ["enc.{i}.attn.q_proj.weight=enc.{i}.attn.query.weight", "enc.{i}.attn.k_proj.weight=enc.{i}.attn.key.weight"];
    assert_eq!(matched.hints(), rules.map(|rule| format!("--map '{rule}'")));
    let mended = texts(source, target).map(&rules);
    mended.matched().clean();
}

#[test]
fn a_block_with_other_names_throughout_is_a_likely_rename_too() {
    let source = "h.{0-1}.attention.{query,key}.weight 4x4\nh.{0-1}.feed.weight 8x4";
    let case = texts(source, "layers.{0-1}.attn.{q,k}.weight 4x4\nlayers.{0-1}.ff.weight 8x4");
    let matched = case.matched();
    assert!(matches!(matched.violations.as_slice(), [PlanError::Rename { .. }]));
    assert!(
        matched.hints().contains(&"--map 'layers.{i}.ff.weight=h.{i}.feed.weight'".to_string()),
        "{:?}",
        matched.hints()
    );
}

#[test]
fn adapters_in_every_layer_are_no_rename() {
    let case = texts(
        "enc.{0-2}.fc.weight 4x4\npool.weight 4x4",
        "enc.{0-2}.fc.weight 4x4\nenc.{0-2}.adapter.{down,up}.weight 2x4",
    );
    let matched = case.matched().clean();
    assert_eq!(matched.from("enc.1.adapter.down.weight"), "new");
}

#[test]
fn a_rename_pairs_only_equal_shapes() {
    let case = texts(
        "enc.{0-1}.fc.weight 4x4\nenc.{0-1}.old.weight 3x3", "enc.{0-1}.fc.weight 4x4\nenc.{0-1}.fresh.weight 2x2",
    );
    case.matched().clean();
}

#[test]
fn a_sequence_with_gaps_is_no_stack_of_layers() {
    let case = texts("mlp.{0,2}.weight 4x4", "mlp.{0,2}.weight 4x4\nmlp.4.weight 3x4");
    assert_eq!(case.matched().clean().from("mlp.4.weight"), "new");
}

#[test]
fn buffers_are_known_by_their_whole_last_components() {
    for name in [
        "position_ids", "embeddings.position_ids", "layers.0.self_attn.rotary_emb.inv_freq", "bn.num_batches_tracked",
        "attn.relative_position_index",
    ] {
        assert!(is_known_buffer(name), "{name}");
    }
    for name in ["my_position_ids", "position_ids.weight", "inv_freq", "bn.running_mean"] {
        assert!(!is_known_buffer(name), "{name}");
    }
}

#[test]
fn a_buffer_that_the_target_names_is_copied_or_a_violation_but_never_random() {
    let copied = texts("emb.position_ids 1x6\nemb.weight 6x4", "emb.position_ids 1x6\nemb.weight 6x4");
    assert_eq!(copied.matched().clean().from("emb.position_ids"), "emb.position_ids");
    let lost = texts("emb.weight 6x4", "emb.position_ids 1x6\nemb.weight 6x4");
    assert!(
        matches!(lost.matched().violations.as_slice(), [PlanError::BufferWithoutSource { target }] if target == "emb.position_ids")
    );
    let mut counted = texts("emb.weight 6x4", "emb.position_ids 1x6\nemb.weight 6x4");
    counted.target.parameters[0].dtype = Some(Dtype::I64);
    counted.matched().clean();
    let counted = texts("bn.weight 4", "bn.weight 4\nbn.num_batches_tracked 1");
    counted.matched().clean();
}
