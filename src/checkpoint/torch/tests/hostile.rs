//! One test for each way in which a file can lie.

use std::io::Write as _;

use super::forge::{
    Forged, archive, dictionary, forged, pickle, tensor, text, tuple, whole, with_entries, with_pickle,
};
use super::{fixtures, found, open_bytes, read_all, refusal};

fn refused(bytes: &[u8]) -> String {
    refusal(open_bytes(bytes))
}

#[test]
fn what_is_forged_here_is_read_where_it_does_not_lie() {
    let reader = open_bytes(&with_entries(&[("w", tensor(6, 0, &[2, 3], &[3, 1]))])).unwrap();
    assert_eq!(reader.listing().tensors[0].to_string(), "w f32 [2, 3]");
    assert_eq!(found(reader.as_ref()).len(), 1);
}

#[test]
fn a_pickle_that_would_run_a_command_is_refused_by_its_name() {
    let call = [&b"cos\nsystem\n"[..], &tuple(&[text("touch pwned")]), b"R"].concat();
    let error = refused(&with_pickle(&pickle(&call)));
    assert_eq!(
        error,
        "m.pt: the pickle asks for `os.system` at byte 42, which runs code; a pickle is read, never executed"
    );
}

#[test]
fn whatever_runs_code_is_refused_wherever_it_stands() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("__builtin__", "eval"),
        ("__builtin__", "execfile"),
        ("importlib", "import_module"),
        ("runpy", "_run_code"),
        ("pickle", "loads"),
        ("operator", "attrgetter"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("a", "os.system"),
        ("a", "B.__globals__"),
        ("socket", "create_connection"),
        ("shutil", "rmtree"),
    ] {
        let by_lines = format!("c{module}\n{name}\n").into_bytes();
        let by_stack = [text(module), text(name), vec![0x93]].concat();
        for global in [by_lines, by_stack] {
            // beside a tensor, unused, as a value
            let error = refused(&with_entries(&[("w", tensor(6, 0, &[6], &[1])), ("x", global.clone())]));
            assert!(error.contains(&format!("`{module}.{name}`")), "{error}");
            // called and thrown away before the dictionary
            let thrown = [global, b")R0".to_vec(), dictionary(&[("w", tensor(6, 0, &[6], &[1]))])].concat();
            let error = refused(&with_pickle(&pickle(&thrown)));
            assert!(error.contains("runs code"), "{error}");
        }
        let instance = pickle(format!("(i{module}\n{name}\n").as_bytes());
        assert!(refused(&with_pickle(&instance)).contains("runs code"));
    }
}

#[test]
fn harmless_objects_beside_the_weights_are_stepped_over() {
    for global in
        ["cargparse\nNamespace\n", "cdatetime\ndatetime\n", "cbuiltins\nset\n", "cmy.own\nClass\n", "cnumpy\ndtype\n"]
    {
        let object = [global.as_bytes(), b")R}b"].concat();
        let reader = open_bytes(&with_entries(&[("x", object), ("w", tensor(6, 0, &[6], &[1]))])).unwrap();
        assert_eq!(reader.listing().tensors.len(), 1, "{global}");
    }
}

#[test]
fn a_tensor_that_an_unknown_function_makes_is_refused_by_its_name() {
    let made = [&b"cmy.own\nmake\n"[..], &tuple(&[tensor(6, 0, &[6], &[1])]), b"R"].concat();
    let error = refused(&with_entries(&[("w", tensor(6, 0, &[6], &[1])), ("x", made)]));
    assert_eq!(error, "m.pt: tensor x: it is built by `my.own.make`, which is unknown");
}

#[test]
fn deep_nesting_takes_no_stack() {
    // marks within marks are limited
    let deep = [vec![b'('; 200_000], vec![b't'; 200_000]].concat();
    assert!(refused(&with_pickle(&pickle(&deep))).contains("more than 10000 marks within marks"));
    // tuples within tuples need no mark, and hold nothing
    let deep = [b")".to_vec(), vec![0x85; 200_000]].concat();
    assert!(refused(&with_pickle(&pickle(&deep))).contains("contains no named tensors"));
    // nor do dictionaries within dictionaries, with a tensor at the bottom
    let levels = 20_000;
    let open = [b"}".to_vec(), text("d")].concat().repeat(levels);
    let deep = [open, tensor(6, 0, &[6], &[1]), vec![b's'; levels]].concat();
    assert!(refused(&with_pickle(&pickle(&deep))).contains("dictionaries within dictionaries"));
    // names that nest below weights end somewhere
    let deep = [dictionary(&[("w", tensor(6, 0, &[6], &[1]))]), text("d"), deep, b"s".to_vec()].concat();
    assert!(refused(&with_pickle(&pickle(&deep))).contains("more than 256 modules within modules"));
}

