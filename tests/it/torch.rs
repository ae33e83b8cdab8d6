//! PyTorch files as a user meets them: nested dictionaries, `--key`, shapes that do not lie in order.

use crate::support::command::{Folder, fixture, tensors};

/// A listing of the tensors of `fixtures/torch/plain.pt`.
const LISTING: &str = r#"{ "xfer": 1, "tensors": {
    "layer.2.weight": { "shape": [3, 2] }, "layer.2.bias": { "shape": [3] }, "layer.10.weight": { "shape": [4, 3] } } }"#;

#[test]
fn a_nested_checkpoint_is_read_with_a_note_and_key_chooses_another_dictionary() {
    let folder = Folder::new();
    let file = fixture("torch/with_ema.pt");
    let run = folder.xfer(&["inspect", &file]).exits(0).prints("10.weight  [4, 3]");
    run.complains("the weights are those of `model`").complains("`model.state_dict`");
    folder.xfer(&["inspect", &file, "--key", "."]).exits(0).prints("ema.layer ");
    folder.xfer(&["inspect", &file, "--key", "emma"]).exits(3).complains("hint: pass --key ema");
    folder.xfer(&["inspect", &fixture("torch/only_ema.pt")]).exits(3).complains("hint: choose one: --key model_ema");
}

#[test]
fn a_key_that_no_source_has_a_use_for_is_a_wrong_command_line() {
    let folder = Folder::new();
    folder.xfer(&["inspect", &fixture("tiny-bert"), "--key", "model"]).exits(2).complains("--key model");
}

#[test]
fn each_of_several_sources_has_a_key_of_its_own() {
    let folder = Folder::new();
    let (arch, file) = (folder.write("arch.json", LISTING), fixture("torch/with_ema.pt"));
    let bias = |keys: &[&str], out: &str| {
        let (one, two) = (format!("one={file}"), format!("two={file}"));
        let command = ["init", "--from", &one, "--from", &two, "--arch", arch.to_str().unwrap(), "--out", out];
        let rule = ["--map", "layer.2.bias=two:layer.2.bias", "--map", "layer.{i}.weight=one:layer.{i}.weight"];
        folder.xfer(&[&command[..], &rule, keys].concat()).exits(0);
        tensors(&folder.path(out))["layer.2.bias"].2.clone()
    };
    let (of_ema, of_model) =
        (bias(&["--key", "ema"], "all"), bias(&["--key", "one=ema", "--key", "two=model"], "each"));
    assert_eq!(of_ema, [8f32, 9., 10.].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    assert_ne!(of_ema, of_model);
    assert_eq!(bias(&["--key", "one=model", "--key", "two=ema"], "turned"), of_ema);
    let none = ["inspect", &fixture("tiny-bert"), "--key", "model"];
    folder.xfer(&none).exits(2).complains("--key model");
}

#[test]
fn a_plan_remembers_which_dictionary_it_was_made_of() {
    let folder = Folder::new();
    let (arch, file) = (folder.write("arch.json", LISTING), fixture("torch/with_ema.pt"));
    let arch = arch.to_str().unwrap();
    let command = ["init", "--from", &file, "--arch", arch, "--key", "ema"];
    folder.xfer(&[&command[..], &["--dry-run", "--plan", "plan.json"]].concat()).exits(0);
    folder.xfer(&[&command[..], &["--out", "init"]].concat()).exits(0);
    folder.xfer(&["run", "plan.json", "--out", "run"]).exits(0);
    assert_eq!(tensors(&folder.path("init")), tensors(&folder.path("run")));
    let bias = &tensors(&folder.path("run"))["layer.2.bias"].2;
    assert_eq!(bias, &[8f32, 9., 10.].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
}

#[test]
fn every_layout_of_a_storage_gives_the_same_output() {
    let folder = Folder::new();
    let arch = folder.write("arch.json", LISTING);
    let of = |file: &str| {
        let out = file.replace(['.', '/'], "_");
        let from = fixture(&format!("torch/{file}"));
        folder.xfer(&["init", "--from", &from, "--arch", arch.to_str().unwrap(), "--out", &out]).exits(0);
        tensors(&folder.path(&out))
    };
    let expected = of("plain.pt");
    assert_eq!(expected.len(), 3);
    for file in ["plain_legacy.pt", "big_endian.pt", "deflated.pt", "no_byteorder.pt", "training.pt", "sharded"] {
        assert_eq!(of(file), expected, "{file}");
    }
}

#[test]
fn a_pickle_that_would_run_a_command_is_refused_and_runs_nothing() {
    let folder = Folder::new();
    let file = folder.write("model.pt", b"\x80\x02cos\nsystem\n(X\x0b\x00\x00\x00touch pwned tR.");
    folder.xfer(&["inspect", file.to_str().unwrap()]).exits(3).complains("`os.system`");
    assert_eq!(folder.names(), ["model.pt"]);
}
