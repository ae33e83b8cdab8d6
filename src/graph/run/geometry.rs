//! The sizes of convolutions and pools.

/// Elements of a tile of columns: half a MiB, which the second cache holds.
const TILE: usize = 1 << 17;
/// Columns that are worth a product of their own.
const WIDE: usize = 256;

/// The sizes of a convolution; of fewer than three axes the first have size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub batch: usize,
    pub groups: usize,
    /// Channels of one group.
    pub inputs: usize,
    pub outputs: usize,
    pub size: [usize; 3],
    pub result: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub dilation: [usize; 3],
}

impl Geometry {
    /// Elements of one channel of the input.
    pub(crate) fn area(&self) -> usize {
        self.size.iter().product()
    }

    /// Elements of one channel of the result: columns of one example.
    pub(crate) fn steps(&self) -> usize {
        self.result.iter().product()
    }

    /// Elements of one kernel of one group: rows of a column.
    pub(crate) fn window(&self) -> usize {
        self.inputs * self.kernel.iter().product::<usize>()
    }

    pub(crate) fn example(&self) -> usize {
        self.groups * self.inputs * self.area()
    }

    pub(crate) fn result_example(&self) -> usize {
        self.groups * self.outputs * self.steps()
    }

    pub(crate) fn weights(&self) -> usize {
        self.groups * self.outputs * self.window()
    }

    /// Examples that one job takes, so that its products are wide enough.
    pub(crate) fn examples_a_job(&self) -> usize {
        WIDE.div_ceil(self.steps().max(1)).clamp(1, self.batch.max(1))
    }

    /// Columns of a tile.
    pub(crate) fn tile(&self) -> usize {
        (TILE / self.window().max(1)).max(64)
    }
}
