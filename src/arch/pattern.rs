//! Patterns over dotted names. `*` is one whole component, `**` any number of them (zero too), `{i}` an integer,
//! any other `{p}` one or more whole components, or text without a dot where it is a part of a component. Integers
//! take arithmetic: `{i+1}`, `{i-1}`, `{i*2}`, `{i*2+1}`. Plain text matches exactly that name. Of several ways to
//! match, the first wildcards are the shortest.

mod bind;
mod parse;

use std::collections::BTreeMap;
use std::fmt;

/// What the wildcards of a pattern stand for: letters by themselves, stars by their place among their kind (`*1`, `**1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bindings(pub BTreeMap<String, String>);

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// Exactly this text.
    Literal(String),
    /// `*`: one component.
    One(String),
    /// `**`: zero or more components.
    Any(String),
    /// `{p}`: one or more components.
    Path(String),
    /// Text and letters within one component.
    Mixed(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    Text(String),
    Integer(String, Arithmetic),
}

/// `letter · factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arithmetic {
    factor: u64,
    offset: i64,
}

impl Arithmetic {
    const NONE: Arithmetic = Arithmetic { factor: 1, offset: 0 };

    fn apply(self, letter: u64) -> Option<u64> {
        letter.checked_mul(self.factor)?.checked_add_signed(self.offset)
    }

    fn undo(self, value: u64) -> Option<u64> {
        let product = i128::from(value) - i128::from(self.offset);
        let product = u64::try_from(product).ok()?;
        (product % self.factor == 0).then(|| product / self.factor)
    }
}

impl Pattern {
    /// What the wildcards stand for in `name`, or `None` where it does not match.
    pub(crate) fn matches(&self, name: &str) -> Option<Bindings> {
        if self.is_plain() {
            return (self.text == name).then(Bindings::default);
        }
        if !begins(self.components.iter(), name.split('.')) || !begins(self.components.iter().rev(), name.rsplit('.')) {
            return None;
        }
        let parts: Vec<&str> = name.split('.').collect();
        let mut bound = Vec::new();
        match_components(&self.components, &parts, &mut bound)
            .then(|| Bindings(bound.into_iter().map(|(letter, value)| (letter.to_string(), value)).collect()))
    }

    /// The name that the pattern spells under these bindings, or `None` where one is missing or an arithmetic leaves the integers.
    pub(crate) fn substitute(&self, bindings: &Bindings) -> Option<String> {
        let mut parts: Vec<std::borrow::Cow<str>> = Vec::with_capacity(self.components.len());
        for component in &self.components {
            match component {
                Component::Literal(text) => parts.push(text.into()),
                Component::One(key) | Component::Any(key) | Component::Path(key) => {
                    let value = bindings.0.get(key)?;
                    if !value.is_empty() {
                        parts.push(value.into());
                    }
                }
                Component::Mixed(pieces) => parts.push(spell(pieces, bindings)?.into()),
            }
        }
        Some(parts.join("."))
    }

    /// Whether it has no wildcard.
    pub(crate) fn is_plain(&self) -> bool {
        self.components.iter().all(|component| matches!(component, Component::Literal(_)))
    }

    /// Its wildcards by the keys of `Bindings`, in order, each once.
    pub(crate) fn wildcards(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        let mut add = |key| {
            if !keys.contains(&key) {
                keys.push(key);
            }
        };
        for component in &self.components {
            match component {
                Component::Literal(_) => {}
                Component::One(key) | Component::Any(key) | Component::Path(key) => add(key.as_str()),
                Component::Mixed(pieces) => pieces.iter().filter_map(Token::key).for_each(&mut add),
            }
        }
        keys
    }

    /// Whether an index has arithmetic (`{i+1}`): such a rule and a depth rule on one block are an error.
    pub(crate) fn has_arithmetic(&self) -> bool {
        self.components.iter().any(|component| match component {
            Component::Mixed(pieces) => {
                pieces.iter().any(|piece| matches!(piece, Token::Integer(_, how) if *how != Arithmetic::NONE))
            }
            Component::Literal(_) | Component::One(_) | Component::Any(_) | Component::Path(_) => false,
        })
    }
}

impl Token {
    fn key(&self) -> Option<&str> {
        match self {
            Token::Literal(_) => None,
            Token::Text(key) | Token::Integer(key, _) => Some(key),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An unsigned number of digits alone (`parse` would take `+1`).
pub(super) fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn spell(pieces: &[Token], bindings: &Bindings) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Token::Literal(plain) => text.push_str(plain),
            Token::Text(letter) => text.push_str(bindings.0.get(letter)?),
            Token::Integer(letter, Arithmetic::NONE) => text.push_str(bindings.0.get(letter)?),
            Token::Integer(letter, how) => {
                text.push_str(&how.apply(digits(bindings.0.get(letter)?)?)?.to_string());
            }
        }
    }
    Some(text)
}

