//! Layers that only rearrange or drop axes.

use super::site::{Inferred, Site, reshaped};
use crate::error::Result;
use crate::graph::Dim;
use crate::tensor::{Shape, ShapeText};

/// The size of an axis that is not the batch, or an error where there is not such a axis.
pub(super) fn inner(site: &Site, axis: usize) -> Result<Dim> {
    match site.first().shape.get(axis) {
        Some(dim) if axis > 0 => Ok(*dim),
        _ => Err(site.misfit(0, format!("an input with an axis {axis}, the batch being 0 and out of reach"))),
    }
}

/// The product of known sizes.
fn known_product(site: &Site, dims: &[Dim]) -> Result<u64> {
    dims.iter().try_fold(1, |product, dim| match dim {
        Dim::Known(size) => site.product("elements", product, *size),
        Dim::Batch | Dim::UpTo(_) | Dim::Target(_) => Err(site.misfit(0, "axes of known size after the batch")),
    })
}

pub(super) fn flatten(site: &Site, start: usize) -> Result<Inferred> {
    inner(site, start)?;
    let (kept, merged) = site.first().shape.split_at(start);
    let mut shape = kept.to_vec();
    shape.push(Dim::Known(known_product(site, merged)?));
    Ok(reshaped(site, shape, 0))
}

pub(super) fn reshape(site: &Site, shape: &Shape) -> Result<Inferred> {
    let found = known_product(site, site.first().shape.get(1..).unwrap_or(&[]))?;
    let wanted = shape.iter().try_fold(1, |product, size| site.product("elements", product, *size))?;
    if found != wanted {
        return Err(site.misfit(0, format!("{wanted} elements for {}", ShapeText(shape))));
    }
    let axes = std::iter::once(Dim::Batch).chain(shape.iter().map(|size| Dim::Known(*size)));
    Ok(reshaped(site, axes.collect(), 0))
}

pub(super) fn permute(site: &Site, order: &[usize]) -> Result<Inferred> {
    let input = &site.first().shape;
    let mut seen = order.to_vec();
    seen.sort_unstable();
    if order.first() != Some(&0) || !seen.iter().copied().eq(0..input.len()) {
        let sizes: Vec<u64> = order.iter().map(|axis| *axis as u64).collect();
        let takes = format!("an input whose axes {} are a permutation of, beginning with the batch", ShapeText(&sizes));
        return Err(site.misfit(0, takes));
    }
    Ok(reshaped(site, order.iter().map(|axis| input[*axis]).collect(), 0))
}

pub(super) fn remove(site: &Site, axis: usize) -> Result<Inferred> {
    inner(site, axis)?;
    let mut shape = site.first().shape.clone();
    shape.remove(axis);
    Ok(reshaped(site, shape, 0))
}

/// A sequence of any length has at least one position, so only index 0 is sure to be there.
pub(super) fn select(site: &Site, axis: usize, index: u64) -> Result<Inferred> {
    let there = match inner(site, axis)? {
        Dim::Known(size) => index < size,
        Dim::UpTo(_) | Dim::Target(_) => index == 0,
        Dim::Batch => false,
    };
    if !there {
        return Err(site.misfit(0, format!("an axis {axis} that has an index {index}")));
    }
    remove(site, axis)
}

pub(super) fn narrow(site: &Site, axis: usize, start: u64, len: u64) -> Result<Inferred> {
    let end = start.checked_add(len).filter(|_| len > 0);
    let fits = matches!((inner(site, axis)?, end), (Dim::Known(size), Some(end)) if end <= size);
    if !fits {
        return Err(site.misfit(0, format!("an axis {axis} with indices {start} to {}", start.saturating_add(len))));
    }
    let mut shape = site.first().shape.clone();
    shape[axis] = Dim::Known(len);
    Ok(reshaped(site, shape, 0))
}

/// One position of `(batch, positions, …)`, chosen by ids of the same positions where there are any.
pub(super) fn last(site: &Site) -> Result<Inferred> {
    inner(site, 1)?;
    let axes = &site.first().shape[..2];
    if let Some((_, ids)) = site.inputs.get(1)
        && ids.shape != axes
    {
        return Err(site.misfit(1, format!("ids of {}", crate::graph::DimsText(axes))));
    }
    remove(site, 1)
}
