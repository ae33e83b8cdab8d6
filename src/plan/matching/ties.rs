//! Ties. Presence in the headers decides; where both copies of what the target ties are stored, evidence does.

use smallvec::SmallVec;

use crate::arch::Architecture;
use crate::error::Result;
use crate::graph::ParameterId;
use crate::hash::HashMap;
use crate::name::{below, join};
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::evidence::{self, Answer, Question};
use crate::plan::inputs::SourceView;
use crate::plan::matching::hints::heads;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::names::plain_text;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// A stored tensor, by source and number.
pub(crate) type Stored = (usize, usize);

/// The parameter that owns a tie in the end, however many names lead to it.
pub(crate) fn owner(target: &Architecture, id: ParameterId) -> ParameterId {
    let mut owner = id;
    // a loop cannot be longer than the list
    for _ in 0..target.parameters.len() {
        match target.parameters.get(owner).and_then(|parameter| parameter.tied_to) {
            Some(next) if next != id => owner = next,
            Some(_) | None => break,
        }
    }
    owner
}

/// Every other name with its owner.
fn aliases(target: &Architecture) -> impl Iterator<Item = (ParameterId, ParameterId)> {
    let tied = target.parameters.iter().enumerate().filter(|(_, parameter)| parameter.tied_to.is_some());
    tied.map(|(alias, _)| (alias, owner(target, alias))).filter(|(alias, owner)| alias != owner)
}

/// What is to be known of two names of one target.
enum Copies {
    /// At most one of them has a source, or a rule chose, or both have the same.
    Settled,
    /// Both are stored, and of one type and shape.
    Comparable(Stored, Stored),
    /// Both have sources that cannot be equal byte for byte.
    Different(Stored, Stored),
    /// Both have sources, and at least one is more than a stored tensor.
    Incomparable,
}

fn copies(sources: &[SourceView], owner: &Match, alias: &Match) -> Copies {
    let chosen = owner.step == Step::Map || alias.step == Step::Map || owner.declared;
    if chosen || !owner.is_found() || !alias.is_found() || owner.tensors == alias.tensors {
        return Copies::Settled;
    }
    // codes alone are not what they stand for
    let is_dequantized = |one: &Match| matches!(&one.origin, Origin::Found { value, .. } if value.dequantizes());
    if is_dequantized(owner) || is_dequantized(alias) {
        return Copies::Incomparable;
    }
    // what an adapter replaced is read from the adapter
    let place = |one: &Match| read(sources, one).or(one.tensors.first().copied().filter(|_| one.tensors.len() == 1));
    let (Some(a), Some(b)) = (place(owner), place(alias)) else { return Copies::Incomparable };
    let (a, b) = (&a, &b);
    if is_adapted(sources, owner) || is_adapted(sources, alias) {
        match a.0 == b.0 && is_changed_alike(sources, owner, alias) {
            true => {}
            false => return Copies::Different(*a, *b),
        }
    }
    match (stored(sources, *a), stored(sources, *b)) {
        (Some(first), Some(second)) if (first.dtype, &first.shape) != (second.dtype, &second.shape) => {
            Copies::Different(*a, *b)
        }
        _ if a.0 != b.0 => Copies::Incomparable,
        _ => Copies::Comparable(*a, *b),
    }
}

/// The stored tensor that a value is, as it is.
fn read(sources: &[SourceView], resolution: &Match) -> Option<Stored> {
    let Origin::Found { value: Value::Source { source, tensor, .. }, .. } = &resolution.origin else { return None };
    Some((*source, sources.get(*source)?.listing.position(tensor)?))
}

/// Whether an adapter is a part of the value.
fn is_adapted(sources: &[SourceView], resolution: &Match) -> bool {
    let Origin::Found { value, .. } = &resolution.origin else { return false };
    let is_of_adapter = |source: usize| sources.get(source).is_some_and(|view| view.adapter.is_some());
    value.sources().any(|leaf| is_of_adapter(leaf.source))
}

