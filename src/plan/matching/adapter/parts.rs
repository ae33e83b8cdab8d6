//! The tensors of an adapter, module by module.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::plan::inputs::SourceView;
use crate::plan::matching::adapter::config::Config;
use crate::plan::matching::adapter::error::AdapterError;
use crate::plan::matching::adapter::key::{Key, Part};
use crate::plan::matching::adapter::merge::{Change, LowRank};
use crate::tensor::TensorInfo;

/// The tensors of an adapter by the module that they belong to.
#[derive(Default)]
pub(crate) struct Keys {
    pub modules: BTreeMap<String, Parts>,
    /// Whole tensors, by the name of what they replace.
    pub whole: BTreeMap<String, TensorInfo>,
    /// As above, below `modules_to_save`.
    saved: BTreeMap<String, TensorInfo>,
}

/// What an adapter has for one module.
#[derive(Default)]
pub(crate) struct Parts {
    /// The first factor, and whether it is an embedding's.
    pub down: Option<(TensorInfo, bool)>,
    up: Option<TensorInfo>,
    magnitude: Option<TensorInfo>,
    bias: Option<TensorInfo>,
    tokens: Option<TensorInfo>,
}

impl Keys {
    /// Sorts the tensors of an adapter; one that is not a part of it is an error.
    pub(crate) fn of(view: &SourceView) -> Result<Keys> {
        let mut keys = Keys::default();
        for info in &view.listing.tensors {
            let Key { module, part } = Key::parse(&info.name).map_err(|what| AdapterError::Unknown {
                name: view.name.clone(),
                tensor: info.name.to_string(),
                what,
            })?;
            let before = match part {
                Part::Whole => keys.whole.insert(module, info.clone()),
                // beside the same under its plain name, where embeddings were saved too
                Part::Saved => {
                    keys.saved.entry(module).or_insert_with(|| info.clone());
                    None
                }
                Part::Down { is_embedding } => {
                    let parts = keys.modules.entry(module).or_default();
                    parts.down.replace((info.clone(), is_embedding)).map(|(before, _)| before)
                }
                Part::Up => keys.modules.entry(module).or_default().up.replace(info.clone()),
                Part::Magnitude => keys.modules.entry(module).or_default().magnitude.replace(info.clone()),
                Part::UpBias => keys.modules.entry(module).or_default().bias.replace(info.clone()),
                Part::Tokens => keys.modules.entry(module).or_default().tokens.replace(info.clone()),
                Part::Ignored => None,
            };
            if let Some(before) = before {
                let (name, first, second) = (view.name.clone(), before.name.to_string(), info.name.to_string());
                return Err(AdapterError::Two { name, first, second }.into());
            }
        }
        for (name, info) in std::mem::take(&mut keys.saved) {
            keys.whole.entry(name).or_insert(info);
        }
        Ok(keys)
    }
}

impl Parts {
    /// Adds what these tensors do to the module; half a pair, or another rank than the config states, is an error.
    pub(crate) fn change(
        &self,
        module: &str,
        config: &Config,
        adapter: &str,
        changes: &mut BTreeMap<String, Change>,
    ) -> Result<()> {
        let lacks =
            |tensor: &TensorInfo, wanted: String| AdapterError::Half { tensor: tensor.name.to_string(), wanted };
        if let Some(tokens) = &self.tokens {
            let rows =
                config.tokens(module).ok_or_else(|| lacks(tokens, "trainable_token_indices in its config".into()))?;
            if rows.len() as u64 != tokens.rows() {
                let (name, tensor) = (adapter.to_string(), tokens.name.to_string());
                let (stated, found) = (rows.len() as u64, tokens.rows());
                return Err(AdapterError::Count { name, tensor, what: "trainable_token_indices", stated, found }.into());
            }
            changes.entry(format!("{module}.weight")).or_default().tokens = Some((rows, tokens.clone()));
        }
        let other = |info: &TensorInfo, from: &str, to: &str| info.name.replace(from, to);
        let (down, up, is_embedding) = match (&self.down, &self.up) {
            (Some((down, is_embedding)), Some(up)) => (down, up, *is_embedding),
            (Some((down, _)), None) => return Err(lacks(down, other(down, "_A", "_B")).into()),
            (None, Some(up)) => return Err(lacks(up, other(up, "_B", "_A")).into()),
            (None, None) => match self.magnitude.as_ref().or(self.bias.as_ref()) {
                Some(alone) => return Err(lacks(alone, format!("{module}.lora_A.weight")).into()),
                None => return Ok(()),
            },
        };
        let rank = config.rank(module)?;
        if down.rows() != rank {
            let (name, tensor, found) = (adapter.to_string(), down.name.to_string(), down.rows());
            return Err(AdapterError::Count { name, tensor, what: "the rank", stated: rank, found }.into());
        }
        let scale = config.scale(module, rank)?;
        match (&self.magnitude, config.use_dora) {
            (None, true) => return Err(lacks(down, format!("{module}.lora_magnitude_vector (use_dora)")).into()),
            (Some(magnitude), false) => {
                let (name, tensor) = (adapter.to_string(), magnitude.name.to_string());
                return Err(AdapterError::Unknown { name, tensor, what: "use_dora is not true in its config" }.into());
            }
            (Some(_), true) | (None, false) => {}
        }
        let low_rank =
            LowRank { down: down.clone(), up: up.clone(), scale, is_embedding, magnitude: self.magnitude.clone() };
        changes.entry(format!("{module}.weight")).or_default().low_rank = Some(low_rank);
        match (&self.bias, config.lora_bias) {
            (Some(bias), true) => {
                changes.entry(format!("{module}.bias")).or_default().added = Some((bias.clone(), scale))
            }
            (None, true) => return Err(lacks(up, format!("{module}.lora_B.bias (lora_bias)")).into()),
            (Some(bias), false) => {
                let (name, tensor) = (adapter.to_string(), bias.name.to_string());
                return Err(AdapterError::Unknown { name, tensor, what: "lora_bias is not true in its config" }.into());
            }
            (None, false) => {}
        }
        Ok(())
    }
}
