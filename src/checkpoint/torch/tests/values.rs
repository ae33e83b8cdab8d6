//! The tensors of every file of `fixtures/torch` are those that PyTorch reads.

use super::{cases, found, open_fixture};
use crate::checkpoint::file_format::CheckpointFormat;

#[test]
fn every_fixture_has_the_names_types_shapes_and_bytes_that_torch_reads() {
    let cases = cases("expected.json");
    assert!(cases.len() > 35, "{}", cases.len());
    for (case, expected) in cases {
        let checkpoint =
            open_fixture(&expected.file, expected.asked.as_deref()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let found = found(checkpoint.reader.as_ref());
        assert_eq!(found, expected.tensors, "{case}");
        assert_eq!(checkpoint.key, expected.key, "{case}");
        assert_eq!(Some(checkpoint.reader.listing().ties.clone()), expected.ties, "{case}");
    }
}

#[test]
fn any_range_of_rows_is_the_part_of_the_whole() {
    for expected in cases("expected.json").into_values() {
        let reader = open_fixture(&expected.file, expected.asked.as_deref()).unwrap().reader;
        for (index, info) in reader.listing().tensors.iter().enumerate() {
            let row = info.row_bytes().unwrap() as usize;
            let mut whole = vec![0; row * info.rows() as usize];
            reader.read(index, 0..info.rows(), &mut whole).unwrap();
            for start in 0..=info.rows() {
                for end in start..=info.rows() {
                    let mut part = vec![0xaa; row * (end - start) as usize];
                    reader.read(index, start..end, &mut part).unwrap();
                    assert_eq!(
                        part,
                        whole[row * start as usize..row * end as usize],
                        "{} of {}",
                        info.name,
                        expected.file
                    );
                }
            }
        }
    }
}

#[test]
fn an_extent_holds_exactly_the_bytes_of_the_tensor() {
    let mut extents = 0;
    for expected in cases("expected.json").into_values() {
        let reader = open_fixture(&expected.file, expected.asked.as_deref()).unwrap().reader;
        for (index, info) in reader.listing().tensors.iter().enumerate() {
            let Some(extent) = reader.extent(index) else { continue };
            let mut read = vec![0; info.bytes().unwrap() as usize];
            reader.read(index, 0..info.rows(), &mut read).unwrap();
            let mut verbatim = vec![1; extent.len as usize];
            if extent.len > 0 {
                extent.file.read_at(extent.offset, &mut verbatim).unwrap();
            }
            assert_eq!(read, verbatim, "{} of {}", info.name, expected.file);
            extents += 1;
        }
    }
    assert!(extents > 100, "{extents}");
}

#[test]
fn what_lies_verbatim_has_an_extent_and_needs_no_memory() {
    let has_extent = |file: &str, tensor: &str| {
        let reader = open_fixture(file, None).unwrap().reader;
        let index = reader.listing().position(tensor).unwrap();
        let is_verbatim = reader.extent(index).is_some();
        assert!(!is_verbatim || reader.scratch(index) == 0);
        is_verbatim
    };
    for (file, tensor, expected) in [
        ("plain.pt", "layer.2.weight", true),
        ("plain_legacy.pt", "layer.2.weight", true),
        ("shapes.pt", "offset", true),
        ("shapes.pt", "one_sized", true),
        ("shapes.pt", "transposed", false),
        ("shapes.pt", "expanded", false),
        ("shapes_deflated.pt", "offset", false),
        ("big_endian.pt", "layer.2.weight", false),
        ("scripted.pt", "twice.0.weight", true),
    ] {
        assert_eq!(has_extent(file, tensor), expected, "{tensor} of {file}");
    }
}

#[test]
fn names_of_one_storage_have_equal_extents() {
    let reader = open_fixture("ties.pt", None).unwrap().reader;
    let place = |name: &str| {
        let extent = reader.extent(reader.listing().position(name).unwrap()).unwrap();
        (extent.offset, extent.len)
    };
    assert_eq!(place("embed"), place("head"));
    assert_eq!(place("embed").0, place("rows").0);
    assert_ne!(place("embed").1, place("rows").1);
}

#[test]
fn a_compressed_storage_says_how_much_it_holds_while_it_is_read() {
    let reader = open_fixture("deflated.pt", None).unwrap().reader;
    let index = reader.listing().position("layer.10.weight").unwrap();
    assert_eq!(reader.scratch(index), 48);
}

#[test]
fn the_pin_is_that_of_the_description_and_changes_with_it() {
    let pin = |file: &str| open_fixture(file, None).unwrap().files[0].pin.clone();
    assert!(pin("plain.pt").starts_with("blake3:"));
    assert_eq!(pin("plain.pt"), pin("plain.pt"));
    assert_ne!(pin("plain.pt"), pin("protocol_3.pt"));
    assert_ne!(pin("plain_legacy.pt"), pin("protocol_1_legacy.pt"));
}

#[test]
fn shards_are_joined_by_their_index_with_the_config_beside_them() {
    let checkpoint = open_fixture("sharded", None).unwrap();
    let files: Vec<&str> = checkpoint.files.iter().map(|file| file.name.as_str()).collect();
    let shards =
        ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"];
    assert_eq!(files, shards);
    assert_eq!(checkpoint.reader.listing().config.as_deref(), Some("{}\n"));
    assert_eq!(checkpoint.reader.listing().format, CheckpointFormat::PyTorch);
}

#[test]
fn a_tensor_that_is_not_there_and_a_buffer_of_the_wrong_size_are_errors() {
    let reader = open_fixture("shapes.pt", None).unwrap().reader;
    assert!(reader.read(1000, 0..1, &mut [0]).is_err());
    for index in 0..reader.listing().tensors.len() {
        let rows = reader.listing().tensors[index].rows();
        assert!(reader.read(index, 0..rows + 1, &mut []).is_err());
        assert!(reader.read(index, 0..rows, &mut vec![0; 100_000]).is_err());
        assert!(reader.extent(1000).is_none() && reader.scratch(1000) == 0);
    }
}
