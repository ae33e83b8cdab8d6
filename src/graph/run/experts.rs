//! A mixture of experts (Shazeer et al., arXiv:1701.06538), as mixtral and qwen3_moe have it.

use candle_core::{D, Device, Tensor};
use candle_nn::ops;

use super::failure::{Failure, Tap};
use super::layers::{Outcome, activation, linear};
use crate::graph::Experts;

/// The weighted sum of what the chosen experts give. An expert that no position chose is not run.
pub(super) fn experts(experts: &Experts, input: &Tensor, weights: &[Tensor], tap: &mut Tap) -> Outcome {
    let (batch, length, width) = input.dims3()?;
    let positions = input.reshape((batch * length, width))?;
    let [gate, rest @ ..] = weights else { return Err(Failure::NotRunnable(": it has no router")) };
    let logits = linear(&positions, std::slice::from_ref(gate), &mut |input, product| tap(0, input, product))?;
    let shares = ops::softmax(&logits, D::Minus1)?;
    let chosen = chosen(experts, &shares)?;
    let mut sum = positions.zeros_like()?;
    for (expert, weights) in rest.chunks(3).enumerate() {
        let (Some(places), [gate, up, down]) = (chosen.get(expert).filter(|places| !places.is_empty()), weights) else {
            continue;
        };
        let at = Tensor::from_vec(places.clone(), places.len(), &Device::Cpu)?;
        let seen = positions.index_select(&at, 0)?;
        let first = 1 + expert * 3;
        let mut product = |place: usize, of: &Tensor, weight: &Tensor| {
            linear(of, std::slice::from_ref(weight), &mut |input, product| tap(first + place, input, product))
        };
        let (gated, raised) = (product(0, &seen, gate)?, product(1, &seen, up)?);
        let hidden = (activation(experts.activation, &gated)? * raised)?;
        let share = shares.index_select(&at, 0)?.narrow(1, expert, 1)?;
        let share = match experts.normalised {
            true => share.broadcast_div(&total(&shares, &chosen, places)?)?,
            false => share,
        };
        sum = sum.index_add(&at, &product(2, &hidden, down)?.broadcast_mul(&share)?, 0)?;
    }
    Ok(sum.reshape((batch, length, width))?)
}

/// For each expert, the positions that use it: for each position those of the largest shares, the first of equal ones.
fn chosen(experts: &Experts, shares: &Tensor) -> std::result::Result<Vec<Vec<u32>>, Failure> {
    let mut places = vec![Vec::new(); experts.experts as usize];
    for (position, shares) in shares.to_vec2::<f32>()?.iter().enumerate() {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_unstable_by(|a, b| shares[*b].total_cmp(&shares[*a]).then(a.cmp(b)));
        for expert in order.into_iter().take(experts.per_token as usize) {
            places[expert].push(position as u32);
        }
    }
    Ok(places)
}

/// The sum of the shares that each of these positions uses, `(positions, 1)`.
fn total(shares: &Tensor, chosen: &[Vec<u32>], places: &[u32]) -> Outcome {
    let (count, experts) = shares.dims2()?;
    let mut used = vec![0f32; count * experts];
    for (expert, positions) in chosen.iter().enumerate() {
        positions.iter().for_each(|position| used[*position as usize * experts + expert] = 1.0);
    }
    let used = Tensor::from_vec(used, (count, experts), &Device::Cpu)?;
    let at = Tensor::from_vec(places.to_vec(), places.len(), &Device::Cpu)?;
    Ok((shares * used)?.sum_keepdim(D::Minus1)?.index_select(&at, 0)?)
}
