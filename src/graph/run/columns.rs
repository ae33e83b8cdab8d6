//! Windows of an image as columns of a matrix, and back. A row is one element of the kernel, a column one place of the window.

use std::ops::Range;

use super::geometry::Geometry;

/// One stretch of neighbouring places along the last axis.
struct Stretch {
    example: usize,
    /// The place along the first two axes.
    outer: [usize; 2],
    /// The first place along the last axis.
    first: usize,
    /// The first of its columns, counted from the tile's.
    column: usize,
    length: usize,
}

fn stretches(geometry: &Geometry, columns: &Range<usize>, mut each: impl FnMut(&Stretch)) {
    let [_, middle, last] = geometry.result;
    let mut column = columns.start;
    while column < columns.end {
        let (row, first) = (column / last, column % last);
        let length = (last - first).min(columns.end - column);
        let (plane, along) = (row / middle, row % middle);
        let outer = [plane % geometry.result[0], along];
        each(&Stretch { example: plane / geometry.result[0], outer, first, column: column - columns.start, length });
        column += length;
    }
}

/// Where an element of the kernel lies for a place of the window, along one axis; `None` in the padding.
fn position(geometry: &Geometry, axis: usize, place: usize, tap: usize) -> Option<usize> {
    let at = place * geometry.stride[axis] + tap * geometry.dilation[axis];
    at.checked_sub(geometry.padding[axis]).filter(|at| *at < geometry.size[axis])
}

/// The elements of a stretch that lie within the image: the first and the one behind the last, and where the first lies.
fn inside(geometry: &Geometry, stretch: &Stretch, tap: usize) -> (usize, usize, usize) {
    let (stride, padding, size) = (geometry.stride[2], geometry.padding[2], geometry.size[2]);
    let offset = tap * geometry.dilation[2];
    let at = |index: usize| (stretch.first + index) * stride + offset;
    let low = padding.saturating_sub(at(0)).div_ceil(stride).min(stretch.length);
    let end = (size + padding).saturating_sub(at(0)).div_ceil(stride).min(stretch.length).max(low);
    (low, end, if low < end { at(low) - padding } else { 0 })
}

/// Calls `each` for every row of columns of every stretch: the columns of the row that lie inside the image, where the first of them
/// lies in the examples, and the columns of the whole stretch.
fn each_row(
    geometry: &Geometry,
    group: usize,
    columns: &Range<usize>,
    mut each: impl FnMut(Range<usize>, Option<(Range<usize>, usize)>),
) {
    let width = columns.len();
    let [depth, height, across] = geometry.kernel;
    stretches(geometry, columns, |stretch| {
        let mut row = 0;
        for input in 0..geometry.inputs {
            let channel = (stretch.example * geometry.groups + group) * geometry.inputs + input;
            for plane in 0..depth {
                let plane = position(geometry, 0, stretch.outer[0], plane);
                for line in 0..height {
                    let line = position(geometry, 1, stretch.outer[1], line);
                    for tap in 0..across {
                        let whole = row * width + stretch.column..row * width + stretch.column + stretch.length;
                        let found = match (plane, line) {
                            (Some(plane), Some(line)) => {
                                let (low, end, at) = inside(geometry, stretch, tap);
                                let line = (plane * geometry.size[1] + line) * geometry.size[2];
                                let start = channel * geometry.area() + line + at;
                                (low < end).then(|| (whole.start + low..whole.start + end, start))
                            }
                            (None, _) | (_, None) => None,
                        };
                        each(whole, found);
                        row += 1;
                    }
                }
            }
        }
    });
}

/// Columns of one group, `(inputs · kernel, columns)`; zeros in the padding.
pub(super) fn gather(geometry: &Geometry, examples: &[f32], group: usize, columns: Range<usize>, out: &mut [f32]) {
    let stride = geometry.stride[2];
    each_row(geometry, group, &columns, |whole, found| {
        let Some((inside, start)) = found else { return out[whole].fill(0.0) };
        out[whole.start..inside.start].fill(0.0);
        out[inside.end..whole.end].fill(0.0);
        let length = inside.len();
        match stride {
            1 => out[inside].copy_from_slice(&examples[start..start + length]),
            _ => {
                let values = examples[start..].iter().step_by(stride);
                out[inside].iter_mut().zip(values).for_each(|(out, value)| *out = *value);
            }
        }
    });
}

/// Adds the columns of one group to where they were gathered from.
pub(super) fn scatter(geometry: &Geometry, columns: &[f32], group: usize, range: Range<usize>, examples: &mut [f32]) {
    let stride = geometry.stride[2];
    each_row(geometry, group, &range, |_, found| {
        let Some((inside, start)) = found else { return };
        let values = examples[start..].iter_mut().step_by(stride);
        values.zip(&columns[inside]).for_each(|(value, column)| *value += column);
    });
}
