//! The operations' methods: each matches the closed set and hands over to the operation's file.

use super::{Block, Demand, Op, Scan};
use super::{affine, cast, combine, concat, dequantize, gather, inputs, mean, narrow, permute, reshape, resize, rope};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

impl Op {
    /// Whether it makes one of several inputs that each mean another thing, so that they are never concatenated before it.
    pub(crate) fn joins(&self) -> bool {
        matches!(
            self,
            Op::Lerp { .. }
                | Op::WeightNorm { .. }
                | Op::LowRank { .. }
                | Op::Dequantize { .. }
                | Op::MeanCovariance { .. }
        )
    }

    /// The name that people type, as `rope_permute`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Op::Transpose => "transpose",
            Op::Permute { .. } => "permute",
            Op::Reshape { .. } => "reshape",
            Op::Narrow { .. } => "narrow",
            Op::Concat { .. } => "concat",
            Op::Stack => "stack",
            Op::Gather { .. } => "gather",
            Op::RopePermute { .. } => "rope_permute",
            Op::Cast { .. } => "cast",
            Op::Affine { .. } => "affine",
            Op::Lerp { .. } => "lerp",
            Op::MeanHeads { .. } => "mean_heads",
            Op::MeanRows => "mean_rows",
            Op::ResizeRows { .. } => "resize_rows",
            Op::WeightNorm { .. } => "weight_norm",
            Op::LowRank { .. } => "low_rank",
            Op::Dequantize { .. } => "dequantize",
            Op::MeanCovariance { .. } => "mean_covariance",
        }
    }

    /// Name, type and shape of the result (the name is the first input's), or an error that names both shapes.
    pub(crate) fn out(&self, inputs: &[TensorInfo]) -> Result<TensorInfo> {
        self.result(&inputs.iter().collect::<Vec<_>>())
    }

    pub(crate) fn result(&self, infos: &[&TensorInfo]) -> Result<TensorInfo> {
        match self {
            Op::Transpose => permute::out(self.name(), permute::TRANSPOSED, infos),
            Op::Permute { order } => permute::out(self.name(), order, infos),
            Op::Reshape { shape } => reshape::out(shape, infos),
            Op::Narrow { axis, start, len } => {
                narrow::out(narrow::Slice { axis: *axis, start: *start, len: *len }, infos)
            }
            Op::Concat { axis } => concat::out(*axis, infos),
            Op::Stack => concat::stack_out(infos),
            Op::Gather { axis, runs } => gather::out(*axis, runs, infos),
            Op::RopePermute { heads, rotary, to: _ } => {
                rope::out(rope::Heads { heads: *heads, rotary: *rotary }, infos)
            }
            Op::Cast { dtype } => cast::out(*dtype, infos),
            Op::Affine { scale, offset } => affine::out(*scale, *offset, infos),
            Op::Lerp { t } => affine::lerp_out(*t, infos),
            Op::MeanHeads { heads, groups } => mean::out(mean::Grouping { heads: *heads, groups: *groups }, infos),
            Op::MeanRows => mean::rows_out(infos),
            Op::ResizeRows { rows, prefix } => resize::out(resize::Resize { rows: *rows, prefix: *prefix }, infos),
            Op::WeightNorm { axis } => combine::weight_norm_out(*axis, infos),
            Op::LowRank { scale, turned } => combine::low_rank_out(*scale, *turned, infos),
            Op::Dequantize { block } => dequantize::out(block, infos),
            Op::MeanCovariance { scale } => combine::covariance_out(*scale, infos),
        }
    }

    /// `demand` for an operation whose result `out` is known already, and was checked with it.
    pub(crate) fn demand_of(&self, infos: &[&TensorInfo], out: &TensorInfo, rows: &Rows) -> Result<Vec<Demand>> {
        if rows.start > rows.end || rows.end > out.rows() {
            return Err(AdaptError::Rows { out: out.clone(), rows: rows.clone() }.into());
        }
        if rows.is_empty() {
            return Ok(vec![Demand::None; infos.len()]);
        }
        let demands = match self {
            Op::Transpose => permute::demand(permute::TRANSPOSED, rows),
            Op::Permute { order } => permute::demand(order, rows),
            Op::Reshape { shape } => reshape::demand(shape, infos, rows)?,
            Op::Narrow { axis, start, len } => {
                narrow::demand(narrow::Slice { axis: *axis, start: *start, len: *len }, rows)
            }
            Op::Concat { axis } => concat::demand(*axis, infos, rows),
            Op::Stack => concat::stack_demand(infos, rows),
            Op::Gather { axis, runs } => gather::demand(*axis, runs, infos, rows),
            Op::RopePermute { heads, rotary, to: _ } => {
                rope::demand(rope::Heads { heads: *heads, rotary: *rotary }, infos, rows)?
            }
            Op::Cast { .. } | Op::Affine { .. } | Op::Lerp { .. } => {
                infos.iter().map(|_| Demand::rows(rows.clone())).collect()
            }
            Op::MeanHeads { heads, groups } => {
                mean::demand(mean::Grouping { heads: *heads, groups: *groups }, infos, rows)?
            }
            Op::MeanRows => vec![Demand::Scan],
            Op::WeightNorm { axis } => combine::weight_norm_demand(*axis, infos, rows)?,
            Op::LowRank { turned, .. } => combine::low_rank_demand(*turned, rows),
            Op::Dequantize { block } => dequantize::demand(block, infos, rows)?,
            Op::MeanCovariance { .. } => combine::covariance_demand(rows),
            Op::ResizeRows { rows: all, prefix } => {
                resize::demand(resize::Resize { rows: *all, prefix: *prefix }, infos, rows)?
            }
        };
        Ok(demands.into_iter().map(without_empty).collect())
    }

    /// `apply` for an operation whose result `info` is known already, and was checked with it.
    pub(crate) fn apply_to(&self, info: &TensorInfo, inputs: &[Block], rows: Rows, out: &mut [u8]) -> Result<()> {
        let infos: Vec<&TensorInfo> = inputs.iter().map(|block| block.info).collect();
        let demands = self.demand_of(&infos, info, &rows)?;
        for (block, demand) in inputs.iter().zip(&demands) {
            self.check_block(block, demand)?;
        }
        self.check_bytes((rows.end - rows.start).saturating_mul(info.row_bytes()?), out.len())?;
        if out.is_empty() {
            return Ok(());
        }
        match self {
            Op::Transpose => permute::apply(self.name(), permute::TRANSPOSED, inputs, &rows, out),
            Op::Permute { order } => permute::apply(self.name(), order, inputs, &rows, out),
            Op::Reshape { shape } => reshape::apply(shape, inputs, &rows, out),
            Op::Narrow { axis, start, len } => {
                narrow::apply(narrow::Slice { axis: *axis, start: *start, len: *len }, inputs, out)
            }
            Op::Concat { axis } => concat::apply(*axis, inputs, out),
            Op::Stack => {
                concat::stack_apply(inputs, out);
                Ok(())
            }
            Op::Gather { axis, runs } => gather::apply(*axis, runs, inputs, &rows, out),
            Op::RopePermute { heads, rotary, to } => {
                rope::apply(rope::Heads { heads: *heads, rotary: *rotary }, *to, inputs, &rows, out)
            }
            Op::Cast { dtype } => {
                cast::apply(*dtype, inputs, out);
                Ok(())
            }
            Op::Affine { scale, offset } => {
                affine::apply(*scale, *offset, inputs, out);
                Ok(())
            }
            Op::Lerp { t } => {
                affine::lerp_apply(*t, inputs, out);
                Ok(())
            }
            Op::MeanHeads { heads, groups } => {
                mean::apply(mean::Grouping { heads: *heads, groups: *groups }, inputs, &rows, out)
            }
            Op::MeanRows => self.check_bytes(out.len() as u64, 0),
            Op::WeightNorm { axis } => combine::weight_norm(*axis, inputs, &rows, out),
            Op::LowRank { scale, turned } => combine::low_rank(*scale, *turned, inputs, &rows, out),
            Op::Dequantize { block } => dequantize::apply(block, inputs, &rows, out),
            Op::MeanCovariance { scale } => combine::covariance(*scale, inputs, out),
            Op::ResizeRows { rows: all, prefix } => {
                resize::apply(resize::Resize { rows: *all, prefix: *prefix }, inputs, &rows, out)
            }
        }
    }

    fn check_block(&self, block: &Block, demand: &Demand) -> Result<()> {
        let all = Rows { start: 0, end: block.info.rows() };
        let demanded = match demand {
            Demand::None | Demand::Scan => &[],
            Demand::Rows(ranges) => ranges.as_slice(),
            Demand::Whole => std::slice::from_ref(&all),
        };
        let row = block.info.row_bytes()?;
        if block.rows != demanded {
            return self.check_bytes(inputs::count(demanded).saturating_mul(row), 0);
        }
        self.check_bytes(inputs::count(demanded).saturating_mul(row), block.bytes.len())
    }

    fn check_bytes(&self, expected: u64, found: usize) -> Result<()> {
        match expected == found as u64 {
            true => Ok(()),
            false => Err(AdaptError::Supplied { op: self.name(), expected, found: found as u64 }.into()),
        }
    }

    /// The state of an ordered scan, for an operation that demands one.
    pub(crate) fn scan(&self, inputs: &[TensorInfo]) -> Result<Option<Box<dyn Scan>>> {
        let infos: Vec<&TensorInfo> = inputs.iter().collect();
        self.result(&infos)?;
        match self {
            Op::MeanRows => Ok(Some(mean::scan(&infos)?)),
            Op::Transpose
            | Op::Permute { .. }
            | Op::Reshape { .. }
            | Op::Narrow { .. }
            | Op::Concat { .. }
            | Op::Stack
            | Op::Gather { .. }
            | Op::RopePermute { .. }
            | Op::Cast { .. }
            | Op::Affine { .. }
            | Op::Lerp { .. }
            | Op::MeanHeads { .. }
            | Op::WeightNorm { .. }
            | Op::LowRank { .. }
            | Op::Dequantize { .. }
            | Op::MeanCovariance { .. }
            | Op::ResizeRows { .. } => Ok(None),
        }
    }
}

fn without_empty(demand: Demand) -> Demand {
    match demand {
        Demand::Rows(ranges) => {
            let ranges: Vec<Rows> = ranges.into_iter().filter(|rows| !rows.is_empty()).collect();
            if ranges.is_empty() { Demand::None } else { Demand::Rows(ranges) }
        }
        Demand::None | Demand::Scan | Demand::Whole => demand,
    }
}
