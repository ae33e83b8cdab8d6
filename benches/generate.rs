//! `cargo bench --bench generate`: values per second of each scheme, and as a ratio to `torch.nn.init` where a Python with torch is named by
//! `XFER_PEER_PYTHON`.
//!
//! Every set of vector instructions that the processor has, each against the best that torch does here.
//! One buffer of 4 MiB that stays warm, medians of many passes, ours and theirs in turn. It also pins the shape of the loops: the
//! same arithmetic in another shape is three times as slow.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::process::Command;
use std::time::Instant;

use xfer::init::{Generator, Scheme};
use xfer::instructions::Instructions;

const VALUES: u64 = 1 << 20;
const PASSES: usize = 41;
const ROUNDS: usize = 3;
const SCHEMES: &[(&str, Scheme)] = &[
    ("normal", Scheme::Normal { mean: 0.0, std: 0.02 }),
    ("uniform", Scheme::Uniform { low: -0.05, high: 0.05 }),
    ("trunc_normal", Scheme::TruncatedNormal { mean: 0.0, std: 0.02, low: -0.04, high: 0.04 }),
];

fn main() {
    let rows: Vec<(usize, Instructions)> = (0..SCHEMES.len())
        .flat_map(|scheme| Instructions::ALL.into_iter().rev().map(move |instructions| (scheme, instructions)))
        .filter(|(_, instructions)| instructions.are_here())
        .collect();
    let mut ours: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
    let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); SCHEMES.len()];
    let mut matrices: (Vec<f64>, Vec<f64>) = Default::default();
    for _ in 0..ROUNDS {
        for ((scheme, instructions), ours) in rows.iter().zip(&mut ours) {
            ours.push(instructions.at_most(|| rate(&SCHEMES[*scheme].1)));
        }
        matrices.0.push(orthogonal());
        if let Some(found) = torch() {
            theirs.iter_mut().zip(&found).for_each(|(theirs, value)| theirs.push(*value));
            matrices.1.extend(found.last());
        }
    }
    println!("{:<22} {:>14} {:>14} {:>7}", "one thread", "M values/s", "torch", "ratio");
    for ((scheme, instructions), ours) in rows.iter().zip(&mut ours) {
        print(&format!("{} {instructions:?}", SCHEMES[*scheme].0), median(ours), &mut theirs[*scheme]);
    }
    println!("{:<22} {:>14} {:>14} {:>7}", "", "ms", "torch", "ratio");
    print("orthogonal", median(&mut matrices.0), &mut matrices.1);
    for threads in [1, 2, 4] {
        println!("normal on {threads} threads: {:.0} M values/s", together(threads));
    }
    if matrices.1.is_empty() {
        println!("torch was not measured: name a Python that has it in XFER_PEER_PYTHON");
    }
}

fn print(name: &str, ours: f64, theirs: &mut [f64]) {
    if theirs.is_empty() {
        println!("{name:<22} {ours:>14.1}");
    } else {
        let theirs = median(theirs);
        println!("{name:<22} {ours:>14.1} {theirs:>14.1} {:>7.2}", ours / theirs);
    }
}

fn rate(scheme: &Scheme) -> f64 {
    let generator = Generator::new(1, "bench");
    let mut out = vec![0f32; VALUES as usize];
    let mut seconds: Vec<f64> = (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            generator.fill(scheme, &[VALUES], 0, 0..VALUES, &mut out).unwrap();
            start.elapsed().as_secs_f64()
        })
        .collect();
    VALUES as f64 / median(&mut seconds) / 1e6
}

fn together(threads: u64) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let generator = Generator::new(1, "bench");
                let mut out = vec![0f32; VALUES as usize];
                for _ in 0..PASSES {
                    generator.fill(&SCHEMES[0].1, &[VALUES], 0, 0..VALUES, &mut out).unwrap();
                }
            });
        }
    });
    (VALUES * PASSES as u64 * threads) as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// Milliseconds for one matrix of (3072, 768), the thin Q included.
fn orthogonal() -> f64 {
    let (shape, generator) = ([3072u64, 768], Generator::new(1, "bench"));
    let mut out = vec![0f32; 3072 * 768];
    let mut seconds: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            generator.fill(&Scheme::Orthogonal { gain: 1.0 }, &shape, 0, 0..3072 * 768, &mut out).unwrap();
            start.elapsed().as_secs_f64()
        })
        .collect();
    median(&mut seconds) * 1e3
}

/// What the same takes in torch: M values/s of each scheme, then milliseconds of the matrix.
fn torch() -> Option<Vec<f64>> {
    let python = std::env::var_os("XFER_PEER_PYTHON")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/generate.py");
    let output = Command::new(python).args([script, &VALUES.to_string()]).output().expect("the peer's Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().split_whitespace().map(|value| value.parse().unwrap()).collect())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
