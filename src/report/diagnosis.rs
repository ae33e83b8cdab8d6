//! What `xfer check` found, as text and JSON.

use std::fmt::Write;

use super::json;
use crate::check::{Diagnosis, Drift, Finding, Kind, Severity, Verdict};
use crate::text::Text;

/// The findings and their measure, the drift in both directions, and with `full` every layer. `subject` is the model as typed,
/// `data` what it was run on.
pub fn text(diagnosis: &Diagnosis, subject: &str, data: &str, full: bool) -> Text {
    let Diagnosis { verdict, findings, forward, backward, loss, examples, layers } = diagnosis;
    let mut text = Text::default();
    let _ = writeln!(text, "{subject}: {}", word(*verdict));
    let _ = writeln!(text, "  run on     {examples} examples ({data}), {} weights in execution order", layers.len());
    let _ = writeln!(text, "  forward    {}", drift(*forward, "the signal that reaches a weight"));
    let _ = writeln!(text, "  backward   {}", drift(*backward, "its gradient, from the last weight to the first"));
    if let Some(loss) = loss {
        let _ = writeln!(text, "  loss       {loss:.4}");
    }
    if !findings.is_empty() {
        text.blank();
    }
    for group in grouped(findings) {
        let _ = writeln!(text, "{}", line(&group));
        let _ = writeln!(text, "      {}", advice(group[0].kind));
    }
    if full || *verdict == Verdict::Fail {
        text.append(&table(diagnosis));
    }
    text
}

/// The whole diagnosis as one object.
pub fn json(diagnosis: &Diagnosis) -> String {
    json::pretty(diagnosis)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    }
}

fn drift(drift: Drift, what: &str) -> String {
    match drift.decades {
        Some(decades) => format!("{decades:+.2} decades over the depth: {what}"),
        None => "not measured: fewer than two weights have it".to_string(),
    }
}

/// Findings of one kind and severity together, in their order.
pub(super) fn grouped(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let is_alike =
            |group: &&mut Vec<&Finding>| group[0].kind == finding.kind && group[0].severity == finding.severity;
        let has_direction = matches!(finding.kind, Kind::Vanishing | Kind::Exploding);
        match groups.iter_mut().find(is_alike).filter(|_| !has_direction) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

/// One line for such a group.
pub(super) fn line(group: &[&Finding]) -> String {
    let first = group[0];
    let severity = match first.severity {
        Severity::Warn => "warn",
        Severity::Fail => "fail",
    };
    let more = if group.len() > 1 { format!(" and {} more", group.len() - 1) } else { String::new() };
    let place = &first.place;
    let measure = match (first.kind, first.value) {
        (Kind::Vanishing | Kind::Exploding, Some(value)) => {
            format!("{value:+.2} decades, healthy: {} or fewer", first.threshold)
        }
        (Kind::Symmetric, Some(value)) => format!("{} of its units are copies with one gradient", percent(value)),
        (Kind::Dead, Some(value)) => format!("{} of its units are zero on every example", percent(value)),
        (Kind::Saturated, Some(value)) => format!("{} of its activations are at their bounds", percent(value)),
        (Kind::InitialLoss, Some(value)) => {
            format!("{value:.4}, a model that knows nothing has {:.4}", first.threshold - 0.5)
        }
        (_, None) | (Kind::NonFinite, _) => "NaN or infinity".to_string(),
    };
    format!("{severity}  {} {place}{more}: {measure}", first.kind.name())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// What to do about it.
pub(super) fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Vanishing => "hint: --init he_normal under ReLU, --init lsuv --data FILE under anything",
        Kind::Exploding => "hint: smaller weights: --init auto, or --init lsuv --data FILE",
        Kind::Symmetric => "hint: draw the weights: --init auto; only a last layer may start at zero",
        Kind::Dead => "hint: smaller biases, or --init he_normal; after 30 layers a third is usual",
        Kind::Saturated => "hint: --init xavier_uniform under tanh and sigmoid",
        Kind::NonFinite => "hint: look at the first of them: xfer inspect --stats shows where values are not finite",
        Kind::InitialLoss => "hint: a head that starts small: --init 'HEAD.**=zeros'",
    }
}

fn table(diagnosis: &Diagnosis) -> Text {
    let width = diagnosis.layers.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = Text::default();
    text.blank();
    let _ = writeln!(
        text,
        "{:<width$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>5}  {:>5}  {:>7}  {:>8}",
        "layer", "input std", "std", "gradient", "grad/w", "dead", "sat.", "max cos", "eff.rank"
    );
    let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.2e}"));
    let share = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.2}"));
    for layer in &diagnosis.layers {
        let _ = writeln!(
            text,
            "{:<width$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>5}  {:>5}  {:>7}  {:>8}",
            layer.name,
            number(layer.input_std),
            number(layer.std),
            number(layer.gradient_std),
            number(layer.weight_gradient),
            share(layer.dead),
            share(layer.saturated),
            layer.max_cosine.map_or("-".to_string(), |cosine| format!("{cosine:.4}")),
            layer.effective_rank.map_or("-".to_string(), |rank| format!("{rank:.1}")),
        );
    }
    text
}
