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

pub use computed::Computed;
pub use fans::Fans;
pub use formula::{Cut, CutUnit, Distribution, Formula, Gain, LayerFacts, Mode, Resolved, Rule, Scaled};
pub use generator::Generator;
pub use nonlinearity::Nonlinearity;
pub use scheme::Scheme;
pub use spec::SchemeSpec;
pub use spelling::NAMES;
