//! A checkpoint whose config was completed: the same tensors beside another text.

use std::sync::Arc;

use super::{Extent, Listing, Reader};
use crate::error::Result;
use crate::tensor::Rows;

/// A reader with another config.
pub(crate) struct Restated {
    inner: Arc<dyn Reader>,
    listing: Listing,
}

impl Restated {
    /// This checkpoint with the text of another `config.json`.
    pub(crate) fn new(inner: Arc<dyn Reader>, config: String) -> Restated {
        let listing = Listing { config: Some(config), ..inner.listing().clone() };
        Restated { inner, listing }
    }
}

impl Reader for Restated {
    fn listing(&self) -> &Listing {
        &self.listing
    }
    fn extent(&self, tensor: usize) -> Option<Extent> {
        self.inner.extent(tensor)
    }
    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        self.inner.read(tensor, rows, out)
    }
    fn scratch(&self, tensor: usize) -> u64 {
        self.inner.scratch(tensor)
    }
}
