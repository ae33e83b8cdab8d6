//! Depth lists: which source layers fill a repeated block.

use std::fmt;

use super::pattern::digits;
use crate::arch::error::ArchError;
use crate::error::{Error, Result};

/// One item of a depth list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DepthItem {
    Source(u64),
    /// No source: a new layer.
    New,
    /// Between two neighbouring source layers: `(1 − t) · a + t · (a + 1)`.
    Between {
        /// The lower source layer.
        lower: u64,
        /// The weight of the one above.
        t: f64,
    },
    /// A copy of this source layer whose residual branches start at zero.
    Identity(u64),
}

/// A depth list as written: `every:2`, `0-5,new,7`.
#[derive(Clone, Debug, PartialEq)]
pub enum DepthList {
    First,
    Last,
    /// Every `step`-th from `offset`.
    Every {
        step: u64,
        offset: u64,
    },
    /// `round(linspace(0, L − 1, l))`.
    Spaced,
    /// `i mod L`.
    Stack,
    /// `floor(i · L / l)`: each layer repeated in place.
    Interleave,
    /// Linear interpolation between neighbouring layers.
    Interpolate,
    /// Source layers in place, with new blocks that start as the identity spread evenly between them.
    Expand,
    /// One item for each target layer; a negative index counts from the end.
    Items(Vec<ListItem>),
}

/// One item of an explicit depth list, before the number of source layers is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListItem {
    /// A source layer; negative from the end.
    Index(i64),
    New,
}

/// More layers than this in one list are a slip.
pub(super) const MOST_LAYERS: u64 = 1_000_000;

impl DepthList {
    /// For each of the target's layers what fills it. An index that the source lacks, and a list that is longer or
    /// shorter than the target's block, are errors with both numbers.
    pub(crate) fn resolve(&self, target_layers: u64, source_layers: u64) -> Result<Vec<DepthItem>> {
        if target_layers > MOST_LAYERS || source_layers > MOST_LAYERS {
            return Err(self.wrong(format!("a block of more than {MOST_LAYERS} layers")).into());
        }
        let items = self.items(target_layers, source_layers)?;
        if items.len() as u64 != target_layers {
            let (list, items) = (self.to_string(), items.len() as u64);
            return Err(ArchError::DepthCount { list, items, target_layers, source_layers }.into());
        }
        Ok(items)
    }

    fn items(&self, target: u64, source: u64) -> Result<Vec<DepthItem>> {
        let out_of_range = |index: i64| ArchError::DepthIndex { list: self.to_string(), index, source_layers: source };
        if source == 0 && !matches!(self, DepthList::Items(_)) {
            return Err(out_of_range(0).into());
        }
        let from = |f: &dyn Fn(u64) -> u64| (0..target).map(|i| DepthItem::Source(f(i))).collect();
        Ok(match self {
            DepthList::First => (0..target.min(source)).map(DepthItem::Source).collect(),
            DepthList::Last => (source.saturating_sub(target)..source).map(DepthItem::Source).collect(),
            DepthList::Every { step, offset } => {
                (*offset..source).step_by(usize::try_from(*step).unwrap_or(usize::MAX)).map(DepthItem::Source).collect()
            }
            DepthList::Spaced => from(&|i| round_half_even(i * (source - 1), target.max(2) - 1)),
            DepthList::Stack => from(&|i| i % source),
            DepthList::Interleave => from(&|i| i * source / target),
            DepthList::Interpolate => (0..target).map(|i| between(i * (source - 1), target.max(2) - 1)).collect(),
            DepthList::Expand => expand(target, source),
            DepthList::Items(items) => items
                .iter()
                .map(|item| match *item {
                    ListItem::New => Ok(DepthItem::New),
                    ListItem::Index(index) => {
                        let layer =
                            if index < 0 { source.checked_add_signed(index) } else { u64::try_from(index).ok() };
                        layer.filter(|l| *l < source).map(DepthItem::Source).ok_or_else(|| out_of_range(index).into())
                    }
                })
                .collect::<Result<_>>()?,
        })
    }

    fn wrong(&self, problem: String) -> ArchError {
        ArchError::DepthList { text: self.to_string(), problem }
    }
}

/// `numpy.round(numerator / denominator)`: halves go to the even neighbour.
fn round_half_even(numerator: u64, denominator: u64) -> u64 {
    let (quotient, twice) = (numerator / denominator, 2 * (numerator % denominator));
    let up = twice > denominator || (twice == denominator && quotient % 2 == 1);
    quotient + u64::from(up)
}

fn between(numerator: u64, denominator: u64) -> DepthItem {
    match (numerator / denominator, numerator % denominator) {
        (lower, 0) => DepthItem::Source(lower),
        (lower, rest) => DepthItem::Between { lower, t: rest as f64 / denominator as f64 },
    }
}

