use super::laws::{Expected, fixture, open_bytes, reads_as_expected, refusal, refuses_prefixes, survives_mutation};
use crate::checkpoint::file_format::CheckpointFormat;
use crate::checkpoint::msgpack::open;
use crate::checkpoint::tests::memory;

fn tiny() -> Vec<u8> {
    fixture("flax/tiny.msgpack")
}

#[test]
fn every_type_and_an_array_in_pieces_read_as_flax_reads_them() {
    let expected: Vec<Expected> = serde_json::from_slice(&fixture("flax/expected.json")).unwrap();
    let reader = open_bytes("flax_model.msgpack", &tiny()).unwrap();
    assert_eq!(reader.listing().format, CheckpointFormat::Msgpack);
    assert!(reader.listing().position("params.bert.encoder.layer.10.kernel").is_some());
    reads_as_expected(reader.as_ref(), &expected);
}

#[test]
fn what_is_no_array_is_stepped_over_with_a_note() {
    let part = open(memory("m.msgpack", tiny())).unwrap();
    let mut notes = part.notes;
    notes.sort();
    let expected = ["lr", "note", "step"].map(|name| format!("skipped `{name}`: it is not an array"));
    assert_eq!(notes, expected);
}

fn text(text: &str) -> Vec<u8> {
    [&[0xd9, text.len() as u8], text.as_bytes()].concat()
}

fn map_of(key: &str, value: &[u8]) -> Vec<u8> {
    [&[0x81][..], &text(key), value].concat()
}

/// An extension of a type and a content.
fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[0xc8][..], &(content.len() as u16).to_be_bytes(), &[kind], content].concat()
}

/// An array with a shape (as it is written) and bytes.
fn array(shape: &[u8], dtype: &str, bytes: &[u8]) -> Vec<u8> {
    let content = [&[0x93][..], shape, &text(dtype), &[0xc4, bytes.len() as u8], bytes].concat();
    extension(1, &content)
}

#[test]
fn a_small_file_is_read_as_it_is_written() {
    let reader = open_bytes("m", &map_of("a/b", &array(&[0x92, 1, 2], "float32", &[1; 8]))).unwrap();
    let info = &reader.listing().tensors[0];
    assert_eq!(info.to_string(), "a.b f32 [1, 2]");
}

#[test]
fn every_way_to_lie_is_refused() {
    let huge = [&[0x91, 0xcf][..], &u64::MAX.to_be_bytes()].concat();
    let overflow = [&[0x92, 0xcf][..], &(1u64 << 33).to_be_bytes(), &[0xcf], &(1u64 << 33).to_be_bytes()].concat();
    let good = array(&[0x91, 2], "float32", &[0; 8]);
    let deep = (0..100).fold(good.clone(), |inner, _| map_of("a", &inner));
    let long = (0..40).fold(good.clone(), |inner, _| map_of(&"a".repeat(200), &inner));
    let trailing = [map_of("a", &good), vec![0]].concat();
    let twice = [&[0x82][..], &text("a"), &good, &text("a"), &good].concat();
    let short = extension(1, &[&[0x93, 0x91, 2][..], &text("float32"), &[0xc4, 8, 0, 0]].concat());
    let spilling = extension(1, &[&[0x93, 0x91, 2][..], &text("float32"), &[0xc4, 4, 0, 0, 0, 0, 9]].concat());
    let pieces = |shape: &[u8], chunks: &[u8]| {
        let body = [&text("__msgpack_chunked_array__")[..], &[0xc3], &text("shape"), shape, &text("chunks"), chunks];
        map_of("a", &[&[0x83][..], &body.concat()].concat())
    };
    let axis = |size: u8| [&[0x81][..], &text("0"), &[size]].concat();
    let other_piece = [&[0x82][..], &text("0"), &good, &text("1"), &array(&[0x91, 2], "int32", &[0; 8])].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (map_of("a", &array(&[0x91, 3], "float32", &[0; 8])), "tensor a: f32 [3] takes 12 bytes, its offsets hold 8"),
        (map_of("a", &array(&huge, "float32", &[0; 8])), "not a whole number of bytes below 2^64"),
        (map_of("a", &array(&overflow, "float32", &[0; 8])), "not a whole number of bytes below 2^64"),
        (map_of("a", &array(&[0x91, 0xff], "float32", &[0; 8])), "a size is not an integer"),
        (map_of("a", &array(&[0xa0], "float32", &[])), "a shape is not a list"),
        (map_of("a", &array(&[0xdd, 0xff, 0xff, 0xff, 0xff], "float32", &[])), "axes at byte"),
        (map_of("a", &array(&[0x91, 2], "complex128", &[0; 8])), "tensor a contains `complex128`"),
        (map_of("a", &extension(1, &[0x92, 0x90, 0x90])), "not a list of shape, type and bytes"),
        (map_of("a", &short), "bytes are expected"),
        (map_of("a", &spilling), "the length of an array is not that of its content"),
        (map_of("a", &[0xdb, 0xff, 0xff, 0xff, 0xff]), "4294967295 bytes are expected"),
        (map_of("a", &[0xc9, 0xff, 0xff, 0xff, 0xff, 9]), "4294967295 bytes are expected"),
        ([0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'a', 1].into(), "1 bytes are expected"),
        (map_of("a", &[0x81, 0xdb, 0xff, 0xff, 0xff, 0xff]), "the length of a text"),
        ([0x81, 0xa1, 0xff, 1].into(), "not UTF-8"),
        ([0x81, 0xa1, b'a', 0xc1].into(), "the byte c1"),
        (map_of("a", &[0x81, 0x90, 1]), "a key is neither"),
        (deep, "nested too deep"),
        (long, "the length of a name"),
        (trailing, "something follows the outermost map"),
        (twice, "occurs twice"),
        (map_of("a", &[7]), "contains no tensors"),
        (pieces(&axis(2), &axis(2)), "a piece of an array is not an array"),
        (pieces(&axis(2), &other_piece), "do not fit together"),
        (pieces(&axis(3), &[&[0x81][..], &text("0"), &good].concat()), "takes 12 bytes, its offsets hold 8"),
        (pieces(&axis(3), &[&[0x81][..], &text("1"), &good].concat()), "not in order"),
        (pieces(&axis(3), &[0x80]), "lacks its shape or its pieces"),
        (pieces(&[7], &axis(1)), "lacks its shape or its pieces"),
    ];
    for (bytes, expected) in cases {
        let error = refusal("m", &bytes);
        assert!(error.to_string().contains(expected), "expected `{expected}`, got `{error}`");
    }
}

#[test]
fn a_file_that_is_cut_is_refused() {
    refuses_prefixes("m.msgpack", &tiny(), 0);
}

#[test]
fn mutated_files_are_read_or_refused() {
    survives_mutation("m.msgpack", &tiny());
}
