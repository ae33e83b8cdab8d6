//! What `adapt` rules say of a target: a key acts where shapes differ, or is an error. Equal sizes are a copy.

use crate::arch::{AdaptRule, Architecture, Heads, NewRows, Positions};
use crate::error::Result;
use crate::plan::fit::error::FitError;
use crate::plan::fit::subject::Subject;
use crate::plan::inputs::SourceView;
use crate::plan::matching::matches::{Match, Origin};

/// A key of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Positions,
    Heads,
    Rows,
    Prefix,
}

/// What the `adapt` rules say about one target, field by field the last that says it.
#[derive(Debug, Default)]
pub(crate) struct Adapt {
    pub positions: Option<Positions>,
    pub heads: Option<Heads>,
    pub rows: Option<NewRows>,
    pub prefix: Option<[u64; 2]>,
}

impl Adapt {
    pub(crate) fn of(target: &Architecture, name: &str) -> Adapt {
        let matching = target.rules.adapt.iter().filter(|rule| rule.target.pattern.matches(name).is_some());
        matching.fold(Adapt::default(), |said, rule: &AdaptRule| Adapt {
            positions: rule.positions.or(said.positions),
            heads: rule.heads.or(said.heads),
            rows: rule.rows.or(said.rows),
            prefix: rule.prefix.or(said.prefix),
        })
    }

    /// An error where the source and the target have different prefixes, for which there is no operation. Equal shapes need none.
    pub(crate) fn check_available(&self, subject: &Subject) -> Result<()> {
        let is_equal = subject.info.shape == subject.parameter.shape;
        match self.prefix {
            Some([source, target]) if source != target && !is_equal => {
                Err(FitError::NoOperation { name: subject.parameter.name.to_string(), rule: "prefix" }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An error where a key was written that is none of those that act on this tensor.
    pub(crate) fn require(&self, subject: &Subject, acting: &[Key]) -> Result<()> {
        let said = [
            (self.positions.is_some(), Key::Positions, "positions"),
            (self.heads.is_some(), Key::Heads, "heads"),
            (self.rows.is_some(), Key::Rows, "rows"),
            (self.prefix.is_some(), Key::Prefix, "prefix"),
        ];
        let idle = said.into_iter().find(|(is_said, key, _)| *is_said && !acting.contains(key));
        match idle.filter(|_| subject.info.shape != subject.parameter.shape) {
            Some((_, _, rule)) => Err(FitError::CannotAdapt {
                name: subject.parameter.name.to_string(),
                rule,
                expected: subject.parameter.shape.clone(),
                found: subject.info.shape.clone(),
            }
            .into()),
            None => Ok(()),
        }
    }
}

/// An error for a rule of which no tensor has a source, so that there is nothing that it could adapt.
pub(crate) fn check_rules(sources: &[SourceView], target: &Architecture, matches: &[Match]) -> Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    let has_nothing = |found: &Match| matches!(found.origin, Origin::New) && !found.declared;
    for rule in target.rules.adapt.iter().filter(|rule| !rule.target.optional) {
        let met = target.parameters.iter().zip(matches);
        let mut met = met.filter(|(parameter, _)| rule.target.pattern.matches(&parameter.name).is_some()).peekable();
        let Some(name) = met.peek().map(|(parameter, _)| parameter.name.to_string()) else { continue };
        if met.all(|(_, found)| has_nothing(found)) {
            let (place, pattern) = (rule.target.place.clone(), rule.target.text.clone());
            return Err(FitError::NothingToAdapt { place, pattern, name }.into());
        }
    }
    Ok(())
}
