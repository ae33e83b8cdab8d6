//! `init` as a page: what was transferred, layer by layer, and why everything else is what it is.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::chart::{Chart, Line};
use super::{Column, escaped, figure, page, table};
use crate::plan::{Action, Unused};
use crate::report::collapse::collapse;
use crate::report::mismatched;
use crate::report::text::{count, explanation, figures, percent};
use crate::report::{Counts, Report, ReportedTensor};
use crate::tensor::{ShapeText, elements};

/// The page of a report; `title` is what the output is called.
pub fn init(report: &Report, title: &str) -> String {
    let mut html = format!("<h1>{}</h1>\n", escaped(title));
    summary(&mut html, report);
    html.push_str("<h2>Layer by layer</h2>\n");
    map(&mut html, report);
    lsuv(&mut html, report);
    section(&mut html, report, "New", |tensor| class(tensor) == "new");
    section(&mut html, report, "Mismatched", |tensor| class(tensor) == "mismatched");
    section(&mut html, report, "Adapted", |tensor| class(tensor) == "adapted");
    section(&mut html, report, "Tied", |tensor| class(tensor) == "tied");
    leftover(&mut html, &report.unused, "Unused", "In the source, not in the target.");
    leftover(&mut html, &report.dropped, "Dropped", "Buffers that the target does not name.");
    if !report.warnings.is_empty() {
        html.push_str("<h2>Warnings</h2>\n<ul class=\"plain\">\n");
        for warning in &report.warnings {
            let _ = writeln!(html, "<li>{}</li>", escaped(warning));
        }
        html.push_str("</ul>\n");
    }
    provenance(&mut html, report);
    page(&format!("xfer {title}"), &html)
}

fn class(tensor: &ReportedTensor) -> &'static str {
    match tensor.action {
        Action::Copied => "copied",
        Action::Adapted => "adapted",
        Action::Tied => "tied",
        Action::New if ReportedTensor::is_mismatched(tensor) => "mismatched",
        Action::New => "new",
    }
}

/// The counts as they are shown: mismatched ones apart from those that are new for want of a source.
fn shares(counts: Counts) -> [(&'static str, u64); 5] {
    [
        ("copied", counts.copied),
        ("adapted", counts.adapted),
        ("tied", counts.tied),
        ("new", counts.plain_new()),
        ("mismatched", counts.mismatched),
    ]
}

fn summary(html: &mut String, report: &Report) {
    let (tensors, parameters) = (report.coverage.tensors, report.coverage.parameters);
    let found = parameters.copied.saturating_add(parameters.adapted);
    let from: Vec<&str> = report.sources.iter().map(|source| source.reference.as_str()).collect();
    let from = if from.is_empty() { String::new() } else { format!(" from {}", escaped(&from.join(", "))) };
    let _ = writeln!(
        html,
        "<p>Transferred {} of {} tensors{from}: {} of {} parameters ({}).</p>",
        tensors.total() - tensors.new,
        tensors.total(),
        count(found),
        count(parameters.total()),
        percent(found, parameters.total()),
    );
    bar(html, "parameters", parameters);
    bar(html, "tensors", tensors);
    html.push_str("<ul class=\"keys\">\n");
    for ((name, tensors), (_, parameters)) in shares(tensors).into_iter().zip(shares(parameters)) {
        let _ = writeln!(html, "<li class=\"{name}\">{name}: {tensors} tensors, {} parameters</li>", count(parameters));
    }
    html.push_str("</ul>\n");
    let Some(words) = mismatched::summary(&report.mismatched) else { return };
    let _ = writeln!(html, "<p>{words}:</p>\n<ul class=\"plain\">");
    for line in mismatched::lines(&report.mismatched) {
        let _ = writeln!(html, "<li>{}</li>", escaped(&line));
    }
    html.push_str("</ul>\n");
}

/// A bar of shares.
fn bar(html: &mut String, of: &str, counts: Counts) {
    let whole = counts.total().max(1) as f64;
    let shares = shares(counts);
    let spoken: Vec<String> =
        shares.iter().map(|(name, n)| format!("{name} {}", percent(*n, counts.total()))).collect();
    let _ = write!(
        html,
        "<div class=\"quiet\">{of}</div><div class=\"bar\" role=\"img\" aria-label=\"{of}: {}\">",
        spoken.join(", ")
    );
    for (name, n) in shares.iter().filter(|(_, n)| *n > 0) {
        let _ = write!(html, "<span class=\"{name}\" style=\"width:{:.3}%\"></span>", *n as f64 * 100.0 / whole);
    }
    html.push_str("</div>\n");
}

/// Modules that a map shows at most; of a larger model the outermost components alone.
const ROWS: usize = 200;
/// Cells of a row at most; a longer one says how many follow.
const CELLS: usize = 96;

/// One row for each module, one cell for each of its tensors.
fn map(html: &mut String, report: &Report) {
    let deep = (1..=6).rev().find(|depth| modules(report, *depth).len() <= ROWS).unwrap_or(1);
    html.push_str("<div class=\"box\"><table class=\"map\">\n");
    for (module, tensors) in modules(report, deep) {
        let new: u64 =
            tensors.iter().filter(|t| t.action == Action::New).map(|t| elements(&t.shape).unwrap_or(0)).sum();
        let all: u64 = tensors.iter().map(|tensor| elements(&tensor.shape).unwrap_or(0)).sum();
        let _ = write!(html, "<tr><td class=\"name\">{}</td><td><div class=\"cells\">", escaped(&module));
        for tensor in tensors.iter().take(CELLS) {
            let _ = write!(html, "<i class=\"{}\" title=\"{}\"></i>", class(tensor), escaped(&tensor.name));
        }
        let more = tensors.len().saturating_sub(CELLS);
        let more = if more > 0 { format!("<span class=\"quiet\">and {more} more</span>") } else { String::new() };
        let _ = writeln!(html, "{more}</div></td><td class=\"number\">{}</td></tr>", percent(all - new, all));
    }
    html.push_str("</table></div>\n<p class=\"quiet\">A cell is a tensor; at the right the share of parameters that was transferred.</p>\n");
}

/// Tensors by the first `depth` components of their module, in the order of the model.
fn modules(report: &Report, depth: usize) -> Vec<(String, Vec<&ReportedTensor>)> {
    let mut order: Vec<(String, Vec<&ReportedTensor>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for tensor in &report.tensors {
        let module: Vec<&str> = match tensor.name.rsplit_once('.') {
            Some((module, _)) => module.split('.').take(depth).collect(),
            None => vec![tensor.name.as_str()],
        };
        let cut = module.iter().rposition(|component| component.bytes().all(|byte| byte.is_ascii_digit()));
        let module = module[..cut.map_or(module.len().min(2), |place| place + 1)].join(".");
        let place = *places.entry(module.clone()).or_insert_with(|| {
            order.push((module, Vec::new()));
            order.len() - 1
        });
        if let Some((_, tensors)) = order.get_mut(place) {
            tensors.push(tensor);
        }
    }
    order
}

fn lsuv(html: &mut String, report: &Report) {
    let visited: Vec<_> = report.tensors.iter().filter_map(|tensor| Some((tensor, tensor.lsuv?))).collect();
    if visited.is_empty() {
        return;
    }
    html.push_str("<h2>Scaled by LSUV</h2>\n");
    let series = |name: &str, value: &dyn Fn(&crate::lsuv::Visit) -> Option<f64>| Line {
        name: name.into(),
        points: visited.iter().enumerate().map(|(place, (_, visit))| ((place + 1) as f64, value(visit))).collect(),
        band: Vec::new(),
    };
    let lines = [series("before", &|visit| visit.before), series("after", &|visit| visit.after)];
    let chart = Chart { x: "weight", y: "variance of its output", is_logarithmic: true, lines: &lines };
    html.push_str(&figure(
        &chart.svg(),
        "Over the batch, without biases and padding: with orthonormal weights, and as written.",
    ));
    let number = |value: Option<f64>| value.map_or("not finite".to_string(), figures);
    let rows: Vec<Vec<String>> = visited
        .iter()
        .map(|(tensor, visit)| {
            vec![
                tensor.name.to_string(),
                figures(visit.target),
                number(visit.before),
                number(visit.after),
                figures(visit.factor),
            ]
        })
        .collect();
    let of = Column::Number;
    html.push_str(&table(
        &[("weight", Column::Name), ("target", of), ("before", of), ("after", of), ("factor", of)],
        &rows,
    ));
}

fn section(html: &mut String, report: &Report, title: &str, belongs: impl Fn(&ReportedTensor) -> bool) {
    let members = report.tensors.iter().filter(|tensor| belongs(tensor));
    let lines = collapse(members.map(|t| (t.name.as_str(), (t.shape.as_slice(), t.dtype, explanation(t)))));
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let (shape, dtype, why) = &line.key;
            vec![line.name.clone(), line.count.to_string(), format!("{} {dtype}", ShapeText(shape)), why.to_string()]
        })
        .collect();
    rows_under(html, title, "", &["tensors", "shape", "why"], &rows);
}

