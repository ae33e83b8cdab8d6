use super::open;
use crate::arch::describe;

#[test]
fn a_native_file_is_described_whole_with_repeats_in_one_line() {
    let architecture = open(super::native::DIGITS).unwrap();
    let expected = "\
digits: layers, 8 tensors, 42,634 parameters
input   x [batch, 64] f32
output  output [batch, 10]

name                    shape       role    fans       init
hidden.0.fc.weight      [128, 64]   linear  64 → 128   auto, before relu
hidden.{0-2}.fc.bias    [128]       bias               auto
hidden.{1-2}.fc.weight  [128, 128]  linear  128 → 128  auto, before relu
out.weight              [10, 128]   linear  128 → 10   zeros
out.bias                [10]        bias               auto
";
    assert_eq!(describe(&architecture).as_str(), expected);
}

#[test]
fn rows_merge_only_where_everything_but_the_index_is_equal() {
    let text = |names: &[&str]| {
        let tensors: Vec<String> = names.iter().map(|name| format!("\"{name}\": {{\"shape\": [2]}}")).collect();
        describe(&open(&format!("{{\"xfer\": 1, \"tensors\": {{{}}}}}", tensors.join(", "))).unwrap()).to_string()
    };
    let described = text(&["h.0.w", "h.2.w", "h.1.w", "h.10.w", "h.4.w", "g.0.1.w", "g.1.1.w", "h.x.w"]);
    assert!(described.contains("h.{0-2, 4, 10}.w"), "{described}");
    assert!(described.contains("g.{0-1}.1.w"), "{described}");
    assert!(described.contains("h.x.w"), "{described}");
    let nested = text(&["l.0.a.0.w", "l.0.a.1.w", "l.1.a.0.w", "l.1.a.1.w"]);
    assert!(nested.contains("l.{0-1}.a.{0-1}.w"), "{nested}");
    let ragged = text(&["l.0.a.0.w", "l.0.a.1.w", "l.1.a.0.w"]);
    assert!(!ragged.contains("l.{0-1}.a.{0-1}.w"), "{ragged}");
}

#[test]
fn ties_rules_and_notes_are_told() {
    let architecture = open(
        r#"{"xfer": 1, "dtype": "bf16", "init": [{"match": "a.*", "scheme": "zeros"}],
            "tensors": {"a.weight": {"shape": [4, 2], "module": "Linear"}, "b.weight": {"shape": [4, 2], "module": "Linear", "tied_to": "a.weight"}}}"#,
    )
    .unwrap();
    let described = describe(&architecture).to_string();
    for words in [
        "listing, no graph, 2 tensors, 8 parameters", "rules   1 init", "dtype   bf16", "zeros", "tied to a.weight",
        "note: ",
    ] {
        assert!(described.contains(words), "{words}: {described}");
    }
}
