//! Convolutions of one to three axes, and their derivatives: three products, each linear in both of its inputs, each the derivative
//! of the others. Windows are gathered into the columns of a matrix, a tile at a time, and multiplied by the kernel.
//!
//! The tensor library's own are wrong (the gradient of a 1-D kernel), missing (axes that differ, 3-D, transposed groups) or three
//! times as slow. No bit depends on the number of threads: a job is some examples, and its sums run in one order.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::columns::{gather, scatter};
use super::geometry::Geometry;

/// Parts of a sum over examples that are added up on their own.
const PARTS: usize = 4;

/// Which of the three inputs of the trilinear form x·w·y is the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    /// From the input and the kernel: the convolution.
    Result,
    /// From the result's side and the kernel: the transposed convolution, and the derivative by the input.
    Input,
    /// From the input and the result's side: the derivative by the kernel.
    Kernel,
}

/// One of the three products, on tensors whose axes are `shapes`: of the input, the kernel and the result.
#[derive(Clone, Debug)]
pub(super) struct Convolve {
    pub geometry: Geometry,
    pub product: Product,
    pub shapes: [Vec<usize>; 3],
}

impl Convolve {
    /// The product of two tensors. A gradient flows to both.
    pub(crate) fn of(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.contiguous()?.apply_op2(&b.contiguous()?, self.clone())
    }

    fn other(&self, product: Product) -> Convolve {
        Convolve { product, ..self.clone() }
    }
}

impl CustomOp2 for Convolve {
    fn name(&self) -> &'static str {
        "convolve"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let (a, b) = (floats(a, la)?, floats(b, lb)?);
        let geometry = &self.geometry;
        let (values, shape) = match self.product {
            Product::Result => (results(geometry, a, b), &self.shapes[2]),
            Product::Input => (inputs(geometry, a, b), &self.shapes[0]),
            Product::Kernel => (kernels(geometry, a, b), &self.shapes[1]),
        };
        Ok((CpuStorage::F32(values), Shape::from_dims(shape)))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (first, second) = match self.product {
            Product::Result => {
                (self.other(Product::Input).of(gradient, b)?, self.other(Product::Kernel).of(a, gradient)?)
            }
            Product::Input => {
                (self.other(Product::Result).of(gradient, b)?, self.other(Product::Kernel).of(gradient, a)?)
            }
            Product::Kernel => {
                (self.other(Product::Input).of(b, gradient)?, self.other(Product::Result).of(a, gradient)?)
            }
        };
        Ok((Some(first), Some(second)))
    }
}

/// The elements of a contiguous tensor of f32.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => {
            values.get(start..end).ok_or_else(|| Error::Msg("a tensor ends before its shape".into()))
        }
        (_, None) => Err(Error::Msg("a tensor is not contiguous".into())),
        (_, Some(_)) => Err(Error::Msg("convolutions and pools are in f32".into())),
    }
}

/// `(batch, groups · outputs, …)` from `(batch, groups · inputs, …)` and the kernel.
fn results(geometry: &Geometry, input: &[f32], kernel: &[f32]) -> Vec<f32> {
    let mut result = vec![0f32; geometry.batch * geometry.result_example()];
    let (window, outputs) = (geometry.window(), geometry.outputs);
    let (job, steps) = (geometry.examples_a_job(), geometry.steps());
    if result.is_empty() {
        return result;
    }
    result.par_chunks_mut(job * geometry.result_example()).enumerate().for_each(|(index, result)| {
        let examples = input.chunks(job * geometry.example()).nth(index).unwrap_or_default();
        let count = result.len() / geometry.result_example();
        let tile = geometry.tile().min(count * steps);
        let (mut columns, mut products) = (vec![0f32; window * tile], vec![0f32; outputs * tile]);
        for group in 0..geometry.groups {
            let weights = &kernel[group * outputs * window..(group + 1) * outputs * window];
            for start in (0..count * steps).step_by(tile) {
                let width = tile.min(count * steps - start);
                gather(geometry, examples, group, start..start + width, &mut columns[..window * width]);
                let product = &mut products[..outputs * width];
                multiply(product, (weights, outputs, window), (&columns[..window * width], window, width));
                place(geometry, product, width, group, start, result);
            }
        }
    });
    result
}

/// Copies a product `(outputs, width)` of columns from `start` to where it belongs.
fn place(geometry: &Geometry, product: &[f32], width: usize, group: usize, start: usize, result: &mut [f32]) {
    let steps = geometry.steps();
    for (output, row) in product.chunks_exact(width).enumerate() {
        each_run(steps, start, width, |example, step, from, length| {
            let channel = (example * geometry.groups + group) * geometry.outputs + output;
            let to = channel * steps + step;
            result[to..to + length].copy_from_slice(&row[from..from + length]);
        });
    }
}

