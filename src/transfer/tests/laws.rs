//! Whatever the threads, the pieces and the way a checkpoint gives its bytes: the bits are those of whole tensors.

use super::*;
use crate::adapt::RopeLayout;
use crate::adapt::tests::{cases, run as taken};
use crate::init::Computed;
use crate::tensor::Dtype;
use crate::transfer::produce;

/// Tensors and expressions over them, small and of several pieces.
fn expressions() -> (Vec<Stored>, Vec<(String, Value)>) {
    let mut tensors = Vec::new();
    let mut values = Vec::new();
    // every case of every operation, applied to sources
    for (number, (op, inputs)) in cases().into_iter().enumerate() {
        let inputs: Vec<Stored> = inputs
            .into_iter()
            .enumerate()
            .map(|(i, mut input)| {
                input.info.name = format!("case.{number}.{i}").into();
                input
            })
            .collect();
        values.push((format!("case.{number}"), apply(op, inputs.iter().map(source).collect())));
        tensors.extend(inputs);
    }
    let counting = |name: &str, dtype, shape: &[u64]| Stored::counting(name, dtype, shape);
    let long = counting("long", Dtype::F32, &[130, 51]);
    let wide = counting("wide", Dtype::Bf16, &[3, 2003]);
    let flat = counting("flat", Dtype::F16, &[7001]);
    let cube = counting("cube", Dtype::F32, &[2, 40, 41]);
    let bools = Stored::scrambled("bools", Dtype::Bool, &[110, 120]);
    let cast = |dtype, value| apply(Op::Cast { dtype }, vec![value]);
    let more = [
        ("copy", source(&long)),
        ("copy.again", source(&long)),
        ("copy.bools", source(&bools)),
        ("reshaped", apply(Op::Reshape { shape: [130 * 51].into() }, vec![source(&long)])),
        ("cast", cast(Dtype::Bf16, source(&long))),
        ("cast.wide", cast(Dtype::F32, source(&wide))),
        ("cast.flat", cast(Dtype::F64, source(&flat))),
        ("cast.cube", cast(Dtype::F16, source(&cube))),
        ("transposed", apply(Op::Transpose, vec![source(&long)])),
        ("transposed.twice", apply(Op::Transpose, vec![apply(Op::Transpose, vec![source(&wide)])])),
        ("mean", apply(Op::MeanRows, vec![cast(Dtype::F64, source(&long))])),
        ("stack", cast(Dtype::Bf16, apply(Op::Stack, vec![source(&long), source(&long)]))),
        ("stack.cubes", apply(Op::Stack, vec![source(&cube), source(&cube)])),
        ("rope", apply(Op::RopePermute { heads: 13, rotary: 8, to: RopeLayout::ToHalves }, vec![source(&long)])),
        ("resized", apply(Op::ResizeRows { rows: 200, prefix: 3 }, vec![source(&long)])),
        ("new", init(&[120, 70], 0, normal(0.02))),
        ("new.one.row", init(&[1, 7000], 0, normal(0.02))),
        ("new.cast", cast(Dtype::Bf16, init(&[90, 100], 0, Scheme::Uniform { low: -1.0, high: 1.0 }))),
        ("new.scalar", init(&[], 5, normal(1.0))),
        ("new.none", init(&[0, 4], 0, normal(1.0))),
        ("orthogonal", cast(Dtype::F16, init(&[30, 20], 0, Scheme::Orthogonal { gain: 1.0 }))),
        ("identity", init(&[60, 60], 0, Scheme::Identity)),
        (
            "computed.index",
            Value::Computed {
                dtype: Dtype::I64,
                shape: [169, 169].into(),
                formula: Computed::RelativePositionIndex { window: [12, 14], class_token: true },
            },
        ),
        (
            "computed.mask",
            Value::Computed { dtype: Dtype::U8, shape: [1, 1, 90, 90].into(), formula: Computed::CausalMask },
        ),
        (
            "computed.rotary",
            Value::Computed {
                dtype: Dtype::F32,
                shape: [64].into(),
                formula: Computed::InverseFrequencies { theta: 10_000.0 },
            },
        ),
        ("count", Value::Count { dtype: Dtype::I64, shape: [3, 7000].into(), axis: Some(1) }),
        ("count.rows", Value::Count { dtype: Dtype::I16, shape: [90, 5, 80].into(), axis: Some(0) }),
        ("count.middle", Value::Count { dtype: Dtype::U8, shape: [2, 5, 3].into(), axis: Some(1) }),
        ("count.zero", Value::Count { dtype: Dtype::I32, shape: [].into(), axis: None }),
        ("count.none", Value::Count { dtype: Dtype::I32, shape: [0, 3].into(), axis: Some(0) }),
        (
            "parts",
            Value::Init {
                shape: [700, 6].into(),
                first: 0,
                parts: vec![
                    InitPart { rows: 300, scheme: normal(0.02) },
                    InitPart { rows: 0, scheme: normal(3.0) },
                    InitPart { rows: 200, scheme: Scheme::Constant { value: 0.5 } },
                    InitPart {
                        rows: 200,
                        scheme: Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: -2.0, high: 2.0 },
                    },
                ],
            },
        ),
        ("appended", apply(Op::Concat { axis: 0 }, vec![source(&long), init(&[30, 51], 130 * 51, normal(0.02))])),
        (
            "rows.by.mean",
            apply(
                Op::Concat { axis: 0 },
                vec![
                    source(&long),
                    apply(
                        Op::Gather { axis: 0, runs: [taken(0, 0, 0, 40)].into() },
                        vec![apply(Op::MeanRows, vec![source(&long)])],
                    ),
                ],
            ),
        ),
        (
            "scattered",
            apply(
                Op::Gather { axis: 0, runs: [taken(0, 129, -3, 40), taken(1, 2, 5, 3), taken(0, 7, 0, 100)].into() },
                vec![source(&long), init(&[20, 51], 0, normal(0.02))],
            ),
        ),
    ];
    values.extend(more.into_iter().map(|(name, value)| (name.to_string(), value)));
    tensors.extend([long, wide, flat, cube, bools]);
    (tensors, values)
}

