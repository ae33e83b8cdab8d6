use proptest::prelude::*;

use super::*;
use crate::init::philox::{LANES, philox, philox_one};
use crate::instructions::Instructions;

/// The known answers of Random123 for philox4x32-10: counter, key, words.
const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

#[test]
fn philox_gives_the_known_answers_in_every_lane() {
    for (counter, key, words) in KNOWN {
        assert_eq!(philox_one(key, counter), words);
        assert_eq!(philox(key, counter.map(|word| [word; LANES])), words.map(|word| [word; LANES]));
    }
    let counters: [[u32; LANES]; 4] =
        std::array::from_fn(|word| std::array::from_fn(|lane| (word * 77 + lane * 13) as u32));
    let side_by_side = philox([5, 6], counters);
    for lane in 0..LANES {
        assert_eq!(side_by_side.map(|word| word[lane]), philox_one([5, 6], counters.map(|word| word[lane])));
    }
}

/// One of every scheme that is drawn or filled element by element, on a shape that all of them take.
fn elementwise() -> Vec<Scheme> {
    vec![
        NORMAL,
        Scheme::Normal { mean: 0.5, std: 0.02 },
        Scheme::Uniform { low: -0.1, high: 0.1 },
        Scheme::Uniform { low: 0.0, high: 1.0 },
        Scheme::TruncatedNormal { mean: 0.0, std: 0.02, low: -0.04, high: 0.04 },
        Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: 0.1, high: 0.3 },
        Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: -0.1, high: 0.3 },
        Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: 3.0, high: 30.0 },
        Scheme::Constant { value: 0.25 },
        Scheme::Dirac { groups: 2 },
    ]
}

