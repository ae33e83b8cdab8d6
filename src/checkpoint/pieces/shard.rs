//! `STEM-00001-of-00003.safetensors`: shards that are numbered in their names.

use std::collections::BTreeMap;

/// More missing shards than this are not named; a name may state any count.
const MOST: usize = 1000;

/// What the name of a shard states.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::checkpoint) struct Shard<'a> {
    /// What all shards of a model begin with.
    pub(in crate::checkpoint) stem: &'a str,
    /// What their names end with.
    pub(in crate::checkpoint) ending: &'a str,
    pub(in crate::checkpoint) number: u32,
    /// How many there are.
    pub(in crate::checkpoint) count: u32,
    /// How many digits number and count have.
    widths: (usize, usize),
}

impl<'a> Shard<'a> {
    /// By the name of a file, or `None` where it is not numbered so.
    pub(in crate::checkpoint) fn of(name: &'a str) -> Option<Shard<'a>> {
        let (rest, tail) = name.rsplit_once("-of-")?;
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let (count, ending) = tail.split_at_checked(digits)?;
        let (stem, number) = rest.rsplit_once(['-', '_'])?;
        ending.starts_with('.').then_some(())?;
        let widths = (number.len(), count.len());
        Some(Shard { stem, ending, number: number.parse().ok()?, count: count.parse().ok()?, widths })
    }

    /// Those of these names that are shards of the same model, by their numbers.
    pub(in crate::checkpoint) fn set<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> BTreeMap<u32, &'n str> {
        let alike = |name: &'n str| {
            let shard = Shard::of(name)?;
            let is_alike = (shard.stem, shard.ending, shard.count) == (self.stem, self.ending, self.count);
            is_alike.then_some((shard.number, name))
        };
        names.into_iter().filter_map(alike).collect()
    }

    /// The numbers that a whole set has: from 1, or from 0 where one is numbered so.
    fn numbers(&self, found: &BTreeMap<u32, &str>) -> std::ops::Range<u32> {
        let first = u32::from(!found.contains_key(&0));
        first..self.count.saturating_add(first)
    }

    /// The shards of the set that are not among those found.
    pub(in crate::checkpoint) fn missing(&self, found: &BTreeMap<u32, &str>) -> Vec<String> {
        let lacking = self.numbers(found).filter(|number| !found.contains_key(number));
        lacking.take(MOST).map(|number| self.named(number)).collect()
    }

    /// The name of the shard of a number.
    fn named(&self, number: u32) -> String {
        let (wide, count) = self.widths;
        format!("{}-{number:0wide$}-of-{:0count$}{}", self.stem, self.count, self.ending)
    }
}
