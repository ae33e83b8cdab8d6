//! The parameters of a layer: PyTorch's names and order, roles, and the fans of the logical layer.

use super::{Attention, AttentionKind, Convolution, Experts, Layer, Layout, Parameter, Part, Projections};
use crate::init::Fans;
use crate::tensor::{Dtype, Role, Shape};

/// A parameter as its layer declares it; the name is still that below the layer (empty: the layer's own).
pub(super) struct Declared {
    /// Everything about it.
    pub parameter: Parameter,
    /// Whether it is what the layer's `init` means: its weights.
    pub weight: bool,
    /// Whether an activation after the layer acts on its results directly.
    pub before_output: bool,
}

/// What `layer` declares, given the width that its weights act on, the rank of its input and how many it has. Sizes are checked by the caller.
pub(super) fn of(layer: &Layer, width: u64, rank: usize, inputs: usize) -> Vec<Declared> {
    match layer {
        Layer::Linear { out, bias } => linear("", *out, width, *bias, true),
        Layer::Conv1D { out } => stored(Layout::InOut, linear("", *out, width, true, true)),
        Layer::Conv(convolution) => self::convolution(convolution, width),
        Layer::ConvTranspose(convolution) => transposed(convolution, width),
        Layer::Embedding { num, dim } => vec![table(*num, *dim, Role::Embedding)],
        Layer::Positions { num, .. } => vec![table(*num, width, Role::Position)],
        // rows are distances, counted from the middle: another number of them means another thing in every row
        Layer::Table { num, dim } => vec![table(*num, *dim, Role::Token)],
        Layer::Parameter { shape, .. } => vec![bare(shape)],
        Layer::Attention(attention) => self::attention(attention, width),
        Layer::Experts(experts) => self::experts(experts, width),
        Layer::WeightedSum => vec![bare(&[inputs as u64].into())],
        Layer::LayerNorm { bias, .. } => norm("LayerNorm", width, *bias),
        Layer::RmsNorm { .. } => norm("RMSNorm", width, false),
        Layer::GroupNorm { .. } => norm("GroupNorm", width, true),
        Layer::BatchNorm { .. } => batch_norm(width, rank),
        Layer::Input { .. }
        | Layer::Fill { .. }
        | Layer::Activation(_)
        | Layer::LeakyRelu { .. }
        | Layer::Softmax { .. }
        | Layer::Flatten { .. }
        | Layer::Reshape { .. }
        | Layer::Permute { .. }
        | Layer::MaxPool { .. }
        | Layer::AvgPool { .. }
        | Layer::GlobalAvgPool
        | Layer::Upsample { .. }
        | Layer::Mean { .. }
        | Layer::Select { .. }
        | Layer::Narrow { .. }
        | Layer::Last { .. }
        | Layer::At { .. }
        | Layer::Masked
        | Layer::MaskedMean
        | Layer::ShiftRight { .. }
        | Layer::Scale { .. }
        | Layer::Dropout
        | Layer::Add
        | Layer::Mul
        | Layer::Concat { .. } => Vec::new(),
    }
}

/// The most pieces that one matrix is seen as; shape inference refuses more heads.
pub(super) const MOST_PIECES: u64 = 1 << 16;

fn below(path: &str, leaf: &str) -> String {
    if path.is_empty() { leaf.to_string() } else { format!("{path}.{leaf}") }
}

fn declared(name: String, shape: Shape, role: Role, module: &str) -> Declared {
    let mut parameter = Parameter::new(name, shape, role);
    parameter.module = Some(module.to_string());
    Declared { parameter, weight: false, before_output: false }
}

fn bias(path: &str, size: u64, module: &str) -> Declared {
    declared(below(path, "bias"), [size].into(), Role::Bias, module)
}

/// A weight whose outputs lie along axis 0, in pieces of these rows.
fn matrix(path: &str, pieces: &[u64], fan_in: u64, before_output: bool) -> Declared {
    let rows = pieces.iter().sum();
    let mut matrix = declared(below(path, "weight"), [rows, fan_in].into(), Role::Linear, "Linear");
    matrix.parameter.parts =
        pieces.iter().map(|rows| Part { rows: *rows, fans: Fans::linear(fan_in, *rows) }).collect();
    Declared { weight: true, before_output, ..matrix }
}

