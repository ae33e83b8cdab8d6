//! Encoders of BERT's kind as families: one table for each, and the classes that transformers makes of them.

mod body;
mod table;
mod tower;

pub(super) use body::{
    INPUTS, attention, body, embedded, feed, layer, layer_around, layers_of, linear, norm, parameter, stack,
};
pub(super) use table::{Active, Body, Encoder, Feed, Model, Padding, Positions, Projection, Tower, Width, Words};
pub(super) use tower::{classifier, embedding, first_token, outputs, words};

use super::config::Reader;
use super::dialect::Dialect;
use super::model::{Class, Family, Inputs, Outputs};
use super::{head, initial};
use crate::error::Result;
use crate::graph::{Builder, NodeId, Nonlinearity, ParameterId};
use crate::init::Scheme;
use crate::tensor::Role;

impl Family for Encoder {
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
        if self.types.is_none() { &INPUTS[..2] } else { INPUTS }
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
        let model = Model::read(self, config)?;
        let since = at.parameters().len();
        let outputs = match class {
            Class::Bare => bare(&model, inputs, at)?,
            Class::OfConfig => of_config(&model, inputs, at)?,
        };
        (self.initialise)(&model, since, at)?;
        Ok(outputs)
    }
}

/// The body with all its results named, `layer.{i}` among them, and a pooler where its result will be used.
fn bare(model: &Model, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let body = (model.of.body)(model, inputs, at)?;
    let mut outputs = vec![("hidden".to_string(), body.hidden)];
    if inputs.wants("pooled") {
        outputs.extend(pooler(model, body.hidden, at)?.map(|pooled| ("pooled".to_string(), pooled)));
    }
    outputs.extend(body.layers.iter().enumerate().map(|(i, node)| (format!("layer.{i}"), *node)));
    Ok(outputs)
}

/// The class that the config names: the body, below its prefix where it has a head, and the head.
fn of_config(model: &Model, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let head = head::of(model.config, model.of.architectures)?;
    let tower = tower::of(model, head)?;
    let prefix = if tower.is_some() { model.of.base_prefix } else { "" };
    let (body, pooled) = at.under(prefix, |at| {
        let body = (model.of.body)(model, inputs, at)?;
        let pools = tower.is_none_or(Tower::pools);
        let pooled = if pools { pooler(model, body.hidden, at)? } else { None };
        Ok((body, pooled))
    })?;
    let mut outputs = vec![("hidden".to_string(), body.hidden)];
    outputs.extend(pooled.map(|pooled| ("pooled".to_string(), pooled)));
    if let Some(tower) = tower {
        outputs.extend(at.head(|at| tower::logits(tower, model, head, (&body, pooled), at))?);
    }
    Ok(outputs)
}

/// The pooled text, where the family has a pooler.
fn pooler(model: &Model, hidden: NodeId, at: &mut Builder) -> Result<Option<NodeId>> {
    let pooled = |name| first_token(name, model.hidden, Nonlinearity::Tanh, hidden, at);
    model.of.pooler.map(pooled).transpose()
}

/// Normal matrices and embeddings, norms 1, biases 0.
pub(super) fn initialise(model: &Model, since: ParameterId, at: &mut Builder) -> Result<()> {
    initial::base(model.of.name, model.range, since, at);
    Ok(())
}

/// Like `initialise`, with normal tables of distances.
pub(super) fn initialise_tables_too(model: &Model, since: ParameterId, at: &mut Builder) -> Result<()> {
    let std = initial::deviation(model.range);
    let by = format!("{}: initializer_range {std}", model.of.name);
    at.init_rule(since, Scheme::Normal { mean: 0.0, std }, &by, |parameter| parameter.role == Role::Token);
    initialise(model, since, at)
}
