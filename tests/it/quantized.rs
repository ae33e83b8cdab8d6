//! Weights that stand for other numbers: dequantised, refused by the name of their method, or carried over whole.

use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value as Json, json};

use super::support::command::{Folder, contents, tensors};

const ROWS: usize = 6;
const COLUMNS: usize = 8;

/// A tensor that is stored: the ending of its name, type, shape, bytes.
struct Stored(&'static str, Dtype, Vec<usize>, Vec<u8>);

/// Bytes of `F8_E4M3` and their numbers.
const NUMBERS: [(u8, f32); 6] = [(0x38, 1.0), (0x40, 2.0), (0xB8, -1.0), (0x30, 0.5), (0x00, 0.0), (0x44, 3.0)];

fn float8() -> (Stored, Vec<f32>) {
    let all = (0..ROWS * COLUMNS).map(|at| NUMBERS[(at * 5 + at / 7) % NUMBERS.len()]);
    let (bytes, numbers) = all.unzip();
    (Stored(".weight", Dtype::F8_E4M3, vec![ROWS, COLUMNS], bytes), numbers)
}

fn int8(ending: &'static str) -> (Stored, Vec<f32>) {
    let all = (0..ROWS * COLUMNS).map(|at| ((at * 37) % 255) as u8 as i8).map(|code| (code as u8, f32::from(code)));
    let (bytes, numbers) = all.unzip();
    (Stored(ending, Dtype::I8, vec![ROWS, COLUMNS], bytes), numbers)
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// So many scales, all different.
fn scales(count: usize) -> Vec<f32> {
    (0..count).map(|at| 0.125 * (at + 1) as f32).collect()
}

/// Every number less the zero point of its block times its scale, with blocks of so many rows and columns.
fn times(numbers: &[f32], scales: &[f32], zeros: &[f32], (high, wide): (usize, usize)) -> Vec<f32> {
    let across = COLUMNS.div_ceil(wide);
    let place = |at: usize| at / COLUMNS / high * across + at % COLUMNS / wide;
    let zero = |at: usize| zeros.get(place(at)).copied().unwrap_or(0.0);
    numbers.iter().enumerate().map(|(at, number)| (number - zero(at)) * scales[place(at)]).collect()
}

/// A form of quantisation that is a product: how a module is stored, what the source states, the weights.
struct Product {
    name: &'static str,
    stored: Vec<Stored>,
    config: Json,
    file: Option<(&'static str, Json)>,
    expected: Vec<f32>,
}

fn products() -> Vec<Product> {
    let mut all = Vec::new();
    let mut add = |name, stored: Vec<Stored>, config: Json, file, expected| {
        all.push(Product { name, stored, config, file, expected });
    };
    let fp8 = |block: Json| json!({ "quantization_config": { "quant_method": "fp8", "weight_block_size": block } });
    let tensor = (ROWS, COLUMNS);
    for (name, shape) in [("scalar", vec![]), ("one", vec![1]), ("one of one", vec![1, 1])] {
        let (codes, numbers) = float8();
        let scale = Stored(".weight_scale", Dtype::F32, shape, f32_bytes(&[0.5]));
        let file = ("hf_quant_config.json", json!({ "quantization": { "quant_algo": "FP8" } }));
        add(name, vec![codes, scale], json!({}), Some(file), times(&numbers, &[0.5], &[], tensor));
    }
    for (name, shape, block) in [
        ("rows", vec![ROWS], (1, COLUMNS)),
        ("column of rows", vec![ROWS, 1], (1, COLUMNS)),
        ("columns", vec![1, COLUMNS], (ROWS, 1)),
    ] {
        let (codes, numbers) = float8();
        let values = scales(shape.iter().product());
        let scale = Stored(".weight_scale", Dtype::F32, shape, f32_bytes(&values));
        let config = json!({ "quantization_config": { "quant_method": "compressed-tensors" } });
        add(name, vec![codes, scale], config, None, times(&numbers, &values, &[], block));
    }
    // blocks that do not divide the weight, with exponents as scales
    let (codes, numbers) = float8();
    let exponents: Vec<u8> = (0..6).map(|at| 124 + at).collect();
    let values: Vec<f32> = exponents.iter().map(|exponent| f32::from_bits(u32::from(*exponent) << 23)).collect();
    let scale = Stored(".weight_scale_inv", Dtype::F8_E8M0, vec![2, 3], exponents);
    add("exponents", vec![codes, scale], fp8(json!([4, 3])), None, times(&numbers, &values, &[], (4, 3)));
    let (codes, numbers) = float8();
    let half: Vec<u8> = scales(4).iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect();
    let scale = Stored(".weight_scale_inv", Dtype::BF16, vec![2, 2], half);
    add("bf16 blocks", vec![codes, scale], fp8(json!([4, 4])), None, times(&numbers, &scales(4), &[], (4, 4)));
    let (codes, numbers) = float8();
    let scale = Stored(".scale_weight", Dtype::F32, vec![1], f32_bytes(&[0.25]));
    add("comfy", vec![codes, scale], json!({}), None, times(&numbers, &[0.25], &[], tensor));
    let (codes, numbers) = int8(".weight");
    let largest: Vec<f32> = scales(ROWS).iter().map(|scale| scale * 127.0).collect();
    let scale = Stored(".SCB", Dtype::F32, vec![ROWS], f32_bytes(&largest));
    let config = json!({ "quantization_config": { "quant_method": "bitsandbytes", "load_in_8bit": true } });
    let format = Stored(".weight_format", Dtype::U8, vec![], vec![0]);
    add("bitsandbytes", vec![codes, scale, format], config, None, times(&numbers, &scales(ROWS), &[], (1, COLUMNS)));
    let (codes, numbers) = int8(".weight");
    let zeros: Vec<i8> = (0..12).map(|at| at * 9 - 50).collect();
    let zero = Stored(".weight_zero_point", Dtype::I8, vec![ROWS, 2], zeros.iter().map(|zero| *zero as u8).collect());
    let zeros: Vec<f32> = zeros.into_iter().map(f32::from).collect();
    let scale = Stored(".weight_scale", Dtype::F32, vec![ROWS, 2], f32_bytes(&scales(12)));
    let groups = json!({ "g": { "weights": { "num_bits": 8, "strategy": "group", "group_size": 4 } } });
    let config = json!({ "quantization_config": { "quant_method": "compressed-tensors", "config_groups": groups } });
    add("zero points", vec![codes, scale, zero], config, None, times(&numbers, &scales(12), &zeros, (1, 4)));
    let (codes, numbers) = int8(".weight._data");
    let scale = Stored(".weight._scale", Dtype::F32, vec![ROWS, 1], f32_bytes(&scales(ROWS)));
    let file = ("quanto_qmap.json", json!({ "fc": { "weights": "qint8" } }));
    add("quanto", vec![codes, scale], json!({}), Some(file), times(&numbers, &scales(ROWS), &[], (1, COLUMNS)));
    all
}

/// A module of a method that is not a product: how it is stored, and what is stated where anything is.
fn others() -> Vec<(&'static str, Vec<Stored>, Json)> {
    let zeros = |ending, dtype: Dtype, shape: &[usize]| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        Stored(ending, dtype, shape.to_vec(), vec![0; bytes])
    };
    let gptq = || {
        vec![
            zeros(".qweight", Dtype::I32, &[1, ROWS]),
            zeros(".qzeros", Dtype::I32, &[1, 1]),
            zeros(".scales", Dtype::F16, &[1, ROWS]),
            zeros(".g_idx", Dtype::I32, &[COLUMNS]),
        ]
    };
    let stated = |config: Json| json!({ "quantization_config": config });
    vec![
        ("gptq, 4 bit", gptq(), stated(json!({ "quant_method": "gptq", "bits": 4 }))),
        ("gptq, 4 bit", gptq(), json!({})),
        ("auto-round, 3 bit", gptq(), stated(json!({ "quant_method": "auto-round", "bits": 3 }))),
        (
            "awq, 4 bit",
            vec![
                zeros(".qweight", Dtype::I32, &[COLUMNS, 1]),
                zeros(".qzeros", Dtype::I32, &[1, 1]),
                zeros(".scales", Dtype::F16, &[1, 8]),
            ],
            json!({}),
        ),
        (
            "bitsandbytes nf4, 4 bit",
            vec![
                zeros(".weight", Dtype::U8, &[ROWS * COLUMNS / 2, 1]),
                zeros(".weight.absmax", Dtype::F32, &[1]),
                zeros(".weight.quant_map", Dtype::F32, &[16]),
                zeros(".weight.quant_state.bitsandbytes__nf4", Dtype::U8, &[80]),
            ],
            json!({}),
        ),
        (
            "mlx, 4 bit",
            vec![
                zeros(".weight", Dtype::U32, &[ROWS, 1]),
                zeros(".scales", Dtype::F16, &[ROWS, 1]),
                zeros(".biases", Dtype::F16, &[ROWS, 1]),
            ],
            json!({ "quantization": { "group_size": 8, "bits": 4 } }),
        ),
        (
            "modelopt, 4 bit",
            vec![
                zeros(".weight", Dtype::U8, &[ROWS, COLUMNS / 2]),
                zeros(".weight_scale", Dtype::F8_E4M3, &[ROWS, 1]),
                zeros(".weight_scale_2", Dtype::F32, &[]),
            ],
            stated(json!({ "quant_method": "modelopt", "quant_algo": "NVFP4" })),
        ),
        (
            "compressed-tensors, 4 bit",
            vec![
                zeros(".weight_packed", Dtype::I32, &[ROWS, 1]),
                zeros(".weight_scale", Dtype::F16, &[ROWS, 1]),
                zeros(".weight_shape", Dtype::I64, &[2]),
            ],
            stated(
                json!({ "quant_method": "compressed-tensors", "config_groups": { "g": { "weights": { "num_bits": 4 } } } }),
            ),
        ),
        (
            "hqq",
            vec![
                zeros(".W_q", Dtype::U8, &[ROWS, 4]),
                zeros(".scale", Dtype::F16, &[ROWS, 1]),
                zeros(".zero", Dtype::F16, &[ROWS, 1]),
            ],
            json!({}),
        ),
        // of the same shape and type as the weight, and permuted
        (
            "eetq, 8 bit",
            vec![zeros(".weight", Dtype::I8, &[ROWS, COLUMNS]), zeros(".weight_scales", Dtype::F16, &[COLUMNS])],
            stated(json!({ "quant_method": "eetq", "weights": "int8" })),
        ),
        (
            "a method that is not recognised",
            vec![zeros(".odd", Dtype::U8, &[ROWS, 4]), zeros(".even", Dtype::F16, &[ROWS])],
            json!({}),
        ),
    ]
}

/// A model of two layers: both `fc` are stored so, the embedding and the norm as they are.
fn publish(folder: &Folder, name: &str, stored: &[Stored], config: &Json) {
    let plain = f32_bytes(&scales(100 * COLUMNS));
    let mut all = vec![("embed.weight".to_string(), Dtype::F32, vec![100, COLUMNS], plain.as_slice())];
    for layer in 0..2 {
        let one =
            |Stored(ending, dtype, shape, bytes): &'_ Stored| (ending.to_string(), *dtype, shape.clone(), bytes.len());
        for (stored, (ending, dtype, shape, _)) in stored.iter().zip(stored.iter().map(one)) {
            all.push((format!("layers.{layer}.fc{ending}"), dtype, shape, stored.3.as_slice()));
        }
    }
    let views =
        all.into_iter().map(|(name, dtype, shape, bytes)| (name, TensorView::new(dtype, shape, bytes).unwrap()));
    folder.write(&format!("{name}/model.safetensors"), safetensors::serialize(views, None).unwrap());
    folder.write(&format!("{name}/config.json"), config.to_string());
}

fn architecture(folder: &Folder) {
    let mut listed = serde_json::Map::new();
    listed.insert("embed.weight".into(), json!({ "shape": [100, COLUMNS], "module": "Embedding" }));
    for layer in 0..2 {
        listed.insert(format!("layers.{layer}.fc.weight"), json!({ "shape": [ROWS, COLUMNS], "module": "Linear" }));
    }
    folder.write("net.json", json!({ "xfer": 1, "tensors": listed }).to_string());
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

const INIT: [&str; 8] = ["init", "--from", "source", "--arch", "net.json", "--out", "out", "--dtype=f32"];

fn weights(folder: &Folder, name: &str) -> Vec<f32> {
    f32s(&tensors(&folder.path("out"))[name].2)
}

#[test]
fn every_product_is_the_numbers_that_its_library_makes_of_it() {
    for Product { name, stored, config, file, expected } in products() {
        let folder = Folder::new();
        publish(&folder, "source", &stored, &config);
        if let Some((name, text)) = file {
            folder.write(&format!("source/{name}"), text.to_string());
        }
        architecture(&folder);
        folder.xfer(&[&INIT[..], &["--strict"]].concat()).exits(0);
        for layer in 0..2 {
            let found = weights(&folder, &format!("layers.{layer}.fc.weight"));
            let close = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 1e-6 * expected.abs();
            assert!(found.iter().zip(&expected).all(close), "{name}: {found:?} is not {expected:?}");
        }
        folder.xfer(&["verify", "out"]).exits(0);
    }
}

#[test]
fn every_other_method_is_named_with_its_bits_and_no_flag_lets_it_pass() {
    for (words, stored, config) in others() {
        let folder = Folder::new();
        publish(&folder, "source", &stored, &config);
        architecture(&folder);
        for more in [&[][..], &["--min-coverage", "0"], &["--unused", "layers.**"], &["--strict"]] {
            let run = folder.xfer(&[&INIT[..], more].concat()).exits(4);
            let run = run.complains(&format!("quantised by {words}")).complains("take the full-precision repository");
            let run = run.complains("layers.0.fc.weight and 1 more are");
            assert!(!run.stderr.contains("min-coverage") && !run.stderr.contains("--unused"), "{}", run.stderr);
            assert!(!folder.path("out").exists());
        }
        // another name for them, and a prefix before them
        let renamed = fs::read_to_string(folder.path("net.json")).unwrap().replace("\"layers.", "\"model.layers.");
        folder.write("net.json", renamed);
        folder.xfer(&INIT).exits(4).complains(&format!("quantised by {words}"));
        // who says that a weight is new gets a new one
        folder.write(
            "net.json",
            fs::read_to_string(folder.path("net.json")).unwrap().replace("\"model.layers.", "\"layers."),
        );
        folder.xfer(&[&INIT[..], &["--reinit", "layers.**"]].concat()).exits(0);
    }
}

#[test]
fn a_quantised_tower_that_the_target_lacks_raises_nothing() {
    for (words, stored, config) in others() {
        let folder = Folder::new();
        publish(&folder, "source", &stored, &config);
        folder.write("net.json", json!({ "embed.weight": { "shape": [100, COLUMNS], "dtype": "F32" } }).to_string());
        let run = folder.xfer(&INIT).exits(0);
        assert!(!run.stderr.contains("quantised by"), "{words}: {}", run.stderr);
    }
}

#[test]
fn codes_onto_their_own_listing_are_all_copies_and_stay_stated() {
    let all = products().into_iter().map(|product| (product.name, product.stored));
    for (name, stored) in all.chain(others().into_iter().map(|(words, stored, _)| (words, stored))) {
        let folder = Folder::new();
        publish(&folder, "source", &stored, &json!({}));
        folder.xfer(&["init", "--from", "source", "--arch", "source/model.safetensors", "--out", "out"]).exits(0);
        assert_eq!(tensors(&folder.path("out")), tensors(&folder.path("source")), "{name}");
        let again =
            folder.xfer(&["init", "--from", "out", "--arch", "out/model.safetensors", "--dry-run", "--json"]).exits(0);
        let report = again.json();
        let copied = &report["coverage"]["tensors"]["copied"];
        assert_eq!(copied.as_u64().unwrap() as usize, tensors(&folder.path("source")).len(), "{name}: {report}");
    }
}

#[test]
fn codes_whose_scale_the_listing_lacks_are_refused() {
    let folder = Folder::new();
    let product = products().remove(0);
    publish(&folder, "source", &product.stored, &product.config);
    folder.write(
        "net.json",
        json!({ "layers.0.fc.weight": { "shape": [ROWS, COLUMNS], "dtype": "F8_E4M3" } }).to_string(),
    );
    folder.xfer(&INIT).exits(4).complains("layers.0.fc.weight_scale").complains("leave \"dtype\" out");
    folder.write(
        "net.json",
        json!({ "xfer": 1, "tensors": { "layers.0.fc.weight": { "shape": [ROWS, COLUMNS] } } }).to_string(),
    );
    folder.xfer(&INIT).exits(0);
    assert_eq!(weights(&folder, "layers.0.fc.weight"), product.expected);
}

/// The `--map` flags among the hints of a run.
fn hinted(stderr: &str) -> Vec<String> {
    let rule = |line: &str| Some(line.strip_prefix("hint: --map '")?.strip_suffix('\'')?.to_string());
    stderr.lines().filter_map(rule).collect()
}

#[test]
fn numbers_without_a_scale_are_refused_with_rules_that_cast_them_and_do() {
    let (float, floats) = float8();
    let (whole, wholes) = int8(".weight");
    for (stored, expected) in [(float, floats), (whole, wholes)] {
        let folder = Folder::new();
        publish(&folder, "source", &[stored], &json!({}));
        architecture(&folder);
        let run = folder.xfer(&INIT).exits(4).complains("layers.0.fc.weight and 1 more are");
        let rules = hinted(&run.stderr);
        assert_eq!(rules, ["layers.{i}.fc.weight=layers.{i}.fc.weight|cast(f32)"]);
        folder.xfer(&[&INIT[..], &["--map", &rules[0]]].concat()).exits(0);
        for layer in 0..2 {
            assert_eq!(weights(&folder, &format!("layers.{layer}.fc.weight")), expected);
        }
    }
}

#[test]
fn a_rule_speaks_of_weights_and_not_of_their_codes() {
    let product = products().remove(3);
    let folder = Folder::new();
    publish(&folder, "source", &product.stored, &product.config);
    folder.write(
        "net.json",
        json!({ "xfer": 1, "tensors": { "a": { "shape": [COLUMNS, ROWS] }, "b": { "shape": [ROWS, COLUMNS] } } })
            .to_string(),
    );
    let rules = [
        "--map",
        "a=layers.0.fc.weight|transpose",
        "--map",
        "b=layers.0.fc.weight,layers.0.fc.weight_scale|dequantize(1, 8)",
    ];
    folder.xfer(&[&INIT[..], &rules].concat()).exits(0);
    assert_eq!(weights(&folder, "b"), product.expected);
    let turned: Vec<f32> = (0..ROWS * COLUMNS).map(|at| product.expected[at % ROWS * COLUMNS + at / ROWS]).collect();
    assert_eq!(weights(&folder, "a"), turned);
}

#[test]
fn a_scale_that_is_missing_or_does_not_fit_is_named() {
    let folder = Folder::new();
    let product = products().remove(7);
    publish(&folder, "source", &product.stored, &product.config);
    architecture(&folder);
    let whole = fs::read(folder.path("source/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let without = file.tensors().into_iter().filter(|(name, _)| name != "layers.1.fc.weight_scale_inv");
    folder.write("source/model.safetensors", safetensors::serialize(without, None).unwrap());
    folder
        .xfer(&INIT)
        .exits(4)
        .complains("layers.1.fc.weight is stored")
        .complains("layers.1.fc.weight_scale_inv is missing");
    folder.xfer(&["convert", "source", "out"]).exits(4).complains("layers.1.fc.weight_scale_inv is missing");
    let ones = f32_bytes(&scales(15));
    let other = TensorView::new(Dtype::F32, vec![3, 5], &ones).unwrap();
    let with = file.tensors().into_iter().map(|(name, view)| match name.as_str() {
        "layers.0.fc.weight_scale_inv" => (name, other.clone()),
        _ => (name, view),
    });
    folder.write("source/model.safetensors", safetensors::serialize(with, None).unwrap());
    folder
        .xfer(&INIT)
        .exits(4)
        .complains("layers.0.fc.weight_scale_inv f32 [3, 5]")
        .complains("layers.0.fc.weight f8_e4m3 [6, 8]");
}

#[test]
fn the_scale_of_a_weight_that_is_in_floats_already_is_not_applied() {
    let folder = Folder::new();
    let (codes, _) = float8();
    let floats = f32_bytes(&scales(ROWS * COLUMNS));
    let scale = Stored(".weight_scale", Dtype::F32, vec![], f32_bytes(&[0.5]));
    publish(&folder, "source", &[codes, scale], &json!({}));
    architecture(&folder);
    let whole = fs::read(folder.path("source/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let float = TensorView::new(Dtype::F32, vec![ROWS, COLUMNS], &floats).unwrap();
    let with = file.tensors().into_iter().map(|(name, view)| match name.as_str() {
        "layers.1.fc.weight" => (name, float.clone()),
        _ => (name, view),
    });
    folder.write("source/model.safetensors", safetensors::serialize(with, None).unwrap());
    folder.xfer(&INIT).exits(0).complains("layers.1.fc.weight_scale is not applied");
    assert_eq!(weights(&folder, "layers.1.fc.weight"), scales(ROWS * COLUMNS));
}

#[test]
fn convert_carries_codes_over_whole_or_dequantises_all_of_them() {
    for (words, stored, config) in others() {
        let folder = Folder::new();
        publish(&folder, "source", &stored, &config);
        folder.write("source/quantize_config.json", "{\"bits\": 4}");
        for more in [&[][..], &["--dtype", "f16"]] {
            let run = folder.xfer(&[&["convert", "source", "out", "--force"][..], more].concat()).exits(0);
            run.complains("2 quantised weights are carried over unchanged").complains("layers.0.fc.weight");
            let (found, whole) = (tensors(&folder.path("out")), tensors(&folder.path("source")));
            for (name, tensor) in whole.iter().filter(|(name, _)| name.contains("fc")) {
                assert_eq!(found.get(name), Some(tensor), "{words}: {name}");
            }
            let written = contents(&folder.path("out"));
            let stated: Json = serde_json::from_slice(&written["config.json"]).unwrap();
            assert_eq!(stated.get("quantization_config"), config.get("quantization_config"), "{words}");
            assert!(written.contains_key("quantize_config.json"), "{words}");
        }
        let codes = format!("layers.0.fc{}", stored[0].0);
        let some = folder.xfer(&["convert", "source", "some", "--only", &codes]);
        if some.code != 0 {
            let flags: Vec<String> = some
                .stderr
                .lines()
                .filter_map(|line| line.strip_prefix("hint: --only '"))
                .map(|line| line.trim_end_matches('\'').to_string())
                .collect();
            assert!(!flags.is_empty(), "{words}: {}", some.stderr);
            let mut again = vec!["convert", "source", "some", "--only", &codes];
            flags.iter().for_each(|flag| again.extend(["--only", flag]));
            folder.xfer(&again).exits(0);
        }
    }
    for Product { name, stored, config, expected, .. } in products().into_iter().filter(|one| one.config != json!({})) {
        let folder = Folder::new();
        publish(&folder, "source", &stored, &config);
        folder.xfer(&["convert", "source", "out", "--dtype", "f32"]).exits(0);
        let found = tensors(&folder.path("out"));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["embed.weight", "layers.0.fc.weight", "layers.1.fc.weight"],
            "{name}"
        );
        let close = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 1e-6 * expected.abs();
        assert!(f32s(&found["layers.1.fc.weight"].2).iter().zip(&expected).all(close), "{name}");
        let stated: Json = serde_json::from_slice(&contents(&folder.path("out"))["config.json"]).unwrap();
        assert!(stated.get("quantization_config").is_none(), "{name}: {stated}");
        folder.xfer(&["convert", "source", "one", "--only", "layers.0.fc.weight"]).exits(0);
        assert_eq!(tensors(&folder.path("one")).len(), 1, "{name}");
    }
}

#[test]
fn a_config_that_is_written_states_no_quantisation_of_floats() {
    let folder = Folder::new();
    let bert = json!({ "model_type": "bert", "architectures": ["BertModel"], "vocab_size": 10, "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 6,
        "type_vocab_size": 2, "dtype": "float32",
        "quantization_config": { "quant_method": "fp8", "weight_block_size": [4, 4] } });
    folder.write("bert.json", bert.to_string());
    folder.xfer(&["init", "--from", "none", "--arch", "bert.json", "--out", "source"]).exits(0);
    let whole = fs::read(folder.path("source/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let (codes, scale) = (vec![0x38u8; 64], f32_bytes(&[1.0, 2.0, 3.0, 4.0]));
    let query = "encoder.layer.0.attention.self.query.weight";
    let mut all: Vec<(String, TensorView)> = file.tensors().into_iter().filter(|(name, _)| name != query).collect();
    all.push((query.into(), TensorView::new(Dtype::F8_E4M3, vec![8, 8], &codes).unwrap()));
    all.push((format!("{query}_scale_inv"), TensorView::new(Dtype::F32, vec![2, 2], &scale).unwrap()));
    folder.write("source/model.safetensors", safetensors::serialize(all, None).unwrap());
    folder.write("source/config.json", bert.to_string());
    folder
        .xfer(&["init", "--from", "source", "--arch", "bert.json", "--out", "out"])
        .exits(0)
        .complains("quantisation is left out");
    let written: Json = serde_json::from_slice(&contents(&folder.path("out"))["config.json"]).unwrap();
    assert!(written.get("quantization_config").is_none(), "{written}");
    let found = f32s(&tensors(&folder.path("out"))[query].2);
    assert_eq!((found[0], found[4], found[32], found[36]), (1.0, 2.0, 3.0, 4.0));
}
