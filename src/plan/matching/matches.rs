//! What matching finds: for each target tensor where its value comes from.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::graph::ParameterId;
use crate::plan::assignment::Step;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    New,
    /// Another name of this target parameter, which owns the tie.
    Tied(ParameterId),
    /// An expression over source tensors with the layout operations already applied, and what it yields.
    Found {
        value: Value,
        /// Name, type and shape of its result.
        info: TensorInfo,
    },
}

/// Where one target tensor's value comes from, before it is made to fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Match {
    pub origin: Origin,
    pub step: Step,
    pub reason: Cow<'static, str>,
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

impl Match {
    pub(crate) fn new(step: Step, reason: impl Into<Cow<'static, str>>, declared: bool) -> Match {
        let origin = Origin::New;
        let (reason, tensors) = (reason.into(), SmallVec::new());
        let (runners_up, contested, opaque) = (Vec::new(), false, false);
        Match { origin, step, reason, runners_up, declared, tensors, contested, opaque }
    }

    /// Whether it has no source, and neither a rule nor an ambiguity is why.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.origin, Origin::New) && !self.declared && !self.contested
    }

    pub(crate) fn is_found(&self) -> bool {
        matches!(self.origin, Origin::Found { .. })
    }
}
