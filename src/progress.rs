//! What a long job tells whoever started it, and the one thing it asks back: whether to stop.

use crate::error::Result;

/// Receives the progress of a job; the binary draws a bar or prints sparse lines, tests stay silent.
pub trait Progress: Sync {
    /// A phase begins (`fetch model.safetensors`, `write`); `total` is in bytes, where it is known.
    fn start(&self, phase: &str, total: Option<u64>);
    /// So many more bytes of the phase are done.
    fn advance(&self, bytes: u64);
    /// The phase is over.
    fn finish(&self);
    /// Something that the user should know although the job goes on.
    fn warn(&self, _text: &str) {}
    /// `Interrupted` once a signal has asked the process to stop; long loops ask between pieces of work.
    fn interrupted(&self) -> Result<()>;
}

/// Says nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _phase: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn interrupted(&self) -> Result<()> {
        Ok(())
    }
}

/// Says nothing, and passes on whether to stop: for a part of a phase that is shown as a whole.
pub(crate) struct Quiet<'a>(pub &'a dyn Progress);

impl Progress for Quiet<'_> {
    fn start(&self, _phase: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
    fn interrupted(&self) -> Result<()> {
        self.0.interrupted()
    }
}
