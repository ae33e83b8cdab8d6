//! Whole commands, as a user runs them: one program, so that one link serves all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapters;
mod buffers;
mod check;
mod combine;
mod compare;
mod configs;
mod convert;
mod dialects;
mod diff;
mod hints;
mod hostile_names;
mod hub;
mod hub_lies;
mod hub_python;
mod init;
mod init_hub;
mod inspect;
mod interrupted;
mod kernels;
mod layers;
mod limits;
mod lsuv;
mod modules;
mod mounts;
mod pages;
mod parts;
mod published;
mod quantized;
mod readme;
mod real;
mod rules;
mod snapshots;
mod structure;
mod support;
mod torch;
mod up_to_date;
mod verify;
