//! Key and value heads: pooled to fewer groups, or repeated to more, where an `adapt` rule says so.

use std::collections::BTreeMap;

use crate::adapt::Op;
use crate::arch::{Architecture, Heads};
use crate::error::Result;
use crate::graph::{Layer, ParameterId, Projections};
use crate::name::{last, parent};
use crate::plan::configs;
use crate::plan::fit::error::FitError;
use crate::plan::fit::rows::{Resized, RowMap, apply};
use crate::plan::inputs::SourceView;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// The width of one head, for each separate query, key and value projection of an attention. The rows of an output projection are no
/// heads, and those of a fused one are heads of different kinds.
pub(crate) fn head_widths(target: &Architecture) -> BTreeMap<ParameterId, u64> {
    let mut widths = BTreeMap::new();
    for node in target.graph.iter().flat_map(|graph| &graph.nodes) {
        let Layer::Attention(attention) = &node.layer else { continue };
        let Projections::Separate { q, k, v, out: _ } = &attention.projections else { continue };
        let is_of = |name: &str| {
            let module = parent(name);
            [q, k, v].into_iter().any(|projection| module.strip_suffix(projection.as_str()).is_some_and(ends_a_path))
        };
        let ids = node.parameters.iter().filter(|id| target.parameters.get(**id).is_some_and(|one| is_of(&one.name)));
        widths.extend(ids.map(|id| (*id, attention.head_dim)));
    }
    widths
}

fn ends_a_path(before: &str) -> bool {
    before.is_empty() || before.ends_with('.')
}

/// What separate query, key and value projections are called in listings.
const PROJECTIONS: &[&str] = &[
    "q", "k", "v", "q_proj", "k_proj", "v_proj", "query", "key", "value", "wq", "wk", "wv", "to_q", "to_k", "to_v",
    "q_lin", "k_lin", "v_lin", "query_proj", "key_proj", "value_proj", "linear_q", "linear_k", "linear_v",
];

/// The width of one head that the configs state (`head_dim`, else `hidden_size` over `num_attention_heads`), the target's before
/// the sources'; for the projections of a listing, which has no graph.
pub(crate) fn stated_width(target: &Architecture, sources: &[SourceView], name: &str) -> Option<u64> {
    if target.graph.is_some() || !PROJECTIONS.contains(&last(parent(name))) {
        return None;
    }
    let of = |config: &serde_json::Map<String, serde_json::Value>| {
        let number = |key: &str| config.get(key).and_then(serde_json::Value::as_u64);
        number("head_dim").or_else(|| number("hidden_size")?.checked_div(number("num_attention_heads")?))
    };
    let ours = configs::config_of(target, name).and_then(|config| of(&config.0));
    ours.or_else(|| sources.iter().find_map(|source| of(&configs::source_config(source)?)))
}

/// `info.rows()` rows of heads of `width` become `rows` of them: the mean of each group (Ainslie et al., arXiv:2305.13245), or
/// each head again and again. Numbers that do not divide are an error.
pub(crate) fn regroup(
    value: &Value,
    info: &TensorInfo,
    name: &str,
    rows: u64,
    width: Option<u64>,
    rule: Heads,
) -> Result<(Resized, String)> {
    let found = info.rows();
    let cannot = || FitError::Adapt {
        name: name.to_string(),
        rule: format!("heads: {}", word(rule)),
        expected: rows,
        found,
        why: match width {
            Some(width) => format!(" with heads of {width}"),
            None => {
                ": it is not a separate query, key or value projection, or no config says how wide a head is".into()
            }
        },
    };
    let width = width.filter(|width| *width > 0).ok_or_else(cannot)?;
    let heads = |rows: u64| match rows.checked_rem(width) {
        Some(0) if rows > 0 => Ok(rows / width),
        Some(_) | None => Err(cannot()),
    };
    let (from, to) = (heads(found)?, heads(rows)?);
    match rule {
        Heads::Mean if from % to == 0 && info.dtype.is_float() => {
            let resized = Resized::Computed(apply(Op::MeanHeads { heads: from, groups: to }, vec![value.clone()]));
            Ok((resized, format!("{from} heads pooled to {to} by their mean")))
        }
        Heads::Repeat if to % from == 0 => {
            let times = to / from;
            let source = |row: u64| (row / width / times) * width + row % width;
            let resized = Resized::Rows(RowMap::new((0..rows).map(|row| Some(source(row))), found));
            Ok((resized, format!("{from} heads repeated to {to}")))
        }
        Heads::Mean | Heads::Repeat => Err(cannot().into()),
    }
}

fn word(rule: Heads) -> &'static str {
    match rule {
        Heads::Mean => "mean",
        Heads::Repeat => "repeat",
    }
}