/// Those and the ones that need the whole, each with a shape.
fn every_scheme() -> Vec<(Scheme, Vec<u64>)> {
    let matrices = [Scheme::Identity, Scheme::Sparse { sparsity: 0.4, std: 0.01 }, Scheme::Orthogonal { gain: 1.0 }];
    let elementwise = elementwise().into_iter().map(|scheme| (scheme, vec![6, 5, 7]));
    elementwise.chain(matrices.map(|scheme| (scheme, vec![18, 12]))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_piece_is_what_the_whole_holds_there(start in 0usize..1200, length in 0usize..700, base in prop_oneof![Just(0u64), 0u64..1_000_000_000_000], cut in 0usize..700) {
        let shape = [20u64, 10, 10];
        let (start, length) = (start, length.min(2000 - start));
        let generator = Generator::new(9, "pieces");
        for scheme in elementwise() {
            let mut whole = vec![f32::NAN; 2000];
            generator.fill(&scheme, &shape, base, 0..2000, &mut whole).unwrap();
            let mut piece = vec![f32::NAN; length];
            let cut = cut.min(length);
            let (a, b) = piece.split_at_mut(cut);
            generator.fill(&scheme, &shape, base, start as u64..(start + cut) as u64, a).unwrap();
            generator.fill(&scheme, &shape, base, (start + cut) as u64..(start + length) as u64, b).unwrap();
            prop_assert_eq!(&piece[..], &whole[start..start + length], "{:?}", scheme);
        }
    }

    #[test]
    fn no_value_leaves_its_bounds(middle in -1e3f64..1e3, width in prop_oneof![1e-12f64..1e-3, 1e-3..1e3], std in 1e-6f64..1e3) {
        let (low, high) = (middle - width, middle + width);
        let schemes = [
            Scheme::Uniform { low, high },
            Scheme::Uniform { low: -width, high: width },
            Scheme::TruncatedNormal { mean: 0.0, std, low, high },
            Scheme::TruncatedNormal { mean: middle, std, low, high },
        ];
        for scheme in schemes {
            let (low, high) = if let Scheme::Uniform { low, high } = scheme { (low, high) } else { (low, high) };
            let mut out = [f32::NAN; 300];
            match Generator::new(0, "bounds").fill(&scheme, &[300], 0, 0..300, &mut out) {
                Ok(()) => prop_assert!(out.iter().all(|value| (low..=high).contains(&f64::from(*value))), "{:?} {:?}", scheme, out),
                Err(error) => {
                    prop_assert!(matches!(error.downcast_ref(), Some(InitError::EmptyInterval { .. })), "{}", error);
                    prop_assert!(width < 1e-4)
                }
            }
        }
    }
}

#[test]
fn a_part_in_the_middle_of_a_tensor_continues_its_draws() {
    let all = drawn(0, "fused", &NORMAL, 300);
    let mut part = vec![0f32; 100];
    Generator::new(0, "fused").fill(&NORMAL, &[10, 10], 150, 0..100, &mut part).unwrap();
    assert_eq!(part, all[150..250]);
    let matrix = Scheme::Orthogonal { gain: 1.0 };
    let (mut here, mut there) = (vec![0f32; 64], vec![0f32; 64]);
    Generator::new(0, "fused").fill(&matrix, &[8, 8], 0, 0..64, &mut here).unwrap();
    Generator::new(0, "fused").fill(&matrix, &[8, 8], 64, 0..64, &mut there).unwrap();
    assert_ne!(here, there, "the parts of a fused tensor are not the same matrix");
}

#[test]
fn names_and_seeds_that_differ_at_all_give_other_bits() {
    let reference = drawn(0, "a.weight", &NORMAL, 64);
    for (seed, name) in
        [(1, "a.weight"), (1 << 63, "a.weight"), (0, "b.weight"), (0, "a.weigh"), (0, ""), (0, "a.weight ")]
    {
        let other = drawn(seed, name, &NORMAL, 64);
        assert!(reference.iter().zip(&other).all(|(a, b)| a != b), "{seed} {name}");
    }
    assert_eq!(reference, drawn(0, "a.weight", &NORMAL, 64));
}

#[test]
fn the_last_elements_that_64_bits_can_count_are_drawn() {
    let first = u64::MAX - 200;
    for scheme in elementwise().into_iter().take(8) {
        let mut out = vec![f32::NAN; 150];
        Generator::new(0, "end").fill(&scheme, &[u64::MAX], 0, first..first + 150, &mut out).unwrap();
        assert!(out.iter().all(|value| value.is_finite()), "{scheme:?}");
        Generator::new(0, "end").fill(&scheme, &[200], first, 50..200, &mut out).unwrap();
        assert!(out.iter().all(|value| value.is_finite()), "{scheme:?}");
    }
    // elements that lie 2³² blocks apart differ
    let far = piece(0, "far", &NORMAL, 1 << 34, 64);
    let near = piece(0, "far", &NORMAL, 0, 64);
    assert!(far.iter().zip(&near).all(|(a, b)| a != b));
}

#[test]
fn what_does_not_exist_is_not_drawn() {
    let fill = |scheme: &Scheme, shape: &[u64], base, range, length| {
        Generator::new(0, "x").fill(scheme, shape, base, range, &mut vec![0f32; length])
    };
    let wrong_range = [
        fill(&NORMAL, &[4], 0, 0..5, 5),
        fill(&NORMAL, &[4], 0, 0..4, 3),
        #[allow(clippy::reversed_empty_ranges, reason = "that is the case")]
        fill(&NORMAL, &[4], 0, 3..2, 0),
        fill(&NORMAL, &[4], u64::MAX - 2, 0..4, 4),
    ];
    for case in wrong_range {
        assert!(matches!(case.as_ref().err().and_then(Error::downcast_ref), Some(InitError::Range { .. })), "{case:?}");
    }
    for scheme in [Scheme::Orthogonal { gain: 1.0 }, Scheme::Sparse { sparsity: 0.5, std: 1.0 }] {
        assert!(scheme.needs_whole());
        let case = fill(&scheme, &[4, 4], 0, 0..8, 8);
        assert!(
            matches!(
                case.as_ref().err().and_then(Error::downcast_ref),
                Some(InitError::Whole { elements: 16, asked: 8, .. })
            ),
            "{case:?}"
        );
    }
    assert!(
        fill(&NORMAL, &[u64::MAX, 2], 0, 0..1, 1)
            .unwrap_err()
            .downcast_ref::<crate::tensor::error::TensorError>()
            .is_some()
    );
}

#[test]
fn impossible_numbers_in_an_edited_plan_are_refused() {
    let cases = [
        Scheme::Normal { mean: 0.0, std: -1.0 },
        Scheme::Normal { mean: 0.0, std: f64::NAN },
        Scheme::Normal { mean: f64::INFINITY, std: 1.0 },
        Scheme::Normal { mean: 0.0, std: 1e38 },
        Scheme::Uniform { low: 1.0, high: 0.0 },
        Scheme::Uniform { low: -1e39, high: 1e39 },
        Scheme::Uniform { low: f64::NAN, high: 0.0 },
        Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: 2.0, high: 1.0 },
        Scheme::TruncatedNormal { mean: 0.0, std: -1.0, low: -1.0, high: 1.0 },
        Scheme::TruncatedNormal { mean: 0.0, std: 0.0, low: 1.0, high: 2.0 },
        Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: 1.000_000_01, high: 1.000_000_02 },
        Scheme::Constant { value: f64::NAN },
        Scheme::Constant { value: 1e39 },
    ];
    for scheme in cases {
        let error = filled("", &scheme, &[3]).unwrap_err();
        assert_eq!(error.exit(), crate::error::Exit::Input, "{error}");
    }
    for scheme in [
        Scheme::Sparse { sparsity: 1.1, std: 1.0 },
        Scheme::Sparse { sparsity: 0.1, std: -1.0 },
        Scheme::Orthogonal { gain: -1.0 },
        Scheme::Orthogonal { gain: f64::NAN },
    ] {
        filled("", &scheme, &[3, 3]).unwrap_err();
    }
}

