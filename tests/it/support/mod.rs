//! What several test programs share.
#![allow(dead_code, reason = "no single program uses all of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod command;
pub mod hub;
pub mod modules;
