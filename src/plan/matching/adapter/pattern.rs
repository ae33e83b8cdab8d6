//! `rank_pattern` and `alpha_pattern`: keys that are names or regular expressions, matched as PEFT's `get_pattern_key` matches them.

use regex_lite::{Regex, RegexBuilder};
use serde_json::Value as Json;

/// The largest program of one pattern, in bytes.
const LARGEST: usize = 1 << 20;

/// A key and the number that it gives the modules that it matches.
pub(crate) struct Pattern {
    pub text: String,
    pub number: f64,
    regex: Regex,
}

impl Pattern {
    /// All patterns of a key of the config, in order; what is wrong with one otherwise.
    pub(crate) fn all(patterns: Option<&Json>) -> Result<Vec<Pattern>, String> {
        let Some(Json::Object(patterns)) = patterns else { return Ok(Vec::new()) };
        patterns.iter().map(|(text, number)| Pattern::parse(text, number)).collect()
    }

    fn parse(text: &str, number: &Json) -> Result<Pattern, String> {
        let number = number.as_f64().ok_or_else(|| format!("`{text}`: {number} is not a number"))?;
        // `re.match(rf"(.*\.)?({key})$", name)`
        let whole = format!(r"^(?:.*\.)?(?:{})$", translated(text));
        let regex = RegexBuilder::new(&whole).size_limit(LARGEST).build();
        let regex = regex.map_err(|error| format!("`{text}` is not a regular expression that xfer reads: {error}"))?;
        Ok(Pattern { text: text.into(), number, regex })
    }

    /// Whether it matches the name of a module.
    pub(crate) fn matches(&self, module: &str) -> bool {
        self.regex.is_match(module)
    }
}

/// What Python writes otherwise: `\Z` is the end.
fn translated(text: &str) -> String {
    text.replace(r"\Z", r"\z")
}
