//! The layer that an object of a layers file describes.

use super::node::{Json, Node, Read};
use crate::graph::{
    Attention, AttentionKind, Convolution, Dim, Layer, Nonlinearity, PositionIds, Projections, Rope, RopeScaling, Use,
};

/// A layer that is neither container nor family block: its type, its object, and the shapes of what goes in.
pub(crate) struct Plain<'a> {
    /// The word after `type`.
    pub word: &'a str,
    pub node: &'a Node,
    pub inputs: &'a [&'a [Dim]],
}

impl Plain<'_> {
    /// The layer; an error where a value cannot be.
    pub(crate) fn layer(&self) -> Read<Layer> {
        Ok(match self.word {
            "linear" => Layer::Linear { out: self.need("out")?, bias: self.or("bias", true)? },
            "conv1d" => Layer::Conv(self.convolution(1)?),
            "conv2d" => Layer::Conv(self.convolution(2)?),
            "conv3d" => Layer::Conv(self.convolution(3)?),
            "conv_transpose1d" => Layer::ConvTranspose(self.convolution(1)?),
            "conv_transpose2d" => Layer::ConvTranspose(self.convolution(2)?),
            "embedding" => Layer::Embedding { num: self.need("num")?, dim: self.need("dim")? },
            "positions" => Layer::Positions { num: self.need("num")?, ids: PositionIds::PLAIN },
            "parameter" => Layer::Parameter { shape: self.need("shape")?, usage: self.usage()? },
            "attention" => Layer::Attention(self.attention()?),
            "layer_norm" => Layer::LayerNorm { eps: self.or("eps", 1e-5)?, bias: self.or("bias", true)? },
            "rms_norm" => Layer::RmsNorm { eps: self.or("eps", 1e-6)?, centred: false },
            "batch_norm" => Layer::BatchNorm { eps: self.or("eps", 1e-5)? },
            "group_norm" => Layer::GroupNorm { groups: self.need("groups")?, eps: self.or("eps", 1e-5)? },
            "flatten" => Layer::Flatten { start: self.position("start", 1)? },
            "reshape" => Layer::Reshape { shape: self.need("shape")? },
            "permute" => Layer::Permute { order: self.order()? },
            "max_pool" | "avg_pool" => self.pool()?,
            "global_avg_pool" => Layer::GlobalAvgPool,
            "upsample" => Layer::Upsample { scale: self.need("scale")? },
            "mean" => Layer::Mean { axis: self.axis("axis", None)? },
            "select" => {
                let axis = self.axis("axis", None)?;
                Layer::Select { axis, index: self.index(axis)? }
            }
            "dropout" => Layer::Dropout,
            "add" => Layer::Add,
            "mul" => Layer::Mul,
            "concat" => Layer::Concat { axis: self.axis("axis", Some(-1))? },
            "leaky_relu" if self.node.get("slope").is_some() => Layer::LeakyRelu { slope: self.need("slope")? },
            "softmax" if self.node.get("axis").is_some() => Layer::Softmax { axis: self.axis("axis", None)? },
            activation => Layer::Activation(self.activation(activation)?),
        })
    }

    fn need<T: super::node::FromNode>(&self, key: &'static str) -> Read<T> {
        self.node.need(key, &format!("a layer of type {}", self.word))
    }

    fn or<T: super::node::FromNode>(&self, key: &str, default: T) -> Read<T> {
        Ok(self.node.maybe(key)?.unwrap_or(default))
    }

    fn value(&self, key: &str) -> &Node {
        self.node.get(key).unwrap_or(self.node)
    }

    fn activation(&self, word: &str) -> Read<Nonlinearity> {
        serde_json::from_value(word.into()).map_err(|_| {
            let problem = super::grammar::unknown_word("layer type", word, &super::grammar::layer_words());
            super::node::Wrong { at: self.value("type").at, problem }
        })
    }

    fn usage(&self) -> Read<Use> {
        let Some(word) = self.node.get("use") else { return Ok(Use::None) };
        serde_json::from_value(word.plain()).map_err(|_| word.wrong_type("use", "prepend, add, multiply or none"))
    }

    /// The number of axes of the first input.
    fn rank(&self) -> usize {
        self.inputs.first().map_or(0, |shape| shape.len())
    }

    /// One size for each of `axes` spatial axes: a number stands for all.
    fn spatial(&self, key: &'static str, axes: usize, default: Option<&[u64]>) -> Read<Vec<u64>> {
        let node = match (self.node.get(key), default) {
            (Some(node), _) => node,
            (None, Some(default)) => return Ok(default.to_vec()),
            (None, None) => return Ok(vec![self.need(key)?; axes]),
        };
        let sizes: Vec<u64> = match node.value {
            Json::List(_) => node.read(key)?,
            _ => vec![node.read(key)?; axes],
        };
        if sizes.len() == axes {
            return Ok(sizes);
        }
        Err(node
            .wrong_type(key, &format!("a number or a list of {axes}"))
            .with_found(format!("a list of {}", sizes.len())))
    }

    fn convolution(&self, axes: usize) -> Read<Convolution> {
        Ok(Convolution {
            out: self.need("out")?,
            kernel: self.spatial("kernel", axes, None)?,
            stride: self.spatial("stride", axes, Some(&vec![1; axes]))?,
            padding: self.spatial("padding", axes, Some(&vec![0; axes]))?,
            dilation: self.spatial("dilation", axes, Some(&vec![1; axes]))?,
            groups: self.or("groups", 1)?,
            bias: self.or("bias", true)?,
        })
    }

    fn pool(&self) -> Read<Layer> {
        let axes = self.rank().saturating_sub(2);
        let kernel = self.spatial("kernel", axes, None)?;
        let stride = self.spatial("stride", axes, Some(&kernel))?;
        let padding = self.spatial("padding", axes, Some(&vec![0; axes]))?;
        Ok(match self.word {
            "max_pool" => Layer::MaxPool { kernel, stride, padding },
            _ => Layer::AvgPool { kernel, stride, padding },
        })
    }

    fn position(&self, key: &'static str, default: usize) -> Read<usize> {
        let value: u64 = self.or(key, default as u64)?;
        usize::try_from(value).map_err(|_| self.value(key).wrong_type(key, "an axis"))
    }

    fn order(&self) -> Read<Vec<usize>> {
        let axes: Vec<u64> = self.need("order")?;
        let small = |axis: u64| usize::try_from(axis).map_err(|_| self.value("order").wrong_type("order", "axes"));
        axes.into_iter().map(small).collect()
    }

    /// An axis, negative from the end.
    fn axis(&self, key: &'static str, default: Option<i64>) -> Read<usize> {
        let axis: i64 = match default {
            Some(default) => self.or(key, default)?,
            None => self.need(key)?,
        };
        let rank = self.rank();
        let from_end = || rank.checked_add_signed(isize::try_from(axis).ok()?);
        let found = if axis < 0 { from_end() } else { usize::try_from(axis).ok() };
        // without an input there is no rank; the builder says what is missing
        found
            .filter(|axis| *axis < rank || rank == 0)
            .ok_or_else(|| self.value(key).wrong_type(key, &format!("an axis of {rank}")).with_found(axis.to_string()))
    }

    /// An index of an axis, negative from the end.
    fn index(&self, axis: usize) -> Read<u64> {
        let index: i64 = self.need("index")?;
        let size = match self.inputs.first().and_then(|shape| shape.get(axis)) {
            Some(Dim::Known(size)) => Some(*size),
            Some(Dim::UpTo(_) | Dim::Target(_) | Dim::Batch) | None => None,
        };
        let found = match (index < 0, size) {
            (false, _) => u64::try_from(index).ok(),
            (true, Some(size)) => size.checked_add_signed(index),
            (true, None) => None,
        };
        let size = size.map_or("unknown size".into(), |size| format!("size {size}"));
        found.ok_or_else(|| self.value("index").wrong_type("index", &format!("an index of an axis of {size}")))
    }

    fn attention(&self) -> Read<Attention> {
        let heads: u64 = self.need("heads")?;
        let bias = self.or("bias", true)?;
        let head_dim = match self.node.maybe("head_dim")? {
            Some(size) => size,
            None => self.head_dim(heads)?,
        };
        Ok(Attention {
            kv_heads: self.or("kv_heads", heads)?,
            causal: self.or("causal", false)?,
            kind: self.attention_kind(head_dim)?,
            bias,
            out_bias: bias,
            ..Attention::new(heads, head_dim, self.projections()?)
        })
    }

    /// The width over the heads, where they divide it.
    fn head_dim(&self, heads: u64) -> Read<u64> {
        match self.inputs.first().and_then(|shape| shape.last()) {
            Some(Dim::Known(width)) if width % heads.max(1) == 0 => Ok(width / heads.max(1)),
            Some(Dim::Known(width)) => Err(self
                .value("heads")
                .wrong_type("heads", &format!("a divisor of the width {width}, or head_dim stated"))),
            // nothing to divide: the builder says what is wrong with the input
            Some(Dim::Batch | Dim::UpTo(_) | Dim::Target(_)) | None => Ok(1),
        }
    }

    fn attention_kind(&self, head_dim: u64) -> Read<AttentionKind> {
        let theta = match self.node.get("rope").map(|rope| &rope.value) {
            None | Some(Json::Bool(false)) => return Ok(AttentionKind::Plain),
            Some(Json::Bool(true)) => 10_000.0,
            Some(_) => self.need("rope")?,
        };
        Ok(AttentionKind::Rope(Rope { theta, rotary: head_dim, scaling: RopeScaling::Unscaled }))
    }

    fn projections(&self) -> Read<Projections> {
        let names = self.node.get("names");
        let name = |key: &str, default: &str| -> Read<String> {
            let written = names.map(|names| names.maybe::<String>(key)).transpose()?.flatten();
            Ok(written.unwrap_or_else(|| default.to_string()))
        };
        let Some(fused) = names.filter(|names| names.get("qkv").is_some()) else {
            let (q, k, v) = (name("q", "q_proj")?, name("k", "k_proj")?, name("v", "v_proj")?);
            return Ok(Projections::Separate { q, k, v, out: name("out", "o_proj")? });
        };
        if let Some(entry) =
            fused.entries().unwrap_or_default().iter().find(|entry| ["q", "k", "v"].contains(&entry.key.as_str()))
        {
            let problem = crate::arch::error::Problem::Exclusive { first: "qkv".into(), second: entry.key.clone() };
            return Err(super::node::Wrong { at: entry.at, problem });
        }
        Ok(Projections::Fused { qkv: name("qkv", "qkv")?, out: name("out", "proj")? })
    }
}
