//! What `xfer compare` found, as text and JSON.

use std::fmt::Write;

use super::json;
use crate::compare::{Comparison, Trained};
use crate::text::Text;

/// One line for each strategy: means over the seeds, and the range of the accuracy.
pub fn text(comparison: &Comparison) -> Text {
    let Comparison { strategies, goal, steps, examples, held_out, interrupted: _ } = comparison;
    let groups = by_strategy(strategies);
    let width = groups.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max("strategy".len());
    let goal_title = goal.map_or("steps".to_string(), |goal| format!("steps to {goal:.2}"));
    let mut text = Text::default();
    let _ = writeln!(text, "trained on {examples} examples for {steps} steps, measured on {held_out} held out");
    text.blank();
    let _ = writeln!(
        text,
        "{:<width$}  {:>5}  {:>12}  {:>10}  {:>8}  {:>13}  {:>13}  diverged",
        "strategy", "seeds", "initial loss", "final loss", "accuracy", "range", goal_title
    );
    for (name, runs) in groups {
        let [name, seeds, initial, last, accuracy, range, steps, diverged] = row(name, &runs);
        let _ = writeln!(
            text,
            "{name:<width$}  {seeds:>5}  {initial:>12}  {last:>10}  {accuracy:>8}  {range:>13}  {steps:>13}  {diverged}"
        );
    }
    text
}

/// The cells of a strategy: its name, seeds, initial and final loss, accuracy and its range, steps to the goal, and what diverged.
pub(super) fn row(name: &str, runs: &[&Trained]) -> [String; 8] {
    let accuracies: Vec<f64> = runs.iter().filter_map(|run| run.accuracy).collect();
    let range = range(&accuracies).map_or("-".to_string(), |(low, high)| format!("{low:.3} - {high:.3}"));
    let reached: Vec<f64> = runs.iter().filter_map(|run| run.steps).map(|steps| steps as f64).collect();
    let steps = match (mean(&reached), reached.len() == runs.len()) {
        (Some(mean), true) => format!("{mean:.0}"),
        (Some(mean), false) => format!("{mean:.0} ({} of {})", reached.len(), runs.len()),
        (None, _) => "never".to_string(),
    };
    let diverged = runs.iter().filter(|run| run.diverged).count();
    [
        name.to_string(),
        runs.len().to_string(),
        number(runs, |run| run.initial_loss),
        number(runs, |run| run.final_loss),
        mean(&accuracies).map_or("-".to_string(), |mean| format!("{mean:.3}")),
        range,
        steps,
        if diverged == 0 { "no".to_string() } else { format!("{diverged} of {}", runs.len()) },
    ]
}

/// The whole comparison as one object.
pub fn json(comparison: &Comparison) -> String {
    json::pretty(comparison)
}

/// Trainings by strategy, in their order.
pub(crate) fn by_strategy(trained: &[Trained]) -> Vec<(&str, Vec<&Trained>)> {
    let mut groups: Vec<(&str, Vec<&Trained>)> = Vec::new();
    for run in trained {
        match groups.iter_mut().find(|(name, _)| *name == run.strategy) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((&run.strategy, vec![run])),
        }
    }
    groups
}

fn number(runs: &[&Trained], value: impl Fn(&Trained) -> Option<f64>) -> String {
    let values: Option<Vec<f64>> = runs.iter().map(|run| value(run)).collect();
    match values.and_then(|values| mean(&values)) {
        Some(mean) if mean.abs() >= 1e4 => format!("{mean:.2e}"),
        Some(mean) => format!("{mean:.3}"),
        None => "not finite".to_string(),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn range(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some((low, values.iter().copied().fold(low, f64::max)))
}