/// The values bound so far; a failed attempt truncates it to where it began.
type Bound<'p> = Vec<(&'p str, String)>;

/// Binds a letter, or says no where it already stands for something else.
fn bind<'p>(bound: &mut Bound<'p>, letter: &'p str, value: &str) -> bool {
    match bound.iter().find(|(known, _)| *known == letter) {
        Some((_, known)) => known == value,
        None => {
            bound.push((letter, value.to_string()));
            true
        }
    }
}

/// Whether the components before the first open wildcard could stand for these parts: told without allocating, so that
/// most names are through with most patterns here.
fn begins<'c, 'n>(components: impl Iterator<Item = &'c Component>, mut parts: impl Iterator<Item = &'n str>) -> bool {
    for component in components {
        match (component, parts.next()) {
            (Component::Any(_) | Component::Path(_), _) => return true,
            (Component::Literal(text), Some(part)) if text != part => return false,
            (Component::Literal(_) | Component::One(_) | Component::Mixed(_), Some(_)) => {}
            (_, None) => return false,
        }
    }
    parts.next().is_none()
}

fn match_components<'p>(components: &'p [Component], parts: &[&str], bound: &mut Bound<'p>) -> bool {
    let Some((component, rest)) = components.split_first() else { return parts.is_empty() };
    let start = bound.len();
    let undo = |bound: &mut Bound<'p>| {
        bound.truncate(start);
        false
    };
    let one = |bound: &mut Bound<'p>, matched: bool| {
        (matched && match_components(rest, parts.get(1..).unwrap_or(&[]), bound)) || undo(bound)
    };
    match (component, parts.first()) {
        (Component::Literal(text), Some(part)) => one(bound, text == part),
        (Component::One(key), Some(part)) => {
            let matched = !part.is_empty() && bind(bound, key, part);
            one(bound, matched)
        }
        (Component::Mixed(pieces), Some(part)) => {
            match_pieces(pieces, part, bound, &mut |bound| match_components(rest, parts.get(1..).unwrap_or(&[]), bound))
        }
        (Component::Any(key), _) => match_several(key, 0, rest, parts, bound),
        (Component::Path(key), Some(_)) => match_several(key, 1, rest, parts, bound),
        (_, None) => false,
    }
}

/// `least` or more components under one key, the fewest first.
fn match_several<'p>(key: &'p str, least: usize, rest: &'p [Component], parts: &[&str], bound: &mut Bound<'p>) -> bool {
    let start = bound.len();
    let needed = rest.iter().filter(|component| !matches!(component, Component::Any(_))).count();
    let most = parts.len().saturating_sub(needed);
    let exact = rest.iter().all(|component| !matches!(component, Component::Any(_) | Component::Path(_)));
    let least = if exact { least.max(most) } else { least };
    for taken in least..=most {
        let (mine, others) = parts.split_at(taken);
        let whole = mine.iter().all(|part| !part.is_empty());
        if whole && bind(bound, key, &mine.join(".")) && match_components(rest, others, bound) {
            return true;
        }
        bound.truncate(start);
    }
    false
}

/// Text and letters within one component, a letter taking the least it can; `then` matches what follows the component.
fn match_pieces<'p>(
    pieces: &'p [Token],
    part: &str,
    bound: &mut Bound<'p>,
    then: &mut dyn FnMut(&mut Bound<'p>) -> bool,
) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return part.is_empty() && then(bound) };
    let start = bound.len();
    match piece {
        Token::Literal(text) => {
            part.strip_prefix(text.as_str()).is_some_and(|after| match_pieces(rest, after, bound, then))
        }
        Token::Text(letter) => {
            let ends = part.char_indices().skip(1).map(|(at, _)| at).chain([part.len()]);
            ends.filter(|end| *end > 0).any(|end| {
                let (mine, after) = part.split_at(end);
                let matched = bind(bound, letter, mine) && match_pieces(rest, after, bound, then);
                if !matched {
                    bound.truncate(start);
                }
                matched
            })
        }
        Token::Integer(letter, how) => {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, after) = part.split_at(end);
            let value = match (*how, digits(number)) {
                (Arithmetic::NONE, Some(_)) => Some(number.to_string()),
                // a padded number could not be spelt back
                (_, Some(value)) if value.to_string() == number => how.undo(value).map(|letter| letter.to_string()),
                _ => None,
            };
            let matched =
                value.is_some_and(|value| bind(bound, letter, &value) && match_pieces(rest, after, bound, then));
            if !matched {
                bound.truncate(start);
            }
            matched
        }
    }
}
