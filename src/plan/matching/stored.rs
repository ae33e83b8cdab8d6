//! What a source has stored: each tensor, and codes as the numbers that they stand for.

use smallvec::smallvec;

use crate::checkpoint::Listing;
use crate::plan::matching::unit::Unit;
use crate::plan::quantized::weight::QuantizedWeight;
use crate::plan::quantized::{Numbers, Quantized};
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// A stored tensor as the first unit of every respelling.
fn stored_unit(source: usize, id: usize, info: &TensorInfo) -> Unit {
    let value = Value::stored(source, info);
    let tensors = smallvec![id];
    Unit { name: info.name.clone(), tensors, value, info: info.clone(), single: true, dialect: None, opaque: false }
}

/// Every stored tensor for a conversion. With `numbers` codes are the numbers that they stand for, and what stands next to them is
/// left out.
pub(crate) fn converted(listing: &Listing, numbers: Option<&Quantized>) -> Vec<Unit> {
    let one = |(id, stored): (usize, Unit)| {
        let Some(quantized) = numbers else { return Some(stored) };
        match quantized.of_codes(id) {
            Some(weight) => {
                let stored = Unit { name: weight.name.clone(), ..stored };
                Some(weight_unit(0, listing, quantized, weight, stored))
            }
            None => (!quantized.is_aside(id)).then_some(stored),
        }
    };
    plain(0, listing).filter_map(one).collect()
}

/// Every stored tensor as it is.
fn plain(source: usize, listing: &Listing) -> impl Iterator<Item = (usize, Unit)> + '_ {
    listing.tensors.iter().enumerate().map(move |(id, info)| (id, stored_unit(source, id, info)))
}

/// Every stored tensor; codes that are a product with their scale as the numbers that they stand for, those of other methods by their
/// names alone.
pub(crate) fn numbers(source: usize, listing: &Listing, quantized: &Quantized) -> Vec<Unit> {
    let mut units = Vec::with_capacity(listing.tensors.len() + quantized.weights.len());
    for (id, stored) in plain(source, listing) {
        match quantized.of_codes(id) {
            Some(weight) if weight.name == stored.name => {
                units.push(weight_unit(source, listing, quantized, weight, stored));
            }
            // codes under a name of their own are offered under it too, for a listing that has it
            Some(weight) => {
                let own = Unit { name: weight.name.clone(), single: false, ..stored.clone() };
                units.push(stored);
                units.push(weight_unit(source, listing, quantized, weight, own));
            }
            None => units.push(stored),
        }
    }
    units
}

/// A weight made of its codes, or `stored` where nothing can be made of them but a name.
fn weight_unit(
    source: usize,
    listing: &Listing,
    quantized: &Quantized,
    weight: &QuantizedWeight,
    stored: Unit,
) -> Unit {
    match quantized.numbers(source, listing, weight) {
        Some(Numbers { value, info, how: _ }) => Unit { value, info, ..stored },
        None => Unit { opaque: true, ..stored },
    }
}
