//! Facts that planning asks for.

use super::*;
use crate::plan::{Answer, Question};
use crate::tensor::Dtype;
use crate::transfer::answer;
use crate::transfer::error::TransferError;

fn ask(question: Question, tensors: &[Stored], gives: Gives) -> Result<Answer> {
    let answers = answer(std::slice::from_ref(&question), &[Memory::of(tensors, gives)], &Silent)?;
    assert_eq!(answers[0].0, question);
    Ok(answers[0].1.clone())
}

fn equal(a: &str, b: &str) -> Question {
    Question::Equal { source: 0, a: a.into(), b: b.into() }
}

fn moments(tensor: &str) -> Question {
    Question::Moments { source: 0, tensor: tensor.into() }
}

#[test]
fn two_tensors_are_equal_only_byte_for_byte_and_in_type_and_shape() {
    let a = Stored::scrambled("a", Dtype::F32, &[300, 1001]);
    let named = |name: &str, mut stored: Stored| {
        stored.info.name = name.into();
        stored
    };
    let same = named("same", a.clone());
    let mut other = named("other", a.clone());
    *other.bytes.last_mut().unwrap() ^= 1;
    let mut shaped = named("shaped", a.clone());
    shaped.info.shape = [1001, 300].into();
    let mut typed = named("typed", a.clone());
    typed.info.dtype = Dtype::I32;
    let tensors = [a, same, other, shaped, typed];
    for gives in [Gives::Extents, Gives::Rows] {
        for (b, expected) in [("a", true), ("same", true), ("other", false), ("shaped", false), ("typed", false)] {
            assert_eq!(ask(equal("a", b), &tensors, gives).unwrap(), Answer::Equal(expected), "{b}");
        }
    }
    assert!(matches!(
        ask(equal("a", "b"), &tensors, Gives::Extents).unwrap_err().downcast_ref(),
        Some(TransferError::Missing { .. })
    ));
}

#[test]
fn digests_are_those_of_the_stored_bytes_for_any_number_of_threads() {
    let tensors = [
        Stored::scrambled("a", Dtype::Bf16, &[300, 70]),
        Stored::scrambled("b", Dtype::I64, &[0, 3]),
        Stored::scrambled("c", Dtype::F4, &[6]),
    ];
    let expected: Vec<String> = [2, 0, 1, 0].map(|i: usize| digest(&tensors[i].bytes)).to_vec();
    for (threads, gives) in [(1, Gives::Rows), (2, Gives::Extents), (8, Gives::Extents)] {
        let asked = [(0, "a"), (0, "b"), (0, "a")];
        let readers = [Memory::of(&tensors, gives)];
        let found = crate::transfer::run::digests(&asked, &readers, threads, &Silent, 1024).unwrap();
        assert_eq!(found, expected[1..]);
    }
    let packed = crate::transfer::digests(&[(0, "c")], &[Memory::of(&tensors, Gives::Extents)], 2, &Silent).unwrap();
    assert_eq!(packed, expected[..1]);
    assert!(crate::transfer::digests(&[(0, "d")], &[Memory::of(&tensors, Gives::Rows)], 2, &Silent).is_err());
}

#[test]
fn moments_are_those_of_the_population_even_far_from_zero() {
    let a = Stored::f32("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let answer = ask(moments("a"), &[a], Gives::Rows).unwrap();
    assert_eq!(answer, Answer::Moments { mean: 2.5, std: 1.25f64.sqrt() });
    let far: Vec<f32> = (0..400_000).map(|i| 1e6 + (i % 2) as f32).collect();
    let answer = ask(moments("far"), &[Stored::f32("far", &[400, 1000], &far)], Gives::Extents).unwrap();
    assert_eq!(answer, Answer::Moments { mean: 1_000_000.5, std: 0.5 });
}

#[test]
fn moments_of_no_floats_and_of_no_numbers_are_errors() {
    let cases = [Stored::scrambled("a", Dtype::I32, &[3]), Stored::f32("a", &[0], &[])];
    for stored in cases {
        let result = ask(moments("a"), &[stored], Gives::Extents);
        assert!(matches!(result.as_ref().err().and_then(Error::downcast_ref), Some(TransferError::NoMoments { .. })));
    }
    let nan = Stored::f32("a", &[3], &[1.0, f32::NAN, f32::INFINITY]);
    let result = ask(moments("a"), &[nan], Gives::Extents);
    assert!(matches!(
        result.as_ref().err().and_then(Error::downcast_ref),
        Some(TransferError::InfiniteMoments { count: 2, .. })
    ));
}
