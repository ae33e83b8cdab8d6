//! The grammar `name(parameter=value, …)`, and the values of parameters. Limits on length and nesting, since texts come from files.

use std::collections::BTreeMap;

use super::Nonlinearity;
use super::formula::Gain;
use super::spelling::{Base, nearest_spelling, spelling_of};
use crate::error::{Error, Result, nearest, shortened};
use crate::init::error::InitError;

/// The longest text that is read, in bytes.
const LONGEST: usize = 1024;
/// How deep parentheses may stand.
const DEEPEST: usize = 4;

/// What a number may be.
#[derive(Clone, Copy)]
pub(super) enum Allowed {
    Any,
    NotNegative,
    Positive,
    Share,
}

/// A scheme's name and what was said to it.
pub(super) struct Arguments {
    /// The name as written.
    scheme: String,
    pub(super) base: Base,
    given: BTreeMap<&'static str, String>,
    presets: &'static [(&'static str, &'static str)],
}

impl Arguments {
    /// Takes a text apart; an unknown name or parameter, or a parameter said twice, is an error.
    pub(super) fn read(text: &str) -> Result<Arguments> {
        let (name, parameters) = split_call(text.trim()).map_err(|reason| malformed(text, reason))?;
        let spelling = spelling_of(name).ok_or_else(|| unknown_scheme(name))?;
        let mut arguments = Arguments {
            scheme: name.to_string(),
            base: spelling.base,
            given: BTreeMap::new(),
            presets: spelling.presets,
        };
        let pieces = split_commas(parameters).map_err(|reason| malformed(text, reason))?;
        for (i, piece) in pieces.iter().enumerate() {
            match (piece.split_once('='), arguments.base.positional()) {
                (Some((name, value)), _) => arguments.add(name.trim(), value.trim())?,
                (None, Some(name)) if i == 0 => arguments.add(name, piece)?,
                (None, _) => return Err(malformed(text, "a parameter is written name=value")),
            }
        }
        Ok(arguments)
    }

    /// Adds one parameter.
    pub(super) fn add(&mut self, name: &str, value: &str) -> Result<()> {
        let parameter = self.base.parameter(name).ok_or_else(|| self.unknown(name))?;
        match self.given.insert(parameter, value.to_string()) {
            None => Ok(()),
            Some(_) => Err(self.conflict(parameter, parameter, "it is given twice")),
        }
    }

    /// Whether the person said it.
    pub(super) fn is_given(&self, parameter: &str) -> bool {
        self.given.contains_key(parameter)
    }

    fn text(&self, parameter: &str) -> Option<&str> {
        let preset = || self.presets.iter().find(|(name, _)| *name == parameter).map(|(_, value)| *value);
        self.given.get(parameter).map(String::as_str).or_else(preset)
    }

    /// A number, where said or preset.
    pub(super) fn number(&self, parameter: &'static str, allowed: Allowed) -> Result<Option<f64>> {
        let Some(text) = self.text(parameter) else { return Ok(None) };
        let is_allowed = |value: &f64| match allowed {
            Allowed::Any => true,
            Allowed::NotNegative => *value >= 0.0,
            Allowed::Positive => *value > 0.0,
            Allowed::Share => (0.0..=1.0).contains(value),
        };
        let expected = match allowed {
            Allowed::Any => "a finite number",
            Allowed::NotNegative => "a finite number of 0 or more",
            Allowed::Positive => "a finite number above 0",
            Allowed::Share => "a number between 0 and 1",
        };
        match number(text).filter(is_allowed) {
            Some(value) => Ok(Some(value)),
            None => Err(self.bad(parameter, expected, None)),
        }
    }

    /// A number that has no default.
    pub(super) fn needed(&self, parameter: &'static str, allowed: Allowed) -> Result<f64> {
        self.number(parameter, allowed)?
            .ok_or_else(|| InitError::MissingParameter { scheme: self.scheme.clone(), parameter }.into())
    }

    /// A whole number of at least one.
    pub(super) fn count(&self, parameter: &'static str) -> Result<Option<u64>> {
        let Some(text) = self.text(parameter) else { return Ok(None) };
        match text.parse() {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(self.bad(parameter, "a whole number of 1 or more", None)),
        }
    }

    /// `low` and `high`, the lower first.
    pub(super) fn bounds(&self, low: f64, high: f64) -> Result<(f64, f64)> {
        let low = self.number("low", Allowed::Any)?.unwrap_or(low);
        let high = self.number("high", Allowed::Any)?.unwrap_or(high);
        match low <= high {
            true => Ok((low, high)),
            false => Err(self.conflict("low", "high", "the lower bound is above the upper one")),
        }
    }

