//! Sizes as people write them: `5GB`, `48MiB`, `1000000`.

const UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Parses a size; decimal units as Hugging Face's `max_shard_size`, binary ones with an `i`; case does not matter.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write it as 5GB, 500MB or 48MiB");
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(&unit.to_ascii_lowercase())?, *factor)))
        .unwrap_or((&lower, 1));
    let number: u64 = match digits.trim().split_once('.') {
        None => digits.trim().parse::<u64>().map_err(|_| wrong())?.checked_mul(factor).ok_or_else(wrong)?,
        Some(_) => decimal(digits.trim(), factor).ok_or_else(wrong)?,
    };
    if number == 0 { Err(format!("`{text}`: a size must be at least one byte")) } else { Ok(number) }
}

fn decimal(digits: &str, factor: u64) -> Option<u64> {
    let (whole, part) = digits.split_once('.')?;
    if part.len() > 12 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scale = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let bytes = u128::from(whole).checked_mul(u128::from(factor))? + part * u128::from(factor) / scale;
    u64::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn decimal_and_binary_units_are_told_apart() {
        assert_eq!(parse("5GB"), Ok(5_000_000_000));
        assert_eq!(parse("48MiB"), Ok(48 << 20));
        assert_eq!(parse("1.5 kb"), Ok(1_500));
        assert_eq!(parse("7"), Ok(7));
    }

    #[test]
    fn nonsense_zero_and_overflow_are_refused() {
        for text in ["", "GB", "-1GB", "1e3", "0", "0.0MB", "99999999999TB", "1.x GB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
