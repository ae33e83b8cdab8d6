//! The rule flags of the command line.

use super::labels;
use super::rules::{MapRule, Rules, Selector};
use super::{DepthList, DepthRule, Flags, InitRule, LabelRule, Pattern};
use crate::arch::error::ArchError;
use crate::error::Result;
use crate::init::SchemeSpec;

const MAP: &str =
    "'TO=FROM|operation|…', as 'enc.{i}.**=bert.encoder.layer.{i}.**' or 'head.weight=old.weight|transpose'";
const DEPTH: &str = "'PATH=LIST', as encoder.layer=every:2 or encoder.layer=0-5,new,11";
const INIT: &str = "[PATTERN=]SCHEME, as he_normal or 'classifier.**=he_normal(mode=fan_out)'";
const PATTERN: &str = "PATTERN, as 'classifier.**'";
const LABELS: &str = "a,b,c: the class names, in the order of the rows";

impl Rules {
    /// Parses the rule flags, or an error (exit 2) that shows what was typed and the form that is expected.
    /// `--set` is not a rule: it changes the config and is read by `open`.
    pub(crate) fn from_flags(flags: &Flags) -> Result<Rules> {
        let Flags { map, depth, init, new, unused, reinit, labels, set: _ } = flags;
        Ok(Rules {
            map: each("--map", MAP, map, map_rule)?,
            depth: each("--depth", DEPTH, depth, depth_rule)?,
            init: each("--init", INIT, init, init_rule)?,
            new: each("--new", PATTERN, new, |text| selector("--new", text))?,
            unused: each("--unused", PATTERN, unused, |text| selector("--unused", text))?,
            reinit: each("--reinit", PATTERN, reinit, |text| selector("--reinit", text))?,
            labels: each("--labels", LABELS, labels.as_slice(), label_rule)?,
            ..Rules::default()
        })
    }

    /// These rules with stronger ones after them.
    pub(super) fn followed_by(mut self, stronger: Rules) -> Rules {
        let Rules { map, depth, adapt, vocab, labels, init, init_from_file: _, new, unused, reinit, dtype } = stronger;
        self.init_from_file = self.init.len();
        self.map.extend(map);
        self.depth.extend(depth);
        self.adapt.extend(adapt);
        self.vocab = vocab.or(self.vocab);
        self.labels.extend(labels);
        self.init.extend(init);
        self.new.extend(new);
        self.unused.extend(unused);
        self.reinit.extend(reinit);
        self.dtype = dtype.or(self.dtype);
        self
    }
}

/// Parses every value of one flag; an error shows the flag and its form.
fn each<T>(
    flag: &'static str,
    expected: &'static str,
    typed: &[String],
    parse: impl Fn(&str) -> Result<Option<T>>,
) -> Result<Vec<T>> {
    let one = |text: &String| match parse(text) {
        Ok(Some(rule)) => Ok(rule),
        Ok(None) => Err(ArchError::FlagForm { flag, typed: text.clone(), expected }.into()),
        Err(error) if matches!(error.downcast_ref(), Some(ArchError::LabelsForm { .. })) => Err(error),
        Err(error) => Err(ArchError::Flag { flag, typed: text.clone(), expected, error: Box::new(error) }.into()),
    };
    typed.iter().map(one).collect()
}

fn selector(place: &str, text: &str) -> Result<Option<Selector>> {
    Selector::parse(text, place).map(Some)
}

fn map_rule(text: &str) -> Result<Option<MapRule>> {
    let mut pieces = text.split('|').map(str::trim);
    let Some((to, from)) = pieces.next().and_then(|names| names.split_once('=')) else { return Ok(None) };
    let list = |text: &str| text.split(',').map(|name| name.trim().to_string()).collect::<Vec<_>>();
    let from = (from.trim() != "null").then(|| list(from));
    let ops = pieces.map(str::parse).collect::<Result<Vec<_>>>()?;
    MapRule::new(&list(to), from.as_deref(), ops, text, "--map").map(Some)
}

fn depth_rule(text: &str) -> Result<Option<DepthRule>> {
    let Some((path, list)) = text.split_once('=') else { return Ok(None) };
    Ok(Some(DepthRule { path: Selector::parse(path, "--depth")?, list: list.parse::<DepthList>()? }))
}

