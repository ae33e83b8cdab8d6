//! Whatever stops a run, a reader sees the old output, the new one, or nothing; the next run finds no debris.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::command::{Folder, contents, safetensors_file};

/// 12 MB in 24 tensors: long enough to be killed in the middle of.
fn checkpoint(folder: &Folder) {
    let names: Vec<String> = (0..24).map(|i| format!("layer.{i}.weight")).collect();
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_str(), &[256, 500][..], (0..128_000).map(|k| (k * (i + 1)) as f32).collect()))
        .collect();
    folder.write("model.safetensors", safetensors_file(&tensors));
}

const COPY: [&str; 7] = ["init", "--from", "model.safetensors", "--arch", "model.safetensors", "--out", "out"];

#[test]
fn a_run_killed_at_any_of_fifty_moments_leaves_nothing_half_written() {
    let folder = Folder::new();
    checkpoint(&folder);
    let start = Instant::now();
    folder.xfer(&COPY).exits(0);
    let whole = start.elapsed();
    let expected = contents(&folder.path("out"));
    std::fs::remove_dir_all(folder.path("out")).unwrap();
    let mut finished = 0;
    for moment in 0..50 {
        let mut child = folder.command(&COPY, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * moment / 45);
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.path("out").exists() {
            assert_eq!(contents(&folder.path("out")), expected, "killed at moment {moment}");
            std::fs::remove_dir_all(folder.path("out")).unwrap();
            finished += 1;
        }
    }
    assert!(finished < 50, "every run was done before it was killed: the moments test nothing");
    folder.xfer(&COPY).exits(0);
    assert_eq!(folder.names(), ["model.safetensors", "out"]);
    assert_eq!(contents(&folder.path("out")), expected);
}

#[test]
fn a_replacement_killed_at_any_moment_leaves_the_old_output_or_the_new_one() {
    let folder = Folder::new();
    checkpoint(&folder);
    let replace: Vec<&str> = COPY.iter().copied().chain(["--force", "--reinit", "layer.3.weight", "--seed"]).collect();
    let with = |seed: &'static str| [&replace[..], &[seed]].concat();
    let start = Instant::now();
    folder.xfer(&with("1")).exits(0);
    let whole = start.elapsed();
    let first = contents(&folder.path("out"));
    folder.xfer(&with("2")).exits(0);
    let second = contents(&folder.path("out"));
    assert_ne!(first, second);
    for moment in 0..20 {
        let arguments = if contents(&folder.path("out")) == first { with("2") } else { with("1") };
        let mut child = folder.command(&arguments, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * moment / 18);
        child.kill().unwrap();
        child.wait().unwrap();
        let found = contents(&folder.path("out"));
        assert!(found == first || found == second, "killed at moment {moment}");
    }
    folder.xfer(&with("2")).exits(0);
    assert_eq!(folder.names(), ["model.safetensors", "out"]);
}