#[test]
fn any_number_of_threads_and_any_size_of_pieces_write_the_bits_of_whole_tensors() {
    let (tensors, values) = expressions();
    let expected: Vec<Stored> = values.iter().map(|(name, value)| naive(name, value, &tensors)).collect();
    let plan = plan(values.into_iter().map(|(name, value)| assign(&name, value)).collect());
    let mut first: Option<Vec<Vec<u8>>> = None;
    let runs = [
        (1, 1 << 20, Gives::Extents),
        (2, 1024, Gives::Extents),
        (3, 2048, Gives::Rows),
        (8, 4096, Gives::Extents),
        (8, 1024, Gives::Rows),
    ];
    for (threads, piece, gives) in runs {
        let readers = [Memory::of(&tensors, gives)];
        let (files, outcomes) = run_in_pieces(&plan, &readers, options(threads), piece).unwrap();
        let found = all_written(&plan, &files);
        for (i, (assignment, expected)) in plan.assignments.iter().zip(&expected).enumerate() {
            let name = &assignment.target.name;
            assert!(found[i].as_ref() == Some(&expected.bytes), "{name}, {threads} threads, {gives:?}");
            assert_eq!(outcomes[i].digest, Some(digest(&expected.bytes)), "{name}");
            for input in &outcomes[i].inputs {
                let tensor = tensors.iter().find(|t| t.info.name == input.tensor).unwrap();
                assert_eq!(input.digest, digest(&tensor.bytes), "{name}: {}", input.tensor);
            }
        }
        assert!(first.get_or_insert_with(|| files.clone()) == &files);
    }
}

#[test]
fn any_rows_that_are_produced_are_those_of_the_whole() {
    let (tensors, values) = expressions();
    for gives in [Gives::Extents, Gives::Rows] {
        let readers = [Memory::of(&tensors, gives)];
        for (name, value) in &values {
            let expected = naive(name, value, &tensors);
            let assignment = assign(name, value.clone());
            let (rows, row) = (expected.info.rows(), expected.info.row_bytes().unwrap());
            for range in [0..rows, 0..rows / 2, rows / 3..rows - rows / 4, rows.saturating_sub(1)..rows, rows..rows] {
                let mut out = vec![0; ((range.end - range.start) * row) as usize];
                produce(SEED, &assignment, &readers, range.clone(), &mut out).unwrap();
                assert!(
                    out == expected.bytes[(range.start * row) as usize..(range.end * row) as usize],
                    "{name} {range:?}"
                );
            }
        }
    }
}