fn linear(path: &str, out: u64, width: u64, has_bias: bool, before_output: bool) -> Vec<Declared> {
    let mut parameters = vec![matrix(path, &[out], width, before_output)];
    parameters.extend(has_bias.then(|| bias(path, out, "Linear")));
    parameters
}

/// Matrices as they are stored in this layout: `(in, out)` is what GPT-2's `Conv1D` holds. A single piece then has the rows of
/// axis 0; several stay the pieces of the outputs.
fn stored(layout: Layout, mut parameters: Vec<Declared>) -> Vec<Declared> {
    for Declared { parameter, .. } in parameters.iter_mut().filter(|_| layout == Layout::InOut) {
        parameter.module = Some("Conv1D".into());
        if parameter.role == Role::Linear {
            parameter.layout = layout;
            parameter.shape.reverse();
            if let [part] = parameter.parts.as_mut_slice() {
                part.rows = part.fans.fan_in;
            }
        }
    }
    parameters
}

/// The number of taps of a kernel.
fn taps(convolution: &Convolution) -> u64 {
    convolution.kernel.iter().fold(1, |taps, size| taps.saturating_mul(*size))
}

fn kernel(rows: u64, columns: u64, convolution: &Convolution) -> Shape {
    [rows, columns].into_iter().chain(convolution.kernel.iter().copied()).collect()
}

fn convolution(convolution: &Convolution, channels: u64) -> Vec<Declared> {
    let Convolution { out, groups, .. } = convolution;
    let module = format!("Conv{}d", convolution.kernel.len());
    let inputs = channels / groups;
    let role = Role::Conv { groups: *groups };
    let mut weight = declared("weight".into(), kernel(*out, inputs, convolution), role, &module);
    let fans = Fans::conv(*out, inputs, taps(convolution), *groups);
    weight.parameter.parts = vec![Part { rows: *out, fans }];
    let mut parameters = vec![Declared { weight: true, before_output: true, ..weight }];
    parameters.extend(convolution.bias.then(|| bias("", *out, &module)));
    parameters
}

/// Stored `(in, out / groups, …)`.
fn transposed(convolution: &Convolution, channels: u64) -> Vec<Declared> {
    let Convolution { out, groups, .. } = convolution;
    let module = format!("ConvTranspose{}d", convolution.kernel.len());
    let outputs = out / groups;
    let role = Role::ConvTranspose { groups: *groups };
    let mut weight = declared("weight".into(), kernel(channels, outputs, convolution), role, &module);
    let strides = convolution.stride.iter().fold(1u64, |product, stride| product.saturating_mul(*stride));
    let fans = Fans::conv_transpose(channels, outputs, taps(convolution), strides, *groups);
    weight.parameter.layout = Layout::InOut;
    weight.parameter.parts = vec![Part { rows: channels, fans }];
    let mut parameters = vec![Declared { weight: true, before_output: true, ..weight }];
    parameters.extend(convolution.bias.then(|| bias("", *out, &module)));
    parameters
}

/// Rows that are looked up. Its fans are PyTorch's (`fan_in` the width, `fan_out` the rows), for who asks for a scheme that needs them.
fn table(num: u64, dim: u64, role: Role) -> Declared {
    let mut table = declared("weight".into(), [num, dim].into(), role, "Embedding");
    table.parameter.parts = vec![Part { rows: num, fans: Fans { fan_in: dim, fan_out: num } }];
    Declared { weight: true, ..table }
}

/// A tensor of the model itself. Of two axes and more it has PyTorch's fans, as a table has.
fn bare(shape: &Shape) -> Declared {
    let mut parameter = Parameter::new("", shape.clone(), Role::Token);
    if let [rows, columns, rest @ ..] = shape.as_slice() {
        let field = rest.iter().fold(1u64, |product, size| product.saturating_mul(*size));
        let fans = Fans { fan_in: columns.saturating_mul(field), fan_out: rows.saturating_mul(field) };
        parameter.parts = vec![Part { rows: *rows, fans }];
    }
    Declared { parameter, weight: true, before_output: false }
}

