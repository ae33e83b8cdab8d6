//! What a source states about how its weights were quantised: in its config, in a file beside it, in its header, or by a tensor that is
//! a mark.

use serde_json::{Map, Value as Json};

use crate::checkpoint::Listing;

/// A method of quantisation that a source states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announcement {
    /// The method, as its library calls itself.
    pub method: String,
    /// Bits of a weight, where they are stated.
    pub bits: Option<u64>,
    /// Rows and columns of a block, as often as they are stated.
    pub blocks: Vec<[u64; 2]>,
    /// Whether weights are whole numbers of 8 bits times a scale, where there is one next to them.
    pub is_product: bool,
}

/// The methods whose 8-bit weights are a number each, which a scale multiplies.
const PRODUCTS: &[&str] = &[
    "fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "quark", "bitsandbytes", "quanto", "torchao", "comfy",
    "ptpc_fp8", "blockwise_int8",
];

/// The keys of a config below which a quantisation is stated.
const KEYS: &[&str] = &["quantization_config", "compression_config", "quantization"];

impl Announcement {
    /// The first that a source makes.
    pub(crate) fn of(listing: &Listing) -> Option<Announcement> {
        let in_config = || listing.config.as_deref().and_then(object).and_then(|config| of_config(&config));
        let in_files = || listing.quantization.iter().find_map(|(name, text)| of_file(name, &object(text)?));
        let has_mark = || {
            let is_key = |(key, _): &(String, String)| key == "_quantization_metadata";
            let is_mark = |name: &str| name.ends_with("scaled_fp8") || name.ends_with(".comfy_quant");
            listing.metadata.iter().any(is_key) || listing.tensors.iter().any(|tensor| is_mark(&tensor.name))
        };
        in_config().or_else(in_files).or_else(|| has_mark().then(|| Announcement::called("comfy")))
    }

    /// Takes every statement of a quantisation out of a config; whether there was one.
    pub(crate) fn remove(config: &mut Map<String, Json>) -> bool {
        let mut removed = false;
        for key in KEYS {
            if config.get(*key).is_some_and(Json::is_object) {
                config.shift_remove(*key);
                removed = true;
            }
        }
        let parts = config.iter_mut().filter(|(key, _)| key.ends_with("_config"));
        for part in parts.filter_map(|(_, part)| part.as_object_mut()) {
            removed |= Announcement::remove(part);
        }
        removed
    }

    fn called(method: &str) -> Announcement {
        let is_product = PRODUCTS.contains(&method);
        Announcement { method: method.into(), bits: None, blocks: Vec::new(), is_product }
    }

    fn read(method: &str, stated: &Map<String, Json>) -> Announcement {
        let mut blocks = Vec::new();
        collect_blocks(stated, &mut blocks, DEEPEST);
        let bits = bits(stated, DEEPEST).or_else(|| codebook_bits(stated)).or_else(|| first_number(method));
        let four = stated.get("load_in_4bit").and_then(Json::as_bool) == Some(true);
        let kind = stated.get("bnb_4bit_quant_type").and_then(Json::as_str).filter(|_| four);
        let shown = kind.map_or(method.to_string(), |kind| format!("{method} {kind}"));
        Announcement { method: shown, bits, blocks, ..Announcement::called(method) }
    }
}

/// How deep into a config a statement is looked for.
const DEEPEST: usize = 4;

fn object(text: &str) -> Option<Map<String, Json>> {
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

/// At the top of a config, else in the config of one of its parts (`text_config`).
fn of_config(config: &Map<String, Json>) -> Option<Announcement> {
    let own = |config: &Map<String, Json>| {
        KEYS.iter().find_map(|key| {
            let stated = config.get(*key)?.as_object()?;
            let by_key = match *key {
                "compression_config" => "compressed-tensors",
                "quantization" => "mlx",
                _ if stated.keys().any(|key| key.starts_with("load_in_")) => "bitsandbytes",
                _ => "an unnamed method",
            };
            let method = stated.get("quant_method").and_then(Json::as_str).unwrap_or(by_key);
            Some(Announcement::read(method, stated))
        })
    };
    let nested = || config.iter().filter(|(key, _)| key.ends_with("_config")).filter_map(|(_, part)| part.as_object());
    own(config).or_else(|| nested().find_map(own))
}

fn of_file(name: &str, stated: &Map<String, Json>) -> Option<Announcement> {
    let by_file = match name {
        "hf_quant_config.json" => "modelopt",
        "quantize_config.json" => "gptq",
        "quant_config.json" => "awq",
        "quanto_qmap.json" => "quanto",
        _ => return None,
    };
    let method = stated.get("quant_method").and_then(Json::as_str).unwrap_or(by_file);
    Some(Announcement::read(method, stated))
}

/// The keys under which libraries state how many bits a weight has, as a number or as a word that has it in it (`W4A16`, `int8`).
const BITS: &[&str] =
    &["bits", "w_bit", "nbits", "num_bits", "weight_bits", "quant_algo", "weights", "weight", "quant_type"];

fn bits(stated: &Map<String, Json>, depth: usize) -> Option<u64> {
    let of = |value: &Json| match value {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => first_number(text),
        _ => None,
    };
    let own = BITS.iter().find_map(|key| stated.get(*key).and_then(of)).filter(|bits| (1..=16).contains(bits));
    let loaded = [("load_in_4bit", 4), ("load_in_8bit", 8)];
    let loaded = loaded.into_iter().find(|(key, _)| stated.get(*key).and_then(Json::as_bool) == Some(true));
    let below = || {
        let parts =
            stated.iter().filter(|(key, _)| !key.contains("activation")).filter_map(|(_, part)| part.as_object());
        parts.filter_map(|part| bits(part, depth.checked_sub(1)?)).min()
    };
    own.or_else(|| loaded.map(|(_, bits)| bits)).or_else(below)
}

/// AQLM states the bits of an index, how many there are, and how many weights share them.
fn codebook_bits(stated: &Map<String, Json>) -> Option<u64> {
    let number = |key: &str| stated.get(key).and_then(Json::as_u64);
    let all = number("nbits_per_codebook")?.checked_mul(number("num_codebooks")?)?;
    let shared = number("in_group_size")?.checked_mul(number("out_group_size").unwrap_or(1))?;
    (shared > 0).then(|| all.div_ceil(shared))
}

/// The first number in a word: 4 of `W4A16`, 8 of `int8`.
fn first_number(text: &str) -> Option<u64> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?;
    digits.parse().ok().filter(|bits| (1..=16).contains(bits))
}

