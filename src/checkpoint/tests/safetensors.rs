use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use safetensors::SafeTensorError;
use safetensors::tensor::{SafeTensors, TensorView, serialize};

use super::{file_of, refusal};
use crate::checkpoint::Reader;
use crate::checkpoint::error::CheckpointError as E;
use crate::error::Result;
use crate::tensor::{Dtype, Shape, TensorInfo};

/// Opens a file as ours and with the reference crate, which must agree that it is one or is none.
fn open_bytes(bytes: &[u8]) -> Result<Arc<dyn Reader>> {
    let (ours, theirs) = (super::open_bytes(bytes), SafeTensors::deserialize(bytes));
    let agree = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => ours.listing().tensors.len() == theirs.len(),
        (Err(_), Err(_)) => true,
        // the crate takes one of two entries of a name, whichever it meets last, and any number of axes
        (Err(error), Ok(_)) => {
            matches!(error.downcast_ref(), Some(E::DuplicateTensor { .. } | E::Count { field: "shape", .. }))
        }
        // ours takes numbers among the metadata, and empty tensors whose other sizes are too large to be multiplied
        (Ok(ours), Err(SafeTensorError::InvalidHeaderDeserialization(_))) => {
            let stated = &ours.listing().metadata;
            stated.iter().any(|(_, value)| serde_json::from_str::<serde_json::Value>(value).is_ok())
        }
        (Ok(ours), Err(SafeTensorError::ValidationOverflow)) => {
            ours.listing().tensors.iter().any(|tensor| tensor.shape.contains(&0))
        }
        (Ok(_), Err(_)) => false,
    };
    assert!(agree, "{:?} {theirs:?}", ours.map(|ours| ours.listing().tensors.clone()));
    ours
}

