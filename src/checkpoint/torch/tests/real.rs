//! Checkpoints that people trained, as PyTorch reads them.

use super::{cases, fixtures, found, open_path};

#[test]
#[ignore = "needs fixtures/real"]
fn real_checkpoints_have_the_names_types_shapes_and_bytes_that_torch_reads() {
    let cases = cases("real.json");
    assert_eq!(cases.len(), 13);
    for (file, expected) in cases {
        let checkpoint =
            open_path(&fixtures("real").join(&file), None).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(found(checkpoint.reader.as_ref()), expected.tensors, "{file}");
    }
}

#[test]
#[ignore = "needs fixtures/real"]
fn the_ties_of_albert_are_kept() {
    let path = fixtures("real/rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k/pytorch_model.bin");
    let reader = open_path(&path, None).unwrap().reader;
    let ties: Vec<(&str, &str)> = reader.listing().ties.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(ties.len(), 2, "{ties:?}");
    assert!(ties.iter().any(|(tied, _)| *tied == "predictions.decoder.weight"), "{ties:?}");
}
