//! xfer moves pretrained weights into a new architecture, every tensor accounted for.
//!
//! From the bottom up; a module uses only what stands above it here: `tensor`, `error`, `progress`, `source`, `checkpoint`,
//! `init` and `adapt`, `graph`, `family`, `arch`, `plan`, `save`, `transfer`, `batch`, `lsuv`, `report`, `job`, and the binary's `cli`.
#![deny(missing_docs)]

pub mod adapt;
pub mod arch;
pub(crate) mod batch;
pub mod check;
pub mod checkpoint;
pub mod compare;
mod digest;
pub mod error;
pub mod family;
pub mod graph;
mod handles;
pub(crate) mod hash;
pub mod init;
pub mod instructions;
pub mod job;
pub(crate) mod loss;
pub(crate) mod lsuv;
pub(crate) mod model;
pub(crate) mod model_types;
pub(crate) mod name;
pub mod plan;
pub mod progress;
mod ranges;
pub mod report;
pub mod save;
pub(crate) mod shape;
pub mod source;
pub mod tensor;
pub mod text;
mod threads;
pub mod transfer;
pub mod unfinished;