fn attention(attention: &Attention, width: u64) -> Vec<Declared> {
    let queries = attention.heads.saturating_mul(attention.head_dim);
    let keys = attention.kv_heads.saturating_mul(attention.head_dim);
    let has_bias = attention.bias;
    let (mut parameters, out) = match &attention.projections {
        Projections::Separate { q, k, v, out } => {
            let key_bias = has_bias && attention.key_bias;
            let each = [(q, queries, has_bias), (k, keys, key_bias), (v, keys, has_bias)].into_iter();
            let mut each: Vec<_> = each.flat_map(|(name, rows, bias)| linear(name, rows, width, bias, false)).collect();
            if let AttentionKind::Disentangled(disentangled) = &attention.kind {
                let own = disentangled.own_projections().into_iter().flatten();
                each.extend(own.flat_map(|name| linear(name, queries, width, has_bias, false)));
            }
            (each, out)
        }
        Projections::PerHead { qkv, out } => {
            let pieces = vec![attention.head_dim; attention.heads.saturating_mul(3).min(MOST_PIECES) as usize];
            let mut fused = vec![matrix(qkv, &pieces, width, false)];
            // the fans are those of one projection, however its rows are spread
            fused
                .iter_mut()
                .flat_map(|matrix| &mut matrix.parameter.parts)
                .for_each(|part| part.fans.fan_out = queries);
            fused.extend(has_bias.then(|| bias(qkv, queries.saturating_mul(3), "Linear")));
            (fused, out)
        }
        Projections::Fused { qkv, out } => {
            let mut fused = vec![matrix(qkv, &[queries, keys, keys], width, false)];
            let rows = queries.saturating_add(keys.saturating_mul(2));
            fused.extend(has_bias.then(|| bias(qkv, rows, "Linear")));
            (fused, out)
        }
    };
    parameters.extend(linear(out, width, attention.out_width.unwrap_or(queries), attention.out_bias, true));
    let mut parameters = stored(attention.layout, parameters);
    if let Some(norms) = &attention.norms {
        let width = |all: u64| if norms.whole { all } else { attention.head_dim };
        let norm = |name: &str, width| declared(below(name, "weight"), [width].into(), Role::Norm, "RMSNorm");
        parameters.extend([norm(&norms.q, width(queries)), norm(&norms.k, width(keys))]);
    }
    if let AttentionKind::Relative(relative) = attention.kind {
        let mut bias = table(relative.buckets, attention.heads, Role::Token);
        bias.parameter.name = "relative_attention_bias.weight".into();
        parameters.push(bias);
    }
    parameters
}

fn experts(experts: &Experts, width: u64) -> Vec<Declared> {
    let Experts { intermediate, names: [gate, up, down], .. } = experts;
    let mut parameters = linear("gate", experts.experts, width, false, false);
    for expert in 0..experts.experts {
        let name = |end: &str| format!("experts.{expert}.{end}");
        parameters.extend(linear(&name(gate), *intermediate, width, false, false));
        parameters.extend(linear(&name(up), *intermediate, width, false, false));
        parameters.extend(linear(&name(down), width, *intermediate, false, true));
    }
    parameters
}

fn norm(module: &str, width: u64, has_bias: bool) -> Vec<Declared> {
    let mut parameters = vec![declared("weight".into(), [width].into(), Role::Norm, module)];
    parameters.extend(has_bias.then(|| bias("", width, module)));
    parameters
}

fn batch_norm(channels: u64, rank: usize) -> Vec<Declared> {
    let module = format!("BatchNorm{}d", rank.saturating_sub(2).max(1));
    let statistic = |name: &str| {
        let mut statistic = declared(name.into(), [channels].into(), Role::Buffer, &module);
        statistic.parameter.floor = Some(Dtype::F32);
        statistic
    };
    let mut count = declared("num_batches_tracked".into(), Shape::default(), Role::Buffer, &module);
    count.parameter.dtype = Some(Dtype::I64);
    let mut parameters = norm(&module, channels, true);
    parameters.extend([statistic("running_mean"), statistic("running_var"), count]);
    parameters
}
