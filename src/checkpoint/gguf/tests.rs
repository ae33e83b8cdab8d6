use crate::checkpoint::Reader;
use crate::checkpoint::file_format::CheckpointFormat;
use crate::checkpoint::tests::laws::{
    Expected, fixture, open_bytes, reads_as_expected, refusal, refuses_prefixes, survives_mutation,
};

fn tiny() -> Vec<u8> {
    fixture("gguf/tiny.gguf")
}

#[test]
fn every_type_and_block_reads_as_the_reference_does() {
    let expected: Vec<Expected> = serde_json::from_slice(&fixture("gguf/expected.json")).unwrap();
    let reader = open_bytes("tiny.gguf", &tiny()).unwrap();
    assert_eq!(reader.listing().format, CheckpointFormat::Gguf);
    reads_as_expected(reader.as_ref(), &expected);
    let quantised = reader.listing().position("quantised.Q4_K").unwrap();
    let plain = reader.listing().position("token_embd.weight").unwrap();
    assert!(reader.extent(quantised).is_none() && reader.extent(plain).is_some());
    assert!(reader.scratch(quantised) > 0 && reader.scratch(plain) == 0);
}

#[test]
fn every_block_that_is_read_but_one_is_in_the_fixture() {
    let reader = open_bytes("tiny.gguf", &tiny()).unwrap();
    let absent: Vec<&str> = super::BLOCKS
        .iter()
        .map(|block| block.name)
        .filter(|name| reader.listing().position(&format!("quantised.{name}")).is_none())
        .collect();
    // the reference library does not read it; its values are held by the test below
    assert_eq!(absent, ["Q8_K"]);
}

#[test]
fn a_q8_k_block_is_its_scale_times_its_bytes() {
    let mut file = Header::default().tensor("a", &[256], 15, 0).finish();
    file.extend_from_slice(&0.5f32.to_le_bytes());
    file.extend((0..=255u8).map(|byte| byte.wrapping_sub(128)));
    file.extend([0; 32]);
    let reader = open_bytes("m.gguf", &file).unwrap();
    let expected: Vec<u8> = (-128..128).flat_map(|q| (0.5 * q as f32).to_le_bytes()).collect();
    assert_eq!(crate::checkpoint::tests::laws::read(reader.as_ref(), 0), expected);
}

