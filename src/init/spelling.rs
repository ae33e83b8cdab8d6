//! The names of schemes and of their parameters: ours, PyTorch's, Keras', JAX's and timm's. Data only.
//!
//! Names are compared without case and without one trailing underscore. Where libraries disagree about one word, the underscore decides:
//!
//! * `he_normal`, `xavier_normal`, `kaiming_normal_` are PyTorch's: normal, not cut;
//! * `HeNormal`, `GlorotNormal`, `RandomNormal`, `TruncatedNormal` (no underscore, any case) are Keras': He, Glorot and LeCun are cut at two deviations
//!   and corrected for it, the others have a deviation of 0.05;
//! * `lecun_normal` and `glorot_normal` exist only in libraries that cut (Keras, JAX, Flax, and `lecun_normal_` in timm and transformers), so they cut.

/// The schemes that a spelling can mean, before parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Auto,
    Match,
    Lsuv,
    HeNormal,
    HeUniform,
    XavierNormal,
    XavierUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    Normal,
    Uniform,
    TruncNormal,
    Orthogonal,
    Dirac,
    Zeros,
    Ones,
    Constant,
    Identity,
    Sparse,
}

/// One name, what it means, and the parameters that its library presets.
pub(super) struct Spelling {
    pub(super) name: &'static str,
    pub(super) base: Base,
    pub(super) presets: &'static [(&'static str, &'static str)],
}

const fn spelling(name: &'static str, base: Base) -> Spelling {
    Spelling { name, base, presets: &[] }
}

const fn preset(name: &'static str, base: Base, presets: &'static [(&'static str, &'static str)]) -> Spelling {
    Spelling { name, base, presets }
}

const TRUNCATED: &[(&str, &str)] = &[("distribution", "truncated_normal")];
const TWO_SIGMA: &[(&str, &str)] = &[("low", "-2"), ("high", "2"), ("cut_in", "sigma")];
const KERAS_NORMAL: &[(&str, &str)] = &[("std", "0.05")];
const KERAS_UNIFORM: &[(&str, &str)] = &[("low", "-0.05"), ("high", "0.05")];
const KERAS_TRUNCATED: &[(&str, &str)] = &[("std", "0.05"), ("low", "-2"), ("high", "2"), ("cut_in", "sigma")];

/// The canonical names, in the order of design and messages.
pub(crate) const NAMES: &[&str] = &[
    "auto", "match", "lsuv", "he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal",
    "lecun_uniform", "variance_scaling", "normal", "uniform", "trunc_normal", "orthogonal", "dirac", "zeros", "ones",
    "constant", "identity", "sparse",
];

/// Every spelling, in lower case.
pub(super) const SPELLINGS: &[Spelling] = &[
    spelling("auto", Base::Auto),
    spelling("match", Base::Match),
    spelling("lsuv", Base::Lsuv),
    // PyTorch, and ours
    spelling("he_normal", Base::HeNormal),
    spelling("kaiming_normal", Base::HeNormal),
    spelling("he_uniform", Base::HeUniform),
    spelling("kaiming_uniform", Base::HeUniform),
    spelling("xavier_normal", Base::XavierNormal),
    spelling("xavier_uniform", Base::XavierUniform),
    spelling("normal", Base::Normal),
    spelling("uniform", Base::Uniform),
    spelling("trunc_normal", Base::TruncNormal),
    spelling("orthogonal", Base::Orthogonal),
    spelling("dirac", Base::Dirac),
    spelling("zeros", Base::Zeros),
    spelling("zero", Base::Zeros),
    spelling("ones", Base::Ones),
    spelling("one", Base::Ones),
    spelling("constant", Base::Constant),
    spelling("identity", Base::Identity),
    spelling("eye", Base::Identity),
    spelling("sparse", Base::Sparse),
    // timm
    preset("trunc_normal_tf", Base::TruncNormal, TWO_SIGMA),
    // Keras, JAX and Flax
    spelling("lecun_normal", Base::LecunNormal),
    spelling("lecunnormal", Base::LecunNormal),
    spelling("lecun_uniform", Base::LecunUniform),
    spelling("lecununiform", Base::LecunUniform),
    preset("glorot_normal", Base::XavierNormal, TRUNCATED),
    preset("glorotnormal", Base::XavierNormal, TRUNCATED),
    spelling("glorot_uniform", Base::XavierUniform),
    spelling("glorotuniform", Base::XavierUniform),
    preset("henormal", Base::HeNormal, TRUNCATED),
    spelling("heuniform", Base::HeUniform),
    spelling("variance_scaling", Base::VarianceScaling),
    spelling("variancescaling", Base::VarianceScaling),
    preset("random_normal", Base::Normal, KERAS_NORMAL),
    preset("randomnormal", Base::Normal, KERAS_NORMAL),
    preset("random_uniform", Base::Uniform, KERAS_UNIFORM),
    preset("randomuniform", Base::Uniform, KERAS_UNIFORM),
    preset("truncated_normal", Base::TruncNormal, KERAS_TRUNCATED),
    preset("truncatednormal", Base::TruncNormal, KERAS_TRUNCATED),
];

