//! The order in which people count: layer 2 before layer 10.

use std::cmp::Ordering;

/// Compares names with runs of digits as numbers of any length, so that `layer.2` comes before `layer.10`. Total: equal
/// only for equal strings (`02` and `2` compare as bytes where nothing else differs).
pub(crate) fn natural_cmp(a: &str, b: &str) -> Ordering {
    let alike = common_start(a.as_bytes(), b.as_bytes());
    let (mut left, mut right) = (&a.as_bytes()[alike..], &b.as_bytes()[alike..]);
    loop {
        let (Some(x), Some(y)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number, rest) = split_number(left);
            let (other, other_rest) = split_number(right);
            match number.len().cmp(&other.len()).then_with(|| number.cmp(other)) {
                Ordering::Equal => (left, right) = (rest, other_rest),
                order => return order,
            }
        } else if x != y {
            return x.cmp(y);
        } else {
            (left, right) = (left.get(1..).unwrap_or_default(), right.get(1..).unwrap_or_default());
        }
    }
}

/// How many bytes both begin with, up to a number that they share in part: names of one model have most of their bytes in common.
fn common_start(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 8;
    let (steps, _) = a.as_chunks::<STEP>();
    let (others, _) = b.as_chunks::<STEP>();
    let whole = steps.iter().zip(others).take_while(|(a, b)| a == b).count() * STEP;
    let rest = a[whole..].iter().zip(&b[whole..]).take_while(|(a, b)| a == b).count();
    let alike = &a[..whole + rest];
    alike.len() - alike.iter().rev().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The leading number without its zeros, and what follows it.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
}
