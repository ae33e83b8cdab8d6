//! Layers that slide a window over the spatial axes of `(batch, channels, …)`.

use super::site::{Inferred, Site, reshaped};
use crate::error::Result;
use crate::graph::{Convolution, Dim};

/// What a layer of `rank` spatial axes takes.
fn takes(rank: usize) -> &'static str {
    match rank {
        1 => "[batch, channels, length]",
        2 => "[batch, channels, height, width]",
        _ => "[batch, channels, depth, height, width]",
    }
}

/// The channels and spatial sizes of the first input, which has `rank` spatial axes.
fn spatial(site: &Site, rank: usize) -> Result<(u64, Vec<u64>)> {
    let takes = takes(rank);
    if site.first().shape.len() != rank + 2 {
        return Err(site.misfit(0, takes));
    }
    let sizes = (2..rank + 2).map(|axis| site.known(axis, takes)).collect::<Result<_>>()?;
    Ok((site.known(1, takes)?, sizes))
}

/// One number for each of `rank` spatial axes, none of them below `least`.
fn per_axis(site: &Site, key: &'static str, list: &[u64], rank: usize, least: u64) -> Result<()> {
    if list.len() != rank {
        return Err(site.value(key, format!("{list:?}"), format!("one number for each of {rank} axes")));
    }
    match list.iter().find(|value| **value < least) {
        Some(value) => Err(site.value(key, value, format!("at least {least}"))),
        None => Ok(()),
    }
}

fn check_geometry(site: &Site, convolution: &Convolution) -> Result<usize> {
    let rank = convolution.kernel.len();
    if !(1..=3).contains(&rank) {
        return Err(site.value("kernel", format!("{:?}", convolution.kernel), "of one to three axes"));
    }
    per_axis(site, "kernel", &convolution.kernel, rank, 1)?;
    per_axis(site, "stride", &convolution.stride, rank, 1)?;
    per_axis(site, "padding", &convolution.padding, rank, 0)?;
    per_axis(site, "dilation", &convolution.dilation, rank, 1)?;
    site.positive("out", convolution.out)?;
    site.positive("groups", convolution.groups)?;
    if !convolution.out.is_multiple_of(convolution.groups) {
        return Err(site.value(
            "out",
            convolution.out,
            format!("divisible by groups, which is {}", convolution.groups),
        ));
    }
    Ok(rank)
}

fn check_channels(site: &Site, channels: u64, groups: u64) -> Result<()> {
    if !channels.is_multiple_of(groups) {
        return Err(site.misfit(0, format!("channels that {groups} groups divide")));
    }
    Ok(())
}

/// How many steps a window of `extent` fits into `size` with `padding` on either side.
fn steps(site: &Site, size: u64, extent: u64, stride: u64, padding: u64) -> Result<u64> {
    let padded = padding.checked_mul(2).and_then(|both| both.checked_add(size));
    let padded = padded.ok_or_else(|| site.overflow(format!("{size} + 2 × {padding}")))?;
    if extent > padded {
        return Err(site.misfit(0, format!("an axis of at least the window's {extent} (padding {padding})")));
    }
    Ok((padded - extent) / stride + 1)
}

/// How far a kernel reaches: `dilation · (kernel − 1) + 1`.
fn extent(site: &Site, kernel: u64, dilation: u64) -> Result<u64> {
    site.product("dilation × kernel", dilation, kernel - 1)?
        .checked_add(1)
        .ok_or_else(|| site.overflow("the kernel's extent"))
}

fn with_channels(site: &Site, channels: u64, sizes: Vec<u64>, width: u64) -> Inferred {
    with_axes(site, channels, sizes.into_iter().map(Dim::Known).collect(), width)
}

fn with_axes(site: &Site, channels: u64, sizes: Vec<Dim>, width: u64) -> Inferred {
    let axes = [Dim::Batch, Dim::Known(channels)].into_iter().chain(sizes);
    reshaped(site, axes.collect(), width)
}

