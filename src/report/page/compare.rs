//! `compare` as a page: the table of every course on initialisation, and the loss curves behind it.

use std::fmt::Write;

use super::chart::{Chart, Line};
use super::{Column, escaped, figure, page, table};
use crate::compare::{Comparison, Trained};
use crate::report::comparison::{by_strategy, row};

/// The page of a comparison on `arch`.
pub fn compare(comparison: &Comparison, arch: &str) -> String {
    let Comparison { strategies, goal, steps, examples, held_out, interrupted } = comparison;
    let groups = by_strategy(strategies);
    let mut html = format!("<h1>Which initialisation of {} learns</h1>\n", escaped(arch));
    let _ = writeln!(
        html,
        "<p class=\"quiet\">Trained on {examples} examples for {steps} steps, measured on {held_out} held out.{}</p>",
        if interrupted.is_some() { " It was interrupted: this is what there was by then." } else { "" }
    );
    let number = Column::Number;
    let to = goal.map_or("steps".to_string(), |goal| format!("steps to {goal:.2}"));
    let columns = [
        ("strategy", Column::Text),
        ("seeds", number),
        ("initial loss", number),
        ("final loss", number),
        ("accuracy", number),
        ("range", number),
        (to.as_str(), number),
        ("diverged", Column::Text),
    ];
    let rows: Vec<Vec<String>> = groups.iter().map(|(name, runs)| row(name, runs).to_vec()).collect();
    html.push_str(&table(&columns, &rows));
    html.push_str("<h2>Loss by epoch</h2>\n");
    let lines: Vec<Line> = groups.iter().map(|(name, runs)| line(name, runs)).collect();
    let all = || strategies.iter().flat_map(|run| run.curve.iter().flatten().copied());
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let is_logarithmic = least > 0.0 && most / least > 50.0;
    let chart = Chart { x: "epoch", y: "training loss", is_logarithmic, lines: &lines };
    html.push_str(&figure(
        &chart.svg(),
        "The mean over the seeds of each strategy, and the range of them all. Epoch 0 is before the first step.",
    ));
    let gone: Vec<&str> = strategies.iter().filter(|run| run.diverged).map(|run| run.strategy.as_str()).collect();
    if let Some(first) = gone.first() {
        let _ = writeln!(
            html,
            "<p class=\"warn\">{} of {} trainings diverged, {} among them.</p>",
            gone.len(),
            strategies.len(),
            escaped(first)
        );
    }
    page(&format!("xfer compare {arch}"), &html)
}

/// Mean and range over the seeds, by epoch, as far as every seed came.
fn line(name: &str, runs: &[&Trained]) -> Line {
    let epochs = runs.iter().map(|run| run.curve.len()).min().unwrap_or(0);
    let at =
        |epoch: usize| -> Option<Vec<f64>> { runs.iter().map(|run| run.curve.get(epoch).copied().flatten()).collect() };
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let points = (0..epochs).map(|epoch| (epoch as f64, at(epoch).map(mean)));
    let band = (0..epochs).filter_map(|epoch| {
        let values = at(epoch).filter(|values| values.len() > 1)?;
        let least = values.iter().copied().reduce(f64::min)?;
        Some((epoch as f64, least, values.iter().copied().fold(least, f64::max)))
    });
    Line { name: name.into(), points: points.collect(), band: band.collect() }
}
