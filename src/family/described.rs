//! A family that is told by its data and one function.

use super::config::Reader;
use super::{Class, Dialect, Family, Inputs, Outputs};
use crate::error::Result;
use crate::graph::Builder;

/// A family whose answers are constants.
pub struct Described {
    pub(super) name: &'static str,
    pub(super) model_types: &'static [&'static str],
    pub(super) architectures: &'static [&'static str],
    pub(super) inputs: &'static [&'static str],
    pub(super) base_prefix: &'static str,
    pub(super) markers: &'static [&'static str],
    pub(super) dialects: &'static [Dialect],
    pub(super) build: fn(Reader, &Inputs, &Class, &mut Builder) -> Result<Outputs>,
}

impl Family for Described {
    fn name(&self) -> &'static str {
        self.name
    }
    fn model_types(&self) -> &'static [&'static str] {
        self.model_types
    }
    fn architectures(&self) -> &'static [&'static str] {
        self.architectures
    }
    fn inputs(&self) -> &'static [&'static str] {
        self.inputs
    }
    fn base_prefix(&self) -> &'static str {
        self.base_prefix
    }
    fn markers(&self) -> &'static [&'static str] {
        self.markers
    }
    fn dialects(&self) -> &'static [Dialect] {
        self.dialects
    }
    fn declare(&self, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
        (self.build)(config, inputs, class, at)
    }
}
