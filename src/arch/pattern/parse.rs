//! How a pattern is read.

use super::{Arithmetic, Component, Pattern, Token, digits};
use crate::arch::error::ArchError;
use crate::error::Result;

/// More wildcards of several components than this in one pattern make matching slow and mean nothing that fewer would not.
const MOST_OPEN_WILDCARDS: usize = 4;

impl Pattern {
    /// Parses a pattern, or an error that says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Pattern> {
        let wrong = |problem: String| ArchError::Pattern { text: text.to_string(), problem };
        if text.is_empty() {
            return Err(wrong("it is empty".into()).into());
        }
        let (mut stars, mut double_stars) = (0, 0);
        let components = split_outside_braces(text)
            .into_iter()
            .map(|component| parse_component(component, &mut stars, &mut double_stars).map_err(wrong))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let open = components.iter().filter(|c| matches!(c, Component::Any(_) | Component::Path(_))).count();
        if open > MOST_OPEN_WILDCARDS {
            return Err(wrong(format!("{open} wildcards of several components, at most {MOST_OPEN_WILDCARDS}")).into());
        }
        Ok(Pattern { text: text.to_string(), components })
    }
}

impl std::str::FromStr for Pattern {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Pattern> {
        Pattern::parse(text)
    }
}

fn split_outside_braces(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '.' && depth == 0
    })
    .collect()
}

type Parsed<T> = std::result::Result<T, String>;

fn parse_component(text: &str, stars: &mut usize, double_stars: &mut usize) -> Parsed<Component> {
    match text {
        "" => Err("it has an empty component".into()),
        "*" => {
            *stars += 1;
            Ok(Component::One(format!("*{stars}")))
        }
        "**" => {
            *double_stars += 1;
            Ok(Component::Any(format!("**{double_stars}")))
        }
        _ if text.contains('*') && !text.contains('{') => {
            Err(format!("`*` stands for one whole component, not for a part of `{text}`"))
        }
        _ => mixed(parse_pieces(text)?),
    }
}

fn mixed(mut pieces: Vec<Token>) -> Parsed<Component> {
    Ok(match (pieces.len(), pieces.pop()) {
        (1, Some(Token::Literal(text))) => Component::Literal(text),
        (1, Some(Token::Text(letter))) => Component::Path(letter),
        (_, last) => {
            pieces.extend(last);
            Component::Mixed(pieces)
        }
    })
}

fn parse_pieces(text: &str) -> Parsed<Vec<Token>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        match rest.find(['{', '}']) {
            None => {
                pieces.push(literal(rest)?);
                rest = "";
            }
            Some(0) => {
                let inner = rest.strip_prefix('{').ok_or_else(|| format!("`}}` without `{{` in `{text}`"))?;
                let (inside, after) = inner.split_once('}').ok_or_else(|| format!("`{{` without `}}` in `{text}`"))?;
                pieces.push(parse_letter(inside)?);
                rest = after;
            }
            Some(at) => {
                let (plain, after) = rest.split_at(at);
                pieces.push(literal(plain)?);
                rest = after;
            }
        }
    }
    Ok(pieces)
}

fn literal(text: &str) -> Parsed<Token> {
    if text.contains('*') {
        return Err(format!("`*` stands for one whole component, not for a part of `{text}`"));
    }
    Ok(Token::Literal(text.to_string()))
}

fn parse_letter(inside: &str) -> Parsed<Token> {
    let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let (letter, arithmetic) = inside.split_at(end);
    if !letter.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(format!("`{{{inside}}}` is not a wildcard; write a letter, as {{i}} or {{p}}"));
    }
    match (letter, arithmetic) {
        ("i", "") => Ok(Token::Integer("i".into(), Arithmetic::NONE)),
        (_, "") => Ok(Token::Text(letter.into())),
        _ => parse_arithmetic(arithmetic)
            .map(|how| Token::Integer(letter.into(), how))
            .ok_or_else(|| format!("`{{{inside}}}` is not supported arithmetic: {{i+1}}, {{i-1}}, {{i*2}}, {{i*2+1}}")),
    }
}

fn parse_arithmetic(text: &str) -> Option<Arithmetic> {
    let (factor, offset) = match text.strip_prefix('*') {
        None => (1, text),
        Some(rest) => {
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            let (factor, offset) = rest.split_at(end);
            (digits(factor)?, offset)
        }
    };
    let offset = match (offset.strip_prefix('+'), offset.strip_prefix('-')) {
        (Some(plus), _) => i64::try_from(digits(plus)?).ok()?,
        (_, Some(minus)) => i64::try_from(digits(minus)?).ok()?.checked_neg()?,
        (None, None) if offset.is_empty() => 0,
        (None, None) => return None,
    };
    (factor > 0).then_some(Arithmetic { factor, offset })
}
