//! What tokens mean as text: where a word begins is spelt `hello` / `##ing` by WordPiece, `Ġhello` / `ing` by byte-level BPE, and
//! `▁hello` / `ing` by SentencePiece. So two tokenizers can be matched, and a new token cut into the pieces of another.

use crate::checkpoint::vocabulary::Vocabulary;
use crate::hash::HashMap;

/// How a tokenizer marks that a word begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What continues a word begins with `##`.
    WordPiece,
    /// Tokens are bytes under printable characters (GPT-2's table); a space is `Ġ`.
    Bytes,
    /// A space is `▁`; single bytes are `<0x0A>`.
    Metaspace,
    /// Whole words, or nothing that tells.
    Plain,
}

/// Whether a word begins with a token, and its text.
type Surface = (bool, Vec<u8>);

/// The longest piece that is tried, in bytes: a file may have a token of any length, and each length is tried at each place.
const LONGEST: usize = 256;

/// A vocabulary by the text of its tokens.
pub(crate) struct Spelling<'a> {
    kind: Kind,
    vocabulary: &'a Vocabulary,
    /// Ids by text: of tokens that continue a word, and of those that begin one.
    ids: [HashMap<Vec<u8>, u64>; 2],
    /// Bytes of the longest text that is tried as a piece.
    longest: usize,
}

/// Whether both mark words in the same way, so that equal spelling is an equal token and there is nothing else to find.
pub(crate) fn are_alike(a: &Vocabulary, b: &Vocabulary) -> bool {
    let (a, b) = (Kind::of(a), Kind::of(b));
    a == b || a == Kind::Plain || b == Kind::Plain
}

impl<'a> Spelling<'a> {
    /// Reads a vocabulary; of tokens with one text the first counts.
    pub(crate) fn of(vocabulary: &'a Vocabulary) -> Spelling<'a> {
        let kind = Kind::of(vocabulary);
        let mut ids = [HashMap::default(), HashMap::default()];
        for (id, token) in vocabulary.tokens.iter().enumerate() {
            if let Some(token) = token.as_deref().filter(|token| !is_special(vocabulary, token)) {
                let (begins, text) = kind.surface(token);
                ids[usize::from(begins)].entry(text).or_insert(id as u64);
            }
        }
        let longest = ids.iter().flat_map(HashMap::keys).map(Vec::len).max().unwrap_or(0).min(LONGEST);
        Spelling { kind, vocabulary, ids, longest }
    }

    /// The id of the token that means what `token` does in `other`.
    pub(crate) fn same(&self, token: &str, other: &Spelling) -> Option<u64> {
        let (begins, text) = other.kind.surface(token);
        self.ids[usize::from(begins)].get(&text).copied().filter(|_| !is_special(other.vocabulary, token))
    }

    /// The ids of the pieces that spell a token of `other`: the longest first, at last single bytes; in lower case where it cannot
    /// be spelt as it is written. `None` where there are none, and for a special token, which has no text.
    pub(crate) fn pieces(&self, token: &str, other: &Spelling) -> Option<Vec<u64>> {
        if is_special(other.vocabulary, token) {
            return None;
        }
        let (begins, text) = other.kind.surface(token);
        let lower = || Some(std::str::from_utf8(&text).ok()?.to_lowercase().into_bytes());
        self.cut(begins, &text).or_else(|| self.cut(begins, &lower()?))
    }

    fn cut(&self, begins: bool, text: &[u8]) -> Option<Vec<u64>> {
        let (mut ids, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let first = begins && ids.is_empty();
            let (id, len) = self.longest_of(first, rest).or_else(|| self.longest_of(!first, rest))?;
            ids.push(id);
            rest = rest.get(len..)?;
        }
        (!ids.is_empty()).then_some(ids)
    }

    /// The longest token of this kind that `text` begins with.
    fn longest_of(&self, begins: bool, text: &[u8]) -> Option<(u64, usize)> {
        (1..=self.longest.min(text.len())).rev().find_map(|len| {
            let id = self.ids[usize::from(begins)].get(text.get(..len)?)?;
            Some((*id, len))
        })
    }
}

impl Kind {
    fn of(vocabulary: &Vocabulary) -> Kind {
        let count = |is: fn(&str) -> bool| vocabulary.tokens.iter().flatten().filter(|token| is(token)).count();
        let found = [
            (count(|token| token.len() > 2 && token.starts_with("##")), Kind::WordPiece),
            (count(|token| token.starts_with('Ġ')), Kind::Bytes),
            (count(|token| token.starts_with('▁')), Kind::Metaspace),
        ];
        found
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .max_by_key(|(count, _)| *count)
            .map_or(Kind::Plain, |(_, kind)| kind)
    }

