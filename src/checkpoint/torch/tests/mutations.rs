//! Files cut short, changed and made of noise: an error or a listing, never a panic.

use proptest::prelude::*;

use super::forge::{archive, dictionary, pickle, tensor, with_pickle};
use super::{fixtures, open_bytes, read_all};

fn fixture(file: &str) -> Vec<u8> {
    std::fs::read(fixtures("torch").join(file)).unwrap()
}

/// Opens and reads; whether it worked does not matter.
fn try_all(bytes: &[u8]) {
    if let Ok(reader) = open_bytes(bytes) {
        let _ = read_all(reader.as_ref());
        for tensor in 0..reader.listing().tensors.len() {
            let _ = (reader.extent(tensor).is_some(), reader.scratch(tensor));
        }
    }
}

#[test]
fn every_beginning_of_a_valid_file_is_refused() {
    for file in ["plain.pt", "plain_legacy.pt", "protocol_1_legacy.pt", "python_2.pt", "deflated.pt", "ties_legacy.pt"]
    {
        let bytes = fixture(file);
        for end in 0..bytes.len() {
            assert!(open_bytes(&bytes[..end]).is_err(), "{file} cut to {end}");
        }
    }
}

#[test]
fn every_byte_of_a_valid_file_may_be_anything() {
    for file in ["plain_legacy.pt", "python_2.pt", "named_storage.pt"] {
        let bytes = fixture(file);
        for at in 0..bytes.len() {
            for value in [0, 0xff, bytes[at] ^ 1, b'(', b'R'] {
                let mut changed = bytes.clone();
                changed[at] = value;
                try_all(&changed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_no_checkpoint(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        try_all(&bytes);
        try_all(&[b"\x80\x02", bytes.as_slice()].concat());
        try_all(&with_pickle(&bytes));
        try_all(&archive(&[("a/data.pkl", &pickle(&dictionary(&[("w", bytes.clone())]))), ("a/data/0", &bytes)]));
    }

    #[test]
    fn instructions_in_any_order_do_no_harm(picked in proptest::collection::vec(0usize..40, 0..60)) {
        let pieces: Vec<Vec<u8>> = b"(t}]\x85\x86\x87NK\x01".iter().map(|byte| vec![*byte]).chain([
            b"q\x00".to_vec(), b"h\x00".to_vec(), b"q\x01".to_vec(), b"h\x01".to_vec(), b"R".to_vec(), b"b".to_vec(),
            b"Q".to_vec(), b"s".to_vec(), b"u".to_vec(), b"a".to_vec(), b"e".to_vec(), b"0".to_vec(), b"2".to_vec(),
            b"\x81".to_vec(), b"\x93".to_vec(), b"U\x01w".to_vec(), b"U\x05model".to_vec(), b"U\x08_modules".to_vec(),
            b"U\x0b_parameters".to_vec(), b"ccollections\nOrderedDict\n".to_vec(), b"c__torch__.a\nB\n".to_vec(),
            b"ctorch._utils\n_rebuild_parameter\n".to_vec(), b"ctorch._tensor\n_rebuild_from_type_v2\n".to_vec(),
            b"ctorch.jit._pickle\nrestore_type_tag\n".to_vec(), tensor(6, 0, &[2, 3], &[1, 2]), tensor(6, 5, &[1], &[1]),
            b"\x8f".to_vec(), b"\x90".to_vec(), b"l".to_vec(), b"d".to_vec(),
        ]).collect();
        let body: Vec<u8> = picked.iter().flat_map(|place| pieces[place % pieces.len()].clone()).collect();
        try_all(&with_pickle(&pickle(&body)));
        try_all(&with_pickle(&pickle(&[b"}U\x01w".to_vec(), body].concat())));
    }

    #[test]
    fn a_valid_file_may_be_changed_anywhere(
        file in 0usize..8,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let files = ["plain.pt", "shapes.pt", "deflated.pt", "training_legacy.pt", "module.pt", "scripted.pt", "ties.pt", "python_2.pt"];
        let mut bytes = fixture(files[file]);
        for (place, value) in changes {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        try_all(&bytes);
    }

    #[test]
    fn any_box_within_a_storage_is_gathered_as_index_by_index(
        axes in proptest::collection::vec((0i64..4, 0i64..4), 0..4),
        offset in 0i64..3,
    ) {
        let (shape, stride): (Vec<i64>, Vec<i64>) = axes.into_iter().unzip();
        let storage: Vec<u8> = (0..160u8).collect();
        let pickle = pickle(&dictionary(&[("w", tensor(40, offset, &shape, &stride))]));
        let reader = open_bytes(&archive(&[("a/data.pkl", &pickle), ("a/data/0", &storage)])).unwrap();
        let info = &reader.listing().tensors[0];
        let mut expected = Vec::new();
        let count: i64 = shape.iter().product();
        for mut number in 0..count {
            let mut at = offset;
            for (size, stride) in shape.iter().zip(&stride).rev() {
                at += number % size * stride;
                number /= size;
            }
            expected.extend_from_slice(&storage[at as usize * 4..][..4]);
        }
        let mut found = vec![0; expected.len()];
        reader.read(0, 0..info.rows(), &mut found).unwrap();
        prop_assert_eq!(&found, &expected);
        let row = info.row_bytes().unwrap() as usize;
        for first in 0..info.rows() {
            let mut one = vec![0; row];
            reader.read(0, first..first + 1, &mut one).unwrap();
            prop_assert_eq!(&one, &expected[first as usize * row..][..row]);
        }
    }
}
