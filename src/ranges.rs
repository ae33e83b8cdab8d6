//! Sets of layer numbers as text.

/// The numbers in ascending order, with runs as ranges: `{0-2, 4}`.
pub(crate) fn set(numbers: &[u64]) -> String {
    format!("{{{}}}", runs(numbers.iter().copied()))
}

/// One number as it is, several as a set: `3`, `{0-2, 4}`.
pub(crate) fn one_or_set(numbers: &[u64]) -> String {
    match runs(numbers.iter().copied()) {
        one if one.bytes().all(|byte| byte.is_ascii_digit()) => one,
        several => format!("{{{several}}}"),
    }
}

/// The numbers in ascending order, with runs as ranges, without braces.
pub(crate) fn runs(numbers: impl IntoIterator<Item = u64>) -> String {
    let mut numbers: Vec<u64> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(u64::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(", ")
}
