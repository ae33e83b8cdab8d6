//! Pieces: their digests merge, long rows are cut, memory is as announced.

use super::*;
use crate::checkpoint::CheckpointFormat;
use crate::tensor::Dtype;
use crate::transfer::digest::Digest;
use crate::transfer::node::{Kind, Node};
use crate::transfer::scratch::PIECE;
use crate::transfer::{peak, work};

#[test]
fn the_digest_of_pieces_in_any_order_is_that_of_the_whole() {
    let bytes = Stored::scrambled("a", Dtype::U8, &[70_000]).bytes;
    for len in [0, 1, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 4096, 5000, 65_536, 65_537, 70_000] {
        for piece in [1024, 2048, 16_384, 1 << 17] {
            let tree = Digest::new(len, piece);
            for index in (0..tree.pieces()).rev() {
                let span = tree.span(index);
                tree.put(index, &bytes[span.start as usize..span.end as usize]);
            }
            assert_eq!(tree.text(), digest(&bytes[..len as usize]), "{len} in {piece}");
        }
    }
}

/// A checkpoint that lists tensors and cannot read them.
struct Listed(Listing);

impl Reader for Listed {
    fn listing(&self) -> &Listing {
        &self.0
    }
    fn extent(&self, tensor: usize) -> Option<Extent> {
        let len = self.0.tensors[tensor].bytes().unwrap();
        Some(Extent { file: Arc::new(Held(Vec::new())), offset: 0, len })
    }
    fn read(&self, _tensor: usize, _rows: Rows, _out: &mut [u8]) -> Result<()> {
        panic!("nothing is read")
    }
    fn scratch(&self, _tensor: usize) -> u64 {
        0
    }
}

fn listed(tensors: &[TensorInfo]) -> [Arc<dyn Reader>; 1] {
    [Arc::new(Listed(Listing::new(CheckpointFormat::Safetensors, tensors.to_vec(), Vec::new(), None)))]
}

fn of_info(info: &TensorInfo) -> Value {
    Value::Source { source: 0, tensor: info.name.clone(), dtype: info.dtype, shape: info.shape.clone() }
}

const MIB: u64 = 1 << 20;

#[test]
fn row_operations_over_a_huge_tensor_need_little_memory() {
    let huge = TensorInfo::new("huge", Dtype::F32, [2_000_000, 8192]);
    let readers = listed(std::slice::from_ref(&huge));
    let need = |value: Value| peak(&plan(vec![assign("t", value)]), &readers, 2).unwrap();
    let cast = apply(Op::Cast { dtype: Dtype::Bf16 }, vec![of_info(&huge)]);
    let more = init(&[1_000_000, 8192], 0, normal(0.02));
    let runs = [crate::adapt::tests::run(0, 1_999_999, -1, 2_000_000), crate::adapt::tests::run(1, 0, 1, 9)];
    assert!(need(of_info(&huge)) <= 12 * MIB);
    assert!(need(cast) <= 12 * MIB);
    assert!(need(apply(Op::Concat { axis: 0 }, vec![of_info(&huge), more.clone()])) <= 12 * MIB);
    assert!(need(apply(Op::Gather { axis: 0, runs: runs.into() }, vec![of_info(&huge), more])) <= 12 * MIB);
    assert!(need(apply(Op::ResizeRows { rows: 100_000, prefix: 2 }, vec![of_info(&huge)])) <= 200 * MIB);
    assert!(need(apply(Op::MeanRows, vec![of_info(&huge)])) <= 12 * MIB);
}

#[test]
fn what_needs_a_whole_input_is_announced_with_it_once_for_each_thread() {
    let a = TensorInfo::new("a", Dtype::F32, [4096, 4096]);
    let readers = listed(std::slice::from_ref(&a));
    let transposed = |name: &str| assign(name, apply(Op::Transpose, vec![of_info(&a)]));
    let one = plan(vec![transposed("t")]);
    let two = plan(vec![transposed("t"), transposed("u")]);
    let need = peak(&one, &readers, 2).unwrap();
    assert!((64 * MIB..74 * MIB).contains(&need), "{need}");
    assert!(peak(&two, &readers, 1).unwrap() < need + MIB);
    let both = peak(&two, &readers, 2).unwrap();
    assert!((128 * MIB..140 * MIB).contains(&both), "{both}");
    let orthogonal = plan(vec![assign("o", init(&[1000, 1000], 0, Scheme::Orthogonal { gain: 1.0 }))]);
    assert!(peak(&orthogonal, &[], 1).unwrap() > 4_000_000);
}

#[test]
fn more_memory_than_there_is_is_an_error_and_no_abort() {
    let far = TensorInfo::new("far", Dtype::F32, [1 << 40, 1 << 18]);
    let readers = listed(std::slice::from_ref(&far));
    let assignment = assign("t", apply(Op::Transpose, vec![of_info(&far)]));
    let error = crate::transfer::produce(SEED, &assignment, &readers, 0..0, &mut []).err();
    assert!(error.is_none(), "no rows need nothing");
    let narrow = apply(Op::Narrow { axis: 1, start: 0, len: 1 }, vec![assignment.value]);
    let result = crate::transfer::produce(SEED, &assign("t", narrow), &readers, 0..1, &mut [0; 4]);
    assert!(
        matches!(
            result.as_ref().err().and_then(Error::downcast_ref),
            Some(crate::transfer::error::TransferError::Memory { .. })
        ),
        "{result:?}"
    );
}