/// One f32 of shape `[1]` called `w`, with something in place of its entry.
fn with_entry(entry: &str) -> Vec<u8> {
    file_of(&format!(r#"{{"w":{entry}}}"#), &[0; 4])
}

fn whole(reader: &dyn Reader, name: &str) -> Vec<u8> {
    let tensor = reader.listing().position(name).unwrap();
    let info = &reader.listing().tensors[tensor];
    let mut out = vec![0; info.bytes().unwrap() as usize];
    reader.read(tensor, 0..info.rows(), &mut out).unwrap();
    out
}

#[test]
fn a_file_shorter_than_the_length_of_a_header_is_refused() {
    assert!(matches!(refusal(open_bytes(b"")), E::TooSmall { bytes: 0, .. }));
    assert!(matches!(refusal(open_bytes(b"<\x00\x00\x00\x00\x00\x00")), E::TooSmall { bytes: 7, .. }));
}

#[test]
fn a_header_longer_than_the_file_is_refused_with_both_numbers() {
    let error = refusal(open_bytes(b"<\x00\x00\x00\x00\x00\x00\x00{}"));
    assert!(matches!(error, E::HeaderBeyondEnd { header: 60, bytes: 10, .. }), "{error:?}");
    assert!(error.to_string().contains("60") && error.to_string().contains("10"), "{error}");
}

#[test]
fn a_header_longer_than_the_format_allows_is_refused_before_it_takes_memory() {
    let mut bytes = 100_000_001u64.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[b'\xff'; 16]);
    assert!(matches!(refusal(open_bytes(&bytes)), E::HeaderTooLarge { header: 100_000_001, .. }));
    assert!(matches!(refusal(open_bytes(&[0xff; 16])), E::HeaderTooLarge { header: u64::MAX, .. }));
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_offset() {
    let error = refusal(open_bytes(b"\x03\x00\x00\x00\x00\x00\x00\x00{\xff}"));
    assert!(matches!(error, E::NotUtf8 { offset: 9, .. }), "{error:?}");
}

#[test]
fn bad_json_is_refused_with_its_offset_in_the_file() {
    for (header, at) in [("{", 9), (r#"{"w":]}"#, 8 + 5), ("{}x", 8 + 2), ("{\n\n \"w\":]}", 8 + 8), ("[]", 8)] {
        let mut bytes = file_of(header, &[]);
        bytes.resize(bytes.len() + 4, 0);
        match refusal(open_bytes(&bytes)) {
            E::Json { offset, .. } => assert!(offset.abs_diff(at) <= 1, "{header}: {offset}"),
            E::UnknownFormat { .. } => panic!("{header}"),
            other => panic!("{header}: {other:?}"),
        }
    }
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    let header = format!(r#"{{"w":{{"extra":{}"#, "[".repeat(200_000));
    assert!(matches!(refusal(open_bytes(&file_of(&header, &[]))), E::Json { .. }));
}

#[test]
fn an_entry_without_a_field_or_with_one_twice_is_refused() {
    let error = refusal(open_bytes(&with_entry(r#"{"dtype":"F32","shape":[1]}"#)));
    assert!(matches!(&error, E::MissingField { field: "data_offsets", tensor, .. } if tensor == "w"), "{error:?}");
    assert!(matches!(refusal(open_bytes(&with_entry("{}"))), E::MissingField { field: "dtype", .. }));
    let twice = r#"{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}"#;
    assert!(matches!(refusal(open_bytes(&with_entry(twice))), E::DuplicateField { field: "dtype", .. }));
}

#[test]
fn an_unknown_dtype_is_refused_by_name() {
    let error = refusal(open_bytes(&with_entry(r#"{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}"#)));
    assert_eq!(error.to_string(), "m.safetensors: tensor w has the unknown dtype `Q4`");
}

#[test]
fn numbers_that_are_negative_fractions_or_too_large_are_refused() {
    for (shape, number) in [("-1", "-1"), ("1.5", "1.5"), ("18446744073709551616", "1.8446744073709552e+19")] {
        let entry = format!(r#"{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}"#);
        match refusal(open_bytes(&with_entry(&entry))) {
            E::Number { field: "shape", number: found, .. } => assert_eq!(found, number),
            other => panic!("{shape}: {other:?}"),
        }
    }
    let offsets = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}"#;
    assert!(matches!(refusal(open_bytes(&with_entry(offsets))), E::Number { field: "data_offsets", .. }));
}

#[test]
fn arrays_of_the_wrong_length_are_refused() {
    for (offsets, count) in [("", 0), ("0", 1), ("0,4,8", 3)] {
        let entry = format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":[{offsets}]}}"#);
        assert!(matches!(refusal(open_bytes(&with_entry(&entry))), E::Count { found, .. } if found == count));
    }
    let entry = format!(r#"{{"dtype":"F32","shape":[{}1],"data_offsets":[0,4]}}"#, "1,".repeat(100_000));
    assert!(matches!(refusal(open_bytes(&with_entry(&entry))), E::Count { field: "shape", found: 65, .. }));
}

#[test]
fn a_tensor_that_ends_before_it_begins_is_refused() {
    let error = refusal(open_bytes(&with_entry(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#)));
    assert!(matches!(error, E::Reversed { begin: 4, end: 0, .. }), "{error:?}");
}

#[test]
fn bytes_that_belong_to_no_tensor_are_refused() {
    let error = refusal(open_bytes(&with_entry(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#)));
    assert!(matches!(error, E::Hole { begin: 4, expected: 0, .. }), "{error:?}");
}

#[test]
fn tensors_that_share_bytes_are_refused_by_both_names() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    match refusal(open_bytes(&file_of(header, &[0; 8]))) {
        E::Overlap { tensor, other, begin: 4, end: 8, .. } => assert_eq!((&*tensor, &*other), ("b", "a")),
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_shape_that_does_not_match_its_bytes_is_refused_with_both_numbers() {
    let error = refusal(open_bytes(&with_entry(r#"{"dtype":"F32","shape":[2,3],"data_offsets":[0,4]}"#)));
    assert_eq!(error.to_string(), "m.safetensors: tensor w: f32 [2, 3] takes 24 bytes, its offsets hold 4");
}

#[test]
fn a_shape_that_overflows_or_cuts_a_byte_is_refused() {
    for (dtype, shape) in [("F32", "4294967296,4294967296"), ("F64", "4611686018427387904"), ("F4", "3")] {
        let entry = format!(r#"{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[0,4]}}"#);
        assert!(matches!(refusal(open_bytes(&with_entry(&entry))), E::Uncountable { .. }), "{dtype}");
    }
}

#[test]
fn missing_and_trailing_bytes_are_refused_with_both_numbers() {
    let good = with_entry(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#);
    let length = good.len() as u64;
    let cut = refusal(open_bytes(&good[..good.len() - 1]));
    assert!(matches!(cut, E::Truncated { expected, found, .. } if (expected, found) == (length, length - 1)));
    let more = refusal(open_bytes(&[good, vec![0]].concat()));
    assert!(matches!(more, E::Trailing { expected, found, .. } if (expected, found) == (length, length + 1)));
    let far = r#"{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}"#;
    // the crate adds the length of the header to this offset unchecked
    assert!(matches!(refusal(super::open_bytes(&with_entry(far))), E::Truncated { .. }));
}

#[test]
fn a_name_that_occurs_twice_is_refused_although_json_parsers_swallow_it() {
    let entry = r#""w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let error = refusal(open_bytes(&file_of(&format!("{{{entry},{entry}}}"), &[0; 4])));
    assert_eq!(error.to_string(), "m.safetensors: tensor w occurs twice");
    let escaped = entry.replace("\"w\"", "\"\\u0077\"");
    let error = refusal(open_bytes(&file_of(&format!("{{{entry},{escaped}}}"), &[0; 4])));
    assert!(matches!(error, E::DuplicateTensor { .. }), "{error:?}");
}

#[test]
fn unusual_metadata_and_unknown_fields_are_no_reason_to_refuse() {
    let entry = r#""w":{"extra":[{"a":1}],"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for (metadata, expected) in [
        (r#""__metadata__":null,"#, vec![]),
        (r#""__metadata__":{},"#, vec![]),
        (r#""__metadata__":{"format":"pt","epoch":3},"#, vec![("epoch", "3"), ("format", "pt")]),
        ("", vec![]),
    ] {
        let reader = open_bytes(&file_of(&format!("{{{metadata}{entry}}}   "), &[1, 2, 3, 4])).unwrap();
        let found = &reader.listing().metadata;
        assert_eq!(found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(whole(reader.as_ref(), "w"), [1, 2, 3, 4]);
    }
}

#[test]
fn empty_tensors_scalars_and_a_file_without_tensors_are_read() {
    let header = concat!(
        r#"{"scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"#,
        r#""wide":{"dtype":"I64","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}"#
    );
    let reader = open_bytes(&file_of(header, &[9, 8, 7, 6])).unwrap();
    assert_eq!(whole(reader.as_ref(), "scalar"), [9, 8, 7, 6]);
    assert_eq!(whole(reader.as_ref(), "none").len(), 0);
    assert_eq!(whole(reader.as_ref(), "wide").len(), 0);
    reader.read(reader.listing().position("wide").unwrap(), 5..9, &mut []).unwrap();
    assert_eq!(open_bytes(&file_of("{}", &[])).unwrap().listing().tensors, []);
}

#[test]
fn rows_are_read_where_the_extent_says() {
    let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"m":{"dtype":"I16","shape":[3,2],"data_offsets":[1,13]}}"#;
    let data: Vec<u8> = (0..13).collect();
    let bytes = file_of(header, &data);
    let reader = open_bytes(&bytes).unwrap();
    let tensor = reader.listing().position("m").unwrap();
    let mut out = [0; 8];
    reader.read(tensor, 1..3, &mut out).unwrap();
    assert_eq!(out, [5, 6, 7, 8, 9, 10, 11, 12]);
    let extent = reader.extent(tensor).unwrap();
    assert_eq!((extent.offset, extent.len), (bytes.len() as u64 - 12, 12));
    reader.read(tensor, 2..2, &mut []).unwrap();
}

#[test]
fn reads_that_do_not_fit_are_refused() {
    let header = r#"{"m":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},"n":{"dtype":"U8","shape":[2,1],"data_offsets":[3,5]}}"#;
    let reader = open_bytes(&file_of(header, &[1, 2, 3, 4, 5])).unwrap();
    assert_eq!(whole(reader.as_ref(), "m"), [1, 2, 3], "all rows together are whole bytes");
    assert!(matches!(refusal(reader.read(0, 0..1, &mut [0; 1])), E::PartialRow { .. }));
    assert!(matches!(refusal(reader.read(1, 1..3, &mut [0; 2])), E::Rows { start: 1, end: 3, rows: 2, .. }));
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = 2..1;
    assert!(matches!(refusal(reader.read(1, reversed, &mut [])), E::Rows { .. }));
    assert!(matches!(refusal(reader.read(1, 0..1, &mut [0; 2])), E::Buffer { expected: 1, found: 2, .. }));
    assert!(matches!(refusal(reader.read(2, 0..1, &mut [0; 1])), E::Index { index: 2, tensors: 2 }));
    assert!(reader.extent(2).is_none());
}

proptest! {
    #[test]
    fn what_the_reference_library_writes_is_read_back(
        parts in prop::collection::vec((any::<String>(), 0..Dtype::ALL.len(), prop::collection::vec(0u64..4, 0..4)), 0..12)
    ) {
        let tensors: HashMap<String, (Dtype, Shape, Vec<u8>)> = parts.into_iter().filter_map(|(name, dtype, shape)| {
            let shape = Shape::from(shape);
            let info = TensorInfo::new(name.clone(), Dtype::ALL[dtype], shape.clone());
            let bytes = info.bytes().ok()?;
            (name != "__metadata__").then(|| (name, (info.dtype, shape, vec![dtype as u8; bytes as usize])))
        }).collect();
        let views: Vec<_> = tensors.iter().map(|(name, (dtype, shape, data))| {
            let shape = shape.iter().map(|size| *size as usize).collect();
            (name.clone(), TensorView::new(dtype.stored(), shape, data).unwrap())
        }).collect();
        let file = serialize(views, None).unwrap();
        let reader = open_bytes(&file).unwrap();
        prop_assert_eq!(reader.listing().tensors.len(), tensors.len());
        for (name, (dtype, shape, data)) in &tensors {
            let info = &reader.listing().tensors[reader.listing().position(name).unwrap()];
            prop_assert_eq!((info.dtype, &info.shape), (*dtype, shape));
            prop_assert_eq!(&whole(reader.as_ref(), name), data);
        }
    }

    #[test]
    fn no_change_of_a_byte_of_the_header_panics_or_parts_us_from_the_reference_crate(
        at in 0usize..170, value in any::<u8>()
    ) {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F4","shape":[2,4],"data_offsets":[8,12]}}"#;
        let mut bytes = file_of(header, &[0; 12]);
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = open_bytes(&bytes);
    }
}
