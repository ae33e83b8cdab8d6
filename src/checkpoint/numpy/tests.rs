use crate::checkpoint::file_format::CheckpointFormat;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::checkpoint::tests::laws::{
    Expected, fixture, open_bytes, read, reads_as_expected, refusal, refuses_prefixes, survives_mutation,
};
use crate::checkpoint::tests::memory;

#[derive(Deserialize)]
struct Fixtures {
    arrays: BTreeMap<String, Expected>,
    single: Expected,
    columns: Expected,
}

fn expected() -> Fixtures {
    serde_json::from_slice(&fixture("numpy/expected.json")).unwrap()
}

fn named(arrays: BTreeMap<String, Expected>) -> Vec<Expected> {
    arrays.into_iter().map(|(name, expected)| Expected { name, ..expected }).collect()
}

/// A `.npy` file with a header of any text.
fn file_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn every_type_and_order_reads_as_numpy_does() {
    for file in ["numpy/arrays.npz", "numpy/packed.npz"] {
        let reader = open_bytes("m.npz", &fixture(file)).unwrap();
        assert_eq!(reader.listing().format, CheckpointFormat::Npz);
        reads_as_expected(reader.as_ref(), &named(expected().arrays));
    }
}

#[test]
fn stored_little_endian_rows_lie_verbatim_and_nothing_else_does() {
    let reader = open_bytes("m.npz", &fixture("numpy/arrays.npz")).unwrap();
    let extent = |name: &str| reader.extent(reader.listing().position(name).unwrap()).is_some();
    assert!(extent("f4/little") && extent("scalar") && extent("one_axis_columns"));
    assert!(!extent("f4/big") && !extent("f4/columns") && !extent("f4/big_columns"));
    let packed = open_bytes("m.npz", &fixture("numpy/packed.npz")).unwrap();
    let place = packed.listing().position("f4/little").unwrap();
    assert!(packed.extent(place).is_none());
    assert!(packed.scratch(place) >= packed.listing().tensors[place].bytes().unwrap());
}

#[test]
fn a_single_array_has_the_name_of_its_file() {
    for (file, mut one) in [("single.npy", expected().single), ("columns.npy", expected().columns)] {
        let reader = open_bytes(file, &fixture(&format!("numpy/{file}"))).unwrap();
        one.name = file.strip_suffix(".npy").unwrap().into();
        reads_as_expected(reader.as_ref(), &[one]);
    }
}

#[test]
fn texts_and_objects_in_an_archive_are_stepped_over_with_a_note() {
    let part = super::open_archive(memory("m.npz", fixture("numpy/packed.npz"))).unwrap();
    let expected =
        ["skipped `vocab`: it contains texts (`<U2`)", "skipped `config`: it contains pickled objects (`|O`)"];
    assert_eq!(part.notes, expected);
}

#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    let cases = [
        ("text.npy", "tensor text contains texts (`<U2`), which cannot be converted"),
        ("object.npy", "tensor object contains pickled objects (`|O`), which cannot be converted"),
        ("record.npy", "tensor record contains `[('a', '<f4'), ('b', '<i4')]`, which cannot be converted"),
        ("wide.npy", "tensor wide contains `<c16`, which cannot be converted"),
    ];
    for (file, expected) in cases {
        let error = refusal(file, &fixture(&format!("numpy/{file}")));
        assert_eq!(error.to_string(), format!("{file}: {expected}"));
    }
}

