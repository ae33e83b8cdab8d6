//! Files that hold only a piece of a model: what their names and their headers state, and how pieces are joined.

pub(crate) mod error;
mod meta;
mod rank;
mod shard;
mod stated;

pub(super) use meta::{Set as MetaSet, join as join_meta, refuse_incomplete as refuse_incomplete_meta};
pub(super) use rank::{Rank, refuse_ranks};
pub(super) use shard::Shard;
pub(super) use stated::{Split, WORLDS, refuse_splits, refuse_stated};
