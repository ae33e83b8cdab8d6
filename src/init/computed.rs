//! Tables that a model computes from sizes alone and that a checkpoint may store: indices of relative positions, their coordinates,
//! masks, frequencies of rotary embeddings.

use serde::{Deserialize, Serialize};

use super::elementary;
use crate::tensor::elements;

/// A formula of such a table. Each element is a function of its place and of nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Computed {
    /// For each two places of a window, the row of the table of biases for their distance (Swin, arXiv:2103.14030; BEiT,
    /// arXiv:2106.08254): `(n, n)` or `(n * n)`.
    RelativePositionIndex {
        /// Height and width of the window.
        window: [u64; 2],
        /// Whether a class token stands before its places, with three rows of its own at the end of the table.
        class_token: bool,
    },
    /// Distances on a scale of logarithms (Swin V2, arXiv:2111.09883): `(1, 2 h - 1, 2 w - 1, 2)`.
    RelativeCoordinates {
        /// Height and width of the window.
        window: [u64; 2],
        /// Those of the window that distances are measured by.
        measure: [u64; 2],
    },
    /// 1 where the last axis is not beyond the one before it, else 0.
    CausalMask,
    /// theta^(-i / n) for the n elements.
    InverseFrequencies {
        theta: f64,
    },
    /// theta^(i / n) for the n elements (DINOv3, arXiv:2508.10104).
    Periods {
        theta: f64,
    },
    Constant {
        value: f64,
    },
}

impl Computed {
    /// Whether a tensor of this shape is such a table.
    pub(crate) fn fits(&self, shape: &[u64]) -> bool {
        match self {
            Computed::RelativePositionIndex { window: [height, width], class_token } => {
                let places = height.checked_mul(*width).and_then(|places| places.checked_add(u64::from(*class_token)));
                let square = places.and_then(|places| places.checked_mul(places));
                shape.len() <= 2 && square.is_some() && elements(shape) == square
            }
            Computed::RelativeCoordinates { window, .. } => {
                let spans = window.map(|size| size.checked_mul(2).and_then(|twice| twice.checked_sub(1)));
                matches!((shape, spans), ([1, rows, columns, 2], [Some(height), Some(width)]) if (*rows, *columns) == (height, width))
            }
            Computed::CausalMask => matches!(shape, [.., rows, columns] if rows == columns),
            Computed::InverseFrequencies { theta } | Computed::Periods { theta } => {
                shape.len() == 1 && theta.is_finite() && *theta > 0.0
            }
            Computed::Constant { value } => value.is_finite(),
        }
    }

    /// The element at a place of a tensor of this shape, which fits.
    pub(crate) fn element(&self, place: u64, shape: &[u64]) -> f64 {
        match self {
            Computed::RelativePositionIndex { window, class_token } => index(place, *window, *class_token) as f64,
            Computed::RelativeCoordinates { window: [height, width], measure } => {
                let (axis, cell) = (place % 2, place / 2);
                let columns = (2 * width - 1).max(1);
                let distance = match axis {
                    0 => (cell / columns) as f64 - (height - 1) as f64,
                    _ => (cell % columns) as f64 - (width - 1) as f64,
                };
                coordinate(distance, measure[axis as usize])
            }
            Computed::CausalMask => {
                let size = shape.last().copied().unwrap_or(1).max(1);
                f64::from(u8::from(place % size <= place / size % size))
            }
            Computed::InverseFrequencies { theta } => power(*theta, -share(place, shape)),
            Computed::Periods { theta } => power(*theta, share(place, shape)),
            Computed::Constant { value } => *value,
        }
    }
}

fn share(place: u64, shape: &[u64]) -> f64 {
    place as f64 / shape.first().copied().unwrap_or(1).max(1) as f64
}

fn power(base: f64, exponent: f64) -> f64 {
    elementary::exp(elementary::ln_f64(base) * exponent)
}

/// sign(x) log₂(1 + |x|) / log₂ 8 of a distance that is 8 at the edge of the window.
fn coordinate(distance: f64, measure: u64) -> f64 {
    let scaled = distance * 8.0 / measure.saturating_sub(1).max(1) as f64;
    scaled.signum() * elementary::ln_f64(1.0 + scaled.abs()) / elementary::ln_f64(8.0)
}

/// The row of the table of biases for a query and a key.
fn index(place: u64, [height, width]: [u64; 2], class_token: bool) -> u64 {
    let first = u64::from(class_token);
    let count = (height * width + first).max(1);
    let (query, key) = (place / count, place % count);
    let rows = (2 * height - 1) * (2 * width - 1);
    match (query < first, key < first) {
        (true, true) => rows + 2,
        (true, false) => rows,
        (false, true) => rows + 1,
        (false, false) => {
            let (query, key) = (query - first, key - first);
            let down = query / width + height - 1 - key / width;
            let right = query % width + width - 1 - key % width;
            down * (2 * width - 1) + right
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_a_window_of_two_by_three_are_those_of_timm() {
        // timm.layers.pos_embed_rel.gen_relative_position_index((2, 3)), first row and last
        let index = Computed::RelativePositionIndex { window: [2, 3], class_token: false };
        let row = |row: u64| (0..6).map(|key| index.element(row * 6 + key, &[6, 6])).collect::<Vec<f64>>();
        assert_eq!((row(0), row(5)), (vec![7., 6., 5., 2., 1., 0.], vec![14., 13., 12., 9., 8., 7.]));
        assert!(index.fits(&[6, 6]) && index.fits(&[36]) && !index.fits(&[5, 5]) && !index.fits(&[4, 9, 1]));
        let with_class = Computed::RelativePositionIndex { window: [2, 3], class_token: true };
        let corner = [0, 1, 7, 8].map(|place| with_class.element(place, &[7, 7]));
        assert_eq!(corner, [17., 15., 16., 7.]);
    }

    #[test]
    fn a_mask_sees_what_is_not_beyond_it() {
        let values: Vec<f64> = (0..9).map(|place| Computed::CausalMask.element(place, &[1, 1, 3, 3])).collect();
        assert_eq!(values, [1., 0., 0., 1., 1., 0., 1., 1., 1.]);
    }
}
