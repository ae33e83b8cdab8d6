//! A value on its way from the names of the source to those of the target.

use smallvec::SmallVec;

use crate::adapt::Op;
use crate::error::Result;
use crate::plan::value::Value;
use crate::tensor::{Name, TensorInfo};

/// A value on its way from the source's spelling to the target's.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Its name in the spelling reached so far.
    pub name: Name,
    /// The stored tensors that it is made of.
    pub tensors: SmallVec<[usize; 1]>,
    /// The expression.
    pub value: Value,
    /// What it yields.
    pub info: TensorInfo,
    /// Whether it is one stored tensor, which may also go by its stored name.
    pub single: bool,
    /// The dialect that respelt it.
    pub dialect: Option<&'static str>,
    /// Whether it holds codes that no operation applies to: it goes by its name alone.
    pub opaque: bool,
}

/// The operations in order; the first takes all values together, the others the one result.
pub(crate) fn apply(mut inputs: Vec<(Value, TensorInfo)>, ops: &[Op]) -> Result<(Value, TensorInfo)> {
    let mut ops = ops.iter();
    if inputs.len() != 1 {
        let concat = Op::Concat { axis: 0 };
        let op = ops.next().unwrap_or(&concat);
        inputs = vec![apply_one(inputs, op)?];
    }
    let mut result = inputs.remove(0);
    for op in ops {
        result = apply_one(vec![result], op)?;
    }
    Ok(result)
}

/// One operation over all of these values.
pub(crate) fn apply_one(inputs: Vec<(Value, TensorInfo)>, op: &Op) -> Result<(Value, TensorInfo)> {
    let (values, infos): (Vec<Value>, Vec<TensorInfo>) = inputs.into_iter().unzip();
    let info = op.out(&infos)?;
    Ok((Value::Apply { op: op.clone(), inputs: values }, info))
}

/// An expression and what it yields.
pub(crate) type Typed = (Value, TensorInfo);
