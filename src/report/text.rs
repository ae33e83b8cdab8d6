//! The report as people read it: coverage first, then every tensor that was not simply copied, then what was left over.

use std::borrow::Cow;
use std::fmt::Write;

use super::collapse::{Line, collapse};
use super::{Report, ReportedTensor, mismatched};
use crate::lsuv::Visit;
use crate::plan::{Action, Unused, Value};
use crate::tensor::{Dtype, ShapeText};
use crate::text::Text;

/// How much of the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// `-q`: the coverage line alone.
    Brief,
    /// Everything but copied tensors.
    Normal,
    /// `-v`: copied tensors too.
    Full,
}

/// The whole text.
pub fn render(report: &Report, detail: Detail) -> Text {
    let mut out = Text::default();
    head(&mut out, report);
    if detail == Detail::Brief {
        return out;
    }
    let is_mismatched = ReportedTensor::is_mismatched;
    section(&mut out, report, "new", |tensor| tensor.action == Action::New && !is_mismatched(tensor));
    section(&mut out, report, "mismatched: new, for the source of their module does not fit", is_mismatched);
    section(&mut out, report, "adapted", |tensor| tensor.action == Action::Adapted);
    section(&mut out, report, "tied", |tensor| tensor.action == Action::Tied);
    if detail == Detail::Full {
        section(&mut out, report, "copied", |tensor| tensor.action == Action::Copied);
    }
    leftover(&mut out, &report.unused, "unused: in the source, not in the target");
    leftover(&mut out, &report.dropped, "dropped: in the source, and the target computes the same without it");
    out
}

fn head(out: &mut Text, report: &Report) {
    let tensors = report.coverage.tensors;
    let parameters = report.coverage.parameters;
    let found = parameters.copied.saturating_add(parameters.adapted);
    let _ = writeln!(
        out,
        "transferred {} of {} tensors, {} of {} parameters ({})",
        tensors.total() - tensors.new,
        tensors.total(),
        count(found),
        count(parameters.total()),
        percent(found, parameters.total()),
    );
    for (word, n, p) in [
        ("copied", tensors.copied, parameters.copied),
        ("adapted", tensors.adapted, parameters.adapted),
        ("tied", tensors.tied, parameters.tied),
        ("new", tensors.plain_new(), parameters.plain_new()),
        ("mismatched", tensors.mismatched, parameters.mismatched),
    ] {
        if n > 0 || p > 0 {
            let unit = if n == 1 { "tensor " } else { "tensors" };
            // longer by two than the other words
            let width = 14usize.saturating_sub(word.len().max(8));
            let _ = writeln!(out, "  {word:<8}{n:>width$} {unit} {:>10} parameters", count(p));
        }
    }
    mismatched_modules(out, report);
    for source in &report.sources {
        let at = source.commit.as_deref().map(|c| format!("@{c}")).unwrap_or_default();
        let kind: Vec<&str> = [source.family.as_deref()]
            .into_iter()
            .flatten()
            .chain(source.dialects.iter().map(String::as_str))
            .collect();
        let kind = if kind.is_empty() { String::new() } else { format!(" ({})", kind.join(", ")) };
        let _ = writeln!(out, "from {}{at}, {}{kind}", source.reference, source.format);
    }
}

/// Lines about mismatched modules at the head of a report at most.
const MOST_LINES: usize = 8;

fn mismatched_modules(out: &mut Text, report: &Report) {
    let lines = mismatched::lines(&report.mismatched);
    for line in lines.iter().take(MOST_LINES) {
        let _ = writeln!(out, "    {line}");
    }
    if lines.len() > MOST_LINES {
        let _ = writeln!(out, "    and {} more", lines.len() - MOST_LINES);
    }
}

/// What lines must agree in to be one line; the words are those that are printed.
type Agreement<'a> = (&'a [u64], Dtype, Cow<'a, str>);

fn section(out: &mut Text, report: &Report, title: &str, belongs: impl Fn(&ReportedTensor) -> bool) {
    let members = report.tensors.iter().filter(|tensor| belongs(tensor));
    let lines = collapse(members.map(|t| (t.name.as_str(), (t.shape.as_slice(), t.dtype, explanation(t)))));
    if lines.is_empty() {
        return;
    }
    out.blank();
    out.line(title);
    let width = lines.iter().map(|l| l.name.len()).max().unwrap_or(0).min(72);
    for line in &lines {
        let _ = writeln!(out, "  {}", spell(line, width));
    }
}