#[test]
fn metadata_are_texts_and_long_arrays_are_counted() {
    let reader = open_bytes("tiny.gguf", &tiny()).unwrap();
    let value = |key: &str| {
        let pair = reader.listing().metadata.iter().find(|(k, _)| k == key);
        pair.map(|(_, value)| value.as_str()).unwrap_or("absent").to_string()
    };
    let expected = [
        ("general.architecture", "llama"),
        ("llama.block_count", "2"),
        ("llama.attention.layer_norm_rms_epsilon", "0.00001"),
        ("tokenizer.ggml.add_bos_token", "true"),
        ("test.u8", "200"),
        ("test.i8", "-100"),
        ("test.u16", "60000"),
        ("test.i16", "-30000"),
        ("test.i32", "-5"),
        ("test.u64", "9223372036854775808"),
        ("test.i64", "-1152921504606846976"),
        ("test.f64", "0.1"),
        ("test.few", "[1,2,3]"),
        ("test.texts", r#"["a","quoted \"b\"","ü"]"#),
        ("tokenizer.ggml.tokens", "100 texts"),
    ];
    for (key, expected) in expected {
        assert_eq!(value(key), expected, "{key}");
    }
}

#[test]
fn quantised_tensors_are_counted_in_a_note() {
    let file = crate::checkpoint::tests::memory("m.gguf", two_quantised());
    let part = super::open(file).unwrap();
    assert_eq!(part.notes, ["2 tensors are quantised (1 of Q4_0, 1 of Q8_0) and read as f32"]);
}

fn two_quantised() -> Vec<u8> {
    let mut file = Header::default().tensor("a", &[32], 2, 0).tensor("b", &[32], 8, 32).finish();
    file.extend([0; 32 + 34]);
    file
}

/// A header as a hostile hand would write it.
struct Header {
    version: u32,
    tensors: Option<u64>,
    pairs: Option<u64>,
    metadata: Vec<Vec<u8>>,
    entries: Vec<Vec<u8>>,
}

impl Default for Header {
    fn default() -> Header {
        Header { version: 3, tensors: None, pairs: None, metadata: Vec::new(), entries: Vec::new() }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Header {
    fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Header {
        self.metadata.push([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    /// Dimensions as the file has them: the innermost first.
    fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Header {
        let mut entry = text(name);
        entry.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|size| entry.extend(size.to_le_bytes()));
        entry.extend(kind.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        self.entries.push(entry);
        self
    }

    /// The header, filled up to 32 bytes.
    fn finish(self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensors.unwrap_or(self.entries.len() as u64).to_le_bytes());
        bytes.extend(self.pairs.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        bytes.extend(self.metadata.concat());
        bytes.extend(self.entries.concat());
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes
    }
}

fn open_header(header: Header, data: usize) -> crate::error::Result<std::sync::Arc<dyn Reader>> {
    let mut bytes = header.finish();
    bytes.extend(vec![1; data]);
    open_bytes("m.gguf", &bytes)
}

#[test]
fn versions_2_and_3_are_read_and_others_refused_by_name() {
    for version in [2, 3] {
        let header = Header { version, ..Header::default() }.tensor("a", &[2], 0, 0);
        assert!(open_header(header, 8).is_ok());
    }
    for (version, expected) in [(1, "version 1"), (4, "neither 2 nor 3"), (3u32.swap_bytes(), "big-endian")] {
        let header = Header { version, ..Header::default() }.tensor("a", &[2], 0, 0);
        let error = refusal("m.gguf", &header.finish());
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn every_way_to_lie_is_refused() {
    let huge = u64::MAX.to_le_bytes();
    let one = |kind: u32| [&kind.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    let deep = [one(9).repeat(20), one(0), vec![0]].concat();
    let h = Header::default;
    let cases: Vec<(Header, &str)> = vec![
        (Header { tensors: Some(u64::MAX), ..h() }, "the number of tensors at byte 16 is 18446744073709551615"),
        (Header { tensors: Some(u64::MAX - 5), ..h() }, "the number of tensors"),
        (Header { pairs: Some(u64::MAX), ..h() }, "the number of metadata pairs"),
        (h().pair("k", 8, &huge), "the length of a text"),
        (h().pair("k", 8, &1000u64.to_le_bytes()), "1000 bytes are expected"),
        (h().pair("k", 13, &[0; 8]), "unknown type"),
        (h().pair("k", 9, &[&0u32.to_le_bytes()[..], &huge].concat()), "the length of an array"),
        (h().pair("k", 9, &[&9u32.to_le_bytes()[..], &huge].concat()), "the length of an array"),
        (h().pair("k", 9, &deep), "nested too deep"),
        (h().pair("general.alignment", 4, &0u32.to_le_bytes()).tensor("a", &[2], 0, 0), "not a power of two"),
        (h().pair("general.alignment", 4, &24u32.to_le_bytes()).tensor("a", &[2], 0, 0), "not a power of two"),
        (h().pair("general.alignment", 10, &(1u64 << 63).to_le_bytes()).tensor("a", &[2], 0, 0), "not a power of two"),
        (h().tensor("a", &[u64::MAX, 2], 0, 0), "not a whole number of bytes below 2^64"),
        (h().tensor("a", &[1 << 62], 0, 0), "not a whole number of bytes below 2^64"),
        (h().tensor("a", &[1 << 32, 1 << 31], 2, 0), "not a whole number of bytes below 2^64"),
        (h().tensor("a", &[1; 9], 0, 0), "axes"),
        (h().tensor("a", &[1 << 40], 0, 0), "but the file ends at"),
        (h().tensor("a", &[2], 0, u64::MAX - 31), "but the file ends at"),
        (h().tensor("a", &[2], 0, 1 << 40), "but the file ends at"),
        (h().tensor("a", &[2], 0, 4), "not aligned"),
        (h().tensor("a", &[33], 2, 0), "has rows of 33 elements, blocks of Q4_0 hold 32"),
        (h().tensor("a", &[16, 2], 2, 0), "has rows of 16 elements, blocks of Q4_0 hold 32"),
        (h().tensor("a", &[], 2, 0), "has rows of 1 elements, blocks of Q4_0 hold 32"),
        (h().tensor("a", &[256], 16, 0), "tensor a contains IQ2_XXS blocks"),
        (h().tensor("a", &[256], 99, 0), "tensor a contains the unknown type 99"),
        (h().tensor("a", &[2], 0, 0).tensor("a", &[2], 0, 32), "occurs twice"),
        (h().tensor("a", &[16], 0, 0).tensor("b", &[2], 0, 32), "inside tensor a"),
    ];
    for (header, expected) in cases {
        let mut bytes = header.finish();
        bytes.extend([0; 64]);
        let error = refusal("m.gguf", &bytes);
        assert!(error.to_string().contains(expected), "expected `{expected}`, got `{error}`");
    }
}

#[test]
fn names_that_are_no_text_are_refused_with_their_place() {
    let mut bytes = Header::default().tensor("abc", &[2], 0, 0).finish();
    bytes[33] = 0xFF;
    assert_eq!(refusal("m.gguf", &bytes).to_string(), "m.gguf: not UTF-8 at byte 33");
}

#[test]
fn empty_tensors_and_files_without_tensors_are_read() {
    let reader = open_header(Header::default().tensor("a", &[0, 3], 0, 0).tensor("b", &[], 0, 0), 4).unwrap();
    assert_eq!(reader.listing().tensors[0].shape, [3, 0]);
    assert_eq!(reader.listing().tensors[1].shape, [0u64; 0]);
    // the first file of a split model may hold metadata alone
    assert!(open_header(Header::default(), 0).unwrap().listing().tensors.is_empty());
}

#[test]
fn a_file_that_is_cut_is_refused() {
    refuses_prefixes("m.gguf", &tiny(), 31);
}

#[test]
fn mutated_files_are_read_or_refused() {
    survives_mutation("m.gguf", &tiny());
}
