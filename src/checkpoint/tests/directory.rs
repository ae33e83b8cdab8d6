use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{file_of, refusal};
use crate::checkpoint::error::CheckpointError as E;
use crate::checkpoint::{Checkpoint, OpenOptions, open};
use crate::error::{Error, Exit, Result};
use crate::progress::Silent;
use crate::source::{Access, Reference, Source};

pub(super) fn source(path: &Path) -> Source {
    let access = Access::from_environment(Some(path.to_path_buf()), true, None).unwrap();
    Source::open(&Reference::Path(path.to_path_buf()), &access, &Silent).unwrap()
}

fn open_path(path: &Path) -> Result<Checkpoint> {
    open(&source(path), &OpenOptions::default(), &Silent)
}

/// Names and contents.
type Files<'a> = &'a [(&'a str, &'a [u8])];

/// A directory of these files.
fn directory(files: Files) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

/// A file of tensors of one u8 each.
fn bytes_of(names: &[&str]) -> Vec<u8> {
    let entry =
        |(n, name): (usize, &&str)| format!(r#""{name}":{{"dtype":"U8","shape":[1],"data_offsets":[{n},{}]}}"#, n + 1);
    let entries: Vec<_> = names.iter().enumerate().map(entry).collect();
    file_of(&format!("{{{}}}", entries.join(",")), &vec![7; names.len()])
}

fn index_of(map: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = map.iter().map(|(tensor, shard)| format!("{tensor:?}:{shard:?}")).collect();
    format!(r#"{{"metadata":{{}},"weight_map":{{{}}}}}"#, pairs.join(","))
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.reader.listing().tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

#[test]
fn a_directory_gives_its_tensors_its_config_and_the_pin_of_its_header() {
    let file = bytes_of(&["l.10", "l.9"]);
    let directory = directory(&[("model.safetensors", &file), ("config.json", b"{\"a\": 1}")]);
    let checkpoint = open_path(directory.path()).unwrap();
    assert_eq!(names(&checkpoint), ["l.9", "l.10"]);
    assert_eq!(checkpoint.reader.listing().config.as_deref(), Some("{\"a\": 1}"));
    assert_eq!(checkpoint.notes, Vec::<String>::new());
    let [pinned] = checkpoint.files.as_slice() else { panic!() };
    let digest = crate::digest::of(&file[..file.len() - 2]);
    assert_eq!((&*pinned.name, pinned.bytes, &*pinned.pin), ("model.safetensors", file.len() as u64, &*digest));
}

#[test]
fn a_single_file_is_opened_whatever_it_is_called_with_the_config_beside_it() {
    let directory = directory(&[("weights.bin", &bytes_of(&["w"])), ("config.json", b"{}")]);
    let checkpoint = open_path(&directory.path().join("weights.bin")).unwrap();
    assert_eq!((names(&checkpoint), checkpoint.reader.listing().config.as_deref()), (vec!["w"], Some("{}")));
    fs::remove_file(directory.path().join("config.json")).unwrap();
    assert_eq!(open_path(&directory.path().join("weights.bin")).unwrap().reader.listing().config, None);
    assert_eq!(names(&open_path(directory.path()).unwrap()), ["w"]);
}

#[test]
fn shards_are_joined_by_their_index() {
    let index = index_of(&[("b", "m-1.safetensors"), ("a", "m-2.safetensors")]);
    let (one, two) = (bytes_of(&["b"]), bytes_of(&["a"]));
    let files: Files =
        &[("model.safetensors.index.json", index.as_bytes()), ("m-1.safetensors", &one), ("m-2.safetensors", &two)];
    let directory = directory(files);
    for path in [directory.path().to_path_buf(), directory.path().join("model.safetensors.index.json")] {
        let checkpoint = open_path(&path).unwrap();
        assert_eq!(names(&checkpoint), ["a", "b"]);
        let files: Vec<_> = checkpoint.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(files, ["m-1.safetensors", "m-2.safetensors", "model.safetensors.index.json"]);
        assert_eq!(checkpoint.notes, Vec::<String>::new());
    }
}

#[test]
fn shards_of_flax_are_joined_by_their_index_which_spells_names_with_slashes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flax/sharded");
    for path in [folder.clone(), folder.join("flax_model.msgpack.index.json")] {
        let checkpoint = open_path(&path).unwrap();
        assert_eq!(names(&checkpoint), ["embed.embedding", "layer.0.bias", "layer.0.kernel"]);
        assert_eq!((checkpoint.files.len(), checkpoint.notes), (3, Vec::new()));
    }
}

/// The refusal of a directory with an index of this text and one shard `s.safetensors` that holds `a` and `b`.
fn with_index(index: &str) -> Result<Checkpoint> {
    let shard = bytes_of(&["a", "b"]);
    let directory = directory(&[("model.safetensors.index.json", index.as_bytes()), ("s.safetensors", &shard)]);
    open_path(directory.path())
}

#[test]
fn a_missing_shard_is_named_with_what_it_should_hold() {
    let error =
        refusal(with_index(&index_of(&[("a", "s.safetensors"), ("x", "t.safetensors"), ("y", "t.safetensors")])));
    assert_eq!(error.to_string(), "t.safetensors is missing, model.safetensors.index.json asks for it (2 tensors)");
}

#[test]
fn a_shard_outside_the_directory_is_refused() {
    for shard in ["../s.safetensors", "/etc/passwd", "a/../../s", "", "./s.safetensors/..", "..\\s"] {
        let error = refusal(with_index(&index_of(&[("a", shard)])));
        assert!(matches!(error, E::ShardOutside { .. }), "{shard}: {error:?}");
    }
}

#[test]
fn a_broken_index_is_refused() {
    assert!(matches!(refusal(with_index("{\"weight_map\": 3}")), E::Json { .. }));
    assert!(matches!(refusal(with_index("{}")), E::Json { .. }));
    assert!(matches!(refusal(with_index("version https://git-lfs.github.com/spec/v1\n")), E::Unreadable { .. }));
    let twice = index_of(&[("a", "s.safetensors"), ("a", "s.safetensors")]);
    assert!(matches!(refusal(with_index(&twice)), E::DuplicateTensor { .. }));
}

#[test]
fn a_tensor_that_the_index_promises_and_the_shard_lacks_is_refused() {
    let index = index_of(&[("a", "s.safetensors"), ("b", "s.safetensors"), ("c", "s.safetensors")]);
    let error = refusal(with_index(&index));
    assert_eq!(
        error.to_string(),
        "model.safetensors.index.json says that s.safetensors contains tensor c, but it does not"
    );
}

#[test]
fn a_tensor_that_the_index_does_not_name_is_read_with_a_note() {
    let checkpoint = with_index(&index_of(&[("a", "s.safetensors")])).unwrap();
    assert_eq!(names(&checkpoint), ["a", "b"]);
    assert_eq!(checkpoint.notes, ["tensor b of s.safetensors is not named by model.safetensors.index.json"]);
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let index = index_of(&[("a", "s.safetensors"), ("b", "t.safetensors")]);
    let files: Files = &[
        ("model.safetensors.index.json", index.as_bytes()),
        ("s.safetensors", &bytes_of(&["a", "b"])),
        ("t.safetensors", &bytes_of(&["b"])),
    ];
    let error = refusal(open_path(directory(files).path()));
    assert_eq!(error.to_string(), "tensor b is in two files, s.safetensors and t.safetensors");
}

#[test]
fn a_single_file_beside_an_index_is_read_as_transformers_does_with_a_note() {
    let index = index_of(&[("a", "s.safetensors")]);
    let files: Files = &[
        ("model.safetensors", &bytes_of(&["whole"])),
        ("model.safetensors.index.json", index.as_bytes()),
        ("s.safetensors", b"garbage that nobody opens"),
    ];
    let checkpoint = open_path(directory(files).path()).unwrap();
    assert_eq!(names(&checkpoint), ["whole"]);
    assert!(checkpoint.notes[0].contains("as transformers does"), "{:?}", checkpoint.notes);
}

#[test]
fn what_was_passed_over_is_noted_and_training_state_is_not() {
    let files: Files = &[
        ("model.safetensors", &bytes_of(&["w"])),
        ("pytorch_model.bin", b"garbage that nobody opens"),
        ("training_args.bin", b"x"),
        ("onnx/model.onnx", b"x"),
    ];
    let checkpoint = open_path(directory(files).path()).unwrap();
    assert_eq!(checkpoint.notes, ["passed over onnx/model.onnx, pytorch_model.bin"]);
}

#[test]
fn shards_without_an_index_are_joined_and_a_gap_is_refused() {
    let (a, b) = (bytes_of(&["a"]), bytes_of(&["b"]));
    let (one, three) = ("x-00001-of-00002.safetensors", "x-00001-of-00003.safetensors");
    let whole = directory(&[(one, &a), ("x-00002-of-00002.safetensors", &b)]);
    let checkpoint = open_path(whole.path()).unwrap();
    assert_eq!((names(&checkpoint), checkpoint.notes.len()), (vec!["a", "b"], 1));
    let error =
        open_path(directory(&[(three, &a), ("x-00003-of-00003.safetensors", &b)]).path()).map(|_| ()).unwrap_err();
    let expected = "x-00001-of-00003.safetensors is one of 3 shards: x-00002-of-00003.safetensors is missing";
    assert_eq!((error.to_string().as_str(), error.exit()), (expected, Exit::Input));
}

#[test]
fn several_models_in_one_directory_are_refused_with_the_way_to_name_one() {
    let error = Error::from(refusal(open_path(
        directory(&[("a.safetensors", &bytes_of(&["w"])), ("b.safetensors", &bytes_of(&["w"]))]).path(),
    )));
    assert!(error.to_string().ends_with("contains several models: a.safetensors, b.safetensors"), "{error}");
    assert!(error.hints()[0].ends_with("/a.safetensors"), "{:?}", error.hints());
}

#[test]
fn every_other_kind_of_file_is_called_what_it_is() {
    let mut tar = vec![0; 512];
    tar[..20].copy_from_slice(b"./model_weights.ckpt");
    tar[257..262].copy_from_slice(b"ustar");
    let cases: &[(&[u8], &str)] = &[
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:53aa\nsize 90868376\n", "git-lfs"),
        (b"<!doctype html><html></html>", "web page"),
        (b"\n <html>", "web page"),
        (b"{\"error\":\"Repository not found\"}", "JSON"),
        (b"\x1c\0\0\0TFL3\x14\0 \0", "TensorFlow Lite"),
        (b"\x30\0\0\0ET12\0\0\0\0", "ExecuTorch program"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
        (&tar, "tar archive"),
    ];
    for (bytes, word) in cases {
        for name in ["model.safetensors", "model.anything"] {
            let directory = directory(&[(name, bytes)]);
            let error = Error::from(refusal(open_path(&directory.path().join(name))));
            assert!(error.to_string().contains(word), "{word}: {error}");
            assert_eq!((error.exit(), error.hints().len()), (Exit::Input, 1));
        }
    }
}

#[test]
fn a_file_of_no_known_kind_is_refused_with_its_first_bytes() {
    let directory = directory(&[("noise", b"\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3")]);
    let error = refusal(open_path(&directory.path().join("noise")));
    assert_eq!(error.to_string(), "noise is of no known format: its 9 bytes begin with f3 f3 f3 f3 f3 f3 f3 f3");
}

#[test]
fn a_pickle_that_torch_did_not_write_is_refused_as_such() {
    let files: Files = &[("pytorch_model.bin", b"\x80\x02}q\x00."), ("config.json", b"{}")];
    let error = open_path(directory(files).path()).map(|_| ()).unwrap_err();
    let expected =
        "pytorch_model.bin is a pickle, but none of PyTorch's: its first value is not PyTorch's magic number";
    assert_eq!((error.to_string().as_str(), error.exit()), (expected, Exit::Input));
}

#[test]
fn a_directory_without_weights_is_refused_with_what_is_there() {
    let error = refusal(open_path(directory(&[("config.json", b"{}"), ("README.md", b"")]).path()));
    assert!(error.to_string().ends_with("contains no weights; it contains README.md, config.json"), "{error}");
    let deeper = Error::from(refusal(open_path(directory(&[("unet/model.safetensors", &bytes_of(&["w"]))]).path())));
    assert!(deeper.hints()[0].ends_with("/unet/model.safetensors"), "{:?}", deeper.hints());
    assert!(refusal(open_path(directory(&[]).path())).to_string().ends_with("it contains nothing"));
}

#[test]
fn adapters_and_sharded_training_states_are_refused_with_the_command_that_merges_them() {
    let adapter = bytes_of(&["base_model.model.q.lora_A.weight"]);
    let cases: &[(Files, &str, &str)] = &[
        (&[("adapter_config.json", b"{}"), ("adapter_model.safetensors", &adapter)], "adapter", "merge_and_unload"),
        (&[("model.safetensors", &adapter)], "lora_A", "merge_and_unload"),
        (&[("model.safetensors", &bytes_of(&["q.base_layer.weight"]))], "base_layer", "merge_and_unload"),
        (&[(".metadata", b"x"), ("__0_0.distcp", b"x")], "DCP", "dcp_to_torch"),
        (&[("global_step5/zero_pp_rank_0_mp_rank_00_optim_states.pt", b"x")], "ZeRO", "zero_to_fp32.py"),
    ];
    for (files, word, remedy) in cases {
        let error = Error::from(refusal(open_path(directory(files).path())));
        assert!(error.to_string().contains(word), "{error}");
        assert!(error.hints().iter().any(|hint| hint.contains(remedy)), "{:?}", error.hints());
        assert_eq!(error.exit(), Exit::Input);
    }
}

#[test]
fn a_sequence_that_has_the_name_of_a_wrapped_layer_is_no_adapter() {
    for name in ["base_layer.0.weight", "backbone.base_layer.0.weight", "base_layer.weight"] {
        assert!(open_path(directory(&[("model.safetensors", &bytes_of(&[name]))]).path()).is_ok(), "{name}");
    }
}

#[test]
fn a_config_that_is_not_text_is_refused() {
    let directory = directory(&[("model.safetensors", &bytes_of(&["w"])), ("config.json", b"{\"a\": \"\xff\"}")]);
    assert!(matches!(refusal(open_path(directory.path())), E::NotUtf8 { offset: 7, .. }));
}
