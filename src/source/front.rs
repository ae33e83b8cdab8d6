//! A file of the Hub of which only the front is fetched, as far as it is read: headers say what a checkpoint holds, and weights are large.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::bytes::Bytes;
use super::hub::Snapshot;
use super::local::{LocalFile, end};
use super::together;
use crate::error::Result;
use crate::handles::transfers;
use crate::progress::{Progress, Silent};
use crate::source::error::SourceError;
use crate::threads::on_all;

/// Files up to here are fetched whole: that takes no more requests.
const SMALL: u64 = 1 << 20;
/// Files that are asked for at once.
const AT_ONCE: usize = 8;
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

/// Opens files of which perhaps only the fronts are read; several are asked for at once, as a model of many shards would take minutes
/// otherwise. A file is fetched where it is small, where its length is not known, and where the server gives no parts.
pub(super) fn open(snapshot: &Arc<Snapshot>, names: &[String], progress: &dyn Progress) -> Result<Vec<Arc<dyn Bytes>>> {
    let asked: Vec<Mutex<Option<Result<Local>>>> = names.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    on_all(transfers(AT_ONCE.min(names.len())), || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let (Some(name), Some(slot)) = (names.get(place), asked.get(place)) else { return };
            let found = find(snapshot, name, progress);
            if found.is_err() {
                next.fetch_max(names.len(), Ordering::Relaxed);
            }
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
    });
    let found = |asked: Mutex<Option<Result<Local>>>| asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<Local> =
        asked.into_iter().map(|asked| Ok(found(asked).transpose()?.flatten())).collect::<Result<_>>()?;
    let missing = names.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(name, _)| name.clone());
    together::fetch(snapshot, &missing.collect::<Vec<_>>(), progress)?;
    let open = |(name, found): (&String, Local)| match found {
        Some(file) => Ok(file),
        None => Ok(Arc::new(snapshot.file(name, progress)?) as Arc<dyn Bytes>),
    };
    names.iter().zip(found).map(open).collect()
}

/// A file that need not be fetched.
type Local = Option<Arc<dyn Bytes>>;

fn find(snapshot: &Arc<Snapshot>, name: &str, progress: &dyn Progress) -> Result<Local> {
    if let Some(file) = snapshot.cached(name)? {
        return Ok(Some(Arc::new(file)));
    }
    let full = snapshot.full(name);
    match snapshot.length(&full) {
        Some(length) if length > SMALL => {
            Ok(Front::of(snapshot, name, full, progress)?.map(|front| Arc::new(front) as _))
        }
        Some(_) | None => Ok(None),
    }
}

impl Front {
    /// Asks for the first bytes.
    fn of(snapshot: &Arc<Snapshot>, name: &str, full: String, progress: &dyn Progress) -> Result<Option<Front>> {
        let download = snapshot.download(&full, progress)?;
        let announced = download.announced()?;
        let Some(len) = announced.bytes else { return Ok(None) };
        let start = match download.between(0, FIRST.min(len), len) {
            // a server that refuses parts may still give the file, or say what is wrong
            Err(error) if matches!(error.downcast_ref(), Some(SourceError::Status { .. })) => None,
            other => other?,
        };
        let Some(start) = start else { return Ok(None) };
        snapshot.announce(full, announced.etag);
        let (snapshot, name) = (snapshot.clone(), name.to_string());
        Ok(Some(Front { snapshot, name, len, start: Mutex::new(start), whole: OnceLock::new() }))
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
            if let Some(offset) = found.iter().zip(start.iter()).position(|(found, start)| found != start) {
                return Err(SourceError::OtherFront { file: self.name.clone(), offset }.into());
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
        if let Some(bytes) = &bytes {
            start.extend_from_slice(bytes);
        }
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
        let end = end(self, offset, out.len())?;
        if let Some(file) = self.whole()? {
            return file.read_at(offset, out);
        }
        if self.read_front(offset, end, out)? {
            return Ok(());
        }
        self.snapshot.file(&self.name, &Silent)?.read_at(offset, out)?;
        // what was decided from the front must be true of the file
        self.whole().map(drop)
    }
}