#[test]
fn a_deviation_or_a_width_of_zero_gives_the_one_value_there_is() {
    for (scheme, value) in [
        (Scheme::Normal { mean: 0.1, std: 0.0 }, 0.1),
        (Scheme::Uniform { low: 0.1, high: 0.1 }, 0.1),
        (Scheme::Uniform { low: -0.0, high: 0.0 }, 0.0),
        (Scheme::TruncatedNormal { mean: 0.1, std: 0.0, low: -1.0, high: 1.0 }, 0.1),
        (Scheme::TruncatedNormal { mean: 0.0, std: 1.0, low: 7.0, high: 7.0 }, 7.0),
        (Scheme::TruncatedNormal { mean: 0.0, std: 1e-300, low: 7.0, high: 8.0 }, 7.0),
        (Scheme::TruncatedNormal { mean: 0.0, std: 1e-300, low: -8.0, high: -7.0 }, -7.0),
        (Scheme::TruncatedNormal { mean: 0.0, std: 1e-300, low: -8.0, high: 7.0 }, 0.0),
        (Scheme::TruncatedNormal { mean: 0.0, std: 1e-60, low: 7.0, high: 8.0 }, 7.0),
    ] {
        let values = whole("", &scheme, &[100]);
        assert!(
            values.iter().all(|found| found.to_bits() == (value as f32).to_bits()),
            "{scheme:?}: {:?}",
            &values[..4]
        );
    }
}

#[test]
fn empty_tensors_are_filled_with_nothing() {
    for (scheme, shape) in every_scheme() {
        for axis in 0..shape.len() {
            let mut empty = shape.clone();
            empty[axis] = 0;
            assert_eq!(filled("", &scheme, &empty).unwrap(), Vec::<f32>::new(), "{scheme:?} {empty:?}");
        }
    }
    assert_eq!(whole("", &NORMAL, &[]).len(), 1, "a scalar has one element");
}

#[test]
fn threads_and_order_make_no_difference() {
    for scheme in elementwise() {
        let alone = filled("threads", &scheme, &[10, 30, 10]).unwrap();
        let mut together = vec![0f32; 3000];
        std::thread::scope(|scope| {
            for (i, chunk) in together.chunks_mut(333).enumerate().rev() {
                let scheme = &scheme;
                scope.spawn(move || {
                    let (start, end) = (i * 333, i * 333 + chunk.len());
                    let generator = Generator::new(0, "threads");
                    generator.fill(scheme, &[10, 30, 10], 0, start as u64..end as u64, chunk).unwrap();
                });
            }
        });
        assert_eq!(together, alone, "{scheme:?}");
    }
}

#[test]
fn schemes_survive_a_plan() {
    for (scheme, _) in every_scheme() {
        let json = serde_json::to_string(&scheme).unwrap();
        assert_eq!(serde_json::from_str::<Scheme>(&json).unwrap(), scheme, "{json}");
    }
}

fn digest(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex()[..16].to_string()
}

