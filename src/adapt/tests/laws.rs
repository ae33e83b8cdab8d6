//! Laws over every operation.

use super::*;
use crate::adapt::error::AdaptError;
use crate::error::Error;

#[test]
fn every_operation_has_a_case() {
    let mut names: Vec<&str> = cases().iter().map(|(op, _)| op.name()).collect();
    names.sort_unstable();
    names.dedup();
    let mut known: Vec<&str> = crate::adapt::NamedOp::usages().map(|(name, _)| name).collect();
    known.retain(|name| !name.starts_with("split"));
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn a_result_has_its_promised_shape_and_keeps_the_first_name() {
    for (op, inputs) in cases() {
        let out = whole(&op, &inputs).unwrap_or_else(|e| panic!("{op} of {:?}: {e}", infos(&inputs)));
        assert_eq!(out.bytes.len() as u64, out.info.bytes().unwrap(), "{op}");
        assert_eq!(out.info.name, inputs[0].info.name, "{op}");
    }
}

#[test]
fn any_rows_from_their_demand_are_those_rows_of_the_whole() {
    for (op, inputs) in cases() {
        let all = whole(&op, &inputs).unwrap();
        let row = all.info.row_bytes().unwrap() as usize;
        let rows = all.info.rows();
        let step = (rows / 12).max(1);
        for start in (0..=rows).step_by(step as usize) {
            for end in (start..=rows).step_by(step as usize).chain([rows]) {
                let part = rows_of(&op, &inputs, start..end).unwrap();
                assert!(part == all.bytes[start as usize * row..end as usize * row], "{op} rows {start}..{end}");
            }
        }
    }
}

#[test]
fn a_demand_stays_inside_the_inputs_and_names_each_row_range_whole() {
    for (op, inputs) in cases() {
        let infos = infos(&inputs);
        let rows = op.out(&infos).unwrap().rows();
        for row in 0..rows {
            for (demand, info) in op.demand(&infos, row..row + 1).unwrap().iter().zip(&infos) {
                if let Demand::Rows(ranges) = demand {
                    assert!(!ranges.is_empty(), "{op}");
                    assert!(ranges.iter().all(|r| r.start < r.end && r.end <= info.rows()), "{op} {ranges:?}");
                }
            }
        }
        assert!(op.demand(&infos, rows..rows).unwrap().iter().all(|d| *d == Demand::None), "{op}");
    }
}

#[test]
fn rows_that_a_result_does_not_have_are_an_error() {
    for (op, inputs) in cases() {
        let infos = infos(&inputs);
        let rows = op.out(&infos).unwrap().rows();
        for bad in [0..rows + 1, rows + 1..rows + 1, Rows { start: 1, end: 0 }] {
            assert!(
                matches!(
                    op.demand(&infos, bad).as_ref().err().and_then(Error::downcast_ref),
                    Some(AdaptError::Rows { .. })
                ),
                "{op}"
            );
        }
    }
}

#[test]
fn a_move_keeps_every_byte_as_a_byte_of_an_input() {
    for (op, inputs) in cases().into_iter().filter(|(op, _)| keeps_bytes(op)) {
        let out = whole(&op, &inputs).unwrap();
        assert_eq!(out.info.dtype, inputs[0].info.dtype);
        let elements = |stored: &Stored| -> std::collections::BTreeSet<Vec<u8>> {
            let unit = stored.info.dtype.unit().1 as usize;
            stored.bytes.chunks_exact(unit).map(<[u8]>::to_vec).collect()
        };
        let have: std::collections::BTreeSet<_> = inputs.iter().flat_map(&elements).collect();
        assert!(elements(&out).is_subset(&have), "{op}");
    }
}

#[test]
fn blocks_and_buffers_of_another_length_are_refused_without_a_panic() {
    for (op, inputs) in cases() {
        let infos = infos(&inputs);
        let info = op.out(&infos).unwrap();
        if info.bytes().unwrap() == 0 {
            continue;
        }
        let nothing: Vec<Block> = infos.iter().map(|info| Block { info, rows: Vec::new(), bytes: &[] }).collect();
        let mut out = vec![0; info.bytes().unwrap() as usize];
        assert!(op.apply(&nothing, 0..info.rows(), &mut out).is_err(), "{op}");
        let short: Vec<Block> =
            infos.iter().map(|info| Block { info, rows: vec![0..info.rows()], bytes: &[0] }).collect();
        let mut out = vec![0; out.len() + 1];
        assert!(op.apply(&short, 0..info.rows(), &mut out).is_err(), "{op}");
    }
}

#[test]
fn an_operation_reads_back_equal_from_json() {
    for (op, _) in cases() {
        let text = serde_json::to_string(&op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), op, "{text}");
    }
}

