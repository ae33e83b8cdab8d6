//! Any text as an architecture file: layers, a listing, or a config.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xfer::arch::{self, Flags};
use xfer::progress::Silent;
use xfer::source::Access;

fuzz_target!(|text: &str| {
    let path = std::env::temp_dir().join(format!("xfer-fuzz-{}.json", std::process::id()));
    if std::fs::write(&path, text).is_ok() {
        // nothing is fetched
        let access = Access {
            endpoint: String::new(),
            token: None,
            cache: Default::default(),
            offline: true,
            revision: None,
            certificates: None,
            patience: Default::default(),
        };
        let _ = arch::open(&path.to_string_lossy(), &Flags::default(), &access, &Silent);
    }
});
