//! Haar-distributed orthogonal matrices (Saxe et al. 2014; Mezzadri 2007 for the signs), one thread for each matrix: faer's bits depend on
//! how many it is given.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::householder;
use faer::linalg::qr::no_pivoting::factor;
use faer::{Conj, MatMut, Par};

use super::draws::normal;
use super::generator::Generator;
use crate::error::Result;
use crate::init::error::InitError;

/// The rows and columns of a tensor flattened to `(axis 0, the others)`; a number that 64 bits cannot hold is their largest.
pub(super) fn flattened(shape: &[u64]) -> (u64, u64) {
    let columns = crate::tensor::elements(shape.get(1..).unwrap_or(&[])).unwrap_or(u64::MAX);
    (shape.first().copied().unwrap_or(1), columns)
}

/// Bytes that `fill` holds meanwhile: the orthogonal factor, its block coefficients, and the workspace.
pub(super) fn scratch(shape: &[u64]) -> u64 {
    let (rows, columns) = flattened(shape);
    let (long, short) = (rows.max(columns), rows.min(columns));
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let block = match long.checked_mul(short) {
        Some(1..) => factor::recommended_block_size::<f32>(size(long), size(short)) as u64,
        Some(0) => return 0,
        None => return u64::MAX,
    };
    // the matrix, one row of blocks for the coefficients and one for the workspace, with room for alignment
    long.saturating_mul(short)
        .saturating_add(block.saturating_mul(short).saturating_mul(2))
        .saturating_mul(4)
        .saturating_add(4096)
}

/// A whole matrix with orthonormal columns, or where there are fewer rows than columns orthonormal rows, times `gain`. The normal draws are taken
/// as the columns of the longer way up, one after the other.
pub(super) fn fill(generator: &Generator, gain: f64, shape: &[u64], first: u64, out: &mut [f32]) -> Result<()> {
    let (rows, columns) = flattened(shape);
    let (Ok(rows), Ok(columns)) = (usize::try_from(rows), usize::try_from(columns)) else {
        return Err(too_large(shape));
    };
    if out.is_empty() {
        return Ok(());
    }
    normal(generator, 0.0, 1.0, first, out);
    let (long, short) = (rows.max(columns), rows.min(columns));
    let block = factor::recommended_block_size::<f32>(long, short);
    let mut orthonormal = zeros(long.checked_mul(short), shape)?;
    let mut coefficients = zeros(block.checked_mul(short), shape)?;
    let requirement = factor::qr_in_place_scratch::<f32>(long, short, block, Par::Seq, Default::default())
        .or(apply_scratch(long, block, short));
    let mut memory = MemBuffer::try_new(requirement).map_err(|_| too_large(shape))?;
    let stack = MemStack::new(&mut memory);

    let mut matrix = MatMut::from_column_major_slice_mut(out, long, short);
    let mut factors = MatMut::from_column_major_slice_mut(&mut coefficients, block, short);
    factor::qr_in_place(matrix.as_mut(), factors.as_mut(), Par::Seq, stack, Default::default());
    for diagonal in orthonormal.iter_mut().step_by(long + 1) {
        *diagonal = 1.0;
    }
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        matrix.as_ref(),
        factors.as_ref(),
        Conj::No,
        MatMut::from_column_major_slice_mut(&mut orthonormal, long, short),
        Par::Seq,
        stack,
    );
    // the sign of R's diagonal makes the distribution uniform; a zero counts as positive, or it would wipe out its column
    let gain = gain as f32;
    let signs: Vec<f32> = out.iter().step_by(long + 1).map(|r| if *r < 0.0 { -gain } else { gain }).collect();
    let stands = rows >= columns;
    for (j, (column, sign)) in orthonormal.chunks_exact(long).zip(&signs).enumerate() {
        for (i, value) in column.iter().enumerate() {
            out[if stands { i * columns + j } else { j * long + i }] = value * sign;
        }
    }
    Ok(())
}

fn apply_scratch(long: usize, block: usize, short: usize) -> StackReq {
    householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<f32>(long, block, short)
}

fn zeros(length: Option<usize>, shape: &[u64]) -> Result<Vec<f32>> {
    let length = length.ok_or_else(|| too_large(shape))?;
    let mut values = Vec::new();
    values.try_reserve_exact(length).map_err(|_| too_large(shape))?;
    values.resize(length, 0.0);
    Ok(values)
}

fn too_large(shape: &[u64]) -> crate::error::Error {
    InitError::TooLarge { scheme: "orthogonal", shape: shape.into() }.into()
}
