//! Families, held to the reference library: what it wrote lies in the folders of `FOLDERS`, and these tests are the language to ask it in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::*;
use crate::error::{Error, Result};
use crate::graph::{Builder, Graph, Parameter, run};
use crate::tensor::Shape;

mod bert;
mod configs;
mod keys;
mod laws;
mod recognise;
mod runs;

/// The folders of fixtures with the state dicts and runs of families.
const FOLDERS: &[&str] = &["bert", "gpt2", "llama", "families"];

type Arrays = BTreeMap<String, Tensor>;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn arrays(path: &Path) -> Arrays {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn config(value: Value) -> Config {
    Config(value.as_object().expect("a config is an object").clone())
}

fn family_of(config: &Config) -> &'static dyn Family {
    by_model_type(config.0["model_type"].as_str().unwrap()).unwrap()
}

/// The class that a config names first, for messages.
fn class_of(config: &Config) -> String {
    config.class().unwrap_or("a config without a class").to_string()
}

fn try_build(config: &Config) -> Result<(Vec<Parameter>, Graph)> {
    let mut builder = Builder::new();
    let outputs = family_of(config).build(config, &Inputs::default(), &Class::OfConfig, &mut builder)?;
    builder.finish(outputs)
}

fn built(config: &Config) -> (Vec<Parameter>, Graph) {
    try_build(config).unwrap_or_else(|error| panic!("{}: {error}", class_of(config)))
}

fn refusal(config: &Config) -> Error {
    try_build(config).map(|_| ()).expect_err("it was built")
}

/// A class of the reference library: its config, and the tensors of its `state_dict`.
struct Case {
    folder: &'static str,
    config: Config,
    tensors: Vec<(String, Shape)>,
    /// Names of tied tensors and their owners.
    tied: BTreeMap<String, String>,
}

fn cases() -> Vec<Case> {
    let sizes = |shape: &Value| shape.as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).collect();
    let of = |folder: &'static str| {
        let file = json_of(&fixtures().join(folder).join("state_dict.json"));
        let case = move |case: &Value| Case {
            folder,
            config: config(case["config"].clone()),
            tensors: case["tensors"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, shape)| (name.clone(), sizes(shape)))
                .collect(),
            tied: serde_json::from_value(case["tied"].clone()).unwrap(),
        };
        file["cases"].as_array().unwrap().iter().map(case).collect::<Vec<_>>()
    };
    FOLDERS.iter().copied().flat_map(of).collect()
}

/// A checkpoint of the reference library, with inputs and what it computed of them.
struct Run {
    folder: &'static str,
    config: Config,
    weights: Arrays,
    reference: Arrays,
}

fn runs() -> Vec<Run> {
    let of = |folder: &'static str| {
        let path = fixtures().join(folder);
        let runs = json_of(&path.join("runs.json"));
        let open = |run: &Value| Run {
            folder,
            config: config(run["config"].clone()),
            weights: arrays(&path.join(run["weights"].as_str().unwrap())),
            reference: arrays(&path.join(run["reference"].as_str().unwrap())),
        };
        runs.as_array().unwrap().iter().map(open).collect::<Vec<_>>()
    };
    FOLDERS.iter().copied().flat_map(of).collect()
}

fn outputs(config: &Config, weights: &Arrays, batch: &Arrays) -> Result<Arrays> {
    let (parameters, graph) = built(config);
    run(&graph, &parameters, &|parameter| Ok(weights[parameter.name.as_str()].clone()), batch, None)
}

/// The largest difference where the mask has a token; what padding gives means nothing. A NaN differs from everything (and candle's
/// `max_all` would pass over it).
fn difference(found: &Tensor, expected: &Tensor, mask: Option<&Tensor>) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let far = (found - expected).unwrap().abs().unwrap();
    let mask = mask.filter(|mask| far.rank() >= 2 && far.dims()[..2] == *mask.dims());
    let kept = match mask {
        Some(mask) => mask.flatten_all().unwrap().to_vec1::<i64>().unwrap(),
        None => vec![1; far.elem_count()],
    };
    let far = far.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let each = far.len() / kept.len();
    let counted = far.iter().enumerate().filter(|(i, _)| kept[i / each] != 0);
    counted.fold(0.0, |most, (_, far)| if far.is_nan() { f32::INFINITY } else { far.max(most) })
}
