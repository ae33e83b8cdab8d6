//! A full disk and an output that is a mount point, on a small tmpfs in a mount namespace of its own.
//! Needs the right to mount: `cargo test --test it mounts:: -- --ignored` as root.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::command::{Folder, Run, names, safetensors_file, tensors};

/// Runs a shell line with a tmpfs of `size` mounted on `disk` below the folder; what the line leaves in `copy` survives.
fn on_a_small_disk(folder: &Folder, size: &str, line: &str) -> Run {
    std::fs::create_dir_all(folder.path("disk")).unwrap();
    let script = format!("mount -t tmpfs -o size={size} tmpfs disk && {line}");
    let xfer = folder.command(&[], &[]);
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .env("XFER", xfer.get_program())
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn source(folder: &Folder) {
    folder.write("model.safetensors", safetensors_file(&[("w", &[1000, 100], vec![1.5; 100_000])]));
}

#[test]
#[ignore = "needs the right to mount"]
fn a_full_disk_is_named_and_leaves_nothing() {
    let folder = Folder::new();
    source(&folder);
    let line = "\"$XFER\" init --from model.safetensors --arch model.safetensors --out disk/out; code=$?; ls -A disk; exit $code";
    let run = on_a_small_disk(&folder, "200k", line).exits(1).complains("disk/out").complains("free space");
    assert_eq!(run.stdout, "", "left on the disk");
}

#[test]
#[ignore = "needs the right to mount"]
fn an_output_that_is_a_mount_point_is_filled_in_place() {
    let folder = Folder::new();
    source(&folder);
    let line = "\"$XFER\" init --from model.safetensors --arch model.safetensors --out disk && cp -r disk copy";
    on_a_small_disk(&folder, "4m", line).exits(0);
    assert_eq!(names(&folder.path("copy")).iter().filter(|name| name.starts_with('.')).count(), 0);
    assert_eq!(tensors(&folder.path("copy"))["w"].1, [1000, 100]);
}