/// A run that takes many seconds: 400 million draws.
fn slow(folder: &Folder) -> Child {
    folder.write("big.json", r#"{ "xfer": 1, "tensors": { "w": { "shape": [20000, 20000], "module": "Linear" } } }"#);
    let arguments = ["init", "--from", "none", "--arch", "big.json", "--init", "normal", "--out", "big", "--no-sync"];
    let child = folder.command(&arguments, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let staged = || folder.names().iter().any(|name| name.starts_with(".big.xfer-"));
    let start = Instant::now();
    while !staged() {
        assert!(start.elapsed() < Duration::from_secs(30), "the run did not begin: {:?}", folder.names());
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn ctrl_c_and_sigterm_stop_a_run_with_their_codes_and_leave_nothing() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = Folder::new();
        let mut child = slow(&folder);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(folder.names(), ["big.json"]);
    }
}

#[test]
fn a_second_writer_of_the_same_output_is_told_to_come_back() {
    let folder = Folder::new();
    let mut first = slow(&folder);
    let second = folder.xfer(&["init", "--from", "none", "--arch", "big.json", "--out", "big", "--seed", "5"]);
    second.exits(75).complains("big");
    signal(&first, "-INT");
    first.wait().unwrap();
}

#[test]
fn where_nothing_can_be_written_nothing_is_and_the_place_is_named() {
    let folder = Folder::new();
    checkpoint(&folder);
    let out = "/sys/xfer-cannot-write-here"; // nobody may create a folder there, not even root
    let arguments = ["init", "--from", "model.safetensors", "--arch", "model.safetensors", "--out", out];
    folder.xfer(&arguments).exits(1).complains("/sys").complains("--out");
}

/// Starts a command, waits for so long, sends the signal, and measures how long the end takes.
fn stopped(
    folder: &Folder,
    arguments: &[&str],
    environment: &[(&str, &str)],
    wait: Duration,
    name: &str,
) -> (Option<i32>, Duration) {
    let mut command = folder.command(arguments, environment);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(wait);
    assert!(child.try_wait().unwrap().is_none(), "{arguments:?} was done before the signal");
    let start = Instant::now();
    signal(&child, name);
    (child.wait().unwrap().code(), start.elapsed())
}

const SIGNALS: [(&str, i32); 2] = [("-INT", 130), ("-TERM", 143)];
/// A second, and what a loaded machine adds.
const SOON: Duration = Duration::from_millis(1500);

#[test]
fn the_first_signal_ends_a_transfer_from_a_server_that_does_not_answer() {
    use crate::support::hub::{Fault, Host, Hub};
    for (host, path) in [(Host::Endpoint, "/api/"), (Host::Endpoint, "model.safetensors"), (Host::Store, "")] {
        for (name, code) in SIGNALS {
            let (folder, hub) = (Folder::new(), Hub::start());
            let weights = safetensors_file(&[("w", &[500, 500], vec![1.0; 250_000])]);
            hub.commit("acme/slow", "main", &[("model.safetensors", &weights)]);
            for method in ["GET", "HEAD"] {
                hub.fail(host, method, path, usize::MAX, Fault::Stall(Duration::from_secs(8)));
            }
            let endpoint = hub.endpoint();
            let arguments = ["convert", "acme/slow", "out"];
            let environment = [("HF_ENDPOINT", endpoint.as_str())];
            let (found, took) = stopped(&folder, &arguments, &environment, Duration::from_millis(700), name);
            assert_eq!(found, Some(code), "{host:?} {path}");
            assert!(took < SOON, "{host:?} {path} {name}: {took:?}");
            assert!(!folder.path("out").exists());
            assert_eq!(folder.names().iter().filter(|name| name.contains("xfer-")).count(), 0, "{:?}", folder.names());
        }
    }
}

#[test]
fn the_first_signal_ends_a_computation_that_looks_at_no_signal() {
    let folder = Folder::new();
    // one factorisation of many seconds
    folder.write(
        "one.json",
        r#"{ "xfer": 1, "tensors": { "w.weight": { "shape": [3000, 3000], "module": "Linear" } } }"#,
    );
    let layers: Vec<String> =
        (0..12).map(|i| format!(r#"{{ "name": "l{i}", "type": "linear", "out": 1500 }}"#)).collect();
    let net = format!(
        r#"{{ "xfer": 1, "inputs": {{ "x": {{ "shape": ["batch", 1500] }} }}, "layers": [{}] }}"#,
        layers.join(", ")
    );
    folder.write("net.json", net);
    let orthogonal = ["init", "--from", "none", "--arch", "one.json", "--init", "orthogonal", "--out", "out"];
    let lsuv =
        ["init", "--from", "none", "--arch", "net.json", "--init", "lsuv", "--data", "random:256", "--out", "out"];
    let check = ["check", "net.json", "--data", "random:2000"];
    for (name, code) in SIGNALS {
        for arguments in [&orthogonal[..], &lsuv, &check] {
            let (found, took) = stopped(&folder, arguments, &[], Duration::from_millis(700), name);
            assert_eq!(found, Some(code), "{arguments:?}");
            assert!(took < SOON, "{arguments:?} {name}: {took:?}");
            assert_eq!(folder.names(), ["net.json", "one.json"], "{arguments:?}");
        }
    }
}