#[test]
fn initial_values_do_not_depend_on_the_other_tensors_or_their_order() {
    let values = [("a", init(&[30, 500], 0, normal(1.0))), ("b", init(&[1000], 0, normal(1.0)))];
    let both = plan(values.iter().map(|(name, value)| assign(name, value.clone())).collect());
    let (files, _) = run(&both, &[], options(2)).unwrap();
    for (i, (name, value)) in values.iter().enumerate() {
        let alone = plan(vec![assign(name, value.clone())]);
        let (files_alone, _) = run(&alone, &[], options(1)).unwrap();
        assert!(written(&both, &files, i) == written(&alone, &files_alone, 0), "{name}");
    }
}

#[test]
fn a_move_keeps_the_payload_of_every_nan() {
    let bits: Vec<f32> = [0x7fc0_0001, 0xff80_0001, 0x7fff_ffff, 0x7f80_0000].map(f32::from_bits).to_vec();
    let a = Stored::f32("a", &[2, 2], &bits);
    let value = apply(
        Op::Transpose,
        vec![apply(Op::Stack, vec![source(&a)])]
            .into_iter()
            .map(|v| apply(Op::Reshape { shape: [2, 2].into() }, vec![v]))
            .collect(),
    );
    let plan = plan(vec![assign("a", value)]);
    let (files, outcomes) = run(&plan, &[Memory::of(std::slice::from_ref(&a), Gives::Rows)], options(1)).unwrap();
    let expected: Vec<u8> =
        [bits[0], bits[2], bits[1], bits[3]].iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
    assert_eq!(written(&plan, &files, 0), expected);
    assert_eq!(outcomes[0].non_finite, 4);
}

#[test]
fn tied_assignments_are_not_written_and_have_no_digest() {
    let a = Stored::scrambled("a", Dtype::F32, &[4, 4]);
    let plan = plan(vec![assign("a", source(&a)), assign("b", Value::Tied { to: "a".into() })]);
    let (files, outcomes) = run(&plan, &[Memory::of(&[a], Gives::Extents)], options(2)).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(outcomes[1], Outcome { digest: None, inputs: Vec::new(), non_finite: 0 });
}

#[test]
fn shards_hold_the_same_bits_as_one_file() {
    let tensors: Vec<Stored> = (0..5).map(|i| Stored::scrambled(&format!("t{i}"), Dtype::F32, &[100, 100])).collect();
    let readers = [Memory::of(&tensors, Gives::Extents)];
    let one = plan(tensors.iter().map(|t| assign(&t.info.name, source(t))).collect());
    let many = Plan { max_shard_size: 50_000, ..one.clone() };
    let (one_file, one_outcomes) = run(&one, &readers, options(2)).unwrap();
    let (shards, outcomes) = run(&many, &readers, options(2)).unwrap();
    assert!(shards.len() > 1 && one_file.len() == 1);
    assert_eq!(outcomes, one_outcomes);
    for i in 0..tensors.len() {
        assert!(written(&one, &one_file, i) == written(&many, &shards, i));
    }
}

#[test]
fn a_staged_file_holds_what_was_produced() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = [Stored::counting("a", Dtype::F32, &[1000, 300]), Stored::scrambled("b", Dtype::U8, &[7])];
    let readers = [Memory::of(&tensors, Gives::Extents)];
    let plan = plan(vec![
        assign("a", apply(Op::Cast { dtype: Dtype::Bf16 }, vec![source(&tensors[0])])),
        assign("b", source(&tensors[1])),
        assign("c", init(&[500, 700], 0, normal(0.02))),
    ]);
    let layout = Layout::of(&plan).unwrap();
    let out = folder.path().join("out");
    let staging = crate::save::Staging::open(&out, &"0".repeat(64), crate::save::Replace::Refuse).unwrap();
    let outcomes = crate::transfer::run(&plan, &layout, &readers, &staging, options(2), &Silent).unwrap();
    staging.publish(crate::save::Sync::Skip).unwrap();
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (assignment, outcome) in plan.assignments.iter().zip(outcomes) {
        let name = &assignment.target.name;
        let data = file.tensor(name).unwrap().data().to_vec();
        assert_eq!(outcome.digest, Some(digest(&data)));
        assert!(data == naive(name, &assignment.value, &tensors).bytes, "{name}");
    }
}
