//! The binary: parse, call one library function, print, exit.
fn main() {}
