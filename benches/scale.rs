//! `cargo bench --bench scale`: time and peak memory against the size of the model, and planning against the number of tensors; draws
//! `benches/scale.svg`.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;

use plotters::prelude::*;
use support::{mebibytes, timed, xfer};

/// Layers of about 28 MB each, from 0.27 to 3.6 GB: every layer has sixteen tensors, which a plan names.
const LAYERS: &[u64] = &[4, 12, 24, 48, 72, 120];
/// Widths of twelve layers, from 0.27 to 2.9 GB: the tensors are as many, and larger.
const WIDTHS: &[u64] = &[512, 768, 1024, 1536, 2048];

struct Point {
    gigabytes: f64,
    seconds: f64,
    mebibytes: f64,
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    let deeper: Vec<Point> = LAYERS.iter().map(|layers| measure(at, *layers, 768)).collect();
    let wider: Vec<Point> = WIDTHS.iter().map(|width| measure(at, 12, *width)).collect();
    for (title, points) in [("more layers", &deeper), ("wider layers", &wider)] {
        for Point { gigabytes, seconds, mebibytes } in points {
            println!("{title}, {gigabytes:.2} GB: {seconds:.2} s, peak memory {mebibytes:.1} MiB");
        }
    }
    draw([&deeper, &wider], &Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scale.svg")).expect("a picture");
    for experts in [40, 200, 400] {
        plan(at, experts);
    }
}

/// BERT of so many layers of this width into one with two more; the best of three runs.
fn measure(at: &Path, layers: u64, width: u64) -> Point {
    let (heads, intermediate) = (width / 64, width * 4);
    let config = |layers: u64| {
        format!(
            r#"{{ "model_type": "bert", "architectures": ["BertModel"], "vocab_size": 30522, "hidden_size": {width},
            "num_hidden_layers": {layers}, "num_attention_heads": {heads}, "intermediate_size": {intermediate},
            "max_position_embeddings": 512 }}"#
        )
    };
    fs::write(at.join("base.json"), config(layers)).unwrap();
    fs::write(at.join("grown.json"), config(layers + 2)).unwrap();
    xfer(at, &["init", "--from", "none", "--arch", "base.json", "--out", "base", "--no-sync"]);
    let depth = format!("encoder.layer=0-{},new,new", layers - 1);
    let mut best = (f64::INFINITY, 0);
    let mut bytes = 0;
    for _ in 0..3 {
        let mut memory = 0;
        let arguments =
            ["init", "--from", "base", "--arch", "grown.json", "--depth", &depth, "--out", "grown", "--no-sync"];
        let seconds = timed(|| memory = xfer(at, &arguments)).as_secs_f64();
        bytes = fs::metadata(at.join("grown/model.safetensors")).unwrap().len();
        support::remove(&at.join("grown"));
        best = (best.0.min(seconds), memory.max(best.1));
    }
    support::remove(&at.join("base"));
    Point { gigabytes: bytes as f64 / 1e9, seconds: best.0, mebibytes: mebibytes(best.1) }
}

/// A mixture of experts of so many experts in each of 84 layers, onto its own listing, planned and not written.
fn plan(at: &Path, experts: u64) {
    let mut header = serde_json::Map::new();
    let mut listing = serde_json::Map::new();
    let mut offset = 0;
    let mut add = |name: String| {
        let entry = serde_json::json!({ "dtype": "BF16", "shape": [4, 4], "data_offsets": [offset, offset + 32] });
        offset += 32;
        listing.insert(name.clone(), serde_json::json!({ "dtype": "BF16", "shape": [4, 4] }));
        header.insert(name, entry);
    };
    for layer in 0..84 {
        add(format!("model.layers.{layer}.self_attn.o_proj.weight"));
        for expert in 0..experts {
            for part in ["gate_proj", "up_proj", "down_proj"] {
                add(format!("model.layers.{layer}.mlp.experts.{expert}.{part}.weight"));
            }
        }
    }
    let json = serde_json::to_vec(&header).unwrap();
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json);
    file.resize(file.len() + offset, 0);
    fs::write(at.join("experts.safetensors"), file).unwrap();
    fs::write(at.join("listing.json"), serde_json::to_vec(&listing).unwrap()).unwrap();
    let arguments = ["init", "--from", "experts.safetensors", "--arch", "listing.json", "--dry-run"];
    let mut kibibytes = None;
    let seconds = timed(|| kibibytes = support::peak(at, &arguments));
    let memory = kibibytes.map_or("not measured: there is no GNU time".into(), |n| format!("{} MiB", n / 1024));
    println!("planning {} tensors: {:.2} s, peak memory {memory}", listing.len(), seconds.as_secs_f64());
}

/// A title and what is drawn under it.
type Panel<'a> = (&'a str, &'a dyn Fn(&Point) -> f64);

fn draw(series: [&[Point]; 2], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (720, 300)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = |of: &dyn Fn(&Point) -> f64| series.iter().copied().flatten().map(of).fold(0.0, f64::max) * 1.15;
    let sides = root.split_evenly((1, 2));
    let panels: [Panel; 2] =
        [("seconds", &|point: &Point| point.seconds), ("peak memory, MiB", &|point: &Point| point.mebibytes)];
    for (side, (title, of)) in sides.iter().zip(panels) {
        // memory is drawn up to the 48 MiB that are promised
        let top = if title == "seconds" { most(of) } else { most(of).max(48.0) };
        let mut chart = ChartBuilder::on(side)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..most(&|point| point.gigabytes), 0.0..top)?;
        chart.configure_mesh().x_desc("gigabytes written").x_labels(6).y_labels(6).draw()?;
        for (points, (label, colour)) in series.into_iter().zip([("more layers", BLUE), ("wider layers", RED)]) {
            let line = points.iter().map(|point| (point.gigabytes, of(point)));
            chart
                .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            chart.draw_series(line.map(|at| Circle::new(at, 3, colour.filled())))?;
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(BLACK).draw()?;
    }
    root.present()?;
    Ok(())
}
