//! What may stand in an architecture file: tables from which the check (unknown keys, wrong types, each with its place)
//! and the JSON Schema both follow. What the words mean is the business of the readers.

use super::node::{Json, Node, Read, Wrong};
use crate::arch::error::Problem;
use crate::error::nearest;

/// What a value may be.
pub(crate) enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A whole number of at least this.
    Whole(u64),
    /// A whole number of either sign.
    Integer,
    Number,
    Text,
    /// The number 1, the version of the format.
    Version,
    /// A word of a closed set: what it is, and the set.
    Word(&'static str, &'static [&'static str]),
    /// A list of such values.
    List(&'static Kind),
    /// A list of exactly two such values.
    Pair(&'static Kind),
    /// An object with keys of the user's own.
    Map(&'static Kind),
    /// An object with known keys.
    Object(&'static Object),
    /// A layer, by its `type`.
    Layer,
    /// One of several, told apart by the type of JSON value.
    OneOf(&'static [Kind]),
}

/// An object with known keys.
pub(crate) struct Object {
    pub what: &'static str,
    pub keys: &'static [Key],
    /// Whether it takes further keys, which its reader checks.
    pub open: bool,
}

/// A key of an object.
pub(crate) struct Key {
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// One sentence for an editor.
    pub doc: &'static str,
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: false, doc }
}

const fn need(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: true, doc }
}

const SIZE: Kind = Kind::Whole(1);
const SIZES: Kind = Kind::List(&SIZE);
const TEXTS: Kind = Kind::List(&Kind::Text);
/// A size for every spatial axis, or one for all.
const SPATIAL: Kind = Kind::OneOf(&[Kind::Whole(1), Kind::List(&Kind::Whole(1))]);
const SPATIAL_OR_ZERO: Kind = Kind::OneOf(&[Kind::Whole(0), Kind::List(&Kind::Whole(0))]);
const NAMES: Kind = Kind::OneOf(&[Kind::Text, TEXTS]);
const NEW_ROWS: &[&str] = &["mean", "mean_covariance", "new", "zeros"];
const NEW_TOKENS: &[&str] = &["mean", "mean_covariance", "subwords", "new", "zeros"];

/// The rules, the same in every form.
pub(crate) const RULES: &[Key] = &[
    key("map", Kind::List(&Kind::Object(&MAP)), "Which source tensors become which target tensors."),
    key(
        "depth",
        Kind::Map(&Kind::OneOf(&[Kind::Text, Kind::List(&Kind::OneOf(&[Kind::Integer, Kind::Text]))])),
        "For a repeated block of the target, which source layers fill it.",
    ),
    key("adapt", Kind::List(&Kind::Object(&ADAPT)), "How tensors that almost fit are adapted."),
    key("vocab", Kind::Object(&VOCAB), "The tokenizer whose tokens the embedding's rows are."),
    key("labels", Kind::Map(&TEXTS), "For a head, the class of each row."),
    key("init", Kind::List(&Kind::Object(&INIT)), "How new tensors are initialised; the last match wins."),
    key("new", TEXTS, "Target tensors that may be new."),
    key("unused", TEXTS, "Source tensors that may be unused."),
    key("dtype", Kind::Text, "The type of all floats, as bf16."),
];

const MAP: Object = Object {
    what: "a map rule",
    open: false,
    keys: &[
        need("to", NAMES, "Target names; several split the source."),
        need(
            "from",
            Kind::OneOf(&[Kind::Text, TEXTS, Kind::Null]),
            "Source names; several are concatenated; null is new.",
        ),
        key("ops", TEXTS, "Operations by name, in order, as \"transpose\" or \"split(0, 3)\"."),
    ],
};

const ADAPT: Object = Object {
    what: "an adapt rule",
    open: false,
    keys: &[
        need("match", Kind::Text, "Which tensors."),
        key("positions", Kind::Word("way", &["cut", "repeat", "tile", "interpolate", "new"]), "Position rows."),
        key("heads", Kind::Word("way", &["mean", "repeat"]), "Key and value heads."),
        key("rows", Kind::Word("way", NEW_ROWS), "Rows without a source."),
        key("prefix", Kind::Pair(&Kind::Whole(0)), "Leading rows that are no positions, source and target."),
    ],
};

const VOCAB: Object = Object {
    what: "the vocab rule",
    open: false,
    keys: &[
        need("tokenizer", Kind::Text, "A tokenizer.json, vocab.txt or folder, relative to this file."),
        key("match", Kind::Text, "Which embedding, where there is more than one."),
        key("new_tokens", Kind::Word("way", NEW_TOKENS), "Rows of tokens that the source lacks."),
    ],
};

const INIT: Object = Object {
    what: "an init rule",
    open: true,
    keys: &[
        need("match", Kind::Text, "Which tensors."),
        need("scheme", Kind::Text, "The scheme, as he_normal; its parameters are further keys."),
    ],
};

/// Keys of a native file or listing beside the rules.
pub(crate) const HEAD: &[Key] = &[
    key("$schema", Kind::Text, "Where this schema lies, for editors."),
    need("xfer", Kind::Version, "The version of the format."),
    key("name", Kind::Text, "The model's name."),
    key("config", Kind::Object(&CONFIG), "Copied to the output's config.json."),
];

/// A Hugging Face config inside a file.
pub(crate) const CONFIG: Object = Object { what: "a config", open: true, keys: &[] };

/// Keys of a native layers file beside `HEAD` and the rules.
pub(crate) const LAYERS_FILE: &[Key] = &[
    key("inputs", Kind::Map(&Kind::Object(&INPUT)), "What the model is fed; a family at the front brings its own."),
    need("layers", Kind::List(&Kind::Layer), "Layers that run in order."),
    key("outputs", Kind::Map(&Kind::Text), "Named results by the ids of layers."),
];

const INPUT: Object = Object {
    what: "an input",
    open: false,
    keys: &[
        need("shape", Kind::List(&Kind::OneOf(&[Kind::Word("size", &["batch"]), SIZE])), "Its axes, \"batch\" first."),
        key("dtype", Kind::Word("dtype", &["f32", "i64"]), "f32, or i64 for ids."),
        key("max", SIZE, "For ids, one more than the largest."),
    ],
};

/// Keys of a listing beside `HEAD` and the rules.
pub(crate) const LISTING_FILE: &[Key] =
    &[need("tensors", Kind::Map(&Kind::Object(&TENSOR)), "Every entry of the state_dict, in order.")];

/// One tensor of a listing.
pub(crate) const TENSOR: Object = Object { what: "a tensor", open: false, keys: TENSOR_KEYS };

const TENSOR_KEYS: &[Key] = &[
    need("shape", Kind::List(&Kind::Whole(0)), "Its axes, outermost first."),
    key("dtype", Kind::Text, "Its type, as f32."),
    key("module", Kind::Text, "The PyTorch class that owns it, as Linear."),
    key("buffer", Kind::Bool, "Whether it is a buffer."),
    key("tied_to", Kind::Text, "The tensor that it is another name of."),
];

/// One tensor of a bare listing: a safetensors header is one.
pub(crate) const BARE_TENSOR: Object = Object {
    what: "a tensor",
    open: false,
    keys: &[
        need("shape", Kind::List(&Kind::Whole(0)), "Its axes, outermost first."),
        need("dtype", Kind::Text, "Its type, as F32."),
        key("module", Kind::Text, "The PyTorch class that owns it, as Linear."),
        key("buffer", Kind::Bool, "Whether it is a buffer."),
        key("tied_to", Kind::Text, "The tensor that it is another name of."),
        key("data_offsets", Kind::Pair(&Kind::Whole(0)), "Where a safetensors file keeps it; not looked at."),
    ],
};

pub(crate) struct LayerType {
    /// The word after `type`.
    pub name: &'static str,
    pub keys: &'static [Key],
    /// Whether it has weights, and so takes `init`, `role` and `in`.
    pub weights: bool,
}

const fn plain(name: &'static str, keys: &'static [Key]) -> LayerType {
    LayerType { name, keys, weights: false }
}

const fn weighted(name: &'static str, keys: &'static [Key]) -> LayerType {
    LayerType { name, keys, weights: true }
}

/// Keys that every layer takes, beside `type`.
pub(crate) const EVERY_LAYER: &[Key] = &[
    key("name", Kind::Text, "Its component of the path; digits number by hand."),
    key("id", Kind::Text, "A name for `from` and `outputs`."),
    key("from", NAMES, "Ids whose results it takes instead of the previous one's."),
];

/// Keys that layers with weights take.
pub(crate) const WEIGHTS: &[Key] = &[
    key("init", Kind::Text, "The scheme of its weights."),
    key("role", Kind::Word("role", &["head"]), "head: it classifies or regresses."),
    key("in", SIZE, "The size that is expected to come in, checked."),
];

/// Keys of a container: a group, or with `repeat` numbered copies.
pub(crate) const CONTAINER: &[Key] = &[
    need("layers", Kind::List(&Kind::Layer), "Layers that run in order."),
    key("repeat", SIZE, "How many copies, numbered from 0."),
    key("role", Kind::Word("role", &["head"]), "head: its layers classify or regress."),
];

/// Keys of a family block.
pub(crate) const FAMILY: &[Key] = &[
    need("config", Kind::OneOf(&[Kind::Text, Kind::Object(&CONFIG)]), "Its config, or the file that contains it."),
    key(
        "output",
        Kind::OneOf(&[Kind::Text, Kind::Object(&LAYER_OUTPUTS)]),
        "hidden, pooled, logits, or {\"layers\": [2, 5]}, as the family has them.",
    ),
    key("in", Kind::Map(&Kind::Text), "Which id feeds which of its inputs."),
    key("role", Kind::Word("role", &["head"]), "head: it classifies or regresses."),
];

/// The results of several layers of a family block.
pub(crate) const LAYER_OUTPUTS: Object = Object {
    what: "the output",
    open: false,
    keys: &[need("layers", Kind::List(&Kind::Integer), "Layers, from 0; negative from the end.")],
};

const CONV: &[Key] = &[
    need("out", SIZE, "Output channels."),
    need("kernel", SPATIAL, "The kernel's size."),
    key("stride", SPATIAL, "The step; 1."),
    key("padding", SPATIAL_OR_ZERO, "Zeros on either side; 0."),
    key("dilation", SPATIAL, "The spacing of the taps; 1."),
    key("groups", SIZE, "Groups of channels that do not mix; 1."),
    key("bias", Kind::Bool, "Whether a bias is added; true."),
];

const POOL: &[Key] = &[
    need("kernel", SPATIAL, "The window."),
    key("stride", SPATIAL, "The step; the window."),
    key("padding", SPATIAL_OR_ZERO, "Positions on either side; 0."),
];

const ATTENTION: &[Key] = &[
    need("heads", SIZE, "Query heads."),
    key("kv_heads", SIZE, "Key and value heads; as many as heads."),
    key("head_dim", SIZE, "The width of a head; the width over heads."),
    key("causal", Kind::Bool, "Whether a position sees only those before it; false."),
    key("rope", Kind::OneOf(&[Kind::Bool, Kind::Number]), "Rotary positions: true, or the base; false."),
    key("bias", Kind::Bool, "Whether the projections have biases; true."),
    key("names", Kind::Object(&PROJECTIONS), "The names of the projections, separate or fused."),
];

const PROJECTIONS: Object = Object {
    what: "the names of the projections",
    open: false,
    keys: &[
        key("q", Kind::Text, "The query's; q_proj."),
        key("k", Kind::Text, "The key's; k_proj."),
        key("v", Kind::Text, "The value's; v_proj."),
        key("qkv", Kind::Text, "The three in one."),
        key("out", Kind::Text, "The output's; o_proj, or proj beside qkv."),
    ],
};

const EPS: Key = key("eps", Kind::Number, "What is added before the root; 1e-5 (rms_norm: 1e-6).");

/// Every type of layer but the families, in the order of the documentation.
pub(crate) const LAYERS: &[LayerType] = &[
    plain(
        "residual",
        &[
            need("layers", Kind::List(&Kind::Layer), "The branch."),
            key("shortcut", Kind::List(&Kind::Layer), "What the input goes through on the other way; nothing."),
            key("role", Kind::Word("role", &["head"]), "head: its layers classify or regress."),
        ],
    ),
    weighted(
        "linear",
        &[
            need("out", SIZE, "The size of the result's last axis."),
            key("bias", Kind::Bool, "Whether a bias is added; true."),
        ],
    ),
    weighted("conv1d", CONV),
    weighted("conv2d", CONV),
    weighted("conv3d", CONV),
    weighted("conv_transpose1d", CONV),
    weighted("conv_transpose2d", CONV),
    weighted("embedding", &[need("num", SIZE, "How many ids there are."), need("dim", SIZE, "The width of a row.")]),
    weighted("positions", &[need("num", SIZE, "How many positions there are; learned, added.")]),
    weighted(
        "parameter",
        &[
            need("shape", SIZES, "Its shape."),
            key("use", Kind::Word("use", &["prepend", "add", "multiply", "none"]), "What it does; none."),
        ],
    ),
    weighted("attention", ATTENTION),
    weighted("layer_norm", &[EPS, key("bias", Kind::Bool, "Whether there is a shift; true.")]),
    weighted("rms_norm", &[EPS]),
    weighted("batch_norm", &[EPS]),
    weighted("group_norm", &[EPS, need("groups", SIZE, "How many groups.")]),
    plain("relu", &[]),
    plain("leaky_relu", &[key("slope", Kind::Number, "The factor of negative elements; 0.01.")]),
    plain("gelu", &[]),
    plain("gelu_tanh", &[]),
    plain("silu", &[]),
    plain("tanh", &[]),
    plain("sigmoid", &[]),
    plain("elu", &[]),
    plain("selu", &[]),
    plain("softmax", &[key("axis", Kind::Integer, "The axis, negative from the end; the last.")]),
    plain("flatten", &[key("start", SIZE, "The first axis that is merged; 1.")]),
    plain("reshape", &[need("shape", SIZES, "The axes after the batch.")]),
    plain(
        "permute",
        &[need("order", Kind::List(&Kind::Whole(0)), "For each axis of the result that of the input, 0 first.")],
    ),
    plain("max_pool", POOL),
    plain("avg_pool", POOL),
    plain("global_avg_pool", &[]),
    plain("upsample", &[need("scale", SIZE, "The factor of each spatial axis.")]),
    plain("mean", &[need("axis", Kind::Integer, "The axis, which disappears; negative from the end.")]),
    plain(
        "select",
        &[
            need("axis", Kind::Integer, "The axis, which disappears; negative from the end."),
            need("index", Kind::Integer, "The index; negative from the end."),
        ],
    ),
    plain("dropout", &[key("p", Kind::Number, "The share; nothing is dropped here.")]),
    plain("add", &[]),
    plain("mul", &[]),
    plain("concat", &[key("axis", Kind::Integer, "The axis, negative from the end; -1.")]),
];

/// Every word that `type` takes: the layers, then the families.
pub(crate) fn layer_words() -> Vec<&'static str> {
    let families = crate::family::FAMILIES.iter().map(|family| family.name());
    LAYERS.iter().map(|layer| layer.name).chain(families).collect()
}

/// Keys of a layer of this type, of a family block, or of a container (`None`); an unknown type is `None`.
pub(crate) fn layer_keys(word: Option<&str>) -> Option<Vec<&'static Key>> {
    let own: Vec<&Key> = match word {
        None => CONTAINER.iter().collect(),
        Some(word) => match LAYERS.iter().find(|layer| layer.name == word) {
            Some(layer) => layer.keys.iter().chain(if layer.weights { WEIGHTS } else { &[] }).collect(),
            None => {
                crate::family::FAMILIES.iter().find(|family| family.name() == word)?;
                FAMILY.iter().collect()
            }
        },
    };
    Some(EVERY_LAYER.iter().chain(own).collect())
}

/// Checks an object against its keys: the first thing that is wrong, in the order of the file.
pub(crate) fn check_keys(node: &Node, what: &str, keys: &[&'static Key], open: bool) -> Read<()> {
    let entries = node.entries().ok_or_else(|| node.wrong_type(what, "an object"))?;
    for entry in entries {
        match keys.iter().find(|key| key.name == entry.key) {
            Some(key) => check(&entry.node, &key.kind, key.name)?,
            None if open => {}
            None => {
                let known: Vec<String> = keys.iter().map(|key| key.name.to_string()).collect();
                let nearest = nearest(&entry.key, known.iter().map(String::as_str)).map(str::to_string);
                return Err(Wrong {
                    at: entry.at,
                    problem: Problem::UnknownKey { key: entry.key.clone(), nearest, known },
                });
            }
        }
    }
    match keys.iter().find(|key| key.required && node.get(key.name).is_none()) {
        Some(key) => Err(Wrong { at: node.at, problem: Problem::MissingKey { what: what.to_string(), key: key.name } }),
        None => Ok(()),
    }
}

/// Checks a value, which messages call `what`.
pub(crate) fn check(node: &Node, kind: &Kind, what: &str) -> Read<()> {
    match kind {
        Kind::Null | Kind::Bool | Kind::Integer | Kind::Number | Kind::Text => {
            if kind.accepts(node) {
                Ok(())
            } else {
                Err(node.wrong_type(what, &kind.text()))
            }
        }
        Kind::Whole(least) => match node.read::<u64>(what) {
            Ok(value) if value >= *least => Ok(()),
            _ => Err(node.wrong_type(what, &kind.text())),
        },
        Kind::Version => match node.read::<u64>(what) {
            Ok(1) => Ok(()),
            _ => Err(Wrong { at: node.at, problem: Problem::Version { found: node.found() } }),
        },
        Kind::Word(of, words) => check_word(node, of, words, what),
        Kind::List(element) => {
            let elements = node.list().ok_or_else(|| node.wrong_type(what, &kind.text()))?;
            elements.iter().try_for_each(|node| check(node, element, what))
        }
        Kind::Pair(element) => match node.list() {
            Some(pair) if pair.len() == 2 => pair.iter().try_for_each(|node| check(node, element, what)),
            _ => Err(node.wrong_type(what, &kind.text())),
        },
        Kind::Map(value) => {
            let entries = node.entries().ok_or_else(|| node.wrong_type(what, &kind.text()))?;
            entries.iter().try_for_each(|entry| check(&entry.node, value, &entry.key))
        }
        Kind::Object(object) => check_keys(node, object.what, &object.keys.iter().collect::<Vec<_>>(), object.open),
        Kind::Layer => check_layer(node),
        Kind::OneOf(kinds) => match kinds.iter().find(|kind| kind.accepts(node)) {
            Some(kind) => check(node, kind, what),
            None => Err(node.wrong_type(what, &kind.text())),
        },
    }
}

fn check_word(node: &Node, of: &'static str, words: &[&str], what: &str) -> Read<()> {
    let word = node.text().ok_or_else(|| node.wrong_type(what, &format!("one of {}", words.join(", "))))?;
    if words.contains(&word) {
        return Ok(());
    }
    Err(Wrong { at: node.at, problem: unknown_word(of, word, words) })
}

/// The problem of a word outside its set, with the nearest.
pub(crate) fn unknown_word(what: &'static str, word: &str, words: &[&str]) -> Problem {
    Problem::UnknownWord {
        what,
        word: word.to_string(),
        nearest: nearest(word, words.iter().copied()).map(str::to_string),
        known: words.iter().map(|word| word.to_string()).collect(),
    }
}

fn check_layer(node: &Node) -> Read<()> {
    node.entries().ok_or_else(|| node.wrong_type("layers", "a list of objects"))?;
    let word = match node.get("type") {
        Some(word) => Some(word.read::<String>("type")?),
        None if node.get("layers").is_some() || node.get("repeat").is_some() => None,
        None => {
            return Err(Wrong { at: node.at, problem: Problem::MissingKey { what: "a layer".into(), key: "type" } });
        }
    };
    let at = node.get("type").map_or(node.at, |word| word.at);
    let keys = layer_keys(word.as_deref()).ok_or_else(|| {
        let word = word.clone().unwrap_or_default();
        Wrong { at, problem: unknown_word("layer type", &word, &layer_words()) }
    })?;
    let what = word.map_or_else(|| "a container".to_string(), |word| format!("a layer of type {word}"));
    let keys: Vec<_> = keys.into_iter().chain([&TYPE]).collect();
    check_keys(node, &what, &keys, false)
}

static TYPE: Key = key("type", Kind::Text, "The type of the layer.");

impl Kind {
    /// Whether the value is of the type of JSON value that this kind begins with.
    fn accepts(&self, node: &Node) -> bool {
        match (self, &node.value) {
            (Kind::Null, Json::Null) => true,
            (Kind::Bool, Json::Bool(_)) => true,
            (Kind::Integer, Json::Number(number)) => number.is_i64(),
            (Kind::Whole(_) | Kind::Number | Kind::Version, Json::Number(_)) => true,
            (Kind::Text | Kind::Word(..), Json::Text(_)) => true,
            (Kind::List(_) | Kind::Pair(_), Json::List(_)) => true,
            (Kind::Map(_) | Kind::Object(_) | Kind::Layer, Json::Object(_)) => true,
            (Kind::OneOf(kinds), _) => kinds.iter().any(|kind| kind.accepts(node)),
            _ => false,
        }
    }

    /// What it is, for messages.
    fn text(&self) -> String {
        match self {
            Kind::Null => "null".into(),
            Kind::Bool => "true or false".into(),
            Kind::Whole(least) => format!("a whole number from {least}"),
            Kind::Integer => "a whole number".into(),
            Kind::Number => "a number".into(),
            Kind::Text => "a string".into(),
            Kind::Version => "1".into(),
            Kind::Word(_, words) => format!("one of {}", words.join(", ")),
            Kind::List(element) => format!("a list of which each is {}", element.text()),
            Kind::Pair(element) => format!("a pair of which each is {}", element.text()),
            Kind::Map(_) | Kind::Object(_) => "an object".into(),
            Kind::Layer => "a layer".into(),
            Kind::OneOf(kinds) => kinds.iter().map(Kind::text).collect::<Vec<_>>().join(", or "),
        }
    }
}