/// The reverse of `place`.
fn fetch(geometry: &Geometry, product: &mut [f32], width: usize, group: usize, start: usize, result: &[f32]) {
    let steps = geometry.steps();
    for (output, row) in product.chunks_exact_mut(width).enumerate() {
        each_run(steps, start, width, |example, step, from, length| {
            let channel = (example * geometry.groups + group) * geometry.outputs + output;
            let at = channel * steps + step;
            row[from..from + length].copy_from_slice(&result[at..at + length]);
        });
    }
}

/// Columns `start..start + width` as runs within one example: the example, the step in it, the column from `start`, and how many.
fn each_run(steps: usize, start: usize, width: usize, mut run: impl FnMut(usize, usize, usize, usize)) {
    let mut from = 0;
    while from < width {
        let (example, step) = ((start + from) / steps, (start + from) % steps);
        let length = (steps - step).min(width - from);
        run(example, step, from, length);
        from += length;
    }
}

/// `(batch, groups · inputs, …)` from `(batch, groups · outputs, …)` and the kernel.
fn inputs(geometry: &Geometry, result: &[f32], kernel: &[f32]) -> Vec<f32> {
    let mut input = vec![0f32; geometry.batch * geometry.example()];
    let (window, outputs) = (geometry.window(), geometry.outputs);
    let (job, steps) = (geometry.examples_a_job(), geometry.steps());
    if input.is_empty() || steps == 0 {
        return input;
    }
    input.par_chunks_mut(job * geometry.example()).enumerate().for_each(|(index, input)| {
        let results = result.chunks(job * geometry.result_example()).nth(index).unwrap_or_default();
        let count = input.len() / geometry.example();
        let tile = geometry.tile().min(count * steps);
        let (mut columns, mut products) = (vec![0f32; window * tile], vec![0f32; outputs * tile]);
        for group in 0..geometry.groups {
            let weights = &kernel[group * outputs * window..(group + 1) * outputs * window];
            for start in (0..count * steps).step_by(tile) {
                let width = tile.min(count * steps - start);
                let product = &mut products[..outputs * width];
                fetch(geometry, product, width, group, start, results);
                let columns = &mut columns[..window * width];
                multiply_transposed(columns, (weights, outputs, window), (product, outputs, width));
                scatter(geometry, columns, group, start..start + width, input);
            }
        }
    });
    input
}

/// The kernel's side, from `(batch, groups · inputs, …)` and `(batch, groups · outputs, …)`: a sum over all examples, in parts that do
/// not depend on the threads.
fn kernels(geometry: &Geometry, input: &[f32], result: &[f32]) -> Vec<f32> {
    let (window, outputs, steps) = (geometry.window(), geometry.outputs, geometry.steps());
    let part = geometry.batch.div_ceil(PARTS).max(1);
    let sums = (0..geometry.batch.div_ceil(part)).into_par_iter().map(|index| {
        let mut sum = vec![0f32; geometry.weights()];
        let examples = input.chunks(part * geometry.example()).nth(index).unwrap_or_default();
        let results = result.chunks(part * geometry.result_example()).nth(index).unwrap_or_default();
        let count = examples.len() / geometry.example().max(1);
        let tile = geometry.tile().min(count * steps).max(1);
        let (mut columns, mut products) = (vec![0f32; window * tile], vec![0f32; outputs * tile]);
        for group in 0..geometry.groups {
            let sum = &mut sum[group * outputs * window..(group + 1) * outputs * window];
            for start in (0..count * steps).step_by(tile) {
                let width = tile.min(count * steps - start);
                let (columns, product) = (&mut columns[..window * width], &mut products[..outputs * width]);
                gather(geometry, examples, group, start..start + width, columns);
                fetch(geometry, product, width, group, start, results);
                add_product(sum, (product, outputs, width), (columns, window, width));
            }
        }
        sum
    });
    let sums: Vec<Vec<f32>> = sums.collect();
    let mut total = vec![0f32; geometry.weights()];
    for sum in sums {
        total.iter_mut().zip(sum).for_each(|(total, part)| *total += part);
    }
    total
}

/// A matrix, row-major: its elements, rows and columns.
type Matrix<'a> = (&'a [f32], usize, usize);

fn view<'a>((values, rows, columns): Matrix<'a>) -> MatRef<'a, f32> {
    MatRef::from_row_major_slice(values, rows, columns)
}

/// `product = a · b`.
fn multiply(product: &mut [f32], a: Matrix, b: Matrix) {
    matmul(MatMut::from_row_major_slice_mut(product, a.1, b.2), Accum::Replace, view(a), view(b), 1.0, Par::Seq);
}

/// `product = aᵀ · b`.
fn multiply_transposed(product: &mut [f32], a: Matrix, b: Matrix) {
    let product = MatMut::from_row_major_slice_mut(product, a.2, b.2);
    matmul(product, Accum::Replace, view(a).transpose(), view(b), 1.0, Par::Seq);
}

/// `sum += a · bᵀ`.
fn add_product(sum: &mut [f32], a: Matrix, b: Matrix) {
    let sum = MatMut::from_row_major_slice_mut(sum, a.1, b.1);
    matmul(sum, Accum::Add, view(a), view(b).transpose(), 1.0, Par::Seq);
}
