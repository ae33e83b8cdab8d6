//! What matching finds: for each target tensor where its value comes from.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::graph::ParameterId;
use crate::hash::{HashMap, HashSet};
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::quantized::Quantized;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// What was found.
#[derive(Debug, Default)]
pub struct Matching {
    /// One for each parameter, in the order of the target's.
    pub matches: Vec<Match>,
    /// What breaks the contract: ambiguities, holes, renames, new layers, ties that differ.
    pub violations: Vec<PlanError>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Which tensors are used, by source and tensor.
    pub used: Vec<Vec<bool>>,
    /// Why a tensor that is not used is not, where matching knows it, by source and tensor.
    pub unused_reasons: Vec<HashMap<usize, String>>,
    /// Tensors that are there under the names of their owners, whose equal copies they are: source and tensor.
    pub copies: HashSet<(usize, usize)>,
    /// The family of each source, where recognised.
    pub families: Vec<Option<String>>,
    /// The dialects of each source, in order of the family blocks.
    pub dialects: Vec<Vec<String>>,
    /// The quantised weights of each source.
    pub(crate) quantized: Vec<Quantized>,
}

/// Where one target tensor's value comes from, before it is made to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The target.
    pub target: ParameterId,
    /// Its origin.
    pub origin: Origin,
    /// The step that answered.
    pub step: Step,
    /// Why, in words.
    pub reason: Cow<'static, str>,
    /// Further candidates that lost, in words.
    pub runners_up: Vec<String>,
    /// Whether a rule, a depth item or `--reinit` says that it is new.
    pub declared: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// No source.
    New,
    /// Another name of this target parameter, which owns the tie.
    Tied(ParameterId),
    /// An expression over source tensors with the layout operations already applied, and what it yields.
    Found {
        /// The expression.
        value: Value,
        /// Name, type and shape of its result.
        info: TensorInfo,
    },
}

/// What became of one target.
#[derive(Clone, Debug)]
pub(crate) struct Resolution {
    /// Its origin.
    pub origin: Origin,
    /// The step that answered.
    pub step: Step,
    /// Why.
    pub reason: Cow<'static, str>,
    /// What lost.
    pub runners_up: Vec<String>,
    /// Whether the user said that it is new.
    pub declared: bool,
    /// The stored tensors that the value reads.
    pub tensors: SmallVec<[(usize, usize); 1]>,
    /// Whether it could not be decided.
    pub contested: bool,
    /// Whether its source holds codes that nothing can be made of; the value is not to be used.
    pub opaque: bool,
}

impl Resolution {
    pub fn new(step: Step, reason: impl Into<Cow<'static, str>>, declared: bool) -> Resolution {
        let origin = Origin::New;
        let (reason, tensors) = (reason.into(), SmallVec::new());
        let (runners_up, contested, opaque) = (Vec::new(), false, false);
        Resolution { origin, step, reason, runners_up, declared, tensors, contested, opaque }
    }

    /// Whether it has a source.
    pub fn is_found(&self) -> bool {
        matches!(self.origin, Origin::Found { .. })
    }
}
