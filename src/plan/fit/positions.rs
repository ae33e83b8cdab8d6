//! Position rows: cut, extended by new ones, repeated, tiled or interpolated.

use crate::adapt::Op;
use crate::arch::Positions;
use crate::error::Result;
use crate::plan::fit::adapt::Adapt;
use crate::plan::fit::error::FitError;
use crate::plan::fit::rows::{Resized, RowMap, apply};
use crate::plan::fit::subject::Subject;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// An error where a rule interpolates along one line what looks like the cells of an image, row by row, behind class tokens: the
/// neighbours of a cell are not only those before and after it. A `prefix` in the rule says that it is a line.
pub(crate) fn check_line(subject: &Subject, adapt: &Adapt) -> Result<()> {
    let (Some(Positions::Interpolate), None, Some((found, rows))) = (adapt.positions, adapt.prefix, subject.sizes())
    else {
        return Ok(());
    };
    // a table of a text model often has a square number of rows, but never one more
    let tokens = if subject.parameter.name.ends_with(".weight") { 1..=1 } else { 0..=2 };
    let grid = |rows: u64, tokens: u64| {
        Some(rows.checked_sub(tokens)?.isqrt()).filter(|side| *side > 1 && side * side + tokens == rows)
    };
    let grids = tokens.filter_map(|tokens| Some((tokens, grid(found, tokens)?, grid(rows, tokens)?))).next();
    match grids {
        Some((tokens, from, to)) => {
            let name = subject.parameter.name.to_string();
            Err(FitError::PositionsOfGrid { name, found, rows, tokens, from, to }.into())
        }
        None => Ok(()),
    }
}

/// How `found` rows become `rows`, and the words for it. Without a rule they are cut, or new ones follow. A rule that cannot
/// do it is an error. `prefix` counts leading rows of both sides that are no positions, and are kept.
pub(crate) fn resize(
    value: &Value,
    info: &TensorInfo,
    name: &str,
    rows: u64,
    rule: Option<Positions>,
    prefix: Option<[u64; 2]>,
) -> Result<(Resized, String)> {
    let found = info.rows();
    let by_rows = |from: &dyn Fn(u64) -> Option<u64>| Resized::Rows(RowMap::new((0..rows).map(from), found));
    let grows = rows > found;
    let prefix = prefix.map_or(0, |[source, _]| source).min(found);
    let resized = match rule {
        Some(Positions::Cut) if grows => {
            let why = String::new();
            let name = name.to_string();
            return Err(FitError::Adapt { name, rule: "positions: cut".into(), expected: rows, found, why }.into());
        }
        Some(Positions::Interpolate) => Resized::Computed(apply(Op::ResizeRows { rows, prefix }, vec![value.clone()])),
        Some(Positions::Repeat) if grows => by_rows(&|row| Some(row.min(found.saturating_sub(1)))),
        Some(Positions::Tile) if grows => by_rows(&|row| match row.checked_sub(prefix) {
            Some(position) => position.checked_rem(found - prefix).map(|position| prefix + position),
            None => Some(row),
        }),
        Some(Positions::Cut | Positions::Repeat | Positions::Tile | Positions::New) | None => {
            Resized::Rows(RowMap::in_place(found, rows))
        }
    };
    Ok((resized, words(rule, found, rows)))
}

fn words(rule: Option<Positions>, found: u64, rows: u64) -> String {
    match rule {
        Some(Positions::Interpolate) => format!("positions interpolated from {found} to {rows}"),
        Some(Positions::Repeat) if rows > found => format!("the last of {found} positions repeated up to {rows}"),
        Some(Positions::Tile) if rows > found => format!("{found} positions tiled to {rows}"),
        Some(Positions::Cut | Positions::Repeat | Positions::Tile | Positions::New) | None if rows < found => {
            format!("the first {rows} of {found} positions")
        }
        Some(Positions::Cut | Positions::Repeat | Positions::Tile | Positions::New) | None => {
            format!("{found} of {rows} positions at their place")
        }
    }
}
