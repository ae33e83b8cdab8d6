//! Progress on stderr: a bar on a terminal, otherwise one plain line about every ten seconds; and the signals that stop a job.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use xfer::error::{Error, Interrupted, Result};
use xfer::progress::Progress;
use xfer::text::escaped;

use super::output::{Silent, talk};

const SPARSE: Duration = Duration::from_secs(10);
/// How often the process looks for a signal.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a job has to end itself after a signal.
const GRACE: Duration = Duration::from_millis(600);

/// The number of the signal that asked the process to stop; 0 for none.
#[derive(Clone)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Catches Ctrl-C and SIGTERM. The second of them kills at once, as without a handler.
    pub fn install() -> Result<Signals> {
        // beyond `ulimit -f` a write then fails as any other, in place of the process
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
            .map_err(|e| Error::io("catch signals for", "this process", e))?;
        let seen = Arc::new(AtomicUsize::new(0));
        let twice = Arc::new(std::sync::atomic::AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let number = usize::try_from(signal).unwrap_or(0);
            signal_hook::flag::register_conditional_default(signal, twice.clone())
                .and_then(|_| signal_hook::flag::register(signal, twice.clone()))
                .and_then(|_| signal_hook::flag::register_usize(signal, seen.clone(), number))
                .map_err(|e| Error::io("catch signals for", "this process", e))?;
        }
        let signals = Signals(seen);
        signals.watch();
        Ok(signals)
    }

    /// Ends the process where a signal does not: in a computation, or while a server, a disk or a terminal keeps it waiting.
    fn watch(&self) {
        let signals = self.clone();
        let watch = move || {
            let error = loop {
                std::thread::sleep(GLANCE);
                if let Err(error) = signals.check() {
                    break error;
                }
            };
            std::thread::sleep(GRACE);
            xfer::unfinished::remove_all();
            talk(&format!("error: {error}"));
            signal_hook::low_level::exit(i32::from(error.exit() as u8));
        };
        // a system that starts no more threads has the orderly end
        let _ = std::thread::Builder::new().stack_size(128 << 10).spawn(watch);
    }

    /// What a command came to: after a signal an error is an interruption, whatever the threads made of it.
    pub fn judge(&self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        match (result, self.check()) {
            (Err(error), Err(interrupted)) if !error.is::<Silent>() => Err(interrupted.into()),
            (result, _) => result,
        }
    }

    fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            number => Err(Interrupted(i32::try_from(number).unwrap_or(2)).into()),
        }
    }
}

/// Where progress is shown.
enum Display {
    /// `-q`.
    Nowhere,
    /// A terminal.
    Bar(ProgressBar),
    /// A log.
    Lines(Mutex<Phase>),
}

struct Phase {
    name: String,
    total: Option<u64>,
    done: u64,
    last_line: Instant,
}

/// The progress of one command.
pub struct Shown {
    display: Display,
    signals: Signals,
}

impl Shown {
    /// A bar on a terminal, sparse lines elsewhere, nothing with `quiet`.
    pub fn new(signals: &Signals, quiet: bool) -> Shown {
        let display = if quiet {
            Display::Nowhere
        } else if std::io::stderr().is_terminal() {
            Display::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)))
        } else {
            let phase = Phase { name: String::new(), total: None, done: 0, last_line: Instant::now() };
            Display::Lines(Mutex::new(phase))
        };
        Shown { display, signals: signals.clone() }
    }
}

impl Progress for Shown {
    fn start(&self, phase: &str, total: Option<u64>) {
        match &self.display {
            Display::Nowhere => {}
            Display::Bar(bar) => {
                bar.reset();
                let style = match total {
                    Some(total) => {
                        bar.set_length(total);
                        "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}"
                    }
                    None => "{msg} {spinner} {bytes} {bytes_per_sec}",
                };
                bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_message(escaped(phase).into_owned());
            }
            Display::Lines(state) => {
                if let Ok(mut state) = state.lock() {
                    *state = Phase { name: phase.to_string(), total, done: 0, last_line: Instant::now() };
                }
            }
        }
    }

    fn advance(&self, bytes: u64) {
        match &self.display {
            Display::Nowhere => {}
            Display::Bar(bar) => bar.inc(bytes),
            Display::Lines(state) => {
                let Ok(mut state) = state.lock() else { return };
                state.done = state.done.saturating_add(bytes);
                if state.last_line.elapsed() >= SPARSE {
                    state.last_line = Instant::now();
                    talk(&line(&state));
                }
            }
        }
    }

    fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }

    fn warn(&self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| talk(&format!("warning: {text}"))),
            Display::Nowhere | Display::Lines(_) => talk(&format!("warning: {text}")),
        }
    }

    fn interrupted(&self) -> Result<()> {
        self.signals.check()
    }
}

fn line(phase: &Phase) -> String {
    let megabytes = |bytes: u64| bytes / 1_000_000;
    match phase.total {
        Some(total) if total > 0 => {
            let percent = u128::from(phase.done) * 100 / u128::from(total);
            format!("{}: {} of {} MB ({percent} %)", phase.name, megabytes(phase.done), megabytes(total))
        }
        _ => format!("{}: {} MB", phase.name, megabytes(phase.done)),
    }
}