/// Whether two values differ only in the stored tensor of the base that they begin with, or are stored tensors of the adapter.
fn is_changed_alike(sources: &[SourceView], a: &Match, b: &Match) -> bool {
    fn is_alike(sources: &[SourceView], a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Apply { op, inputs }, Value::Apply { op: other, inputs: others }) => {
                op == other
                    && inputs.len() == others.len()
                    && inputs.iter().zip(others).all(|(a, b)| is_alike(sources, a, b))
            }
            (Value::Source { source, .. }, Value::Source { source: other, .. }) => {
                let is_base = sources.get(*source).is_some_and(|view| view.adapter.is_none());
                a == b || (source == other && is_base)
            }
            _ => a == b,
        }
    }
    match (&a.origin, &b.origin) {
        (
            Origin::Found { value: a @ Value::Source { .. }, .. },
            Origin::Found { value: b @ Value::Source { .. }, .. },
        ) => {
            matches!((a, b), (Value::Source { source, .. }, Value::Source { source: other, .. }) if source == other)
        }
        (Origin::Found { value: a, .. }, Origin::Found { value: b, .. }) => is_alike(sources, a, b),
        _ => false,
    }
}

fn stored<'a>(sources: &'a [SourceView], (source, tensor): Stored) -> Option<&'a TensorInfo> {
    sources.get(source)?.listing.tensors.get(tensor)
}

fn stored_name(sources: &[SourceView], at: Stored) -> String {
    stored(sources, at).map(|tensor| tensor.name.to_string()).unwrap_or_default()
}

fn question(sources: &[SourceView], a: Stored, b: Stored) -> Question {
    Question::Equal { source: a.0, a: stored_name(sources, a), b: stored_name(sources, b) }
}

/// The stored copies of a tie, which must be equal.
pub(crate) struct StoredTwice {
    /// What is to be measured; `None` where the copies differ for certain.
    pub question: Option<Question>,
    copy: Stored,
    differ: PlanError,
}

/// Gives every owner its origin, and every other name its owner. What is stored twice is to be compared; what the user should know.
pub(crate) fn settle(
    sources: &[SourceView],
    target: &Architecture,
    found: &mut [Match],
) -> (Vec<StoredTwice>, Vec<String>) {
    let (mut stored_twice, mut warnings) = (Vec::new(), Vec::new());
    let pairs: Vec<(ParameterId, ParameterId)> = aliases(target).collect();
    for (alias, owner) in pairs {
        let (Some(of_owner), Some(of_alias)) = (found.get(owner).cloned(), found.get(alias).cloned()) else { continue };
        let (name, other) = (&target.parameters[owner].name, &target.parameters[alias].name);
        let twice = |a: Stored, b: Stored, question: Option<Question>| {
            let (stored_owner, stored_alias) = (stored_name(sources, a), stored_name(sources, b));
            let (owner, alias) = (name.to_string(), other.to_string());
            StoredTwice {
                question,
                copy: b,
                differ: PlanError::TieDiffers { owner, alias, stored_owner, stored_alias },
            }
        };
        match copies(sources, &of_owner, &of_alias) {
            Copies::Settled if takes_from_alias(&of_owner, &of_alias) => {
                let reason = format!("{}; from its other name {other}", of_alias.reason);
                found[owner] = Match { reason: reason.into(), ..of_alias };
            }
            Copies::Settled => {}
            Copies::Different(a, b) => stored_twice.push(twice(a, b, None)),
            Copies::Comparable(a, b) => stored_twice.push(twice(a, b, Some(question(sources, a, b)))),
            Copies::Incomparable => warnings.push(format!(
                "`{name}` and `{other}` are tied; the source of `{name}` is taken, that of `{other}` is not compared"
            )),
        }
        let tied = Match::new(Step::Tie, format!("another name of {name}"), false);
        found[alias] = Match { origin: Origin::Tied(owner), ..tied };
    }
    (stored_twice, warnings)
}

/// The stored copies that are equal to those of their owners, and a violation for each that is not; an error where one was not measured.
pub(crate) fn compared(
    stored_twice: Vec<StoredTwice>,
    evidence: &[(Question, Answer)],
) -> Result<(Vec<Stored>, Vec<PlanError>)> {
    let (mut equal, mut violations) = (Vec::new(), Vec::new());
    for StoredTwice { question, copy, differ } in stored_twice {
        match question.as_ref().map(|question| evidence::is_equal(question, evidence)) {
            Some(Some(true)) => equal.push(copy),
            None | Some(Some(false)) => violations.push(differ),
            Some(None) => {
                let (a, b) = match question {
                    Some(Question::Equal { a, b, .. }) => (a, b),
                    _ => Default::default(),
                };
                return Err(PlanError::Unmeasured { a, b }.into());
            }
        }
    }
    Ok((equal, violations))
}