#[test]
fn every_way_to_lie_is_refused() {
    let header = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
    };
    let cases = [
        (header("<f4", "False", "(4,)"), "takes 16 bytes, its offsets hold 8"),
        (header("<f4", "False", "(1,)"), "takes 4 bytes, its offsets hold 8"),
        (header("<f4", "True", "(4, 4)"), "takes 64 bytes, its offsets hold 8"),
        (header("<f4", "False", "(4611686018427387904, 4)"), "not a whole number of bytes below 2^64"),
        (header("<f4", "False", "(18446744073709551615,)"), "not a whole number of bytes below 2^64"),
        (header("<f4", "False", "(18446744073709551616,)"), "not an integer below 2^64"),
        (header("<f4", "False", "(-1,)"), "not an integer below 2^64"),
        (header("<f4", "False", "(1.5,)"), "a comma or ) is expected"),
        (header("<f4", "False", "[2]"), "shape is not a tuple"),
        (header("<f4", "False", &format!("({})", "1, ".repeat(65))), "more than 64 axes"),
        (header("<f4", "0", "(2,)"), "fortran_order is neither True nor False"),
        (header("<V2", "False", "(4,)"), "contains `<V2`"),
        (header("<f16", "False", "(4,)"), "contains `<f16`"),
        (header("", "False", "(4,)"), "contains ``"),
        (header("é4", "False", "(4,)"), "contains `é4`"),
        ("{'descr': '<f4', 'fortran_order': False}".into(), "lacks one of"),
        ("{'descr': '<f4', 'descr': '<f4'}".into(), "a key twice"),
        ("{'descr': [('a', '<f4'".into(), "a type does not end"),
        ("{'descr': '<f4".into(), "a text does not end"),
        ("{'shape' (2,)}".into(), "a key without a value"),
        ("{'odd': 1}".into(), "another key"),
        ("__import__('os').system('true')".into(), "the header is not a dictionary"),
        (header("<f4", "False", "(2,)") + "x", "something follows"),
        (String::new(), "the header is not a dictionary"),
    ];
    for (header, expected) in cases {
        let error = refusal("m.npy", &file_of(&header, &[0; 8]));
        assert!(error.to_string().contains(expected), "{header}: expected `{expected}`, got `{error}`");
    }
}

#[test]
fn the_length_of_a_header_is_held_against_limit_and_file() {
    let long = [&b"\x93NUMPY\x02\x00"[..], &u32::MAX.to_le_bytes(), &[b' '; 100]].concat();
    assert!(refusal("m.npy", &long).to_string().contains("is 4294967295, at most 65536 are read"));
    let short = [&b"\x93NUMPY\x01\x00\xff\x00"[..], &[b' '; 100]].concat();
    assert!(refusal("m.npy", &short).to_string().contains("265 bytes are expected"));
    assert!(refusal("m.npy", b"\x93NUMPY\x09\x00\x10\x00    ").to_string().contains("none of 1, 2 and 3"));
}

#[test]
fn scalars_old_and_odd_spellings_are_read() {
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }",
        "{\"shape\":(2),\"fortran_order\":False,\"descr\":\"=f4\"}",
        " { 'shape' : ( 2 , ) , 'descr' : '<f4' , 'fortran_order' : True }   \n",
    ] {
        let data = [1f32.to_le_bytes(), 2f32.to_le_bytes()].concat();
        let reader = open_bytes("m.npy", &file_of(header, &data)).unwrap();
        assert_eq!((reader.listing().tensors[0].shape.as_slice(), read(reader.as_ref(), 0)), (&[2][..], data));
    }
}

#[test]
fn an_archive_without_arrays_is_refused() {
    let text = "{'descr': '<U1', 'fortran_order': False, 'shape': (), }";
    let file = crate::checkpoint::tests::laws::zip_of(&[("vocab.npy", &file_of(text, &[0; 4]))]);
    assert_eq!(refusal("m.npz", &file).to_string(), "m.npz contains no tensors");
}

#[test]
fn members_that_lie_are_refused_with_their_names() {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
    let file = crate::checkpoint::tests::laws::zip_of(&[("a.npy", &file_of(header, &[0; 8]))]);
    let error = refusal("m.npz", &file);
    assert_eq!(error.to_string(), "m.npz: tensor a: f32 [3] takes 12 bytes, its offsets hold 8");
    let file = crate::checkpoint::tests::laws::zip_of(&[("a.npy", b"\x93NUMPY\x01\x00\xff\x00{")]);
    assert!(refusal("m.npz", &file).to_string().starts_with("m.npz/a.npy: 265 bytes are expected"));
}

#[test]
fn files_that_are_cut_are_refused() {
    for file in ["single.npy", "columns.npy", "packed.npz"] {
        refuses_prefixes(file, &fixture(&format!("numpy/{file}")), 0);
    }
}

#[test]
fn mutated_files_are_read_or_refused() {
    for file in ["single.npy", "columns.npy", "arrays.npz", "packed.npz"] {
        survives_mutation(file, &fixture(&format!("numpy/{file}")));
    }
}
