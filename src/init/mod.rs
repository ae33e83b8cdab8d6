//! Initialisation: schemes as written, the formulas and fans that resolve them, and the generator whose bits are final.
//! Knows no file and no model; `plan` resolves `auto`, which needs to see what follows a layer.
//!
//! Nothing here calls the standard library's transcendental functions or a fused multiply-add (`clippy.toml` forbids them): the bits
//! of every scheme but `orthogonal` are those of any processor, instruction set and optimisation level.

mod arguments;
mod computed;
mod dirac;
mod draws;
mod elementary;
pub(crate) mod error;
mod fans;
mod fill;
mod formula;
mod generator;
mod moments;
mod nonlinearity;
mod orthogonal;
mod philox;
mod scheme;
mod sinusoids;
mod sparse;
mod spec;
mod spelling;
#[cfg(test)]
mod tests;
mod truncated;

pub(crate) use computed::Computed;
pub(crate) use fans::Fans;
pub(crate) use formula::{Cut, CutUnit, Formula, Gain, LayerFacts, Resolved};
pub use generator::Generator;
pub(crate) use nonlinearity::Nonlinearity;
pub use scheme::Scheme;
pub(crate) use spec::SchemeSpec;
pub(crate) use spelling::NAMES;
