//! What goes wrong is an error with its names and numbers, and stops every thread.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use super::*;
use crate::tensor::Dtype;
use crate::transfer::error::TransferError;
use crate::transfer::produce;

fn failure(value: Value, tensors: &[Stored]) -> Error {
    let plan = plan(vec![assign("t", value)]);
    run(&plan, &[Memory::of(tensors, Gives::Extents)], options(2)).unwrap_err()
}

#[test]
fn a_cast_that_overflows_names_the_tensor_and_how_many_values() {
    let mut values = vec![1.0f32; 6000];
    values[3] = 70_000.0;
    values[2999] = f32::INFINITY;
    values[5999] = -65_520.0;
    let a = Stored::f32("a", &[60, 100], &values);
    let value = apply(Op::Cast { dtype: Dtype::F16 }, vec![source(&a)]);
    for threads in [1, 2, 8] {
        let plan = plan(vec![assign("t", value.clone())]);
        let readers = [Memory::of(std::slice::from_ref(&a), Gives::Rows)];
        let error = run(&plan, &readers, options(threads)).unwrap_err();
        assert_eq!(error.to_string(), "tensor t: 2 finite value(s) become infinite in f16");
        assert!(error.hints()[0].contains("--allow-overflow"));
        let allowed = Options { threads, allow_overflow: true };
        let (_, outcomes) = run(&plan, &readers, allowed).unwrap();
        assert_eq!(outcomes[0].non_finite, 3);
    }
}

#[test]
fn an_overflow_below_the_last_operation_is_found_where_it_reaches_the_result() {
    let a = Stored::f32("a", &[2, 2], &[1.0, 1e30, 2.0, 3.0]);
    let cast = apply(Op::Cast { dtype: Dtype::F16 }, vec![source(&a)]);
    let error = failure(apply(Op::Transpose, vec![cast.clone()]), std::slice::from_ref(&a));
    assert!(
        matches!(error.downcast_ref(), Some(TransferError::Overflow { count: 1, dtype: Dtype::F16, .. })),
        "{error}"
    );
    let spared = apply(Op::Narrow { axis: 1, start: 0, len: 1 }, vec![cast]);
    let plan = plan(vec![assign("t", spared)]);
    run(&plan, &[Memory::of(&[a], Gives::Extents)], options(1)).unwrap();
}

#[test]
fn a_scale_that_overflows_is_an_overflow_too() {
    let a = Stored::f32("a", &[2], &[1e30, 1.0]);
    let error = failure(apply(Op::Affine { scale: 1e30, offset: 0.0 }, vec![source(&a)]), &[a]);
    assert_eq!(error.to_string(), "tensor t: 1 finite value(s) become infinite in f32");
}

#[test]
fn nan_and_infinity_of_a_source_are_counted_and_kept() {
    let a = Stored::f32("a", &[4], &[f32::NAN, 1.0, f32::INFINITY, f32::NEG_INFINITY]);
    let plan = plan(vec![
        assign("copy", source(&a)),
        assign("cast", apply(Op::Cast { dtype: Dtype::Bf16 }, vec![source(&a)])),
    ]);
    let (_, outcomes) = run(&plan, &[Memory::of(&[a], Gives::Extents)], options(2)).unwrap();
    assert_eq!((outcomes[0].non_finite, outcomes[1].non_finite), (3, 3));
}

#[test]
fn an_initialisation_whose_numbers_do_not_fit_is_refused_before_anything_is_written() {
    let plan = plan(vec![assign("a", init(&[4], 0, normal(1.0))), assign("t", init(&[2], 0, normal(f64::NAN)))]);
    let layout = Layout::of(&plan).unwrap();
    let write = |_: usize, _: u64, _: &[u8]| panic!("nothing is written");
    let result = super::super::run::transfer(&plan, &layout, &[], options(2), &Silent, 4096, &write);
    assert!(result.unwrap_err().downcast_ref::<crate::init::error::InitError>().is_some());
}

#[test]
fn a_source_that_changed_since_the_plan_is_an_error_before_anything_is_written() {
    let a = Stored::scrambled("a", Dtype::F32, &[2, 3]);
    let other = Stored::scrambled("a", Dtype::F32, &[3, 2]);
    assert!(matches!(failure(source(&a), &[other]).downcast_ref(), Some(TransferError::Changed { .. })));
    assert!(matches!(failure(source(&a), &[]).downcast_ref(), Some(TransferError::Missing { .. })));
    let plan = plan(vec![assign("new", init(&[4], 0, normal(1.0))), assign("t", source(&a))]);
    let layout = Layout::of(&plan).unwrap();
    let write = |_: usize, _: u64, _: &[u8]| panic!("nothing is written");
    let result = super::super::run::transfer(&plan, &layout, &[], options(2), &Silent, 4096, &write);
    assert!(matches!(
        result.as_ref().err().and_then(Error::downcast_ref),
        Some(TransferError::Source { source_index: 0, sources: 0 })
    ));
}