#[test]
fn a_reader_that_unpacks_is_announced_with_its_scratch() {
    let a = Stored::scrambled("a", Dtype::F32, &[4, 4]);
    let plan = plan(vec![assign("a", source(&a))]);
    let need = |gives| peak(&plan, &[Memory::of(std::slice::from_ref(&a), gives)], 1).unwrap();
    assert_eq!(need(Gives::Rows) - need(Gives::Extents), 1000);
}

#[test]
fn a_stack_of_large_experts_is_cut_inside_the_experts() {
    let expert = TensorInfo::new("expert", Dtype::Bf16, [14_336, 4096]);
    let readers = listed(std::slice::from_ref(&expert));
    let half = apply(Op::Concat { axis: 0 }, vec![of_info(&expert), of_info(&expert)]);
    let stack = apply(Op::Stack, vec![half.clone(), half]);
    for value in [stack.clone(), apply(Op::Cast { dtype: Dtype::F32 }, vec![stack])] {
        let assignment = assign("t", value);
        let node = Node::of(SEED, &assignment, &readers).unwrap().refined(PIECE).unwrap();
        assert_eq!(node.info.shape, [4 * 14_336, 4096]);
        assert_eq!(work::piece_of(&node, PIECE).unwrap(), PIECE);
        assert!(peak(&plan(vec![assignment]), &readers, 2).unwrap() < 12 * MIB);
    }
}

#[test]
fn codes_of_any_size_are_dequantised_in_little_memory() {
    let need = |codes: &[u64], scale: &[u64], block: &[u64]| {
        let (codes, scale) = (TensorInfo::new("q", Dtype::F8E4m3, codes), TensorInfo::new("s", Dtype::F32, scale));
        let readers = listed(&[codes.clone(), scale.clone()]);
        let numbers = apply(Op::Dequantize { block: block.to_vec() }, vec![of_info(&codes), of_info(&scale)]);
        let plan = plan(vec![assign("t", apply(Op::Cast { dtype: Dtype::Bf16 }, vec![numbers]))]);
        peak(&plan, &readers, 2).unwrap()
    };
    assert!(need(&[2_000_000, 8192], &[2_000_000, 64], &[1, 128]) <= 14 * MIB);
    assert!(need(&[2_000_000, 8192], &[15_625, 64], &[128, 128]) <= 14 * MIB);
    // a stack is cut inside its matrices, whatever the shape of their scales
    assert!(need(&[64, 14_336, 4096], &[64, 112, 32], &[1, 128, 128]) <= 14 * MIB);
    assert!(need(&[64, 14_336, 4096], &[64], &[1, 14_336, 4096]) <= 14 * MIB);
    assert!(need(&[64, 14_336, 4096], &[64, 1, 1], &[1, 14_336, 4096]) <= 14 * MIB);
}

#[test]
fn a_stack_that_is_dequantised_in_pieces_is_what_it_is_whole() {
    for (scale, block) in
        [(&[3u64, 2, 3][..], [1, 20, 20]), (&[3], [1, 40, 60]), (&[3, 1, 60], [1, 40, 1]), (&[3, 3, 1], [1, 15, 60])]
    {
        let (codes, scale) =
            (Stored::scrambled("q", Dtype::I8, &[3, 40, 60]), Stored::counting("s", Dtype::F32, scale));
        let tensors = [codes.clone(), scale.clone()];
        let value = apply(Op::Dequantize { block: block.to_vec() }, vec![source(&codes), source(&scale)]);
        let expected = naive("t", &value, &tensors);
        let plan = plan(vec![assign("t", value)]);
        let readers: [Arc<dyn Reader>; 1] = [Memory::of(&tensors, Gives::Extents)];
        let (files, _) = run_in_pieces(&plan, &readers, options(2), 1024).unwrap();
        assert_eq!(written(&plan, &files, 0), expected.bytes, "{block:?}");
    }
}

#[test]
fn a_reshape_of_a_source_is_a_copy() {
    let a = TensorInfo::new("a", Dtype::F4, [6, 4]);
    let readers = listed(std::slice::from_ref(&a));
    let assignment = assign("t", apply(Op::Reshape { shape: [2, 12].into() }, vec![of_info(&a)]));
    let node = Node::of(SEED, &assignment, &readers).unwrap().refined(PIECE).unwrap();
    assert!(matches!(node.kind, Kind::Source(_)));
}

#[test]
fn only_what_rows_share_keeps_a_tensor_on_one_thread() {
    let a = TensorInfo::new("a", Dtype::F32, [8, 8]);
    let readers = listed(std::slice::from_ref(&a));
    let shares = |value: Value| {
        let assignment = assign("t", value);
        Node::of(SEED, &assignment, &readers).unwrap().shares().unwrap()
    };
    assert!(!shares(of_info(&a)));
    assert!(!shares(apply(Op::Cast { dtype: Dtype::F16 }, vec![of_info(&a)])));
    assert!(shares(apply(Op::Cast { dtype: Dtype::F16 }, vec![apply(Op::Transpose, vec![of_info(&a)])])));
    assert!(shares(apply(Op::MeanRows, vec![of_info(&a)])));
    assert!(shares(init(&[8, 8], 0, Scheme::Orthogonal { gain: 1.0 })));
}
