//! The largest of each window, and the gradient that goes to it alone.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::convolution::floats;
use super::geometry::Geometry;

/// The largest element of each window of each channel; of equals the first, as in PyTorch.
#[derive(Clone, Debug)]
pub(super) struct MaxPool {
    /// One channel for each group; padding is not looked at.
    pub geometry: Geometry,
    pub result: Vec<usize>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = floats(storage, layout)?;
        let values = largest(&self.geometry, input).map(|(value, _)| value).collect();
        Ok((CpuStorage::F32(values), Shape::from_dims(&self.result)))
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = MaxPoolBack { geometry: self.geometry, input: input.dims().to_vec() };
        input.contiguous()?.apply_op2_no_bwd(&gradient.contiguous()?, &back).map(Some)
    }
}

/// The gradient at the input, from the input and the gradient at the result.
#[derive(Clone, Debug)]
struct MaxPoolBack {
    geometry: Geometry,
    input: Vec<usize>,
}

impl CustomOp2 for MaxPoolBack {
    fn name(&self) -> &'static str {
        "max_pool_back"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let (input, gradient) = (floats(a, la)?, floats(b, lb)?);
        let mut values = vec![0f32; input.len()];
        for ((_, place), gradient) in largest(&self.geometry, input).zip(gradient) {
            if let Some(value) = values.get_mut(place) {
                *value += gradient;
            }
        }
        Ok((CpuStorage::F32(values), Shape::from_dims(&self.input)))
    }
}

/// By window, row-major: the largest element and its place in the input. NaN is the largest of all.
fn largest<'a>(geometry: &'a Geometry, input: &'a [f32]) -> impl Iterator<Item = (f32, usize)> + 'a {
    let channels = geometry.batch * geometry.groups;
    let [depth, height, width] = geometry.result;
    (0..channels).flat_map(move |channel| {
        (0..depth * height * width).map(move |window| {
            let corner = [window / (height * width), window / width % height, window % width];
            let mut best = (f32::NEG_INFINITY, usize::MAX);
            let mut look = |place: usize| {
                let value = input.get(place).copied().unwrap_or(f32::NEG_INFINITY);
                if value > best.0 || best.1 == usize::MAX || (value.is_nan() && !best.0.is_nan()) {
                    best = (value, place);
                }
            };
            each_place(geometry, corner, |place| look(channel * geometry.area() + place));
            best
        })
    })
}

/// Every place of a channel that a window covers.
fn each_place(geometry: &Geometry, corner: [usize; 3], mut each: impl FnMut(usize)) {
    let range = |axis: usize| {
        let start = corner[axis] * geometry.stride[axis];
        let end = (start + geometry.kernel[axis]).saturating_sub(geometry.padding[axis]).min(geometry.size[axis]);
        start.saturating_sub(geometry.padding[axis])..end
    };
    let [_, height, width] = geometry.size;
    for plane in range(0) {
        for line in range(1) {
            for place in range(2) {
                each((plane * height + line) * width + place);
            }
        }
    }
}
