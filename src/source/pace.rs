//! Whether a transfer goes on. A server that sends a byte now and then never lets a read time out, and never comes to an end.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::access::Patience;
use crate::error::Result;
use crate::progress::Progress;

/// What a transfer brings in a second at least.
const LEAST: u64 = 1024;

/// The bytes of a transfer, and the time that they take.
pub(super) struct Pace {
    window: Duration,
    since: Instant,
    bytes: u64,
}

/// A transfer brought too little for too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slow {
    /// How many bytes.
    pub(super) bytes: u64,
    /// In how many seconds.
    pub(super) seconds: u64,
}

impl Pace {
    /// Measured over three times as long as a single read may take.
    pub(super) fn new(patience: &Patience) -> Pace {
        Pace { window: patience.read.saturating_mul(3), since: Instant::now(), bytes: 0 }
    }

    /// Counts bytes that arrived.
    pub(super) fn advance(&mut self, bytes: u64) -> std::result::Result<(), Slow> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.since.elapsed() < self.window {
            return Ok(());
        }
        let slow = Slow { bytes: self.bytes, seconds: self.since.elapsed().as_secs() };
        let least = self.window.as_secs().saturating_mul(LEAST);
        (self.since, self.bytes) = (Instant::now(), 0);
        if slow.bytes < least { Err(slow) } else { Ok(()) }
    }
}

/// Why a body was not read.
pub(super) enum Broken {
    Connection(io::Error),
    Slow(Slow),
}

/// Reads a body to its end, and `limit` bytes at most.
pub(super) fn read_whole(
    body: &mut dyn Read,
    limit: u64,
    patience: &Patience,
    progress: &dyn Progress,
) -> Result<std::result::Result<Vec<u8>, Broken>> {
    let (mut bytes, mut pace) = (Vec::new(), Pace::new(patience));
    let mut chunk = vec![0; 64 << 10];
    let mut body = body.take(limit);
    loop {
        progress.interrupted()?;
        match body.read(&mut chunk) {
            Ok(0) => return Ok(Ok(bytes)),
            Ok(count) => {
                bytes.extend_from_slice(&chunk[..count]);
                if let Err(slow) = pace.advance(count as u64) {
                    return Ok(Err(Broken::Slow(slow)));
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(Broken::Connection(error))),
        }
    }
}
