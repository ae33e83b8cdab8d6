//! One node: which layer it is.

use candle_core::{D, Tensor};

use super::failure::{Failure, Tap};
use super::layers::Outcome;
use super::{attention, experts, layers, window};
use crate::graph::{Layer, Layout, Node};

/// The result of a node from its inputs and its parameters, both in order.
pub(super) fn evaluate(node: &Node, inputs: &[Tensor], weights: &[Tensor], tap: &mut Tap) -> Outcome {
    if let Layer::Table { .. } = node.layer {
        return weights.first().cloned().ok_or(Failure::NotRunnable(": it has no rows"));
    }
    let Some(input) = inputs.first() else { return Err(Failure::NotRunnable(": it has no input")) };
    let result = match &node.layer {
        Layer::Input { .. } => return Err(Failure::NotRunnable(": it was not fed")),
        Layer::Fill { value } => layers::fill(input, *value),
        Layer::Linear { .. } => return layers::linear(input, weights, &mut |input, product| tap(0, input, product)),
        Layer::Conv1D { .. } => {
            return layers::projected(Layout::InOut, input, weights, &mut |input, product| tap(0, input, product));
        }
        Layer::Conv(convolution) => return window::convolution(convolution, input, weights, tap),
        Layer::ConvTranspose(convolution) => return window::transposed(convolution, input, weights, tap),
        Layer::Embedding { dim, .. } => layers::embedding(input, weights, *dim),
        Layer::Positions { ids, .. } => layers::positions(*ids, inputs, weights),
        // it has no input, and was answered before
        Layer::Table { .. } => Ok(input.clone()),
        Layer::Parameter { usage, .. } => layers::parameter(*usage, input, weights),
        Layer::Attention(attention) => return attention::attention(attention, inputs, weights, tap),
        Layer::Experts(experts) => return experts::experts(experts, input, weights, tap),
        Layer::LayerNorm { eps, .. } => layers::layer_norm(input, *eps, weights),
        Layer::RmsNorm { eps, centred } => layers::rms_norm(input, *eps, *centred, weights),
        Layer::BatchNorm { eps } => layers::batch_norm(input, *eps, weights),
        Layer::GroupNorm { groups, eps } => layers::group_norm(input, *groups, *eps, weights),
        Layer::Activation(nonlinearity) => layers::activation(*nonlinearity, input),
        Layer::LeakyRelu { slope } => layers::leaky_relu(input, *slope),
        Layer::Softmax { axis } => candle_nn::ops::softmax(input, *axis),
        Layer::Flatten { start } => input.flatten_from(*start),
        Layer::Reshape { shape } => layers::reshape(input, shape),
        Layer::Permute { order } => input.permute(order.clone()).and_then(|permuted| permuted.contiguous()),
        Layer::MaxPool { kernel, stride, padding } => return window::max_pool(kernel, stride, padding, input),
        Layer::AvgPool { kernel, stride, padding } => return window::avg_pool(kernel, stride, padding, input),
        Layer::GlobalAvgPool => input.flatten_from(2).and_then(|flat| flat.mean(D::Minus1)),
        Layer::Upsample { scale } => return window::upsample(*scale, input),
        Layer::Mean { axis } => input.mean(*axis),
        Layer::Select { axis, index } => input.narrow(*axis, *index as usize, 1).and_then(|one| one.squeeze(*axis)),
        Layer::Narrow { axis, start, len } => input.narrow(*axis, *start as usize, *len as usize),
        Layer::Last { padding } => match padding {
            Some(padding) => layers::last(input, inputs.get(1), &|id| id != *padding as i64),
            None => layers::last(input, None, &|_| true),
        },
        Layer::At { token } => layers::last(input, inputs.get(1), &|id| id == *token as i64),
        Layer::Masked => layers::masked(input, &inputs[1]),
        Layer::MaskedMean => layers::masked_mean(input, &inputs[1]),
        Layer::ShiftRight { first } => layers::shift_right(input, *first),
        Layer::WeightedSum => layers::weighted_sum(inputs, &weights[0]),
        Layer::Scale { factor } => input * *factor,
        Layer::Dropout => Ok(input.clone()),
        Layer::Add => inputs[1..].iter().try_fold(input.clone(), |sum, next| sum.broadcast_add(next)),
        Layer::Mul => inputs[1..].iter().try_fold(input.clone(), |product, next| product.broadcast_mul(next)),
        Layer::Concat { axis } => Tensor::cat(inputs, *axis),
    };
    Ok(result?)
}