/// The bits that are final. They hold on every processor, at every optimisation level; a change here is a new generator.
const GOLDEN: &[(&str, &str)] = &[
    ("Normal { mean: 0.0, std: 1.0 }", "203c26cde1d1cee9"),
    ("Normal { mean: 0.5, std: 0.02 }", "8b291fcf2f0f7ce3"),
    ("Uniform { low: -0.1, high: 0.1 }", "d73f6e8ff0e96792"),
    ("Uniform { low: 0.0, high: 1.0 }", "7d42f696b6723b53"),
    ("TruncatedNormal { mean: 0.0, std: 0.02, low: -0.04, high: 0.04 }", "5c9ccf32de462155"),
    ("TruncatedNormal { mean: 0.0, std: 1.0, low: 0.1, high: 0.3 }", "da7a137c2a895660"),
    ("TruncatedNormal { mean: 0.0, std: 1.0, low: -0.1, high: 0.3 }", "f291db3b2a3a9fad"),
    ("TruncatedNormal { mean: 0.0, std: 1.0, low: 3.0, high: 30.0 }", "e349dac470d99ccb"),
    ("Constant { value: 0.25 }", "128013491c3dfc7c"),
    ("Dirac { groups: 2 }", "d9e632a926a2312d"),
    ("Identity", "97abf55f46b165ff"),
    ("Sparse { sparsity: 0.4, std: 0.01 }", "8d6771783cf3a8e6"),
];

#[test]
fn the_bits_are_final() {
    let schemes = elementwise().into_iter().map(|scheme| (scheme, vec![6u64, 100, 7]));
    let matrices = [(Scheme::Identity, vec![30u64, 20]), (Scheme::Sparse { sparsity: 0.4, std: 0.01 }, vec![30, 20])];
    let found: Vec<(String, String)> = schemes
        .chain(matrices)
        .map(|(scheme, shape)| (format!("{scheme:?}"), digest(&whole("encoder.layer.0.weight", &scheme, &shape))))
        .collect();
    let expected: Vec<(String, String)> = GOLDEN.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
    assert_eq!(found, expected);
    for (scheme, _) in every_scheme() {
        assert_eq!(scheme.exact_anywhere(), !matches!(scheme, Scheme::Orthogonal { .. }));
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn every_set_of_instructions_draws_the_same_bits() {
    let bits = |scheme: &Scheme| -> Vec<u32> {
        piece(11, "instructions", scheme, 37, 20_000).into_iter().map(f32::to_bits).collect()
    };
    for scheme in elementwise().into_iter().filter(|scheme| !matches!(scheme, Scheme::Dirac { .. })) {
        let expected = Instructions::Portable.at_most(|| bits(&scheme));
        for instructions in Instructions::ALL {
            match instructions.are_here() {
                true => assert!(instructions.at_most(|| bits(&scheme)) == expected, "{scheme:?} with {instructions:?}"),
                false => eprintln!("{instructions:?}: not tested, this processor does not have them"),
            }
        }
    }
}

#[test]
fn sinusoids_are_those_of_whisper() {
    // transformers' `sinusoids(1500, 8)`, rows 0, 1 and 1499
    let generator = Generator::new(3, "positions");
    let mut out = vec![0.0f32; 1500 * 8];
    generator.fill(&Scheme::Sinusoids, &[1500, 8], 0, 0..1500 * 8, &mut out).unwrap();
    assert_eq!(&out[..8], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    let close = |found: &[f32], expected: &[f64]| {
        found.iter().zip(expected).all(|(found, expected)| (f64::from(*found) - expected).abs() < 1e-6)
    };
    let row = |position: f64| -> Vec<f64> {
        let angle = |i: i32| position * 10_000f64.powf(-f64::from(i) / 3.0);
        (0..4).map(|i| angle(i).sin()).chain((0..4).map(|i| angle(i).cos())).collect()
    };
    for position in [1, 7, 600, 1499] {
        assert!(close(&out[position * 8..position * 8 + 8], &row(position as f64)), "{position}");
    }
    let mut part = vec![0.0f32; 100];
    generator.fill(&Scheme::Sinusoids, &[1500, 8], 0, 5000..5100, &mut part).unwrap();
    assert_eq!(part, out[5000..5100]);
    assert!(generator.fill(&Scheme::Sinusoids, &[4, 3], 0, 0..12, &mut [0.0; 12]).is_err());
}
