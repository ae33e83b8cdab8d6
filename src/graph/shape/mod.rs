//! The shape of a layer's result from those of its inputs, in checked arithmetic.

mod axes;
mod join;
mod site;
mod window;

use site::reshaped;
pub(super) use site::{Flow, Inferred, Kind, Site};

use super::{
    Attention, AttentionKind, Dim, DimsText, Disentangled, Experts, Layer, PositionIds, Projections, Rope, RopeScaling,
    Use, parameters,
};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::tensor::{Dtype, Shape, ShapeText};

/// How many inputs a layer takes, and the words for it.
fn arity(layer: &Layer) -> (std::ops::RangeInclusive<usize>, &'static str) {
    match layer {
        Layer::Input { .. } => (0..=0, "no inputs"),
        Layer::Parameter { usage: Use::None, .. } => (0..=1, "at most one input"),
        Layer::Table { .. } => (0..=0, "no inputs"),
        Layer::Positions { ids: PositionIds::Counted { .. }, .. } => (2..=2, "an input and its ids"),
        Layer::Attention(attention) => match (attention.mask_place(), attention.cross) {
            (1, _) => (1..=2, "one input, or an input and a mask"),
            (_, true) => (2..=3, "an input, what it attends to, and a mask where there is one"),
            (_, false) => (2..=3, "an input, a table of distances, and a mask where there is one"),
        },
        Layer::At { .. } => (2..=2, "an input and its ids"),
        Layer::Masked | Layer::MaskedMean => (2..=2, "an input and its mask"),
        Layer::WeightedSum => (1..=usize::MAX, "at least one input"),
        Layer::Last { .. } => (1..=2, "one input, or an input and its ids"),
        Layer::Add | Layer::Mul | Layer::Concat { .. } => (1..=usize::MAX, "at least one input"),
        _ => (1..=1, "one input"),
    }
}

/// The result of a layer and the width that its weights act on, or an error that names both layers and both shapes.
pub(super) fn infer(site: &Site) -> Result<Inferred> {
    let (range, takes) = arity(site.layer);
    if !range.contains(&site.inputs.len()) {
        return Err(GraphError::Arity { layer: (site.here)(), takes, found: site.inputs.len() }.into());
    }
    check_kinds(site)?;
    let inferred = layer(site)?;
    check_size(site, &inferred.flow.shape)?;
    Ok(inferred)
}

fn layer(site: &Site) -> Result<Inferred> {
    match site.layer {
        Layer::Input { .. } => Err(site.value("type", "input", "a layer (inputs are declared apart)")),
        Layer::Fill { value } => fill(site, *value),
        Layer::Linear { out, .. } | Layer::Conv1D { out } => linear(site, *out),
        Layer::Conv(convolution) => window::convolution(site, convolution),
        Layer::ConvTranspose(convolution) => window::transposed(site, convolution),
        Layer::Embedding { num, dim } => embedding(site, *num, *dim),
        Layer::Positions { num, ids } => positions(site, *num, *ids),
        Layer::Table { num, dim } => table(site, *num, *dim),
        Layer::Parameter { shape, usage } => parameter(site, shape, *usage),
        Layer::Attention(attention) => self::attention(site, attention),
        Layer::Experts(experts) => self::experts(site, experts),
        Layer::LayerNorm { eps, .. } | Layer::RmsNorm { eps, .. } => {
            epsilon(site, *eps)?;
            Ok(unchanged(site, site.last("[batch, …, width]")?))
        }
        Layer::BatchNorm { eps } => {
            epsilon(site, *eps)?;
            Ok(unchanged(site, site.known(1, "[batch, channels, …]")?))
        }
        Layer::GroupNorm { groups, eps } => group_norm(site, *groups, *eps),
        Layer::Activation(_) | Layer::Dropout => Ok(unchanged(site, 0)),
        Layer::LeakyRelu { slope } if slope.is_finite() => Ok(unchanged(site, 0)),
        Layer::LeakyRelu { slope } => Err(site.value("slope", slope, "a finite number")),
        Layer::Softmax { axis } => axes::inner(site, *axis).map(|_| unchanged(site, 0)),
        Layer::Flatten { start } => axes::flatten(site, *start),
        Layer::Reshape { shape } => axes::reshape(site, shape),
        Layer::Permute { order } => axes::permute(site, order),
        Layer::MaxPool { kernel, stride, padding } | Layer::AvgPool { kernel, stride, padding } => {
            window::pool(site, kernel, stride, padding)
        }
        Layer::GlobalAvgPool => window::global(site),
        Layer::Upsample { scale } => window::upsample(site, *scale),
        Layer::Mean { axis } => axes::remove(site, *axis),
        Layer::Narrow { axis, start, len } => axes::narrow(site, *axis, *start, *len),
        Layer::Masked => axes::last(site).map(|_| unchanged(site, 0)),
        Layer::Last { .. } | Layer::At { .. } | Layer::MaskedMean => axes::last(site),
        Layer::ShiftRight { first } => fill(site, *first).map(|_| unchanged(site, 0)),
        Layer::WeightedSum => join::broadcast(site),
        Layer::Scale { factor } if factor.is_finite() => Ok(unchanged(site, 0)),
        Layer::Scale { factor } => Err(site.value("factor", factor, "a finite number")),
        Layer::Select { axis, index } => axes::select(site, *axis, *index),
        Layer::Add | Layer::Mul => join::broadcast(site),
        Layer::Concat { axis } => join::concat(site, *axis),
    }
}

