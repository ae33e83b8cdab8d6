//! Patterns of which some wildcards are known: what is left to match, and how the names that it matches end.

use super::{Bindings, Component, Pattern, Token, spell};

impl Pattern {
    /// The pattern with each wildcard that these bindings have replaced by what it stands for, or `None` where arithmetic leaves
    /// the integers.
    pub(crate) fn bound(&self, bindings: &Bindings) -> Option<Pattern> {
        let mut components = Vec::with_capacity(self.components.len());
        for component in &self.components {
            match component {
                Component::Literal(_) => components.push(component.clone()),
                Component::One(key) | Component::Any(key) | Component::Path(key) => match bindings.0.get(key) {
                    Some(value) => components.extend(literals(value)),
                    None => components.push(component.clone()),
                },
                Component::Mixed(pieces) => components.extend(bound_pieces(pieces, bindings)?),
            }
        }
        Some(Pattern { text: self.text.clone(), components })
    }

    /// The components after its last wildcard, joined, and how many they are: every name that it matches ends so.
    pub(crate) fn fixed_tail(&self) -> (String, usize) {
        let fixed = self.components.iter().rev().map_while(|component| match component {
            Component::Literal(text) => Some(text.as_str()),
            Component::One(_) | Component::Any(_) | Component::Path(_) | Component::Mixed(_) => None,
        });
        let mut tail: Vec<&str> = fixed.collect();
        tail.reverse();
        (tail.join("."), tail.len())
    }
}

fn literals(value: &str) -> impl Iterator<Item = Component> {
    value.split('.').filter(|part| !part.is_empty()).map(|part| Component::Literal(part.to_string()))
}

/// Pieces of one component: its text where all of them are known, else the component with the known ones as text.
fn bound_pieces(pieces: &[Token], bindings: &Bindings) -> Option<Vec<Component>> {
    let is_known = |piece: &Token| piece.key().is_none_or(|key| bindings.0.contains_key(key));
    if pieces.iter().all(is_known) {
        return Some(literals(&spell(pieces, bindings)?).collect());
    }
    let bound = pieces.iter().map(|piece| match is_known(piece) {
        true => Some(Token::Literal(spell(std::slice::from_ref(piece), bindings)?)),
        false => Some(piece.clone()),
    });
    Some(vec![Component::Mixed(bound.collect::<Option<Vec<_>>>()?)])
}
