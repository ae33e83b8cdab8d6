#![allow(clippy::single_range_in_vec_init, reason = "a block often contains one range of rows")]

mod laws;
mod named;
mod numbers;

use super::{Block, Demand, Op, RopeLayout, Run};
use crate::error::Result;
use crate::tensor::{Dtype, Rows, TensorInfo};

/// A tensor with its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub info: TensorInfo,
    pub bytes: Vec<u8>,
}

impl Stored {
    /// Bytes that differ from each other as far as they can, and from tensor to tensor.
    pub(crate) fn scrambled(name: &str, dtype: Dtype, shape: &[u64]) -> Stored {
        let info = TensorInfo::new(name, dtype, shape);
        let mut state =
            name.bytes().fold(0x9e37_79b9_7f4a_7c15u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let byte = |_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        let bytes = (0..info.bytes().unwrap()).map(byte).collect();
        Stored { info, bytes }
    }

    pub(crate) fn f32(name: &str, shape: &[u64], values: &[f32]) -> Stored {
        let info = TensorInfo::new(name, Dtype::F32, shape);
        assert_eq!(info.elements().unwrap(), values.len() as u64);
        Stored { info, bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// Small whole numbers, exact in every float type.
    pub(crate) fn counting(name: &str, dtype: Dtype, shape: &[u64]) -> Stored {
        let mut stored = Stored::scrambled(name, dtype, shape);
        let values = stored.bytes.iter().map(|b| i32::from(*b) % 64 - 32).collect::<Vec<_>>();
        let n = stored.info.elements().unwrap() as usize;
        stored.bytes = values
            .into_iter()
            .take(n)
            .flat_map(|v| match dtype {
                Dtype::F16 => half::f16::from_f32(v as f32).to_le_bytes().to_vec(),
                Dtype::Bf16 => half::bf16::from_f32(v as f32).to_le_bytes().to_vec(),
                Dtype::F32 => (v as f32).to_le_bytes().to_vec(),
                Dtype::F64 => f64::from(v).to_le_bytes().to_vec(),
                // bytes of every sign and size, none of them NaN or infinite
                Dtype::I8 | Dtype::F8E4m3 | Dtype::F8E5m2 => vec![v as u8 & 0xBB],
                _ => panic!("no float: {dtype}"),
            })
            .collect();
        stored
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        let read = |b: &[u8]| match self.info.dtype {
            Dtype::F16 => half::f16::from_le_bytes([b[0], b[1]]).to_f64(),
            Dtype::Bf16 => half::bf16::from_le_bytes([b[0], b[1]]).to_f64(),
            Dtype::F32 => f64::from(f32::from_le_bytes(b.try_into().unwrap())),
            Dtype::F64 => f64::from_le_bytes(b.try_into().unwrap()),
            other => match crate::adapt::codes::number(other) {
                Some(number) => f64::from(number(b[0])),
                None => panic!("no number: {other}"),
            },
        };
        self.bytes.chunks_exact(self.info.dtype.bits() as usize / 8).map(read).collect()
    }

    fn rows(&self, ranges: &[Rows]) -> Vec<u8> {
        let row = self.info.row_bytes().unwrap();
        ranges.iter().flat_map(|r| self.bytes[(r.start * row) as usize..(r.end * row) as usize].to_vec()).collect()
    }
}

impl Op {
    /// What each input must supply for `rows` of the result: nothing for no rows. An error where the operation does not fit
    /// its inputs or the result has no such rows.
    pub(crate) fn demand(&self, inputs: &[TensorInfo], rows: Rows) -> Result<Vec<Demand>> {
        let infos: Vec<&TensorInfo> = inputs.iter().collect();
        let out = self.result(&infos)?;
        self.demand_of(&infos, &out, &rows)
    }

    /// `rows` of the result into `out` from blocks that hold what was demanded. A `Scan` input is fed through `scan` instead,
    /// and gives no rows here: an error, as are blocks and buffers of another length than was demanded.
    pub(crate) fn apply(&self, inputs: &[Block], rows: Rows, out: &mut [u8]) -> Result<()> {
        let infos: Vec<&TensorInfo> = inputs.iter().map(|block| block.info).collect();
        let info = self.result(&infos)?;
        self.apply_to(&info, inputs, rows, out)
    }
}

pub(crate) fn infos(inputs: &[Stored]) -> Vec<TensorInfo> {
    inputs.iter().map(|input| input.info.clone()).collect()
}

/// Some rows of the result, from no more than was demanded.
pub(crate) fn rows_of(op: &Op, inputs: &[Stored], rows: Rows) -> Result<Vec<u8>> {
    let infos = infos(inputs);
    let info = op.out(&infos)?;
    let mut out = vec![0xa5; ((rows.end - rows.start) * info.row_bytes()?) as usize];
    let demands = op.demand(&infos, rows.clone())?;
    if demands.contains(&Demand::Scan) {
        let mut scan = op.scan(&infos)?.expect("an operation that demands a scan has one");
        for row in 0..infos[0].rows() {
            scan.push(&inputs[0].rows(&[row..row + 1]))?;
        }
        scan.finish(&mut out)?;
        return Ok(out);
    }
    let ranges: Vec<Vec<Rows>> = demands
        .iter()
        .zip(&infos)
        .map(|(demand, info)| match demand {
            Demand::None | Demand::Scan => Vec::new(),
            Demand::Rows(ranges) => ranges.clone(),
            Demand::Whole => vec![0..info.rows()],
        })
        .collect();
    let bytes: Vec<Vec<u8>> = inputs.iter().zip(&ranges).map(|(input, ranges)| input.rows(ranges)).collect();
    let blocks: Vec<Block> =
        infos.iter().zip(ranges).zip(&bytes).map(|((info, rows), bytes)| Block { info, rows, bytes }).collect();
    op.apply(&blocks, rows, &mut out)?;
    Ok(out)
}

pub(crate) fn whole(op: &Op, inputs: &[Stored]) -> Result<Stored> {
    let info = op.out(&infos(inputs))?;
    let bytes = rows_of(op, inputs, 0..info.rows())?;
    Ok(Stored { info, bytes })
}

/// Whether every byte of the result is a byte of an input.
pub(crate) fn keeps_bytes(op: &Op) -> bool {
    match op {
        Op::Transpose
        | Op::Permute { .. }
        | Op::Reshape { .. }
        | Op::Narrow { .. }
        | Op::Concat { .. }
        | Op::Stack
        | Op::Gather { .. }
        | Op::RopePermute { .. } => true,
        Op::Cast { .. }
        | Op::Affine { .. }
        | Op::Lerp { .. }
        | Op::MeanHeads { .. }
        | Op::MeanRows
        | Op::WeightNorm { .. }
        | Op::LowRank { .. }
        | Op::Dequantize { .. }
        | Op::MeanCovariance { .. }
        | Op::ResizeRows { .. } => false,
    }
}

pub(crate) fn run(input: usize, start: u64, step: i64, len: u64) -> Run {
    Run { input, start, step, len }
}

/// Every operation in every way that matters, with inputs that it fits.
pub(crate) fn cases() -> Vec<(Op, Vec<Stored>)> {
    let mut cases = Vec::new();
    for dtype in [Dtype::Bool, Dtype::Bf16, Dtype::F32, Dtype::F64, Dtype::C64] {
        cases.extend(moves(dtype));
    }
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64] {
        cases.extend(computes(dtype));
    }
    // elements of half a byte move by whole rows
    let f4 = |name, shape: &[u64]| Stored::scrambled(name, Dtype::F4, shape);
    cases.push((Op::Narrow { axis: 0, start: 1, len: 2 }, vec![f4("a", &[4, 6])]));
    cases.push((Op::Reshape { shape: [6, 4].into() }, vec![f4("a", &[4, 6])]));
    cases.push((Op::Gather { axis: 0, runs: [run(0, 3, -1, 4)].into() }, vec![f4("a", &[4, 6])]));
    cases
}

fn moves(dtype: Dtype) -> Vec<(Op, Vec<Stored>)> {
    let t = |name: &str, shape: &[u64]| Stored::scrambled(name, dtype, shape);
    let mut cases = Vec::new();
    for shape in [[3, 5], [1, 7], [0, 4], [4, 0], [37, 70]] {
        cases.push((Op::Transpose, vec![t("a", &shape)]));
        cases.push((Op::Reshape { shape: [shape[0] * shape[1]].into() }, vec![t("a", &shape)]));
    }
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        cases.push((Op::Permute { order: order.to_vec() }, vec![t("a", &[3, 4, 5])]));
    }
    cases.push((Op::Permute { order: vec![] }, vec![t("a", &[])]));
    cases.push((Op::Permute { order: vec![3, 2, 0, 1] }, vec![t("a", &[2, 3, 4, 5])]));
    cases.push((Op::Permute { order: vec![0, 3, 1, 2] }, vec![t("a", &[2, 3, 4, 5])]));
    for shape in [vec![10, 6], vec![2, 3, 10], vec![60], vec![1, 60], vec![4, 15]] {
        cases.push((Op::Reshape { shape: shape.into() }, vec![t("a", &[4, 15])]));
    }
    cases.push((Op::Reshape { shape: [].into() }, vec![t("a", &[1, 1])]));
    cases.push((Op::Reshape { shape: [1, 1].into() }, vec![t("a", &[])]));
    for (axis, start, len) in [(0, 0, 4), (0, 1, 2), (0, 4, 0), (1, 2, 3), (2, 0, 1), (2, 1, 2), (1, 5, 0)] {
        cases.push((Op::Narrow { axis, start, len }, vec![t("a", &[4, 5, 3])]));
    }
    cases.push((Op::Concat { axis: 0 }, vec![t("a", &[2, 3]), t("b", &[0, 3]), t("c", &[4, 3])]));
    cases.push((Op::Concat { axis: 1 }, vec![t("a", &[3, 2]), t("b", &[3, 0]), t("c", &[3, 4])]));
    cases.push((Op::Concat { axis: 0 }, vec![t("a", &[3])]));
    cases.push((Op::Stack, vec![t("a", &[3, 2]), t("b", &[3, 2])]));
    cases.push((Op::Stack, vec![t("a", &[]), t("b", &[]), t("c", &[])]));
    cases.push((Op::Stack, vec![t("a", &[0, 2]), t("b", &[0, 2])]));
    let runs = [run(0, 1, 1, 3), run(1, 2, 0, 4), run(0, 4, -1, 5), run(0, 0, 2, 2), run(1, 0, 1, 0), run(0, 4, -2, 3)];
    cases.push((Op::Gather { axis: 0, runs: runs.into() }, vec![t("a", &[5, 3]), t("b", &[3, 3])]));
    cases.push((Op::Gather { axis: 1, runs: runs.into() }, vec![t("a", &[4, 5, 2]), t("b", &[4, 3, 2])]));
    cases.push((Op::Gather { axis: 0, runs: runs.into() }, vec![t("a", &[5]), t("b", &[3])]));
    cases.push((Op::Gather { axis: 0, runs: [].into() }, vec![t("a", &[5, 2])]));
    cases.push((Op::Gather { axis: 1, runs: [run(0, 0, 1, 4), run(0, 0, 1, 4)].into() }, vec![t("a", &[3, 4])]));
    cases.push((
        Op::Gather { axis: 0, runs: [run(0, 3, -1, 4), run(1, 0, 1, 2)].into() },
        vec![t("a", &[4]), t("b", &[2])],
    ));
    for to in [RopeLayout::ToHalves, RopeLayout::ToNeighbours] {
        cases.push((Op::RopePermute { heads: 3, rotary: 4, to }, vec![t("a", &[18, 2])]));
        cases.push((Op::RopePermute { heads: 2, rotary: 8, to }, vec![t("a", &[16])]));
        cases.push((Op::RopePermute { heads: 2, rotary: 0, to }, vec![t("a", &[6, 1])]));
        cases.push((Op::RopePermute { heads: 2, rotary: 0, to }, vec![t("a", &[0, 3])]));
    }
    cases
}

fn computes(dtype: Dtype) -> Vec<(Op, Vec<Stored>)> {
    let t = |name: &str, shape: &[u64]| Stored::counting(name, dtype, shape);
    let mut cases = Vec::new();
    for to in [Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64] {
        cases.push((Op::Cast { dtype: to }, vec![t("a", &[5, 3])]));
        cases.push((Op::Cast { dtype: to }, vec![t("a", &[])]));
        cases.push((Op::Cast { dtype: to }, vec![t("a", &[3, 1500])]));
    }
    cases.push((Op::Affine { scale: 0.5, offset: -1.0 }, vec![t("a", &[5, 3])]));
    cases.push((Op::Affine { scale: 1.0 / 3.0, offset: 0.0 }, vec![t("a", &[0, 3])]));
    cases.push((Op::Affine { scale: -1.0, offset: 0.0 }, vec![t("a", &[2, 3])]));
    cases.push((Op::Lerp { t: 0.25 }, vec![t("a", &[5, 3]), t("b", &[5, 3])]));
    for (heads, groups) in [(6, 2), (6, 6), (6, 1), (1, 1)] {
        cases.push((Op::MeanHeads { heads, groups }, vec![t("a", &[24, 3])]));
        cases.push((Op::MeanHeads { heads, groups }, vec![t("a", &[6])]));
    }
    cases.push((Op::MeanHeads { heads: 2, groups: 1 }, vec![t("a", &[0, 3])]));
    cases.push((Op::MeanHeads { heads: 2, groups: 1 }, vec![t("a", &[4, 0])]));
    for shape in [&[7, 3][..], &[1, 4], &[5], &[3, 0], &[2, 1200]] {
        cases.push((Op::MeanRows, vec![t("a", shape)]));
    }
    for (rows, prefix) in [(13, 0), (5, 0), (6, 2), (2, 2), (1, 0), (12, 1), (0, 0), (25, 0), (24, 1)] {
        cases.push((Op::ResizeRows { rows, prefix }, vec![t("a", &[13, 3])]));
    }
    cases.push((Op::ResizeRows { rows: 4, prefix: 0 }, vec![t("a", &[1])]));
    for (axis, g) in [(0, [5, 1, 1]), (1, [1, 3, 1]), (2, [1, 1, 4])] {
        cases.push((Op::WeightNorm { axis }, vec![t("g", &g), t("v", &[5, 3, 4])]));
    }
    cases.push((Op::WeightNorm { axis: 0 }, vec![t("g", &[5]), t("v", &[5, 3])]));
    cases.push((Op::LowRank { scale: 0.5, turned: false }, vec![t("w", &[6, 4]), t("a", &[2, 4]), t("b", &[6, 2])]));
    cases.push((Op::LowRank { scale: 2.0, turned: true }, vec![t("w", &[6, 4]), t("a", &[2, 6]), t("b", &[4, 2])]));
    cases.push((
        Op::LowRank { scale: 0.25, turned: false },
        vec![t("w", &[6, 2, 3, 1]), t("a", &[4, 2, 3, 1]), t("b", &[6, 4, 1, 1])],
    ));
    cases.push((Op::MeanCovariance { scale: 0.25 }, vec![t("x", &[7, 3]), t("z", &[5, 7])]));
    cases.push((Op::MeanCovariance { scale: 1.0 }, vec![t("x", &[4]), t("z", &[2, 4])]));
    let packed = |shape: &[u64], of| Stored::counting("w", of, shape);
    for of in [Dtype::I8, Dtype::F8E4m3, Dtype::F8E5m2] {
        for (block, scale) in [
            ([4, 3], &[2, 2][..]),
            ([7, 1], &[1, 5]),
            ([1, 5], &[7, 1]),
            ([7, 5], &[]),
            ([1, 2], &[7, 3]),
            ([2, 5], &[4]),
        ] {
            cases.push((Op::Dequantize { block: block.to_vec() }, vec![packed(&[7, 5], of), t("s", scale)]));
        }
        let stack = |block: &[u64], scale: &[u64]| {
            let inputs = vec![packed(&[3, 4, 5], of), t("s", scale), packed(scale, Dtype::I8)];
            (Op::Dequantize { block: block.to_vec() }, inputs)
        };
        cases.extend([stack(&[1, 4, 5], &[3]), stack(&[1, 4, 1], &[3, 1, 5]), stack(&[1, 3, 2], &[3, 2, 3])]);
        cases.push((Op::Dequantize { block: vec![2] }, vec![packed(&[5], of), t("s", &[3])]));
        cases.push((Op::Cast { dtype: Dtype::Bf16 }, vec![packed(&[5, 3], of)]));
    }
    cases
}