/// Ids go into embeddings, masks and what only moves elements; everything else computes.
fn check_kinds(site: &Site) -> Result<()> {
    for (index, (_, flow)) in site.inputs.iter().enumerate() {
        let ids = matches!(flow.kind, Kind::Ids { .. });
        let fits = match site.layer {
            Layer::Embedding { .. } => ids,
            Layer::Attention(attention) => index == attention.mask_place() || !ids,
            Layer::Last { .. } => index == 0 || ids,
            Layer::At { .. } | Layer::Masked | Layer::MaskedMean => (index == 1) == ids,
            Layer::ShiftRight { .. } => ids,
            Layer::Positions { .. } => (index == 1) == ids,
            Layer::Flatten { .. }
            | Layer::Reshape { .. }
            | Layer::Permute { .. }
            | Layer::Select { .. }
            | Layer::Dropout
            | Layer::Fill { .. }
            | Layer::Parameter { usage: Use::None, .. } => true,
            Layer::Concat { .. } => ids == matches!(site.first().kind, Kind::Ids { .. }),
            _ => !ids,
        };
        if !fits {
            return Err(site.misfit(index, if ids { "numbers (f32)" } else { "ids (i64)" }));
        }
    }
    Ok(())
}

/// Every example's elements must be countable in bytes.
fn check_size(site: &Site, shape: &[Dim]) -> Result<()> {
    countable(shape).then_some(()).ok_or_else(|| site.overflow(format!("one example of {}", DimsText(shape))))
}

/// Whether the bytes of one example can be counted in 64 bits.
pub(super) fn countable(shape: &[Dim]) -> bool {
    let mut sizes = shape.iter().filter_map(|dim| match dim {
        Dim::Batch => None,
        Dim::Known(size) | Dim::UpTo(size) | Dim::Target(size) => Some(*size),
    });
    sizes.try_fold(8u64, |bytes, size| bytes.checked_mul(size)).is_some()
}

fn unchanged(site: &Site, width: u64) -> Inferred {
    reshaped(site, site.first().shape.clone(), width)
}

fn epsilon(site: &Site, eps: f64) -> Result<()> {
    if eps.is_finite() && eps >= 0.0 { Ok(()) } else { Err(site.value("eps", eps, "a finite number, 0 or more")) }
}

fn linear(site: &Site, out: u64) -> Result<Inferred> {
    site.positive("out", out)?;
    let width = site.last("[batch, …, width]")?;
    let mut shape = site.first().shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = Dim::Known(out);
    }
    Ok(reshaped(site, shape, width))
}

fn fill(site: &Site, value: u64) -> Result<Inferred> {
    let max = value.checked_add(1).filter(|max| i64::try_from(*max).is_ok());
    let max = max.ok_or_else(|| site.value("value", value, "an id that 64 bits can count"))?;
    Ok(Inferred { flow: Flow { shape: site.first().shape.clone(), kind: Kind::Ids { max: Some(max) } }, width: 0 })
}

fn embedding(site: &Site, num: u64, dim: u64) -> Result<Inferred> {
    site.positive("num", num)?;
    site.positive("dim", dim)?;
    if let Kind::Ids { max: Some(max) } = site.first().kind
        && max > num
    {
        return Err(site.misfit(0, format!("ids below {num} (and the input's max is {max})")));
    }
    let mut shape = site.first().shape.clone();
    shape.push(Dim::Known(dim));
    Ok(Inferred { flow: Flow { shape, kind: Kind::Float }, width: num })
}