/// Operations with numbers that no file of ours has, but one that was edited may.
fn hostile() -> Vec<(Op, Vec<TensorInfo>)> {
    let t = |dtype, shape: &[u64]| TensorInfo::new("a", dtype, shape);
    let f = |shape: &[u64]| t(Dtype::F32, shape);
    let big = u64::MAX;
    let gather = |axis, r: Run| Op::Gather { axis, runs: [r].into() };
    let rope = |heads, rotary| Op::RopePermute { heads, rotary, to: RopeLayout::ToHalves };
    let mut cases = vec![
        (Op::Transpose, vec![f(&[2, 3, 4])]),
        (Op::Transpose, vec![f(&[])]),
        (Op::Transpose, vec![t(Dtype::F4, &[2, 2])]),
        (Op::Permute { order: vec![0, 0] }, vec![f(&[2, 3])]),
        (Op::Permute { order: vec![0, 2] }, vec![f(&[2, 3])]),
        (Op::Permute { order: vec![0] }, vec![f(&[2, 3])]),
        (Op::Reshape { shape: [7].into() }, vec![f(&[2, 3])]),
        (Op::Reshape { shape: [big, 2, 3].into() }, vec![f(&[2, 3])]),
        (Op::Reshape { shape: [0, big, big].into() }, vec![f(&[0])]),
        (Op::Reshape { shape: [2, 3].into() }, vec![t(Dtype::F4, &[6])]),
        (Op::Narrow { axis: 2, start: 0, len: 1 }, vec![f(&[2, 3])]),
        (Op::Narrow { axis: 0, start: 2, len: 1 }, vec![f(&[2, 3])]),
        (Op::Narrow { axis: 0, start: big, len: 2 }, vec![f(&[2, 3])]),
        (Op::Narrow { axis: 1, start: 0, len: 1 }, vec![t(Dtype::F4, &[2, 4])]),
        (Op::Narrow { axis: 0, start: 0, len: 1 }, vec![f(&[])]),
        (Op::Concat { axis: 0 }, vec![]),
        (Op::Concat { axis: 0 }, vec![f(&[])]),
        (Op::Concat { axis: 0 }, vec![f(&[2, 3]), f(&[2, 4])]),
        (Op::Concat { axis: 0 }, vec![f(&[2, 3]), f(&[2, 3, 1])]),
        (Op::Concat { axis: 0 }, vec![f(&[2, 3]), t(Dtype::Bf16, &[2, 3])]),
        (Op::Concat { axis: 0 }, vec![f(&[big, 0]), f(&[big, 0])]),
        (Op::Stack, vec![]),
        (Op::Stack, vec![f(&[2]), f(&[3])]),
        (gather(0, run(1, 0, 1, 1)), vec![f(&[2, 3])]),
        (gather(0, run(0, 2, 1, 1)), vec![f(&[2, 3])]),
        (gather(0, run(0, 0, 1, 3)), vec![f(&[2, 3])]),
        (gather(0, run(0, 1, -1, 3)), vec![f(&[2, 3])]),
        (gather(0, run(0, big, 0, 1)), vec![f(&[2, 3])]),
        (gather(0, run(0, 1, i64::MIN, big)), vec![f(&[2, 3])]),
        (gather(0, run(0, 1, i64::MAX, big)), vec![f(&[2, 3])]),
        (gather(0, run(0, 0, 0, big)), vec![f(&[2, 3])]),
        (Op::Gather { axis: 0, runs: [run(0, 0, 0, big), run(0, 0, 0, big)].into() }, vec![f(&[2, 0])]),
        (gather(1, run(0, 0, 1, 1)), vec![f(&[2])]),
        (gather(0, run(0, 0, 1, 1)), vec![]),
        (rope(0, 2), vec![f(&[4, 2])]),
        (rope(3, 2), vec![f(&[4, 2])]),
        (rope(2, 1), vec![f(&[4, 2])]),
        (rope(2, 4), vec![f(&[4, 2])]),
        (rope(1, 0), vec![f(&[])]),
        (Op::Cast { dtype: Dtype::I32 }, vec![f(&[2])]),
        (Op::Cast { dtype: Dtype::F32 }, vec![t(Dtype::I32, &[2])]),
        (Op::Cast { dtype: Dtype::F64 }, vec![t(Dtype::Bf16, &[1 << 62, 1])]),
        (Op::Affine { scale: f64::NAN, offset: 0.0 }, vec![f(&[2])]),
        (Op::Affine { scale: 1.0, offset: f64::INFINITY }, vec![f(&[2])]),
        (Op::Affine { scale: 1.0, offset: 0.0 }, vec![t(Dtype::F8E4m3, &[2])]),
        (Op::Lerp { t: 0.5 }, vec![f(&[2])]),
        (Op::Lerp { t: 0.5 }, vec![f(&[2]), f(&[3])]),
        (Op::Lerp { t: f64::NAN }, vec![f(&[2]), f(&[2])]),
        (Op::MeanHeads { heads: 0, groups: 1 }, vec![f(&[4])]),
        (Op::MeanHeads { heads: 4, groups: 0 }, vec![f(&[4])]),
        (Op::MeanHeads { heads: 3, groups: 1 }, vec![f(&[4])]),
        (Op::MeanHeads { heads: 4, groups: 3 }, vec![f(&[4])]),
        (Op::MeanHeads { heads: 4, groups: 2 }, vec![t(Dtype::U8, &[4])]),
        (Op::MeanRows, vec![f(&[])]),
        (Op::MeanRows, vec![f(&[0, 3])]),
        (Op::ResizeRows { rows: 4, prefix: 5 }, vec![f(&[6, 2])]),
        (Op::ResizeRows { rows: 4, prefix: 3 }, vec![f(&[3, 2])]),
        (Op::ResizeRows { rows: 4, prefix: 0 }, vec![f(&[0, 2])]),
        (Op::ResizeRows { rows: big, prefix: 0 }, vec![f(&[3, 2])]),
    ];
    for (op, _) in super::cases() {
        cases.push((op.clone(), vec![f(&[2, 3]), t(Dtype::U8, &[7]), f(&[])]));
    }
    cases
}

#[test]
fn an_operation_that_does_not_fit_is_an_error_everywhere_and_never_a_panic() {
    for (op, inputs) in hostile() {
        assert!(op.out(&inputs).is_err(), "{op} of {inputs:?}");
        assert!(op.demand(&inputs, 0..1).is_err(), "{op}");
        let blocks: Vec<Block> = inputs.iter().map(|info| Block { info, rows: vec![0..1], bytes: &[0; 4] }).collect();
        assert!(op.apply(&blocks, 0..1, &mut [0; 4]).is_err(), "{op}");
    }
}

#[test]
fn an_error_names_the_operation_and_both_shapes() {
    let a = TensorInfo::new("query.weight", Dtype::F32, [4, 3]);
    let b = TensorInfo::new("key.weight", Dtype::F32, [2, 5]);
    let text = Op::Concat { axis: 0 }.out(&[a.clone(), b]).unwrap_err().to_string();
    assert_eq!(text, "concat of tensors that do not fit together: query.weight f32 [4, 3] and key.weight f32 [2, 5]");
    let text = Op::Reshape { shape: [5, 2].into() }.out(&[a]).unwrap_err().to_string();
    assert_eq!(text, "reshape of query.weight f32 [4, 3] to [5, 2]: the number of elements differs");
}
