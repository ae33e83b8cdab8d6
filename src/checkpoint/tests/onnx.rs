use std::collections::BTreeMap;
use std::sync::Arc;

use super::laws::{
    Expected, fixture, open_bytes, read, reads_as_expected, refusal, refuses_prefixes, survives_mutation,
};
use crate::checkpoint::file_format::CheckpointFormat;
use crate::checkpoint::onnx::open;
use crate::checkpoint::tests::directory::source;
use crate::checkpoint::tests::memory;
use crate::checkpoint::{OpenOptions, Reader};
use crate::error::{Exit, Result};
use crate::progress::Silent;

fn expected(file: &str) -> Vec<Expected> {
    let mut all: BTreeMap<String, Vec<Expected>> = serde_json::from_slice(&fixture("onnx/expected.json")).unwrap();
    all.remove(file).unwrap()
}

fn tiny() -> Vec<u8> {
    fixture("onnx/tiny.onnx")
}

#[test]
fn raw_and_typed_data_constants_and_recovered_layers_read_as_the_reference_does() {
    let reader = open_bytes("tiny.onnx", &tiny()).unwrap();
    assert_eq!(reader.listing().format, CheckpointFormat::Onnx);
    let metadata = [("licence".to_string(), "none".to_string()), ("producer_name".into(), "pytorch".into())];
    assert_eq!(reader.listing().metadata, metadata);
    reads_as_expected(reader.as_ref(), &expected("tiny"));
}

#[test]
fn notes_say_what_was_recovered_and_what_was_stepped_over() {
    let nowhere = |_: &str| panic!("no other file is asked for");
    let part = open(memory("tiny.onnx", tiny()), &nowhere).unwrap();
    let expected = [
        "4 anonymous tensors have the names of their layers, as onnx::Conv_12 is layer1.0.conv1.weight",
        "skipped `vocabulary`: it contains texts",
        "stepped over 2 integer constants of the graph",
    ];
    assert_eq!(part.notes, expected);
}

#[test]
fn weights_beside_the_model_are_read_and_pinned() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["external.onnx", "external.data"] {
        std::fs::write(folder.path().join(name), fixture(&format!("onnx/{name}"))).unwrap();
    }
    let checkpoint = crate::checkpoint::open(&source(folder.path()), &OpenOptions::default(), &Silent).unwrap();
    reads_as_expected(checkpoint.reader.as_ref(), &expected("external"));
    let names: Vec<&str> = checkpoint.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["external.data", "external.onnx"]);
    std::fs::remove_file(folder.path().join("external.data")).unwrap();
    let missing = crate::checkpoint::open(&source(folder.path()), &OpenOptions::default(), &Silent);
    assert_eq!(missing.err().map(|error| error.exit()), Some(Exit::Source));
}

/// A field of a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

fn number(field: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    let mut rest = value;
    while rest > 127 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn tensor(dims: &[u64], data_type: u64, rest: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|size| number(1, *size)).collect();
    [dims, number(2, data_type), field(8, b"a"), rest.to_vec()].concat()
}

fn model(graph: &[u8]) -> Vec<u8> {
    [number(1, 9), field(2, b"t"), field(7, graph)].concat()
}

fn model_of(tensor: &[u8]) -> Vec<u8> {
    model(&field(5, tensor))
}

fn external(location: &str, offset: &str) -> Vec<u8> {
    let pair = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let place = [pair("location", location), pair("offset", offset), pair("length", "8"), number(14, 1)].concat();
    model_of(&tensor(&[2], 1, &place))
}

fn open_beside(bytes: Vec<u8>) -> Result<Arc<dyn Reader>> {
    let data = |_: &str| Ok(memory("w.data", vec![7; 16]));
    open(memory("m.onnx", bytes), &data).map(|part| part.reader)
}

#[test]
fn data_beside_a_model_stay_in_its_directory() {
    for location in ["../w", "/etc/passwd", "a/../../w", "", "w\\..\\x", "./w"] {
        let error = open_beside(external(location, "0")).err().unwrap();
        assert!(error.to_string().ends_with("which is outside its directory"), "{location}: {error}");
    }
    let reader = open_beside(external("below/w.data", "8")).unwrap();
    assert_eq!(read(reader.as_ref(), 0), [7; 8]);
    for (offset, expected) in
        [("9", "but the file ends at 16"), ("18446744073709551615", "but the file ends at 16"), ("-1", "contains -1")]
    {
        let error = open_beside(external("w", offset)).err().unwrap();
        assert!(error.to_string().contains(expected), "{offset}: {error}");
    }
}

#[test]
fn every_way_to_lie_is_refused() {
    let raw = field(9, &[0; 8]);
    let deep = (0..200).fold(Vec::new(), |inner, _| {
        field(1, &[field(4, b"If"), field(5, &[field(1, b"g"), field(6, &inner)].concat())].concat())
    });
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (model_of(&tensor(&[3], 1, &raw)), "takes 12 bytes, its offsets hold 8"),
        (model_of(&tensor(&[u64::MAX], 1, &raw)), "`dims` contains -1"),
        (model_of(&tensor(&[1 << 62, 4], 1, &raw)), "not a whole number of bytes below 2^64"),
        (model_of(&tensor(&[1; 65], 1, &raw)), "more than 64 axes"),
        (model_of(&tensor(&[2], 99, &raw)), "tensor a contains the unknown type 99"),
        (model_of(&tensor(&[2], 22, &raw)), "tensor a contains int4"),
        (model_of(&tensor(&[2], 15, &raw)), "tensor a contains complex128"),
        (model_of(&tensor(&[2], 1, &[raw.clone(), field(4, &[0; 8])].concat())), "has its data twice"),
        (model_of(&tensor(&[2], 1, &[])), "takes 8 bytes, its offsets hold 0"),
        (model_of(&tensor(&[2], 6, &field(5, &[0x80; 11]))), "more than ten bytes"),
        (model_of(&tensor(&[2], 6, &field(5, &[0x80]))), "over the end of its message"),
        (model(&[0x2a, 0xff, 0xff, 0xff, 0xff, 0x7f]), "the length of a field"),
        (model(&[0x2d, 0, 0]), "over the end of its message"),
        (model(&[0x2f]), "unknown kind"),
        (model(&deep), "nested too deep"),
        (model(&[field(5, &tensor(&[2], 1, &raw)), field(5, &tensor(&[2], 1, &raw))].concat()), "occurs twice"),
        (model(&[]), "contains no tensors"),
        (model_of(&tensor(&[2], 8, &raw)), "contains no tensors"),
    ];
    for (bytes, expected) in cases {
        let error = refusal("m.onnx", &bytes);
        assert!(error.to_string().contains(expected), "expected `{expected}`, got `{error}`");
    }
}

#[test]
fn a_file_that_is_cut_is_refused() {
    // behind the graph stand versions and properties, and a message may end after any field
    refuses_prefixes("m.onnx", &tiny(), 32);
}

#[test]
fn mutated_files_are_read_or_refused() {
    survives_mutation("m.onnx", &tiny());
}