fn positions(site: &Site, num: u64, ids: PositionIds) -> Result<Inferred> {
    site.positive("num", num)?;
    let takes = "[batch, positions, width]";
    let most = num.checked_sub(ids.reserved()).filter(|most| *most > 0).ok_or_else(|| {
        site.value("num", num, format!("more than the {} rows before the first position", ids.reserved()))
    })?;
    let fits = match site.first().shape.as_slice() {
        [_, Dim::Known(length) | Dim::UpTo(length) | Dim::Target(length), Dim::Known(_)] => *length <= most,
        _ => return Err(site.misfit(0, takes)),
    };
    if !fits {
        return Err(site.misfit(0, format!("{takes} with at most {most} positions")));
    }
    if let Some((_, counted)) = site.inputs.get(1)
        && counted.shape != site.first().shape[..2]
    {
        return Err(site.misfit(1, format!("ids of {}", DimsText(&site.first().shape[..2]))));
    }
    Ok(unchanged(site, site.last(takes)?))
}

fn table(site: &Site, num: u64, dim: u64) -> Result<Inferred> {
    let shape = vec![Dim::Known(site.positive("num", num)?), Dim::Known(site.positive("dim", dim)?)];
    Ok(Inferred { flow: Flow { shape, kind: Kind::Float }, width: dim })
}

/// The most experts of one layer: more than any model has, and few enough to name each.
const MOST_EXPERTS: u64 = 1 << 16;

fn experts(site: &Site, experts: &Experts) -> Result<Inferred> {
    site.positive("intermediate", experts.intermediate)?;
    if !(1..=MOST_EXPERTS).contains(&experts.experts) {
        return Err(site.value("experts", experts.experts, format!("from 1 to {MOST_EXPERTS}")));
    }
    if !(1..=experts.experts).contains(&experts.per_token) {
        let must = format!("from 1 to the number of experts, which is {}", experts.experts);
        return Err(site.value("per_token", experts.per_token, must));
    }
    let takes = "[batch, positions, width]";
    match site.first().shape.len() {
        3 => Ok(unchanged(site, site.last(takes)?)),
        _ => Err(site.misfit(0, takes)),
    }
}

fn group_norm(site: &Site, groups: u64, eps: f64) -> Result<Inferred> {
    epsilon(site, eps)?;
    site.positive("groups", groups)?;
    let channels = site.known(1, "[batch, channels, …]")?;
    if channels % groups != 0 {
        return Err(site.misfit(0, format!("channels that {groups} groups divide")));
    }
    Ok(unchanged(site, channels))
}

fn parameter(site: &Site, shape: &Shape, usage: Use) -> Result<Inferred> {
    if shape.contains(&0) {
        return Err(site.value("shape", ShapeText(shape), "of sizes of at least 1"));
    }
    match usage {
        Use::None if site.inputs.is_empty() => {
            Ok(Inferred { flow: Flow { shape: Vec::new(), kind: Kind::Float }, width: 0 })
        }
        Use::None => Ok(unchanged(site, 0)),
        Use::Add | Use::Multiply => broadcast_parameter(site, shape),
        Use::Prepend => prepend(site, shape),
    }
}

/// A tensor that is added or multiplied is broadcast from the right and never makes its input larger.
fn broadcast_parameter(site: &Site, shape: &Shape) -> Result<Inferred> {
    let input = &site.first().shape;
    let fits = shape.len() <= input.len()
        && shape.iter().rev().zip(input.iter().rev()).all(|(size, dim)| *size == 1 || Dim::Known(*size) == *dim);
    if fits { Ok(unchanged(site, 0)) } else { Err(site.misfit(0, format!("what {} broadcasts to", ShapeText(shape)))) }
}

fn prepend(site: &Site, shape: &Shape) -> Result<Inferred> {
    let (count, width) = match shape.as_slice() {
        [width] => (1, *width),
        [count, width] | [1, count, width] => (*count, *width),
        _ => return Err(site.value("shape", ShapeText(shape), "[width], [n, width] or [1, n, width] to be prepended")),
    };
    let longer = |length: u64| length.checked_add(count).ok_or_else(|| site.overflow(format!("{length} + {count}")));
    let length = match site.first().shape.as_slice() {
        [_, Dim::Known(length), Dim::Known(found)] if *found == width => Dim::Known(longer(*length)?),
        [_, Dim::UpTo(length), Dim::Known(found)] if *found == width => Dim::UpTo(longer(*length)?),
        _ => return Err(site.misfit(0, format!("[batch, positions, {width}]"))),
    };
    Ok(reshaped(site, vec![Dim::Batch, length, Dim::Known(width)], 0))
}

