//! Text for people. Names, values and messages come from files and servers of strangers: a control character among them would move the
//! cursor, change colours or begin a line that xfer never wrote.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io;

/// Whether a character does something to a terminal or to the order of letters, or cannot be seen: controls (C0, DEL, C1), separators
/// of lines, marks of direction, letters without width, tags.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.contains(is_unprintable)
}

/// A text without a character that a terminal acts upon: such ones are written as escapes (`\n`, `\u{1b}`).
pub fn escaped(text: &str) -> Cow<'_, str> {
    if is_printable(text) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_unprintable(letter) {
            safe.extend(letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

/// A text of lines, each of which is escaped when it is written: only this type ends a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// A text of xfer's own, in which nothing comes from a file: a program, a table.
    pub fn own(text: impl Into<String>) -> Text {
        Text(text.into())
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(&escaped(line));
        self.0.push('\n');
    }

    /// Writes an empty line.
    pub fn blank(&mut self) {
        self.0.push('\n');
    }

    /// Writes the lines of another text.
    pub(crate) fn append(&mut self, other: &Text) {
        self.0.push_str(&other.0);
    }

    /// The lines, the last of them ended.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What `writeln!` writes is one line, whatever stands in the arguments; what `write!` writes is a line too.
impl Write for Text {
    fn write_str(&mut self, line: &str) -> fmt::Result {
        self.line(line.strip_suffix('\n').unwrap_or(line));
        Ok(())
    }

    fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> fmt::Result {
        let start = self.0.len();
        self.0.write_fmt(line)?;
        let line = self.0.get(start..).unwrap_or_default();
        let line = line.strip_suffix('\n').unwrap_or(line);
        if let Cow::Owned(safe) = escaped(line) {
            self.0.truncate(start);
            self.0.push_str(&safe);
        } else {
            self.0.truncate(start + line.len());
        }
        self.0.push('\n');
        Ok(())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Passes JSON on. JSON itself escapes what is below the space; the other characters that a terminal acts upon become `\uXXXX`, which is
/// the same JSON. Each call holds whole characters, as `serde_json` writes them.
pub struct JsonWriter<W>(pub W);

impl<W: io::Write> io::Write for JsonWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !bytes.is_ascii() || bytes.contains(&0x7F) => {
                self.0.write_all(json_escaped(text).as_bytes())?
            }
            Ok(_) | Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn json_escaped(text: &str) -> Cow<'_, str> {
    let is_own = |letter: char| letter == '\n';
    if !text.contains(|letter| is_unprintable(letter) && !is_own(letter)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_unprintable(letter) && !is_own(letter) {
            letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::io::Write as _;

    use super::*;

    proptest! {
        #[test]
        fn a_line_is_one_line_whatever_is_written(name in any::<String>(), ends in "[a-z\n\r\u{1b}\u{85}\u{2028}]{0,4}") {
            let mut text = Text::default();
            writeln!(text, "tensor {name}{ends}: {ends}").unwrap();
            text.line(&format!("{name}{ends}"));
            write!(text, "{ends}{name}").unwrap();
            prop_assert_eq!(text.as_str().lines().count(), 3);
            prop_assert!(text.as_str().split('\n').all(is_printable));
        }

        #[test]
        fn json_is_the_same_value_without_controls(name in any::<String>(), more in "[\u{7f}-\u{9f}\u{202e}\u{200b}\u{e0041}é]{0,6}") {
            let value = serde_json::json!({ name.clone(): [more], "b": name });
            let mut out = Vec::new();
            serde_json::to_writer_pretty(JsonWriter(&mut out), &value).unwrap();
            let out = String::from_utf8(out).unwrap();
            prop_assert!(out.split('\n').all(is_printable));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), value);
        }
    }

    #[test]
    fn letters_of_all_scripts_stay_as_they_are() {
        for text in ["encoder.layer.0.weight", "größe", "重み", "вес", "Ġthe", "▁the", "😀", "a\\nb"] {
            assert_eq!(escaped(text), text);
        }
        assert_eq!(
            escaped("a\nerror: fake\u{1b}[31m\u{7}\0\u{202e}"),
            "a\\nerror: fake\\u{1b}[31m\\u{7}\\u{0}\\u{202e}"
        );
    }

    #[test]
    fn a_line_without_an_end_gets_one() {
        let mut text = Text::default();
        writeln!(text).unwrap();
        text.write_str("a\n").unwrap();
        JsonWriter(Vec::new()).flush().unwrap();
        assert_eq!(text.as_str(), "\na\n");
    }
}
