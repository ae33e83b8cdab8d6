//! The rows of q, k and v: how many heads a config states, the order of rotary pairs within a head, and the order of heads in a fused matrix.

use crate::adapt::{Op, RopeLayout, Run};
use crate::family::config::Config;

/// Which heads.
#[derive(Clone, Copy, PartialEq)]
enum Heads {
    /// Those of queries.
    Query,
    /// Those of keys and values.
    Key,
}

/// More groups of heads than any model has: a config that states more is wrong.
const MOST_GROUPS: u64 = 1 << 16;

/// The number of heads and the width of each. The keys are those of transformers, of Meta's `params.json` and of litgpt.
fn heads(config: &Config, of: Heads) -> Option<(u64, u64)> {
    let number = |keys: &[&str]| keys.iter().find_map(|key| config.0.get(*key)?.as_u64());
    let queries = number(&["num_attention_heads", "n_heads", "n_head"]);
    let keys = number(&["num_key_value_heads", "n_kv_heads", "n_query_groups"]).or(queries);
    let width = || number(&["hidden_size", "dim", "n_embd"])?.checked_div(queries?);
    let heads = if of == Heads::Query { queries } else { keys };
    heads.zip(number(&["head_dim", "head_size"]).or_else(width))
}

/// The rows of a projection, or `None` where the config does not state them.
fn rows(config: &Config, of: Heads) -> Option<u64> {
    let (heads, width) = heads(config, of)?;
    heads.checked_mul(width)
}

/// An operation for a config that does not state its heads: planning refuses it and names the tensor.
fn unknown() -> Vec<Op> {
    vec![Op::RopePermute { heads: 0, rotary: 0, to: RopeLayout::ToHalves }]
}

/// The rows of each head in the other order of rotary pairs.
fn turned(config: &Config, of: Heads, to: RopeLayout) -> Vec<Vec<Op>> {
    match heads(config, of) {
        Some((heads, rotary)) => vec![vec![Op::RopePermute { heads, rotary, to }]],
        None => vec![unknown()],
    }
}

/// q, k and v out of one matrix that holds all of q, all of k, all of v.
pub(super) fn pieces(config: &Config) -> Vec<Vec<Op>> {
    let (Some(query), Some(key)) = (rows(config, Heads::Query), rows(config, Heads::Key)) else {
        return vec![unknown(); 3];
    };
    let piece = |start, len| vec![Op::Narrow { axis: 0, start, len }];
    vec![piece(0, query), piece(query, key), piece(query.saturating_add(key), key)]
}

/// Groups of query heads that share a head of keys and of values: how many groups, the rows of the queries of a group, and of a head.
struct Groups {
    count: u64,
    queries: u64,
    width: u64,
}

impl Groups {
    fn of(config: &Config) -> Option<Groups> {
        let ((queries, width), (count, _)) = (heads(config, Heads::Query)?, heads(config, Heads::Key)?);
        let is_possible = width > 0 && (1..=MOST_GROUPS).contains(&count) && queries.is_multiple_of(count);
        let per_group = queries.checked_div(count).filter(|_| is_possible)?.checked_mul(width)?;
        // so that no sum below overflows
        per_group.checked_add(width.checked_mul(2)?)?.checked_mul(count)?;
        Some(Groups { count, queries: per_group, width })
    }

    /// The rows of one group in the fused matrix: its queries, its key, its value.
    fn rows(&self) -> u64 {
        self.queries + 2 * self.width
    }
}

/// q, k and v out of one matrix that holds them group by group: the queries of a group, its key, its value.
pub(super) fn from_groups(config: &Config) -> Vec<Vec<Op>> {
    let Some(groups) = Groups::of(config) else { return vec![unknown(); 3] };
    let piece = |offset: u64, len: u64| {
        let run = |group: u64| Run { input: 0, start: group * groups.rows() + offset, step: 1, len };
        vec![Op::Gather { axis: 0, runs: (0..groups.count).map(run).collect::<Vec<_>>().into() }]
    };
    let (queries, width) = (groups.queries, groups.width);
    vec![piece(0, queries), piece(queries, width), piece(queries + width, width)]
}

/// One matrix group by group out of q, k and v.
pub(super) fn to_groups(config: &Config) -> Vec<Vec<Op>> {
    let Some(groups) = Groups::of(config) else { return vec![unknown()] };
    let of_group = |group: u64| {
        let run = |input, len| Run { input, start: group * len, step: 1, len };
        [run(0, groups.queries), run(1, groups.width), run(2, groups.width)]
    };
    vec![vec![Op::Gather { axis: 0, runs: (0..groups.count).flat_map(of_group).collect::<Vec<_>>().into() }]]
}

/// One matrix with all of q, k and v after each other, out of one that holds them group by group.
pub(super) fn ungrouped(config: &Config) -> Vec<Vec<Op>> {
    let ordered = from_groups(config).into_iter().flatten();
    let mut runs = Vec::new();
    for op in ordered {
        let Op::Gather { runs: piece, .. } = op else { return vec![unknown()] };
        runs.extend(piece.iter().copied());
    }
    vec![vec![Op::Gather { axis: 0, runs: runs.into() }]]
}

/// One matrix group by group out of one with all of q, k and v after each other.
pub(super) fn grouped(config: &Config) -> Vec<Vec<Op>> {
    let Some(groups) = Groups::of(config) else { return vec![unknown()] };
    let (keys, values) = (groups.count * groups.queries, groups.count * (groups.queries + groups.width));
    let of_group = |group: u64| {
        let run = |start, len| Run { input: 0, start: start + group * len, step: 1, len };
        [run(0, groups.queries), run(keys, groups.width), run(values, groups.width)]
    };
    vec![vec![Op::Gather { axis: 0, runs: (0..groups.count).flat_map(of_group).collect::<Vec<_>>().into() }]]
}

/// Queries whose rotary pairs are halves of a head, from neighbours.
pub(super) fn query_from_neighbours(config: &Config) -> Vec<Vec<Op>> {
    turned(config, Heads::Query, RopeLayout::ToHalves)
}

pub(super) fn query_to_neighbours(config: &Config) -> Vec<Vec<Op>> {
    turned(config, Heads::Query, RopeLayout::ToNeighbours)
}

/// Keys, likewise.
pub(super) fn key_from_neighbours(config: &Config) -> Vec<Vec<Op>> {
    turned(config, Heads::Key, RopeLayout::ToHalves)
}

pub(super) fn key_to_neighbours(config: &Config) -> Vec<Vec<Op>> {
    turned(config, Heads::Key, RopeLayout::ToNeighbours)
}
