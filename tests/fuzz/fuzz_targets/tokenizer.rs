//! Any bytes as a tokenizer's vocabulary.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xfer::checkpoint::vocabulary::Vocabulary;

fuzz_target!(|data: &[u8]| {
    let _ = Vocabulary::read("tokenizer.json", data);
    let _ = Vocabulary::read("vocab.txt", data);
});
