//! Layers that make one of several.

use super::site::{Flow, Inferred, Kind, Site, reshaped};
use crate::error::{Error, Result};
use crate::graph::error::GraphError;
use crate::graph::{Dim, DimsText, NodeId};

fn disagree(site: &Site, index: usize, takes: String) -> Error {
    let gives = |(node, flow): (NodeId, &Flow)| format!("{} gives {}", (site.describe)(node), DimsText(&flow.shape));
    let (first, second) = (gives(site.inputs[0]), gives(site.inputs[index]));
    GraphError::Join { layer: (site.here)(), takes, first, second }.into()
}

/// The size of two axes that meet, one of which may be 1.
fn meet(a: Dim, b: Dim) -> Option<Dim> {
    match (a, b) {
        (a, b) if a == b => Some(a),
        (Dim::Known(1), other) | (other, Dim::Known(1)) if other != Dim::Batch => Some(other),
        _ => None,
    }
}

/// Inputs of one rank whose axes are equal, or 1 on one side.
pub(super) fn broadcast(site: &Site) -> Result<Inferred> {
    let mut shape = site.first().shape.clone();
    for (index, (_, flow)) in site.inputs.iter().enumerate() {
        let met = (flow.shape.len() == shape.len())
            .then(|| shape.iter().zip(&flow.shape).map(|(a, b)| meet(*a, *b)).collect::<Option<Vec<Dim>>>())
            .flatten();
        shape = met.ok_or_else(|| disagree(site, index, "inputs of one shape".into()))?;
    }
    Ok(reshaped(site, shape, 0))
}

/// Inputs that differ in one axis only, which is not the batch.
pub(super) fn concat(site: &Site, axis: usize) -> Result<Inferred> {
    let mut total = super::axes::inner(site, axis)?;
    let mut shape = site.first().shape.clone();
    for (index, (_, flow)) in site.inputs.iter().enumerate().skip(1) {
        let alike = flow.shape.len() == shape.len()
            && flow.shape.iter().zip(&shape).enumerate().all(|(i, (a, b))| i == axis || a == b);
        if !alike {
            return Err(disagree(site, index, format!("inputs that differ in axis {axis} only")));
        }
        total = sum(total, flow.shape[axis]).ok_or_else(|| site.overflow(format!("axis {axis} of the result")))?;
    }
    shape[axis] = total;
    let mut inferred = reshaped(site, shape, 0);
    inferred.flow.kind = common_kind(site);
    Ok(inferred)
}

fn sum(a: Dim, b: Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a.checked_add(b).map(Dim::Known),
        (Dim::Known(a) | Dim::UpTo(a), Dim::Known(b) | Dim::UpTo(b)) => a.checked_add(b).map(Dim::UpTo),
        (Dim::Batch | Dim::Target(_), _) | (_, Dim::Batch | Dim::Target(_)) => None,
    }
}

/// Numbers, or ids below the largest bound of any input.
fn common_kind(site: &Site) -> Kind {
    let mut largest = Some(0);
    for (_, flow) in &site.inputs {
        match flow.kind {
            Kind::Float => return Kind::Float,
            Kind::Ids { max } => largest = largest.zip(max).map(|(a, b)| a.max(b)),
        }
    }
    Kind::Ids { max: largest }
}