#[test]
fn an_expression_that_gives_something_else_than_its_target_is_an_error() {
    let a = Stored::scrambled("a", Dtype::F32, &[2, 3]);
    let mut assignment = assign("t", source(&a));
    assignment.target.shape = [3, 2].into();
    let result = run(&plan(vec![assignment]), &[Memory::of(&[a], Gives::Extents)], options(1));
    let text = result.unwrap_err().to_string();
    assert_eq!(text, "tensor t f32 [3, 2]: its value is a f32 [2, 3]");
}

#[test]
fn parts_that_are_not_the_rows_are_an_error() {
    let part = |rows| InitPart { rows, scheme: normal(1.0) };
    for parts in [vec![], vec![part(1)], vec![part(2), part(1)], vec![part(u64::MAX), part(3)]] {
        let error = failure(Value::Init { shape: [2, 3].into(), first: 0, parts }, &[]);
        assert!(matches!(error.downcast_ref(), Some(TransferError::Parts { rows: 2, .. })), "{error}");
    }
    let far = Value::Init { shape: [2, 3].into(), first: u64::MAX - 2, parts: vec![part(2)] };
    assert!(failure(far, &[]).downcast_ref::<crate::tensor::error::TensorError>().is_some());
}

#[test]
fn rows_and_buffers_that_do_not_fit_are_an_error() {
    let a = Stored::scrambled("a", Dtype::F32, &[2, 3]);
    let readers = [Memory::of(std::slice::from_ref(&a), Gives::Extents)];
    let assignment = assign("a", source(&a));
    assert!(produce(SEED, &assignment, &readers, 0..3, &mut [0; 36]).is_err());
    assert!(produce(SEED, &assignment, &readers, Rows { start: 2, end: 1 }, &mut []).is_err());
    assert!(produce(SEED, &assignment, &readers, 0..2, &mut [0; 23]).is_err());
    let tied = assign("b", Value::Tied { to: "a".into() });
    assert!(matches!(
        produce(SEED, &tied, &readers, 0..1, &mut [0; 4]).unwrap_err().downcast_ref(),
        Some(TransferError::Tied { .. })
    ));
}

#[test]
fn a_signal_stops_between_pieces() {
    let plan = plan((0..50).map(|i| assign(&format!("t{i}"), init(&[10, 100], 0, normal(1.0)))).collect());
    let layout = Layout::of(&plan).unwrap();
    let writes = AtomicUsize::new(0);
    let write = |_: usize, _: u64, _: &[u8]| {
        writes.fetch_add(1, Ordering::AcqRel);
        Ok(())
    };
    let progress = Interrupted(AtomicI64::new(5));
    let result = super::super::run::transfer(&plan, &layout, &[], options(3), &progress, 4096, &write);
    assert!(matches!(result.unwrap_err().signal(), Ok(15)));
    assert!(writes.load(Ordering::Acquire) <= 1 + 5);
}

#[test]
fn the_first_error_of_a_write_stops_every_thread() {
    let plan = plan((0..50).map(|i| assign(&format!("t{i}"), init(&[10, 100], 0, normal(1.0)))).collect());
    let layout = Layout::of(&plan).unwrap();
    let writes = AtomicUsize::new(0);
    let write = |_: usize, _: u64, _: &[u8]| match writes.fetch_add(1, Ordering::AcqRel) {
        0..=3 => Ok(()),
        _ => Err(Error::io("write", "out", std::io::Error::from(std::io::ErrorKind::StorageFull))),
    };
    let result = super::super::run::transfer(&plan, &layout, &[], options(3), &Silent, 4096, &write);
    assert!(result.unwrap_err().downcast_ref::<crate::error::IoError>().is_some_and(|error| error.action == "write"));
    assert!(writes.load(Ordering::Acquire) <= 4 + 3);
}

#[test]
fn a_layout_of_another_plan_is_refused() {
    let small = plan(vec![assign("t", init(&[3], 0, normal(1.0)))]);
    let large = plan(vec![assign("t", init(&[4], 0, normal(1.0))), assign("u", init(&[4], 0, normal(1.0)))]);
    let layout = Layout::of(&large).unwrap();
    let result = super::super::run::transfer(&small, &layout, &[], options(1), &Silent, 4096, &|_, _, _| Ok(()));
    assert!(matches!(result.as_ref().err().and_then(Error::downcast_ref), Some(TransferError::Layout { .. })));
}
