//! Class names as the command line takes them, and lists of programming languages that are mistaken for them.

/// Brackets that a list of names stands in.
const BRACKETS: &[(char, char)] = &[('[', ']'), ('(', ')'), ('{', '}')];
/// Quotes that a name stands in.
const QUOTES: &[char] = &['\'', '"', '`', '‘', '’', '“', '”'];

/// Whether a text is the list of a programming language: it stands in brackets, or a name in quotes. An apostrophe within a name is none.
pub(crate) fn is_list(text: &str, names: &[String]) -> bool {
    bracketed(text).is_some() || text.trim().starts_with('[') || names.iter().any(|name| quoted(name).is_some())
}

/// The names of such a list, or none where they cannot be told: an empty one, one that stands twice, a list within the list.
pub(crate) fn unquoted(text: &str) -> Vec<String> {
    let text = bracketed(text).unwrap_or(text.trim());
    let of_object = |name: &str| name.split_once(':').map_or(name.to_string(), |(_, value)| value.trim().to_string());
    let bare = |name: &str| {
        let name = of_object(name.trim());
        quoted(&name).map_or(name.clone(), str::to_string)
    };
    let names: Vec<String> = text.trim().trim_end_matches(',').split(',').map(bare).collect();
    let is_name = |name: &String| !name.is_empty() && !name.contains(['[', ']', '{', '}', '\'', '"']);
    let is_distinct = |(place, name): (usize, &String)| !names.iter().take(place).any(|other| other == name);
    if names.iter().all(is_name) && names.iter().enumerate().all(is_distinct) { names } else { Vec::new() }
}

fn bracketed(text: &str) -> Option<&str> {
    let text = text.trim();
    BRACKETS.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close))
}

fn quoted(name: &str) -> Option<&str> {
    name.strip_prefix(QUOTES)?.strip_suffix(QUOTES)
}