/// The spelling that `name` is, or `None`.
pub(super) fn spelling_of(name: &str) -> Option<&'static Spelling> {
    let lower = plain(name);
    SPELLINGS.iter().find(|spelling| spelling.name == lower)
}

/// The nearest spelling to `name`, or `None` where none is near enough to be a slip.
pub(super) fn nearest_spelling(name: &str) -> Option<&'static str> {
    crate::error::nearest(&plain(name), SPELLINGS.iter().map(|spelling| spelling.name))
}

fn plain(name: &str) -> String {
    name.strip_suffix('_').unwrap_or(name).to_ascii_lowercase()
}

impl Base {
    /// The parameters, by their canonical names, in the order in which they are displayed.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Base::Auto | Base::Match | Base::Zeros | Base::Ones | Base::Identity => &[],
            Base::Lsuv => &["tol", "target"],
            Base::HeNormal | Base::XavierNormal | Base::LecunNormal => {
                &["mode", "a", "nonlinearity", "gain", "distribution"]
            }
            Base::HeUniform | Base::XavierUniform | Base::LecunUniform => &["mode", "a", "nonlinearity", "gain"],
            Base::VarianceScaling => &["scale", "mode", "distribution"],
            Base::Normal => &["mean", "std"],
            Base::Uniform => &["low", "high"],
            Base::TruncNormal => &["mean", "std", "low", "high", "cut", "cut_in", "correct_std"],
            Base::Orthogonal => &["gain"],
            Base::Dirac => &["groups"],
            Base::Constant => &["value"],
            Base::Sparse => &["sparsity", "std"],
        }
    }

    /// The parameter that a value without a name is, where the scheme has only one that matters.
    pub(super) fn positional(self) -> Option<&'static str> {
        match self {
            Base::Constant => Some("value"),
            Base::Orthogonal => Some("gain"),
            Base::Dirac => Some("groups"),
            Base::Auto | Base::Match | Base::Zeros | Base::Ones | Base::Identity | Base::Lsuv => None,
            Base::HeNormal | Base::XavierNormal | Base::LecunNormal => None,
            Base::HeUniform | Base::XavierUniform | Base::LecunUniform | Base::VarianceScaling => None,
            Base::Normal | Base::Uniform | Base::TruncNormal | Base::Sparse => None,
        }
    }

    /// The canonical name of a parameter as written, or `None` where the scheme has no such parameter. `a` and `b` are
    /// PyTorch's bounds of `uniform_` and `trunc_normal_`; elsewhere `a` is the slope of a leaky ReLU.
    pub(super) fn parameter(self, name: &str) -> Option<&'static str> {
        let bounded = matches!(self, Base::Uniform | Base::TruncNormal);
        let canonical = match name {
            "a" | "minval" if bounded => "low",
            "b" | "maxval" if bounded => "high",
            "negative_slope" => "a",
            "stddev" => "std",
            "val" => "value",
            "tolerance" => "tol",
            other => other,
        };
        self.parameters().iter().copied().find(|known| *known == canonical)
    }
}