/// The `=` of parameters stands behind a parenthesis, that of a pattern before it.
fn init_rule(text: &str) -> Result<Option<InitRule>> {
    let plain = text.find('(').unwrap_or(text.len());
    let (target, scheme) = match text.find('=').filter(|at| *at < plain) {
        Some(at) => {
            let (pattern, scheme) = text.split_at(at);
            (Some(Selector::parse(pattern, "--init")?), scheme.trim_start_matches('='))
        }
        None => (None, text),
    };
    Ok(Some(InitRule { target, scheme: scheme.trim().parse::<SchemeSpec>()? }))
}

fn label_rule(text: &str) -> Result<Option<LabelRule>> {
    let labels: Vec<String> = text.split(',').map(|label| label.trim().to_string()).collect();
    if labels::is_list(text, &labels) {
        return Err(ArchError::LabelsForm { typed: text.to_string(), names: labels::unquoted(text) }.into());
    }
    if labels.iter().any(String::is_empty) {
        return Ok(None);
    }
    LabelRule::new(None, labels).map(Some)
}

impl Selector {
    /// Parses a pattern, with `?` in front where it may match nothing. `place` says where it was written.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Selector> {
        let (optional, pattern) = optional(text.trim());
        Ok(Selector { pattern: Pattern::parse(pattern)?, optional, text: text.to_string(), place: place.to_string() })
    }
}

fn optional(text: &str) -> (bool, &str) {
    match text.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

impl LabelRule {
    /// The classes of a head's rows; one that stands twice is an error.
    pub(crate) fn new(head: Option<Selector>, labels: Vec<String>) -> Result<LabelRule> {
        let mut seen = std::collections::BTreeMap::new();
        for (second, label) in labels.iter().enumerate() {
            if let Some(first) = seen.insert(label.as_str(), second) {
                return Err(ArchError::LabelTwice { label: label.clone(), first, second }.into());
            }
        }
        Ok(LabelRule { head, labels })
    }
}

impl MapRule {
    /// A rule from its patterns as written: `?` in front of the first target makes it optional, `source:` in front of a
    /// source names whose it is. A wildcard that only a source has must be unique for each target, which matching checks.
    pub(crate) fn new(
        to: &[String],
        from: Option<&[String]>,
        ops: Vec<crate::adapt::NamedOp>,
        text: &str,
        place: &str,
    ) -> Result<MapRule> {
        let is_optional = to.first().is_some_and(|first| optional(first).0);
        let to = to.iter().map(|text| Pattern::parse(optional(text).1)).collect::<Result<Vec<_>>>()?;
        let from = match from {
            Some(names) => Some(names.iter().map(|name| source_pattern(name)).collect::<Result<Vec<_>>>()?),
            None => None,
        };
        check_targets(&to, text)?;
        Ok(MapRule { to, from, ops, optional: is_optional, text: text.to_string(), place: place.to_string() })
    }
}

fn source_pattern(text: &str) -> Result<(Option<String>, Pattern)> {
    // `dense/kernel:0` is a TensorFlow name, not the tensor `0` of a source
    let is_source = |source: &str, name: &str| {
        let word = source.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        // and `onnx::MatMul_7` is a name that an exporter gives
        word && !source.is_empty() && !name.starts_with(':') && super::pattern::digits(name).is_none()
    };
    match text.split_once(':').filter(|(source, name)| is_source(source, name)) {
        Some((source, name)) => Ok((Some(source.to_string()), Pattern::parse(name)?)),
        None => Ok((None, Pattern::parse(text)?)),
    }
}

fn check_targets(to: &[Pattern], rule: &str) -> Result<()> {
    let sorted = |pattern: &Pattern| {
        let mut keys: Vec<String> = pattern.wildcards().into_iter().map(str::to_string).collect();
        keys.sort_unstable();
        keys
    };
    let Some((first, others)) = to.split_first() else {
        return Err(ArchError::Pattern { text: rule.to_string(), problem: "no target is named".into() }.into());
    };
    match others.iter().find(|other| sorted(other) != sorted(first)) {
        Some(other) => {
            Err(ArchError::MapTargets { rule: rule.to_string(), first: first.text.clone(), other: other.text.clone() }
                .into())
        }
        None => Ok(()),
    }
}
