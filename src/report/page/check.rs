//! `check` as a page: signal and gradient over the depth, what is wrong, and every layer.

use std::fmt::Write;

use super::chart::{Chart, Line};
use super::{Column, escaped, figure, page, table};
use crate::check::{Diagnosis, Layer, Severity, Verdict};
use crate::report::diagnosis::{advice, grouped, line};

/// The page of a diagnosis of `subject`, run on `data`.
pub fn check(diagnosis: &Diagnosis, subject: &str, data: &str) -> String {
    let (class, sentence) = match diagnosis.verdict {
        Verdict::Ok => ("ok", "The signal passes, forward and backward."),
        Verdict::Warn => ("warn", "The model can train; see the warnings."),
        Verdict::Fail => ("fail", "The model will not train as it is."),
    };
    let mut html =
        format!("<h1>{}: <span class=\"{class}\">{class}</span></h1>\n<p>{sentence}</p>\n", escaped(subject));
    let examples = diagnosis.examples;
    let _ = writeln!(
        html,
        "<p class=\"quiet\">Run once on {examples} examples ({}), {} weights in execution order.</p>",
        escaped(data),
        diagnosis.layers.len()
    );
    findings(&mut html, diagnosis);
    html.push_str("<h2>Signal and gradient over the depth</h2>\n");
    let decades = |decades: Option<f64>| decades.map_or("not measured".to_string(), |d| format!("{d:+.2} decades"));
    let caption = format!(
        "Standard deviations by weight, in execution order. The signal changes by {} from the first weight to the last, its gradient by {} from the last to the first.",
        decades(diagnosis.forward.decades),
        decades(diagnosis.backward.decades),
    );
    let lines =
        [series("signal", diagnosis, |layer| layer.input_std), series("gradient", diagnosis, |l| l.gradient_std)];
    let chart = Chart { x: "weight, in execution order", y: "standard deviation", is_logarithmic: true, lines: &lines };
    html.push_str(&figure(&chart.svg(), &caption));
    html.push_str("<h2>Layers</h2>\n");
    html.push_str(&layers(diagnosis));
    page(&format!("xfer check {subject}"), &html)
}

fn findings(html: &mut String, diagnosis: &Diagnosis) {
    if diagnosis.findings.is_empty() {
        return;
    }
    html.push_str("<h2>Findings</h2>\n<ul class=\"plain\">\n");
    for group in grouped(&diagnosis.findings) {
        let class = match group[0].severity {
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        };
        let text = line(&group);
        let _ = writeln!(
            html,
            "<li><span class=\"{class}\">{}</span><br><span class=\"quiet\">{}</span></li>",
            escaped(&text),
            escaped(advice(group[0].kind))
        );
    }
    html.push_str("</ul>\n");
}

fn series(name: &str, diagnosis: &Diagnosis, value: impl Fn(&Layer) -> Option<f64>) -> Line {
    let points = diagnosis.layers.iter().enumerate().map(|(depth, layer)| ((depth + 1) as f64, value(layer)));
    Line { name: name.into(), points: points.collect(), band: Vec::new() }
}

fn layers(diagnosis: &Diagnosis) -> String {
    let small = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.2e}"));
    let share = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{:.0} %", value * 100.0));
    let rows: Vec<Vec<String>> = diagnosis
        .layers
        .iter()
        .enumerate()
        .map(|(depth, layer)| {
            vec![
                (depth + 1).to_string(),
                layer.name.clone(),
                small(layer.input_std),
                small(layer.std),
                small(layer.gradient_std),
                small(layer.weight_gradient),
                share(layer.dead),
                share(layer.saturated),
                layer.max_cosine.map_or("–".into(), |cosine| format!("{cosine:.3}")),
                layer.effective_rank.map_or("–".into(), |rank| format!("{rank:.1}")),
            ]
        })
        .collect();
    let number = Column::Number;
    let columns = [
        ("", number),
        ("weight", Column::Name),
        ("signal", number),
        ("output", number),
        ("gradient", number),
        ("gradient / weight", number),
        ("dead", number),
        ("saturated", number),
        ("max cosine", number),
        ("effective rank", number),
    ];
    table(&columns, &rows)
}