    /// One of several words, in any case.
    pub(super) fn choice<T: Copy>(
        &self,
        parameter: &'static str,
        choices: &'static [(&'static str, T)],
    ) -> Result<Option<T>> {
        let Some(text) = self.text(parameter) else { return Ok(None) };
        let lower = text.to_ascii_lowercase();
        match choices.iter().find(|(name, _)| *name == lower) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let known = choices.iter().map(|(name, _)| *name);
                let nearest = nearest(&lower, known).or(choices.first().map(|(name, _)| *name));
                Err(self.bad(parameter, "one of its values", nearest))
            }
        }
    }

    /// The gain of `nonlinearity`, where said: an activation by the names that libraries give it, or a layer without one.
    pub(super) fn nonlinearity(&self) -> Result<Option<Gain>> {
        const PARAMETER: &str = "nonlinearity";
        let Some(text) = self.text(PARAMETER) else { return Ok(None) };
        let lower = text.to_ascii_lowercase();
        if let Some(known) = Nonlinearity::ALL.iter().find(|known| known.name() == lower) {
            return Ok(Some(Gain::of(*known)));
        }
        match lower.as_str() {
            "linear" | "identity" | "none" => Ok(Some(Gain::Factor(1.0))),
            "conv1d" | "conv2d" | "conv3d" | "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d" => {
                Ok(Some(Gain::Factor(1.0)))
            }
            "swish" => Ok(Some(Gain::Of(Nonlinearity::Silu))),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Some(Gain::Of(Nonlinearity::GeluTanh))),
            _ => {
                let names = Nonlinearity::ALL.iter().map(|known| known.name()).chain(["linear"]);
                Err(self.bad(PARAMETER, "a known activation", nearest(&lower, names)))
            }
        }
    }

    /// The error that a parameter's value cannot be.
    pub(super) fn bad(&self, parameter: &str, expected: &'static str, nearest: Option<&'static str>) -> Error {
        let value = shortened(self.text(parameter).unwrap_or_default());
        InitError::BadValue { scheme: self.scheme.clone(), parameter: parameter.into(), value, expected, nearest }
            .into()
    }

    /// The error that two parameters contradict each other.
    pub(super) fn conflict(&self, first: &'static str, second: &'static str, reason: &'static str) -> Error {
        InitError::Conflict { scheme: self.scheme.clone(), first, second, reason }.into()
    }

    fn unknown(&self, parameter: &str) -> Error {
        let known = self.base.parameters().to_vec();
        let nearest = nearest(parameter, known.iter().copied());
        let (scheme, parameter) = (self.scheme.clone(), shortened(parameter));
        InitError::UnknownParameter { scheme, parameter, nearest, known }.into()
    }
}

/// The name, and what stands between the parentheses.
fn split_call(text: &str) -> std::result::Result<(&str, &str), &'static str> {
    if text.len() > LONGEST {
        return Err("it is too long");
    }
    if text.is_empty() {
        return Err("it is empty");
    }
    match text.split_once('(') {
        None => Ok((text, "")),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(inner) => Ok((name.trim_end(), inner)),
            None => Err("the closing parenthesis is missing at its end"),
        },
    }
}

/// The pieces between commas outside parentheses, trimmed; one trailing comma is forgiven.
fn split_commas(text: &str) -> std::result::Result<Vec<&str>, &'static str> {
    let mut pieces = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' if depth == DEEPEST => return Err("its parentheses are nested too deeply"),
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).ok_or("a parenthesis closes that was not opened")?,
            b',' if depth == 0 => {
                pieces.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text.get(start..).unwrap_or_default().trim();
    if !last.is_empty() {
        pieces.push(last);
    }
    match (depth, pieces.contains(&"")) {
        (0, false) => Ok(pieces),
        (0, true) => Err("a parameter between two commas is missing"),
        _ => Err("a parenthesis is not closed"),
    }
}

/// A finite number, or the root of one, as `sqrt(5)`.
fn number(text: &str) -> Option<f64> {
    let root = text.strip_prefix("sqrt(").and_then(|rest| rest.strip_suffix(')'));
    let value = match root {
        Some(inner) => inner.trim().parse::<f64>().ok()?.sqrt(),
        None => text.parse::<f64>().ok()?,
    };
    value.is_finite().then_some(value)
}

fn unknown_scheme(name: &str) -> Error {
    InitError::UnknownScheme { name: shortened(name), nearest: nearest_spelling(name) }.into()
}

fn malformed(text: &str, reason: &'static str) -> Error {
    InitError::Malformed { text: shortened(text), reason }.into()
}
