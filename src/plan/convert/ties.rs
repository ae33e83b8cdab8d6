//! What the family of a source ties and the source stores twice: one of two equal copies is left out where the dialect that is written has
//! one, and a config that ties what differs is corrected.

use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::{self, Dialect};
use crate::plan::convert::dialect::Respelt;
use crate::plan::document::Unused;
use crate::plan::evidence::{self, Answer, Question};
use crate::plan::matching::dialects;
use crate::plan::matching::known::ties_of;

/// Two stored tensors that a family has under two names of one.
pub(crate) struct Pair {
    /// The other name, as it is written.
    alias: String,
    owner: String,
    pub question: Question,
}

/// What became of the pairs.
#[derive(Default)]
pub(crate) struct Settled {
    /// Copies that are equal to what is written.
    pub dropped: Vec<Unused>,
    pub warnings: Vec<String>,
    /// Whether the config must tie, or must not; `None` where it stays as it is.
    pub tied: Option<bool>,
}

/// The small tensors that a config states, of a source that has no config of transformers.
pub(crate) fn tables(listing: &Listing) -> Vec<Question> {
    /// More than half the width of any head.
    const MOST: u64 = 1 << 16;
    let Some((family, _, _)) = family::described(listing) else { return Vec::new() };
    let is_small = |name: &&&str| {
        let stored = listing.position(name).and_then(|at| listing.tensors.get(at));
        stored.is_some_and(|tensor| {
            tensor.dtype.is_float() && tensor.elements().is_ok_and(|count| (1..=MOST).contains(&count))
        })
    };
    let names = family.tables().iter().filter(is_small);
    names.map(|name| Question::Values { source: 0, tensor: (*name).into() }).collect()
}

/// Leaves out one of two equal copies. Where the copies differ both are written, and the config must not tie them.
pub(crate) fn settle(
    listing: &Listing,
    pairs: &[Pair],
    respelt: &mut Vec<Respelt>,
    evidence: &[(Question, Answer)],
) -> Settled {
    let mut settled = Settled::default();
    for Pair { alias, owner, question } in pairs {
        match evidence::is_equal(question, evidence) {
            Some(true) => {
                settled.tied = Some(true);
                let Some(at) = respelt.iter().position(|one| one.info.name == *alias) else { continue };
                let stored = respelt.remove(at).tensors.into_iter().filter_map(|id| listing.tensors.get(id));
                let reason = format!("equal to {owner}, to which the model ties it");
                settled.dropped.extend(stored.map(|tensor| Unused {
                    source: 0,
                    tensor: tensor.clone(),
                    reason: reason.clone(),
                }));
            }
            Some(false) => {
                settled.tied = Some(false);
                // only a config of transformers has said otherwise
                if family::described(listing).is_none() {
                    settled.warnings.push(format!(
                        "{alias} and {owner} differ: both are written, and config.json has tie_word_embeddings false"
                    ));
                }
            }
            None => {}
        }
    }
    settled
}

/// The pairs of which both are stored and one suffices in the dialect that is written.
pub(crate) fn pairs(listing: &Listing, to: &str, respelt: &[Respelt]) -> Result<Vec<Pair>> {
    let Some((family, Some(config))) = family::recognise(listing) else { return Ok(Vec::new()) };
    let wanted = family.dialects().iter().find(|dialect| dialect.name == to);
    let is_respelt = respelt.iter().any(|one| one.dialect.is_some());
    if !is_respelt || wanted.is_some_and(|dialect| dialect.stores_ties) {
        return Ok(Vec::new());
    }
    let whole = |name: &str| {
        // codes alone are not what they stand for
        let found = respelt.iter().find(|one| one.info.name == *name && !one.value.dequantizes())?;
        let [id] = found.tensors.as_slice() else { return None };
        listing.tensors.get(*id)
    };
    let mut pairs = Vec::new();
    for (alias, owner) in ties_of(family, &config) {
        let (alias, owner) = (spelt(wanted, alias)?, spelt(wanted, owner)?);
        let (Some(a), Some(b)) = (whole(&owner), whole(&alias)) else { continue };
        if (a.dtype, &a.shape) == (b.dtype, &b.shape) {
            let question = Question::Equal { source: 0, a: a.name.to_string(), b: b.name.to_string() };
            pairs.push(Pair { alias, owner, question });
        }
    }
    Ok(pairs)
}

/// A name of the family's as a dialect has it.
fn spelt(dialect: Option<&'static Dialect>, name: String) -> Result<String> {
    match dialect {
        Some(dialect) => Ok(dialects::spelt(dialect, &name)?.unwrap_or(name)),
        None => Ok(name),
    }
}