fn attention(site: &Site, attention: &Attention) -> Result<Inferred> {
    let Attention { heads, kv_heads, head_dim, kind, .. } = attention;
    site.positive("heads", *heads)?;
    site.positive("kv_heads", *kv_heads)?;
    site.positive("head_dim", *head_dim)?;
    if heads % kv_heads != 0 {
        return Err(site.value("kv_heads", kv_heads, format!("a divisor of heads, which is {heads}")));
    }
    match kind {
        AttentionKind::Plain => {}
        AttentionKind::Rope(rope) => self::rope(site, rope, *head_dim)?,
        AttentionKind::Relative(relative) => {
            // fewer leave no bucket for far distances
            if relative.buckets < 4 || relative.max_distance <= relative.buckets {
                let found = format!("{} buckets up to {}", relative.buckets, relative.max_distance);
                return Err(site.value(
                    "relative",
                    found,
                    "at least 4 buckets, and a largest distance above their number",
                ));
            }
        }
        AttentionKind::Disentangled(disentangled) => distances(site, disentangled)?,
    }
    if let Projections::PerHead { .. } = attention.projections
        && (kv_heads != heads || *heads > parameters::MOST_PIECES / 3)
    {
        return Err(site.value(
            "kv_heads",
            kv_heads,
            format!("as many as heads, which is {heads}, at most {}", parameters::MOST_PIECES / 3),
        ));
    }
    if attention.window == Some(0) {
        return Err(site.value("window", 0, "at least 1"));
    }
    let takes = "[batch, positions, width]";
    if site.first().shape.len() != 3 {
        return Err(site.misfit(0, takes));
    }
    let keys = usize::from(attention.cross);
    let of_keys = site.inputs.get(keys).map_or(&site.first().shape, |(_, flow)| &flow.shape);
    if of_keys.len() != 3 || of_keys.last() != site.first().shape.last() {
        return Err(site.misfit(keys, format!("{takes} of the width of the queries")));
    }
    if let Some((_, mask)) = site.inputs.get(attention.mask_place())
        && mask.shape != of_keys[..2]
    {
        return Err(site.misfit(attention.mask_place(), format!("a mask of {}", DimsText(&of_keys[..2]))));
    }
    let rows = site.product("heads × head_dim", *heads, *head_dim)?;
    let keys = site.product("kv_heads × head_dim", *kv_heads, *head_dim)?;
    keys.checked_mul(2).and_then(|both| both.checked_add(rows)).ok_or_else(|| site.overflow("q, k and v together"))?;
    Ok(unchanged(site, site.last(takes)?))
}

/// The table of distances is the second input.
fn distances(site: &Site, disentangled: &Disentangled) -> Result<()> {
    let span = site.positive("span", disentangled.span)?;
    if disentangled.max_distance.is_some_and(|most| most <= span / 2 + 1)
        || (disentangled.max_distance.is_some() && span < 4)
    {
        let found = format!("{span} up to {}", disentangled.max_distance.unwrap_or(0));
        return Err(site.value("span", found, "at least 4, and a largest distance above half of it"));
    }
    let rows = site.product("span", span, 2)?;
    let width = site.first().shape.last().copied();
    match site.inputs.get(1) {
        Some((_, table)) if table.shape.first() == Some(&Dim::Known(rows)) && table.shape.get(1).copied() == width => {
            Ok(())
        }
        _ => Err(site.misfit(1, format!("a table of {rows} distances in the width of its first input"))),
    }
}

fn rope(site: &Site, rope: &Rope, head_dim: u64) -> Result<()> {
    if rope.rotary == head_dim && !head_dim.is_multiple_of(2) {
        return Err(site.value("head_dim", head_dim, "even for rotary embeddings"));
    }
    if rope.rotary == 0 || !rope.rotary.is_multiple_of(2) || rope.rotary > head_dim {
        return Err(site.value("rotary", rope.rotary, format!("even, and at most head_dim, which is {head_dim}")));
    }
    if !(rope.theta.is_finite() && rope.theta > 0.0) {
        return Err(site.value("rope theta", rope.theta, "a positive number"));
    }
    match &rope.scaling {
        RopeScaling::Long { short, long, .. } => [short, long].into_iter().try_for_each(|factors| {
            let (found, pairs) = (factors.len() as u64, rope.rotary / 2);
            let must = || format!("half of the {} dimensions that are rotated", rope.rotary);
            if found == pairs { Ok(()) } else { Err(site.value("number of rope factors", found, must())) }
        }),
        RopeScaling::Unscaled
        | RopeScaling::Linear { .. }
        | RopeScaling::Llama3 { .. }
        | RopeScaling::Yarn { .. }
        | RopeScaling::NotRunnable(_) => Ok(()),
    }
}

/// The kind of an input of this type, or `None` where models take no such inputs.
pub(super) fn kind_of(dtype: Dtype, max: Option<u64>) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::I64 => Some(Kind::Ids { max }),
        _ => None,
    }
}