/// Every size of a block or group that is stated.
fn collect_blocks(stated: &Map<String, Json>, blocks: &mut Vec<[u64; 2]>, depth: usize) {
    let mut add = |block: [u64; 2]| {
        if block.iter().all(|size| *size > 0) && !blocks.contains(&block) {
            blocks.push(block);
        }
    };
    for key in ["weight_block_size", "block_structure"] {
        if let Some([rows, columns]) = stated.get(key).and_then(Json::as_array).map(Vec::as_slice)
            && let (Some(rows), Some(columns)) = (rows.as_u64(), columns.as_u64())
        {
            add([rows, columns]);
        }
    }
    for key in ["group_size", "q_group_size"] {
        // a group along a row; ModelOpt states squares so too
        if let Some(size) = stated.get(key).and_then(Json::as_u64) {
            add([1, size]);
            add([size, size]);
        }
    }
    if depth > 0 {
        let parts =
            stated.iter().filter(|(key, _)| !key.contains("activation")).filter_map(|(_, part)| part.as_object());
        parts.for_each(|part| collect_blocks(part, blocks, depth - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: serde_json::Value) -> Option<(String, Option<u64>)> {
        let listing = Listing::new(
            crate::checkpoint::CheckpointFormat::Safetensors,
            Vec::new(),
            Vec::new(),
            Some(config.to_string()),
        );
        Announcement::of(&listing).map(|found| (found.method, found.bits))
    }

    #[test]
    fn every_library_states_its_method_and_bits_in_its_own_words() {
        use serde_json::json;
        let stated = |config: serde_json::Value| of(json!({ "quantization_config": config }));
        let is = |method: &str, bits: Option<u64>| Some((method.to_string(), bits));
        assert_eq!(stated(json!({ "quant_method": "gptq", "bits": 4, "group_size": 128 })), is("gptq", Some(4)));
        assert_eq!(stated(json!({ "quant_method": "awq", "w_bit": 4 })), is("awq", Some(4)));
        assert_eq!(stated(json!({ "load_in_8bit": true })), is("bitsandbytes", Some(8)));
        let nf4 = json!({ "quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4" });
        assert_eq!(stated(nf4), is("bitsandbytes nf4", Some(4)));
        assert_eq!(stated(json!({ "quant_method": "mxfp4" })), is("mxfp4", Some(4)));
        assert_eq!(stated(json!({ "quant_method": "eetq", "weights": "int8" })), is("eetq", Some(8)));
        let groups = json!({ "group_0": { "weights": { "num_bits": 4 }, "input_activations": { "num_bits": 8 } } });
        let packed = json!({ "quant_method": "compressed-tensors", "config_groups": groups });
        assert_eq!(stated(packed), is("compressed-tensors", Some(4)));
        let hqq = json!({ "quant_method": "hqq", "quant_config": { "weight_quant_params": { "nbits": 3 } } });
        assert_eq!(stated(hqq), is("hqq", Some(3)));
        let books = json!({ "quant_method": "aqlm", "nbits_per_codebook": 16, "num_codebooks": 1, "in_group_size": 8 });
        assert_eq!(stated(books), is("aqlm", Some(2)));
        assert_eq!(of(json!({ "quantization": { "group_size": 64, "bits": 6 } })), is("mlx", Some(6)));
        let nested = json!({ "text_config": { "quantization_config": { "quant_method": "gptq", "bits": 3 } } });
        assert_eq!(of(nested), is("gptq", Some(3)));
        assert_eq!(of(json!({ "compression_config": {} })), is("compressed-tensors", None));
        assert_eq!(of(json!({ "model_type": "llama" })), None);
    }
}
