//! A file of the Hub of which only the front is fetched, as far as it is read: headers say what a checkpoint holds, and weights are large.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Bytes;
use super::download::Download;
use super::hub::Snapshot;
use super::local::LocalFile;
use crate::error::{Result, SourceError};
use crate::progress::Silent;

/// Files up to here are fetched whole: that takes no more requests.
pub(super) const SMALL: u64 = 1 << 20;
/// What is asked for first, which holds most headers.
const FIRST: u64 = 128 << 10;
/// The longest front, which holds the longest header of safetensors; whoever reads beyond gets the file.
const LONGEST: u64 = 128 << 20;

/// The front of a file, and the file itself once the cache has it.
pub(super) struct Front {
    snapshot: Arc<Snapshot>,
    /// Below the folder of the snapshot.
    name: String,
    len: u64,
    start: Mutex<Vec<u8>>,
    whole: OnceLock<LocalFile>,
}

impl Front {
    /// Asks for the first bytes; `None` where the length is not known or the server gives no parts.
    pub(super) fn open(
        snapshot: Arc<Snapshot>,
        name: &str,
        download: &Download,
        length: Option<u64>,
    ) -> Result<Option<Front>> {
        let Some(len) = length else { return Ok(None) };
        let start = download.between(0, FIRST.min(len), len)?.map(Mutex::new);
        Ok(start.map(|start| Front { snapshot, name: name.to_string(), len, start, whole: OnceLock::new() }))
    }

    /// The file, where somebody has fetched it. Its bytes were checked, which those of the front could not be: where they differ, what
    /// was decided from the front is wrong.
    fn whole(&self) -> Result<Option<&LocalFile>> {
        if self.whole.get().is_none()
            && let Some(file) = self.snapshot.cached(&self.name)?
        {
            let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
            let mut found = vec![0; start.len()];
            file.read_at(0, &mut found)?;
            if found != *start {
                return Err(SourceError::OtherFront { file: self.name.clone() }.into());
            }
            let _ = self.whole.set(file);
        }
        Ok(self.whole.get())
    }

    /// Makes the front at least `end` long; false where the server gives no parts any more.
    fn extend(&self, start: &mut Vec<u8>, end: u64) -> Result<bool> {
        let full = self.snapshot.full(&self.name);
        let first = start.len() as u64;
        let end = end.max(first.saturating_mul(2)).min(self.len);
        let bytes = self.snapshot.download(&full, &Silent)?.between(first, end, self.len)?;
        start.extend(bytes.iter().flatten());
        Ok(bytes.is_some())
    }

    /// Fills `out` from the front, as long as that is made; false where the front does not do.
    fn read_front(&self, offset: u64, end: u64, out: &mut [u8]) -> Result<bool> {
        if end > LONGEST {
            return Ok(false);
        }
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        if end > start.len() as u64 && !self.extend(&mut start, end)? {
            return Ok(false);
        }
        let bytes = start.get(offset as usize..end as usize);
        bytes.into_iter().for_each(|bytes| out.copy_from_slice(bytes));
        Ok(bytes.is_some())
    }
}

impl Bytes for Front {
    fn len(&self) -> u64 {
        self.len
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let wanted = out.len() as u64;
        let Some(end) = offset.checked_add(wanted).filter(|end| *end <= self.len) else {
            return Err(SourceError::Short { file: self.name.clone(), offset, wanted, bytes: self.len }.into());
        };
        if let Some(file) = self.whole()? {
            return file.read_at(offset, out);
        }
        if self.read_front(offset, end, out)? {
            return Ok(());
        }
        self.snapshot.file(&self.name, &Silent)?;
        match self.whole()? {
            Some(file) => file.read_at(offset, out),
            None => Err(SourceError::Short { file: self.name.clone(), offset, wanted, bytes: 0 }.into()),
        }
    }
}
