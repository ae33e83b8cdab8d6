//! Operations as they are written.

use proptest::prelude::*;

use crate::adapt::error::AdaptError;
use crate::adapt::{NamedOp, Op, RopeLayout, Run};
use crate::error::Error;
use crate::tensor::Dtype;

fn parse(text: &str) -> NamedOp {
    text.parse().unwrap_or_else(|e: Error| panic!("{text}: {e}"))
}

#[test]
fn operations_are_read_as_they_are_written_in_rules() {
    assert_eq!(parse("transpose"), NamedOp::One(Op::Transpose));
    assert_eq!(parse("transpose()"), NamedOp::One(Op::Transpose));
    assert_eq!(parse("permute(1,0)"), NamedOp::One(Op::Permute { order: vec![1, 0] }));
    assert_eq!(parse(" split( 0 , 3 ) "), NamedOp::Split { axis: 0, parts: 3 });
    assert_eq!(parse("split_sizes(0, 4, 2, 2)"), NamedOp::SplitSizes { axis: 0, sizes: vec![4, 2, 2] });
    assert_eq!(parse("concat(1)"), NamedOp::Concat { axis: 1 });
    assert_eq!(parse("stack"), NamedOp::Stack);
    let rope = Op::RopePermute { heads: 12, rotary: 64, to: RopeLayout::ToHalves };
    assert_eq!(parse("rope_permute(12, 64, halves)"), NamedOp::One(rope));
    assert_eq!(parse("affine(1, -1)"), NamedOp::One(Op::Affine { scale: 1.0, offset: -1.0 }));
    assert_eq!(parse("cast(bfloat16)"), NamedOp::One(Op::Cast { dtype: Dtype::Bf16 }));
}

#[test]
fn every_known_operation_round_trips_from_its_own_usage() {
    let mut read = 0;
    for (name, usage) in NamedOp::usages() {
        assert!(usage.starts_with(name), "{usage}");
        // usages with numbers in them are examples
        if let Ok(op) = usage.split(':').next().unwrap().parse::<NamedOp>() {
            assert_eq!(parse(&op.to_string()), op);
            read += 1;
        }
    }
    assert!(read >= 5, "{read}");
}

#[test]
fn an_unknown_operation_is_told_the_nearest_and_all() {
    let error = "transposed".parse::<NamedOp>().unwrap_err();
    assert_eq!(error.to_string(), "unknown operation `transposed`");
    let hints = error.hints();
    assert_eq!(hints[0], "did you mean `transpose`?");
    assert!(hints[1].contains("rope_permute"), "{hints:?}");
}

#[test]
fn what_is_not_written_as_operations_are_is_an_error_with_the_usage() {
    for text in [
        "split", "split(0)", "split(0, 0)", "split(0, 3, 1)", "split(-1, 3)", "split(0, 3", "split 0, 3)",
        "split(0, 3))", "split((0), 3)", "split(0, 3) x", "transpose(1)", "narrow(0, 1)", "concat(a)", "concat()",
        "cast(i32)", "cast(x)", "affine(nan, 0)", "affine(1)", "affine(1, inf)", "rope_permute(1, 2, up)",
        "gather(0, 1:2:3)", "gather()", "reshape(1,,2)", "permute(1, 0,)", "split(0, 18446744073709551616)",
    ] {
        let error = text.parse::<NamedOp>().unwrap_err();
        match error.downcast_ref() {
            Some(AdaptError::Arguments { .. }) => {
                assert!(error.hints()[0].starts_with("it is written "), "{text}")
            }
            Some(AdaptError::Unknown { .. }) => assert_eq!(text, "split 0, 3)"),
            _ => panic!("{text}: {error}"),
        }
    }
    assert!(matches!(
        "".parse::<NamedOp>().as_ref().err().and_then(Error::downcast_ref),
        Some(AdaptError::Unknown { .. })
    ));
    let long = format!("reshape({})", "1,".repeat(NamedOp::LIMIT));
    assert!(matches!(
        long.parse::<NamedOp>().as_ref().err().and_then(Error::downcast_ref),
        Some(AdaptError::TooLong { .. })
    ));
    let deep = "(".repeat(60_000);
    assert!(deep.parse::<NamedOp>().is_err());
}

fn any_run() -> impl Strategy<Value = Run> {
    (0..4usize, any::<u64>(), any::<i64>(), any::<u64>()).prop_map(|(input, start, step, len)| Run {
        input,
        start,
        step,
        len,
    })
}

fn any_finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |x| x.is_finite())
}

fn any_named() -> impl Strategy<Value = NamedOp> {
    let to = prop_oneof![Just(RopeLayout::ToHalves), Just(RopeLayout::ToNeighbours)];
    let dtype = prop_oneof![Just(Dtype::F16), Just(Dtype::Bf16), Just(Dtype::F32), Just(Dtype::F64)];
    let sizes = || prop::collection::vec(any::<u64>(), 1..5);
    prop_oneof![
        Just(NamedOp::Stack),
        (0..5usize).prop_map(|axis| NamedOp::Concat { axis }),
        (0..5usize, 1..u64::MAX).prop_map(|(axis, parts)| NamedOp::Split { axis, parts }),
        (0..5usize, sizes()).prop_map(|(axis, sizes)| NamedOp::SplitSizes { axis, sizes }),
        prop_oneof![
            Just(Op::Transpose),
            Just(Op::MeanRows),
            prop::collection::vec(0..9usize, 0..5).prop_map(|order| Op::Permute { order }),
            prop::collection::vec(any::<u64>(), 0..5).prop_map(|shape| Op::Reshape { shape: shape.into() }),
            (0..5usize, any::<u64>(), any::<u64>()).prop_map(|(axis, start, len)| Op::Narrow { axis, start, len }),
            (0..5usize, prop::collection::vec(any_run(), 0..4))
                .prop_map(|(axis, runs)| Op::Gather { axis, runs: runs.into() }),
            (any::<u64>(), any::<u64>(), to).prop_map(|(heads, rotary, to)| Op::RopePermute { heads, rotary, to }),
            dtype.prop_map(|dtype| Op::Cast { dtype }),
            (any_finite(), any_finite()).prop_map(|(scale, offset)| Op::Affine { scale, offset }),
            any_finite().prop_map(|t| Op::Lerp { t }),
            (any::<u64>(), any::<u64>()).prop_map(|(heads, groups)| Op::MeanHeads { heads, groups }),
            (any::<u64>(), any::<u64>()).prop_map(|(rows, prefix)| Op::ResizeRows { rows, prefix }),
            (0..5usize).prop_map(|axis| Op::WeightNorm { axis }),
            any_finite().prop_map(|scale| Op::MeanCovariance { scale }),
            (any_finite(), any::<bool>()).prop_map(|(scale, turned)| Op::LowRank { scale, turned }),
            prop::collection::vec(any::<u64>(), 1..5).prop_map(|block| Op::Dequantize { block }),
        ]
        .prop_map(NamedOp::One),
    ]
}

proptest! {
    #[test]
    fn what_is_displayed_reads_back_equal(named in any_named()) {
        let text = named.to_string();
        prop_assert_eq!(text.parse::<NamedOp>().unwrap(), named);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z_]{0,12}[(), :0-9a-z.-]{0,40}") {
        let _ = text.parse::<NamedOp>();
    }
}
