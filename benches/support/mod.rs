//! What the benchmarks share: xfer as a process, and pairs of runs of which the median ratio counts.

#![allow(dead_code, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many pairs are run, after one that is not counted.
pub const PAIRS: usize = 9;

/// Runs xfer and gives its peak memory in bytes, as the operating system counted it (`VmHWM`).
pub fn xfer(at: &Path, arguments: &[&str]) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_xfer"))
        .args(arguments)
        .args(["--json", "-q"])
        .current_dir(at)
        .stderr(Stdio::inherit())
        .output()
        .expect("xfer starts");
    assert!(output.status.success(), "xfer {arguments:?} failed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    report["peak_memory"].as_u64().unwrap_or(0)
}

/// Runs `xfer` for its report as people read it, and gives its peak resident size in KiB where GNU time is there to count it.
#[allow(dead_code)]
pub fn peak(at: &Path, arguments: &[&str]) -> Option<u64> {
    let time = Path::new("/usr/bin/time").is_file();
    let mut command = if time { Command::new("/usr/bin/time") } else { Command::new(env!("CARGO_BIN_EXE_xfer")) };
    if time {
        command.args(["-f", "%M", env!("CARGO_BIN_EXE_xfer")]);
    }
    let output = command.args(arguments).current_dir(at).output().expect("xfer starts");
    assert!(output.status.success(), "xfer {arguments:?} failed");
    String::from_utf8_lossy(&output.stderr).lines().last()?.trim().parse().ok()
}

/// How long work takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Runs a shell command, which must succeed.
pub fn shell(at: &Path, command: &str) {
    assert!(Command::new("sh").args(["-c", command]).current_dir(at).status().unwrap().success(), "{command}");
}

/// Removes a file or directory, where it is.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

/// A comparison that is repeated.
pub struct Pairs<'a> {
    /// What is compared.
    pub title: &'a str,
    /// The arguments of xfer.
    pub arguments: &'a [&'a str],
    /// What it writes.
    pub out: &'a str,
    /// The other command, which writes `copy`.
    pub other: &'a str,
    /// How many pairs.
    pub count: usize,
}

impl Pairs<'_> {
    /// Runs the pairs one after the other and prints the median; single runs are noisy.
    pub fn run(&self, at: &Path) -> f64 {
        let mut rows: Vec<(f64, Duration, Duration)> = (0..=self.count)
            .map(|_| {
                let ours = timed(|| {
                    xfer(at, self.arguments);
                });
                remove(&at.join(self.out));
                let theirs = timed(|| shell(at, self.other));
                remove(&at.join("copy"));
                (ours.as_secs_f64() / theirs.as_secs_f64(), ours, theirs)
            })
            .skip(1)
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (median, ours, theirs) = rows[self.count / 2];
        println!(
            "{}: median {median:.2} (from {:.2} to {:.2}) over {} pairs; that pair {} ms against {} ms",
            self.title,
            rows[0].0,
            rows[self.count - 1].0,
            self.count,
            ours.as_millis(),
            theirs.as_millis()
        );
        median
    }
}

/// Bytes in mebibytes.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
