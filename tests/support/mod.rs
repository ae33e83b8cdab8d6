//! What several test programs share.
#![allow(dead_code, reason = "no single program uses all of it")]

pub mod command;
pub mod hub;
