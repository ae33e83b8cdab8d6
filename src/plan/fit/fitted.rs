//! What became of a match.

use crate::plan::assignment::Initialisation;
use crate::plan::value::Value;
use crate::tensor::{Dtype, Shape};

/// What became of a match.
#[derive(Debug)]
pub(crate) enum Fitted {
    /// A value of the target's shape, of this type before the last cast.
    Value {
        value: Value,
        dtype: Dtype,
        /// What was done, in words; empty where nothing was.
        how: String,
        new_rows: u64,
        /// How they are drawn, where they are.
        init: Option<Initialisation>,
    },
    /// Nothing: it is to be initialised.
    New { reason: String },
    /// Nothing, because the value of the target's shape cannot be produced.
    Mismatched { reason: String, found: Shape },
}

impl Fitted {
    /// As above, with a further reason, where it is none.
    pub(crate) fn because(self, why: &str) -> Fitted {
        match self {
            Fitted::Value { .. } => self,
            Fitted::New { reason } => Fitted::New { reason: format!("{reason}; {why}") },
            Fitted::Mismatched { reason, found } => Fitted::Mismatched { reason: format!("{reason}; {why}"), found },
        }
    }
}
