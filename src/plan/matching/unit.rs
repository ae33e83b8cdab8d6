//! A value on its way from the names of the source to those of the target.

use smallvec::SmallVec;

use crate::plan::value::Value;
use crate::tensor::{Name, TensorInfo};

/// A value on its way from the source's spelling to the target's.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Its name in the spelling reached so far.
    pub name: Name,
    /// The stored tensors that it is made of.
    pub tensors: SmallVec<[usize; 1]>,
    pub value: Value,
    pub info: TensorInfo,
    /// Whether it is one stored tensor, which may also go by its stored name.
    pub single: bool,
    pub dialect: Option<&'static str>,
    /// Whether it holds codes that no operation applies to: it goes by its name alone.
    pub opaque: bool,
}