    fn surface(self, token: &str) -> Surface {
        match self {
            Kind::Plain => (true, token.as_bytes().to_vec()),
            Kind::WordPiece => match token.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                Some(rest) => (false, rest.as_bytes().to_vec()),
                None => (true, token.as_bytes().to_vec()),
            },
            Kind::Metaspace => match (byte_of(token), token.strip_prefix('▁').filter(|rest| !rest.is_empty())) {
                (Some(byte), _) => (false, vec![byte]),
                (None, Some(rest)) => (true, rest.replace('▁', " ").into_bytes()),
                (None, None) => (false, token.replace('▁', " ").into_bytes()),
            },
            Kind::Bytes => {
                let (begins, rest) = match token.strip_prefix('Ġ').filter(|rest| !rest.is_empty()) {
                    Some(rest) => (true, rest),
                    None => (false, token),
                };
                let decoded: Option<Vec<u8>> = rest.chars().map(byte_under).collect();
                (begins, decoded.unwrap_or_else(|| rest.as_bytes().to_vec()))
            }
        }
    }
}

/// A token that stands for no text: one with a role, or one in brackets as `[unused7]` and `<extra_id_0>`.
fn is_special(vocabulary: &Vocabulary, token: &str) -> bool {
    let in_brackets = |open: char, close: char| token.len() > 2 && token.starts_with(open) && token.ends_with(close);
    let has_role = vocabulary.special.iter().any(|(_, special)| special == token);
    has_role || (in_brackets('[', ']') || in_brackets('<', '>')) && byte_of(token).is_none()
}

/// The byte of `<0x0A>`.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>').filter(|digits| digits.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}

/// The byte that stands under a character in GPT-2's table (`bytes_to_unicode`): printable ones under themselves, the others in order
/// from U+0100 on.
fn byte_under(character: char) -> Option<u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|byte| !is_printable(*byte)).nth(usize::try_from(code - 0x100).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(tokens: &[&str]) -> Vocabulary {
        Vocabulary { tokens: tokens.iter().map(|token| Some(token.to_string())).collect(), special: Vec::new() }
    }

    #[test]
    fn a_word_is_found_in_every_spelling() {
        let word_piece = vocabulary(&["hello", "##ing", "ing"]);
        let bytes = vocabulary(&["Ġhello", "ing", "Ġing", "hello"]);
        let metaspace = vocabulary(&["▁hello", "ing", "▁ing"]);
        let [a, b, c] = [&word_piece, &bytes, &metaspace].map(Spelling::of);
        assert_eq!(["hello", "##ing", "ing"].map(|token| b.same(token, &a)), [Some(0), Some(1), Some(2)]);
        assert_eq!(["Ġhello", "ing", "Ġing", "hello"].map(|t| c.same(t, &b)), [Some(0), Some(1), Some(2), None]);
        assert_eq!(["▁hello", "ing", "▁ing"].map(|token| a.same(token, &c)), [Some(0), Some(1), Some(2)]);
        assert!(!are_alike(&word_piece, &bytes) && are_alike(&bytes, &bytes));
    }

    #[test]
    fn a_token_is_cut_into_the_longest_pieces_at_last_into_bytes() {
        let bytes = vocabulary(&["Ġun", "believ", "able", "Ġ", "Ã", "¼", "ab", "l", "e"]);
        let words = vocabulary(&["unbelievable", "##ü", "zzz", "[unused1]", "##x"]);
        let (source, target) = (Spelling::of(&bytes), Spelling::of(&words));
        assert_eq!(source.pieces("unbelievable", &target), Some(vec![0, 1, 2]));
        assert_eq!(source.pieces("##ü", &target), Some(vec![4, 5]));
        assert_eq!((source.pieces("zzz", &target), source.pieces("[unused1]", &target)), (None, None));
        let metaspace = vocabulary(&["▁a", "<0xC3>", "<0xBC>"]);
        assert_eq!(Spelling::of(&metaspace).pieces("##ü", &target), Some(vec![1, 2]));
    }

    #[test]
    fn what_only_lower_case_spells_is_spelt_in_it() {
        let (lower, upper) = (vocabulary(&["ber", "##lin"]), vocabulary(&["Berlin", "##x"]));
        let source = Spelling::of(&lower);
        assert_eq!(source.pieces("Berlin", &Spelling::of(&upper)), Some(vec![0, 1]));
    }

    #[test]
    fn every_byte_stands_under_one_character() {
        let characters = (0u32..0x200).filter_map(char::from_u32);
        let mut bytes: Vec<u8> = characters.filter_map(byte_under).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte_under('Ġ'), byte_under('Ċ'), byte_under('é')), (Some(b' '), Some(b'\n'), Some(0xE9)));
    }
}