fn leftover(html: &mut String, tensors: &[Unused], title: &str, words: &str) {
    let lines = collapse(tensors.iter().map(|unused| {
        let tensor = &unused.tensor;
        (tensor.name.as_str(), (tensor.shape.as_slice(), tensor.dtype, unused.reason.clone()))
    }));
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let (shape, dtype, why) = &line.key;
            vec![line.name.clone(), line.count.to_string(), format!("{} {dtype}", ShapeText(shape)), why.clone()]
        })
        .collect();
    rows_under(html, title, words, &["tensors", "shape", "why"], &rows);
}

fn rows_under(html: &mut String, title: &str, words: &str, [count, shape, why]: &[&str; 3], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(html, "<h2>{title}</h2>");
    if !words.is_empty() {
        let _ = writeln!(html, "<p class=\"quiet\">{words}</p>");
    }
    let columns = [("name", Column::Name), (*count, Column::Number), (*shape, Column::Name), (*why, Column::Text)];
    html.push_str(&table(&columns, rows));
}

fn provenance(html: &mut String, report: &Report) {
    html.push_str("<h2>Where it comes from</h2>\n");
    let mut rows = Vec::new();
    for source in &report.sources {
        for file in &source.files {
            let at = source.commit.as_deref().map(|commit| format!("@{commit}")).unwrap_or_default();
            rows.push(vec![
                format!("{}{at}", source.reference),
                file.name.clone(),
                file.bytes.to_string(),
                file.pin.clone(),
            ]);
        }
    }
    if !rows.is_empty() {
        let columns =
            [("source", Column::Text), ("file", Column::Name), ("bytes", Column::Number), ("pin", Column::Name)];
        html.push_str(&table(&columns, &rows));
    }
    let _ = writeln!(
        html,
        "<p class=\"quiet\">xfer {}, plan <code>{}</code>, seed {}, generator {}.</p>",
        escaped(&report.xfer),
        escaped(&report.plan),
        report.seed,
        escaped(&report.generator)
    );
}