/// `depth` tuples, each of which holds the one before it twice.
fn bomb(depth: usize, bottom: &[u8]) -> Vec<u8> {
    let mut pickle = bottom.to_vec();
    for _ in 0..depth {
        // remembered and recalled
        pickle.extend(b"q\x00h\x00\x86");
    }
    pickle
}

#[test]
fn a_memo_bomb_takes_as_long_as_its_bytes() {
    let bytes = with_entries(&[("w", tensor(6, 0, &[6], &[1])), ("x", bomb(100_000, b")"))]);
    assert_eq!(open_bytes(&bytes).unwrap().listing().tensors.len(), 1);
}

#[test]
fn a_memo_bomb_of_tensors_ends_at_a_limit() {
    let bytes = with_entries(&[("w", tensor(6, 0, &[6], &[1])), ("x", bomb(60, &tensor(6, 0, &[6], &[1])))]);
    let start = std::time::Instant::now();
    let error = refused(&bytes);
    assert!(error.contains("entries of dictionaries") || error.contains("tensors"), "{error}");
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

/// A dictionary of so many objects of a class, all with the same state of so many tensors.
fn objects_that_share_a_state(objects: usize, tensors: usize) -> Vec<u8> {
    let mut state = vec![b'}'];
    state.extend(b"q\x01(");
    for number in 0..tensors {
        state.extend(text(&format!("w{number}")));
        state.extend(if number == 0 {
            [tensor(6, 0, &[6], &[1]), b"q\x02".to_vec()].concat()
        } else {
            b"h\x02".to_vec()
        });
    }
    state.push(b'u');
    let mut all = vec![b'}', b'('];
    all.extend(text("x"));
    all.extend(tensor(6, 0, &[6], &[1]));
    all.extend(text("state"));
    all.extend(&state);
    for number in 0..objects {
        all.extend(text(&format!("o{number}")));
        all.extend(b"cmy\nThing\n)Rh\x01b");
    }
    all.push(b'u');
    with_pickle(&pickle(&all))
}

#[test]
fn objects_that_share_a_state_take_as_long_as_their_file_is_long() {
    let start = std::time::Instant::now();
    let few = open_bytes(&objects_that_share_a_state(20, 20)).unwrap();
    assert_eq!(few.listing().tensors.len(), 21 * 20 + 1);
    for (objects, tensors) in [(2_000, 2_000), (4_000, 4_000), (20_000, 1_000), (100, 20_000)] {
        let error = refused(&objects_that_share_a_state(objects, tensors));
        assert!(error.contains("more than") && error.contains("entries of dictionaries"), "{error}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_dictionary_that_holds_itself_is_refused() {
    let looped =
        [b"}q\x00".to_vec(), text("w"), tensor(6, 0, &[6], &[1]), b"s".to_vec(), text("d"), b"h\x00s".to_vec()];
    assert!(refused(&with_pickle(&pickle(&looped.concat()))).contains("more than 256 modules within modules"));
    let looped =
        [b"}q\x00".to_vec(), text("model"), b"h\x00s".to_vec(), text("x"), tensor(6, 0, &[6], &[1]), b"s".to_vec()];
    assert!(refused(&with_pickle(&pickle(&looped.concat()))).contains("dictionaries within dictionaries"));
}

#[test]
fn a_storage_of_four_terabytes_is_refused_before_any_memory_is_taken() {
    let error = refused(&with_entries(&[("w", tensor(1 << 40, 0, &[1 << 40], &[1]))]));
    assert_eq!(error, "m.pt: tensor w: its storage 0 has a stated size of 4398046511104 bytes, the file contains 24");
}

#[test]
fn a_tensor_that_reaches_over_its_storage_is_refused() {
    let (far, needed) = (i64::MAX, "does not fit into 64 bits");
    for (offset, shape, stride, expected) in [
        (0, &[7][..], &[1][..], "it needs 28 bytes of storage 0, which has 24"),
        (1, &[6], &[1], "it needs 28 bytes of storage 0, which has 24"),
        (0, &[2, 3], &[4, 1], "it needs 28 bytes of storage 0, which has 24"),
        (0, &[2], &[1 << 40], "it needs 4398046511108 bytes of storage 0, which has 24"),
        (far, &[1], &[1], needed),
        (0, &[far, far], &[1, 1], needed),
        (0, &[far, far], &[0, 0], needed),
        (0, &[3, 3], &[far, far], needed),
        (-1, &[1], &[1], "an offset that is not an integer"),
        (0, &[-1], &[1], "sizes that are no whole numbers"),
        (5, &[2], &[-1], "strides that are no whole numbers"),
        (0, &[2, 3], &[1], "another number of strides than of sizes"),
        (0, &[1; 100], &[1; 100], "sizes that are no whole numbers"),
    ] {
        let error = refused(&with_entries(&[("w", tensor(6, offset, shape, stride))]));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_expanded_tensor_is_read_by_rows_and_one_of_terabytes_is_refused() {
    let error = refused(&with_entries(&[("w", tensor(6, 0, &[1 << 40, 6], &[0, 1]))]));
    assert!(error.starts_with("m.pt: its tensors claim 26388279066624 bytes, the file has "), "{error}");
    assert!(error.ends_with("; w [1099511627776, 6] alone claims 26388279066624"), "{error}");
    let reader = open_bytes(&with_entries(&[("w", tensor(6, 0, &[1 << 25, 6], &[0, 1]))])).unwrap();
    let mut rows = vec![0; 48];
    reader.read(0, (1 << 24)..(1 << 24) + 2, &mut rows).unwrap();
    assert_eq!(rows, [1; 48]);
    assert!(reader.scratch(0) <= 24);
}

#[test]
fn a_storage_that_is_not_there_is_missed_only_where_it_is_needed() {
    let file = |shape: &[i64]| archive(&[("a/data.pkl", &pickle(&dictionary(&[("w", tensor(0, 0, shape, &[1]))])))]);
    assert_eq!(refused(&file(&[1])), "m.pt: tensor w: its storage 0 is missing");
    assert_eq!(open_bytes(&file(&[0])).unwrap().listing().tensors.len(), 1);
}

#[test]
fn builders_without_their_arguments_are_refused() {
    for arguments in [
        b")".to_vec(),
        tuple(&[whole(1), whole(2), whole(3), whole(4)]),
        tuple(&[text("storage")]),
        tuple(&[
            b"N".to_vec(),
            b"N".to_vec(),
            b"N".to_vec(),
            b"N".to_vec(),
            b"N".to_vec(),
            b"N".to_vec(),
            b"N".to_vec(),
        ]),
    ] {
        for builder in [
            "_utils\n_rebuild_tensor", "_utils\n_rebuild_tensor_v2", "_utils\n_rebuild_tensor_v3",
            "_utils\n_rebuild_parameter", "_utils\n_rebuild_qtensor", "_tensor\n_rebuild_from_type_v2",
        ] {
            let made = [format!("ctorch.{builder}\n").into_bytes(), arguments.clone(), b"R".to_vec()].concat();
            assert!(refused(&with_entries(&[("w", made)])).contains("tensor w"));
        }
    }
}

#[test]
fn a_parameter_of_itself_is_refused() {
    // a list can hold what is made of it
    let value = b"ctorch._utils\n_rebuild_parameter\n(]q\x00ttR";
    assert!(refused(&with_entries(&[("w", value.to_vec())])).contains("invalid pickle"));
    let inner = (0..50).fold(tensor(6, 0, &[6], &[1]), |inner, _| {
        [&b"ctorch._utils\n_rebuild_parameter\n("[..], &inner, b"tR"].concat()
    });
    assert!(refused(&with_entries(&[("w", inner)])).contains("itself, again and again"));
}

/// An archive with a compressed storage that is said to have `bytes` bytes.
fn deflated(data: &[u8], bytes: Option<u32>) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    let packed = encoder.finish().unwrap();
    let pickle = pickle(&dictionary(&[("w", tensor(6, 0, &[6], &[1]))]));
    let bytes = bytes.or(Some(data.len() as u32));
    forged(&[Forged::new("a/data.pkl", &pickle), Forged { method: 8, bytes, ..Forged::new("a/data/0", &packed) }])
}

#[test]
fn a_compressed_storage_must_unpack_to_what_it_says() {
    assert!(read_all(open_bytes(&deflated(&[7; 24], None)).unwrap().as_ref()).is_ok());
    // less, more, much more, and a stream that ends too soon
    let cut = {
        let mut bytes = deflated(&[7; 24], None);
        let at = bytes.windows(8).rposition(|w| w == b"a/data/0").unwrap();
        let first = bytes.windows(8).position(|w| w == b"a/data/0").unwrap();
        assert_ne!(first, at);
        bytes[first + 8] ^= 0xff;
        bytes
    };
    for file in [deflated(&[7; 20], Some(24)), deflated(&[7; 1 << 20], Some(24)), cut] {
        let reader = open_bytes(&file).unwrap();
        assert!(refusal(read_all(reader.as_ref())).contains("has a stated size of 24 bytes"));
    }
}

#[test]
fn a_zip_bomb_is_refused_by_its_ratio() {
    let reader = open_bytes(&deflated(&[7; 24], Some(u32::MAX - 1))).unwrap();
    assert!(refusal(read_all(reader.as_ref())).contains("to 4294967294 bytes, at most"));
    // a pickle that honestly unpacks to more than is read
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![b')'; 1 << 20];
    (0..300).for_each(|_| encoder.write_all(&piece).unwrap());
    let packed = encoder.finish().unwrap();
    let file = forged(&[Forged { method: 8, bytes: Some(300 << 20), ..Forged::new("a/data.pkl", &packed) }]);
    assert!(refused(&file).contains("at most 268435456 are read"));
}

#[test]
fn entries_outside_the_archive_are_refused() {
    let pickle = pickle(&dictionary(&[("w", tensor(6, 0, &[6], &[1]))]));
    let file = |storage: Forged| forged(&[Forged::new("a/data.pkl", &pickle), storage]);
    let data = [1; 24];
    let storage = || Forged::new("a/data/0", &data);
    for (lie, expected) in [
        (Forged { header: Some(1 << 30), ..storage() }, "the data of the archive end at"),
        (Forged { header: Some(5), ..storage() }, "the entries `a/data.pkl` and `a/data/0` overlap"),
        (Forged { header: Some(0), ..storage() }, "overlap"),
        (Forged { packed: Some(1 << 30), bytes: Some(1 << 30), ..storage() }, "has 1073741824 bytes"),
        (Forged { packed: Some(8), ..storage() }, "its packed size differs"),
        (Forged { flags: 1, ..storage() }, "it is encrypted"),
        (Forged { method: 12, ..storage() }, "is compressed by method 12"),
        // 64-bit numbers are announced and missing
        (Forged { header: Some(u32::MAX), ..storage() }, "lacks its 64-bit numbers"),
        (Forged { name: "a/data.pkl", ..storage() }, "contains `a/data.pkl` twice"),
        (Forged { name: "b/data.pkl", ..storage() }, "contains several checkpoints: a/data.pkl and b/data.pkl"),
        (Forged { name: "a/byteorder", ..storage() }, "the byte order is"),
    ] {
        let error = refused(&file(lie));
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn names_that_climb_out_of_the_archive_are_only_names() {
    let storage = tuple(&[text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("../../0"), text("cpu"), whole(6)]);
    let made = [&b"ctorch._utils\n_rebuild_tensor\n("[..], &storage, b"QK\x00(K\x01t(K\x01ttR"].concat();
    let error = refused(&with_entries(&[("w", made)]));
    assert_eq!(error, "m.pt: tensor w: its storage ../../0 is missing");
}

#[test]
fn an_archive_without_a_pickle_says_what_it_holds() {
    let error = refused(&archive(&[("config.json", b"{}"), ("weights.h5", b"x")]));
    assert_eq!(error, "m.pt is a zip archive without `data.pkl`: it contains config.json, weights.h5");
}

#[test]
fn a_storage_of_the_old_format_that_ends_behind_the_file_is_refused() {
    let bytes = std::fs::read(fixtures("torch/plain_legacy.pt")).unwrap();
    let cut = &bytes[..bytes.len() - 1];
    assert!(refused(cut).contains("has a stated size of"), "{}", refused(cut));
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let inner = dictionary(&[("b", tensor(6, 0, &[6], &[1]))]);
    let bytes = with_entries(&[("a.b", tensor(6, 0, &[6], &[1])), ("a", inner)]);
    assert_eq!(refused(&bytes), "m.pt: tensor a.b occurs twice");
}
