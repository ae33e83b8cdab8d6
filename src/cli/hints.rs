//! Hints as the command that failed can take them: a flag that it does not have is no remedy.

use clap::Command;

/// The hints that fit a command, each with flags that it has or as the line of the architecture file that says the same.
pub fn fitting(hints: Vec<String>, command: Option<&Command>) -> Vec<String> {
    let Some(command) = command else { return hints };
    let has = |flag: &str| command.get_arguments().any(|argument| argument.get_long() == Some(flag));
    // `convert` has its output as an argument
    let output = |hint: String| if has("out") { hint } else { hint.replace("another --out", "another output") };
    hints.into_iter().filter_map(|hint| fit(output(hint), &has)).collect()
}

/// Words that begin a command line of their own, whose flags are its own.
const PROGRAMS: [&str; 4] = ["xfer ", "python ", "hf ", "export "];

fn fit(hint: String, has: &dyn Fn(&str) -> bool) -> Option<String> {
    let own = PROGRAMS.iter().filter_map(|program| hint.find(program)).min().unwrap_or(hint.len());
    let is_foreign = flags(hint.get(..own).unwrap_or(&hint)).any(|flag| !has(flag));
    if is_foreign { in_file(&hint) } else { Some(hint) }
}

/// The flags that a text names, without their dashes.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("--").filter_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let rest = text.get(at + 2..)?;
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
        let begins = before.is_none_or(|c| c.is_whitespace() || matches!(c, '`' | '(' | '\'' | '"'));
        (begins && end > 0).then(|| rest.get(..end)).flatten()
    })
}

/// A rule as the architecture file writes it: every command that takes one reads its rules.
fn in_file(hint: &str) -> Option<String> {
    let (flag, value) = hint.strip_prefix("--")?.split_once(' ')?;
    let value = value.strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "'");
    let json = |text: &str| serde_json::Value::from(text).to_string();
    let line = match flag {
        "new" | "unused" => format!("\"{flag}\": [{}]", json(&value)),
        "depth" => {
            let (path, list) = value.split_once('=')?;
            format!("\"depth\": {{ {}: {} }}", json(path), json(list))
        }
        "map" => {
            let mut pieces = value.split('|');
            let (to, from) = pieces.next()?.split_once('=')?;
            let list = |text: &str| match text.split(',').collect::<Vec<_>>().as_slice() {
                [one] => json(one),
                several => serde_json::Value::from(several.to_vec()).to_string(),
            };
            let ops: Vec<&str> = pieces.collect();
            let ops = if ops.is_empty() { String::new() } else { format!(", \"ops\": {}", serde_json::json!(ops)) };
            format!("\"map\": [{{ \"to\": {}, \"from\": {}{ops} }}]", list(to), list(from))
        }
        _ => return None,
    };
    Some(format!("add the rule to the architecture file: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(hint: &str, flags: &[&str]) -> Option<String> {
        fit(hint.to_string(), &|flag| flags.contains(&flag))
    }

    #[test]
    fn a_flag_that_the_command_lacks_becomes_a_rule_of_the_file_or_nothing() {
        assert_eq!(fitted("--unused 'a.**'", &["unused"]).as_deref(), Some("--unused 'a.**'"));
        assert_eq!(
            fitted("--unused 'a.**'", &[]).as_deref(),
            Some(r#"add the rule to the architecture file: "unused": ["a.**"]"#)
        );
        assert_eq!(
            fitted("--map 'q,k=qk|split(0, 2)'", &[]).as_deref(),
            Some(
                r#"add the rule to the architecture file: "map": [{ "to": ["q","k"], "from": "qk", "ops": ["split(0, 2)"] }]"#
            )
        );
        assert_eq!(
            fitted("--depth 'layers=first'", &["map"]).as_deref(),
            Some(r#"add the rule to the architecture file: "depth": { "layers": "first" }"#)
        );
        assert_eq!(fitted("`--min-coverage 0.40` accepts it", &["data"]), None);
        assert_eq!(fitted("add --force to replace it, or choose another --out", &["out"]), None);
    }

    #[test]
    fn other_programs_keep_their_flags_and_sentences_stay() {
        let other = "plan again: xfer init … --dry-run --plan FILE";
        assert_eq!(fitted(other, &[]).as_deref(), Some(other));
        assert_eq!(fitted("did you mean `a--b`?", &[]).as_deref(), Some("did you mean `a--b`?"));
    }
}
