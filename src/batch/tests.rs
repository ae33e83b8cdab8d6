//! Bytes as tensors, and batches that are drawn.

use candle_core::DType;

use super::*;
use crate::graph::{Builder, Dim};
use crate::tensor::TensorInfo;

#[test]
fn whole_numbers_of_every_width_and_sign_become_i64() {
    let cases: &[(Dtype, &[u8], i64)] = &[
        (Dtype::Bool, &[1], 1),
        (Dtype::U8, &[0xff], 255),
        (Dtype::I8, &[0xff], -1),
        (Dtype::I16, &[0xfe, 0xff], -2),
        (Dtype::U16, &[0xfe, 0xff], 65_534),
        (Dtype::I32, &[0, 0, 0, 0x80], i64::from(i32::MIN)),
        (Dtype::U32, &[0, 0, 0, 0x80], 1 << 31),
        (Dtype::I64, &[1, 0, 0, 0, 0, 0, 0, 0x80], i64::MIN + 1),
        (Dtype::U64, &[0xff; 8], i64::MAX),
    ];
    for (dtype, bytes, expected) in cases {
        let tensor = tensor_of(&TensorInfo::new("x", *dtype, [1]), bytes).unwrap();
        assert_eq!(tensor.to_vec1::<i64>().unwrap(), [*expected], "{dtype}");
    }
    let halves = tensor_of(&TensorInfo::new("x", Dtype::Bf16, [2]), &[0x80, 0x3f, 0, 0xc0]).unwrap();
    assert_eq!(halves.to_vec1::<f32>().unwrap(), [1.0, -2.0]);
    assert!(tensor_of(&TensorInfo::new("x", Dtype::C64, [1]), &[0; 8]).is_err());
}

#[test]
fn a_drawn_batch_covers_the_ids_and_leaves_out_what_has_a_default() {
    let mut builder = Builder::new();
    builder.input("x", vec![Dim::Batch, Dim::Known(3)], Dtype::F32, None).unwrap();
    builder.input("ids", vec![Dim::Batch, Dim::UpTo(500)], Dtype::I64, Some(7)).unwrap();
    builder.input_or("mask", vec![Dim::Batch, Dim::UpTo(500)], Dtype::I64, Some(2), Some(1)).unwrap();
    let (_, graph) = builder.finish(Vec::new()).unwrap();
    let batch = random::draw(&graph, 5, 1).unwrap();
    assert_eq!(batch.keys().collect::<Vec<_>>(), ["ids", "x"]);
    assert_eq!((batch["x"].dims(), batch["x"].dtype()), (&[5, 3][..], DType::F32));
    assert_eq!(batch["ids"].dims(), [5, 128]);
    let mut ids = batch["ids"].flatten_all().unwrap().to_vec1::<i64>().unwrap();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6]);
    let mut builder = Builder::new();
    builder.input("ids", vec![Dim::Batch], Dtype::I64, None).unwrap();
    let (_, graph) = builder.finish(Vec::new()).unwrap();
    assert!(random::draw(&graph, 5, 1).unwrap_err().to_string().contains("max"));
}

#[test]
fn what_is_no_count_of_examples_is_refused() {
    assert_eq!(pin("random:3").unwrap(), PlannedBatch::Random { rows: 3 });
    for text in ["random:", "random:0", "random:-1", "random:x", "random:1.5"] {
        assert!(matches!(pin(text).unwrap_err().downcast_ref(), Some(BatchError::Count { .. })), "{text}");
    }
}