/// A rule for the other name chooses where none does for the owner; so does being the only one with a source.
fn takes_from_alias(owner: &Match, alias: &Match) -> bool {
    let owner_chosen = owner.step == Step::Map || owner.declared;
    alias.is_found() && !owner_chosen && (!owner.is_found() || alias.step == Step::Map)
}

/// Pairs that a family ties and this target does not: where one has a source, the other is copied from it.
pub(crate) fn untie(target: &Architecture, pairs: &[(String, String)], found: &mut [Match]) {
    if pairs.is_empty() {
        return;
    }
    let ids: HashMap<&str, ParameterId> =
        target.parameters.iter().enumerate().map(|(id, parameter)| (parameter.name.as_str(), id)).collect();
    for (alias, owner) in pairs {
        let (Some(alias), Some(owner)) = (ids.get(alias.as_str()), ids.get(owner.as_str())) else { continue };
        for (to, from) in [(*alias, *owner), (*owner, *alias)] {
            if found[from].is_found() && found[to].is_missing() {
                let reason = format!("untied: copied from {}", target.parameters[from].name);
                let copy = Match { step: Step::Tie, reason: reason.into(), ..found[from].clone() };
                found[to] = copy;
            }
        }
    }
}

/// A source's own ties in the target's names: the source stores the owner, and the target has its other name beside it.
pub(crate) fn pairs_in_target(
    sources: &[SourceView],
    target: &Architecture,
    source: usize,
    pairs: &[(String, String)],
    found: &[Match],
) -> Vec<(String, String)> {
    let mut by_owner: HashMap<&str, Vec<&str>> = HashMap::default();
    for (alias, owner) in pairs {
        by_owner.entry(owner).or_default().push(alias);
    }
    if by_owner.is_empty() {
        return Vec::new();
    }
    let mut named = Vec::new();
    for (parameter, resolution) in target.parameters.iter().zip(found) {
        let [at] = resolution.tensors.as_slice() else { continue };
        let Some(tensor) = stored(sources, *at).filter(|_| at.0 == source) else { continue };
        for alias in by_owner.get(tensor.name.as_str()).into_iter().flatten() {
            let (to, from) = heads(&parameter.name, &tensor.name);
            if let Some(rest) = below(alias, from) {
                named.push((join(to, rest), parameter.name.to_string()));
            }
        }
    }
    named
}

/// The other names of a tied tensor in a target that has no place for its owner: the decoder's embeddings in a model without an
/// encoder. Where the source stores the owner alone, they are copied from it.
pub(crate) fn untie_from_unused(
    sources: &[SourceView],
    target: &Architecture,
    source: usize,
    pairs: &[(String, String)],
    found: &mut [Match],
) {
    let Some(listing) = sources.get(source).map(|view| view.listing).filter(|_| !pairs.is_empty()) else { return };
    for (alias, owner) in pairs {
        let (None, Some(at)) = (listing.position(alias), listing.position(owner)) else { continue };
        let info = &listing.tensors[at];
        let spelt = plain_text(alias);
        let mut alike = (0..target.parameters.len()).filter(|id| plain_text(&target.parameters[*id].name) == spelt);
        let named = alike.next().filter(|_| alike.next().is_none());
        let Some((parameter, resolution)) = named.and_then(|id| Some((target.parameters.get(id)?, found.get_mut(id)?)))
        else {
            continue;
        };
        if resolution.is_missing() && info.shape == parameter.shape && info.dtype.is_float() {
            resolution.origin = Origin::Found { value: Value::stored(source, info), info: info.clone() };
            resolution.step = Step::Tie;
            resolution.reason = format!("untied: copied from {owner}, to which the source ties it").into();
            resolution.tensors = SmallVec::from_slice(&[(source, at)]);
        }
    }
}