fn spell(line: &Line<Agreement>, width: usize) -> String {
    let (shape, dtype, why) = &line.key;
    let times = if line.count > 1 { format!(" × {}", line.count) } else { String::new() };
    format!("{:<width$}  {} {dtype}{times}  {why}", line.name, ShapeText(shape))
}

/// Why a tensor is what it is, in one line.
pub(super) fn explanation(tensor: &ReportedTensor) -> Cow<'_, str> {
    if let (Value::Source { .. }, None, None, 0) = (&tensor.value, &tensor.init, &tensor.lsuv, tensor.new_rows) {
        return Cow::Borrowed(&tensor.reason);
    }
    let mut words = Vec::new();
    if !tensor.ops.is_empty() && tensor.action == Action::Adapted {
        let mut ops = tensor.ops.clone();
        ops.dedup();
        words.push(ops.join(", "));
    }
    if tensor.new_rows > 0 {
        words.push(format!("{} new rows", tensor.new_rows));
    }
    if let Some(init) = &tensor.init {
        let std = init.std.map(|std| format!(", std {}", figures(std))).unwrap_or_default();
        words.push(format!("{}{std} by {}", init.scheme, init.by));
    }
    words.extend(tensor.lsuv.map(measured));
    match &tensor.value {
        Value::Tied { to } => words.push(format!("another name of {to}")),
        Value::Source { .. }
        | Value::Init { .. }
        | Value::Count { .. }
        | Value::Computed { .. }
        | Value::Apply { .. } => {
            words.push(tensor.reason.to_string());
        }
    }
    words.join("; ").into()
}

/// What was measured at the layer of a weight, and what was done about it.
pub(super) fn measured(visit: Visit) -> String {
    let number = |value: Option<f64>| value.map_or("not finite".to_string(), figures);
    let Visit { target, before, after, factor } = visit;
    let (before, after) = (number(before), number(after));
    format!("variance {before} to {after}, target {}, factor {}", figures(target), figures(factor))
}

fn leftover(out: &mut Text, tensors: &[Unused], title: &str) {
    if tensors.is_empty() {
        return;
    }
    out.blank();
    out.line(title);
    let lines = collapse(tensors.iter().map(|u| {
        (u.tensor.name.as_str(), (u.tensor.shape.as_slice(), u.tensor.dtype, Cow::Borrowed(u.reason.as_str())))
    }));
    let width = lines.iter().map(|l| l.name.len()).max().unwrap_or(0).min(72);
    for line in &lines {
        let _ = writeln!(out, "  {}", spell(line, width));
    }
}

/// A number of parameters with three significant digits: `0`, `385`, `11.8 k`, `109 M`, `7.24 G`.
pub(crate) fn count(n: u64) -> String {
    let scaled = |by: f64, unit: &str| {
        let value = n as f64 / by;
        let digits = if value < 10.0 {
            2
        } else if value < 100.0 {
            1
        } else {
            0
        };
        format!("{value:.digits$} {unit}")
    };
    match n {
        0..=999 => n.to_string(),
        1_000..=999_499 => scaled(1e3, "k"),
        999_500..=999_499_999 => scaled(1e6, "M"),
        999_500_000..=999_499_999_999 => scaled(1e9, "G"),
        _ => scaled(1e12, "T"),
    }
}

/// Never rounds a part up to the whole or a little down to nothing: `99.9 %` and `0.1 %` are the limits for both.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == whole {
        return "100 %".into();
    }
    if part == 0 {
        return "0 %".into();
    }
    format!("{:.1} %", (part as f64 * 100.0 / whole as f64).clamp(0.1, 99.9))
}

/// A number with up to four significant digits, without trailing zeros.
pub(super) fn figures(value: f64) -> String {
    let text = format!("{value:.3e}");
    match text.parse::<f64>() {
        Ok(rounded) if rounded == 0.0 || (1e-4..1e6).contains(&rounded.abs()) => rounded.to_string(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_have_three_digits() {
        let spelt: Vec<String> = [0, 999, 1000, 11_810, 999_499, 999_500, 109_482_240, 7_241_732_096].map(count).into();
        assert_eq!(spelt, ["0", "999", "1.00 k", "11.8 k", "999 k", "1.00 M", "109 M", "7.24 G"]);
    }

    #[test]
    fn nearly_all_is_not_all_and_nearly_nothing_is_not_nothing() {
        assert_eq!(percent(999_999, 1_000_000), "99.9 %");
        assert_eq!(percent(1, 1_000_000), "0.1 %");
        assert_eq!(percent(0, 5), "0 %");
        assert_eq!(percent(5, 5), "100 %");
        assert_eq!(percent(0, 0), "100 %");
    }
}