/// LLaMA Pro (arXiv:2401.02415): after every `L / n`-th layer a copy of it that starts as the identity.
fn expand(target: u64, source: u64) -> Vec<DepthItem> {
    let new = target.saturating_sub(source);
    let mut items = Vec::new();
    let mut placed = 0;
    for layer in 0..source {
        items.push(DepthItem::Source(layer));
        while placed < new && ((placed + 1) * source).div_ceil(new) == layer + 1 {
            items.push(DepthItem::Identity(layer));
            placed += 1;
        }
    }
    items
}

impl std::str::FromStr for DepthList {
    type Err = Error;

    /// Parses `every:2` or `0-5,new,-1`, or an error that shows the forms.
    fn from_str(text: &str) -> Result<DepthList> {
        let wrong = |problem: String| ArchError::DepthList { text: text.to_string(), problem };
        Ok(match text.trim() {
            "first" => DepthList::First,
            "last" => DepthList::Last,
            "spaced" => DepthList::Spaced,
            "stack" => DepthList::Stack,
            "interleave" => DepthList::Interleave,
            "interpolate" => DepthList::Interpolate,
            "expand" => DepthList::Expand,
            "" => return Err(wrong("it is empty".into()).into()),
            other => match other.strip_prefix("every:") {
                Some(every) => parse_every(every)
                    .ok_or_else(|| wrong("`every` takes a step of at least 1, as every:2 or every:2+1".into()))?,
                None => DepthList::Items(parse_items(other).map_err(wrong)?),
            },
        })
    }
}

fn parse_every(text: &str) -> Option<DepthList> {
    let (step, offset) = match text.split_once('+') {
        Some((step, offset)) => (digits(step)?, digits(offset)?),
        None => (digits(text)?, 0),
    };
    (step > 0).then_some(DepthList::Every { step, offset })
}

fn parse_items(text: &str) -> std::result::Result<Vec<ListItem>, String> {
    let mut items = Vec::new();
    for word in text.split(',').map(str::trim) {
        match word.split_once('-').filter(|(first, _)| !first.is_empty()) {
            None => items.push(parse_item(word).ok_or_else(|| unknown_item(word))?),
            Some((first, last)) => {
                let (first, last) = digits(first).zip(digits(last)).ok_or_else(|| unknown_item(word))?;
                if first > last || last - first >= MOST_LAYERS {
                    return Err(format!("the range `{word}` must go up, by at most {MOST_LAYERS} layers"));
                }
                items.extend((first..=last).filter_map(|i| i64::try_from(i).ok()).map(ListItem::Index));
            }
        }
        if items.len() as u64 > MOST_LAYERS {
            return Err(format!("more than {MOST_LAYERS} layers"));
        }
    }
    Ok(items)
}

fn parse_item(word: &str) -> Option<ListItem> {
    match (word, word.strip_prefix('-')) {
        ("new", _) => Some(ListItem::New),
        (_, Some(back)) => {
            digits(back).filter(|b| *b > 0).and_then(|b| i64::try_from(b).ok()).map(|b| ListItem::Index(-b))
        }
        (_, None) => digits(word).and_then(|i| i64::try_from(i).ok()).map(ListItem::Index),
    }
}

fn unknown_item(word: &str) -> String {
    const WORDS: [&str; 9] =
        ["first", "last", "every:2", "spaced", "stack", "interleave", "interpolate", "expand", "new"];
    match crate::error::nearest(word, WORDS) {
        Some(near) => format!("`{word}` is not an item of it; did you mean `{near}`?"),
        None => format!("`{word}` is not an item of it"),
    }
}

impl fmt::Display for DepthList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DepthList::First => f.write_str("first"),
            DepthList::Last => f.write_str("last"),
            DepthList::Every { step, offset: 0 } => write!(f, "every:{step}"),
            DepthList::Every { step, offset } => write!(f, "every:{step}+{offset}"),
            DepthList::Spaced => f.write_str("spaced"),
            DepthList::Stack => f.write_str("stack"),
            DepthList::Interleave => f.write_str("interleave"),
            DepthList::Interpolate => f.write_str("interpolate"),
            DepthList::Expand => f.write_str("expand"),
            DepthList::Items(items) => f.write_str(&items_text(items)),
        }
    }
}

/// Items with rising runs of three and more as ranges.
fn items_text(items: &[ListItem]) -> String {
    let follows = |a: &ListItem, b: &ListItem| match (a, b) {
        (ListItem::Index(a), ListItem::Index(b)) => *a >= 0 && a.checked_add(1) == Some(*b),
        _ => false,
    };
    let runs = items.chunk_by(follows).flat_map(|run| match run {
        [ListItem::Index(first), _, .., ListItem::Index(last)] => vec![format!("{first}-{last}")],
        _ => run.iter().map(item_text).collect(),
    });
    runs.collect::<Vec<_>>().join(",")
}

fn item_text(item: &ListItem) -> String {
    match item {
        ListItem::Index(index) => index.to_string(),
        ListItem::New => "new".into(),
    }
}
