//! Keys of a config that other software reads beside those of transformers 5: `torch_dtype`, `rope_theta`, `rope_scaling`, `n_ctx`.

use serde_json::{Map, Value as Json};

use crate::family::{self, Config, Known};

/// States each of them where the family of the config reads both keys and the config has only that of transformers 5.
pub(crate) fn state(config: &mut Map<String, Json>) {
    let Some(family) = config.get("model_type").and_then(Json::as_str).and_then(family::by_model_type) else { return };
    let known = Known::of(family, &Config(config.clone()));
    let rope = config.get("rope_parameters").and_then(Json::as_object).cloned().unwrap_or_default();
    let stated = [
        ("torch_dtype", config.get("dtype").cloned()),
        ("rope_theta", rope.get("rope_theta").cloned()),
        ("rotary_emb_base", rope.get("rope_theta").cloned()),
        ("rotary_pct", rope.get("partial_rotary_factor").cloned()),
        ("rope_scaling", scaling(&rope)),
        ("n_ctx", config.get("n_positions").cloned()),
    ];
    for (key, value) in stated {
        let is_read = match key {
            "torch_dtype" => true,
            // the older name of what is asked for under the newer one
            "n_ctx" => known.asks("n_positions"),
            key => known.asks(key),
        };
        if let Some(value) = value.filter(|value| !value.is_null() && is_read && !config.contains_key(key)) {
            config.insert(key.into(), value);
        }
    }
}

/// The scaling of a rotary embedding as it stood beside `rope_theta`, where there is any.
fn scaling(rope: &Map<String, Json>) -> Option<Json> {
    let kind = rope.get("rope_type").and_then(Json::as_str).filter(|kind| *kind != "default")?;
    let mut scaling = rope.clone();
    scaling.shift_remove("rope_theta");
    scaling.shift_remove("partial_rotary_factor");
    scaling.insert("rope_type".into(), kind.into());
    Some(scaling.into())
}