/// A length that is free stays so where the convolution keeps every length.
pub(super) fn convolution(site: &Site, convolution: &Convolution) -> Result<Inferred> {
    let rank = check_geometry(site, convolution)?;
    let takes = takes(rank);
    let sizes = site.first().shape.get(2..).filter(|sizes| sizes.len() == rank);
    let sizes = sizes.ok_or_else(|| site.misfit(0, takes))?;
    let channels = site.known(1, takes)?;
    check_channels(site, channels, convolution.groups)?;
    let sizes = sizes.iter().enumerate().map(|(axis, size)| {
        let extent = extent(site, convolution.kernel[axis], convolution.dilation[axis])?;
        let (stride, padding) = (convolution.stride[axis], convolution.padding[axis]);
        let keeps = stride == 1 && padding.checked_mul(2) == Some(extent - 1);
        match size {
            Dim::Known(size) => steps(site, *size, extent, stride, padding).map(Dim::Known),
            Dim::UpTo(_) | Dim::Target(_) if keeps => Ok(*size),
            Dim::UpTo(_) | Dim::Target(_) | Dim::Batch => Err(site.misfit(0, takes)),
        }
    });
    Ok(with_axes(site, convolution.out, sizes.collect::<Result<_>>()?, channels))
}

/// `(size − 1) · stride − 2 · padding + dilation · (kernel − 1) + 1`, without output padding.
pub(super) fn transposed(site: &Site, convolution: &Convolution) -> Result<Inferred> {
    let rank = check_geometry(site, convolution)?;
    let (channels, sizes) = spatial(site, rank)?;
    check_channels(site, channels, convolution.groups)?;
    let sizes = (0..rank).map(|axis| {
        let extent = extent(site, convolution.kernel[axis], convolution.dilation[axis])?;
        let spread = site.product("size × stride", sizes[axis].saturating_sub(1), convolution.stride[axis])?;
        let whole = spread.checked_add(extent).ok_or_else(|| site.overflow("the result's axis"))?;
        let padding = convolution.padding[axis];
        let cut = padding.checked_mul(2).and_then(|both| whole.checked_sub(both)).filter(|left| *left > 0);
        cut.ok_or_else(|| site.value("padding", padding, format!("less than half of the result's {whole}")))
    });
    Ok(with_channels(site, convolution.out, sizes.collect::<Result<_>>()?, channels))
}

pub(super) fn pool(site: &Site, kernel: &[u64], stride: &[u64], padding: &[u64]) -> Result<Inferred> {
    let rank = kernel.len();
    if !(1..=3).contains(&rank) {
        return Err(site.value("kernel", format!("{kernel:?}"), "of one to three axes"));
    }
    per_axis(site, "kernel", kernel, rank, 1)?;
    per_axis(site, "stride", stride, rank, 1)?;
    per_axis(site, "padding", padding, rank, 0)?;
    if let Some((padding, kernel)) = padding.iter().zip(kernel).find(|(padding, kernel)| **padding > **kernel / 2) {
        return Err(site.value("padding", padding, format!("at most half of the kernel's {kernel}")));
    }
    let (channels, sizes) = spatial(site, rank)?;
    let sizes = (0..rank).map(|axis| steps(site, sizes[axis], kernel[axis], stride[axis], padding[axis]));
    Ok(with_channels(site, channels, sizes.collect::<Result<_>>()?, 0))
}

pub(super) fn global(site: &Site) -> Result<Inferred> {
    let takes = "[batch, channels, …]";
    let channels = site.known(1, takes)?;
    if site.first().shape.len() < 3 {
        return Err(site.misfit(0, takes));
    }
    Ok(with_channels(site, channels, Vec::new(), 0))
}

pub(super) fn upsample(site: &Site, scale: u64) -> Result<Inferred> {
    site.positive("scale", scale)?;
    let rank = site.first().shape.len().saturating_sub(2);
    if !(1..=3).contains(&rank) {
        return Err(site.misfit(0, "[batch, channels, …] with one to three axes more"));
    }
    let (channels, sizes) = spatial(site, rank)?;
    let sizes = sizes.into_iter().map(|size| site.product("size × scale", size, scale));
    Ok(with_channels(site, channels, sizes.collect::<Result<_>>()?, 0))
}
