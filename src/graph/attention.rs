//! How an attention is made: its heads, its projections, and how it learns of positions.

use std::sync::Arc;

use super::parameter::Layout;

/// How the attention of one node is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    pub heads: u64,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u64,
    pub head_dim: u64,
    /// Whether a position sees only those before it.
    pub causal: bool,
    /// How many positions a position sees at most, itself the last of them, and as many after it where it is not causal; `None` for all.
    pub window: Option<u64>,
    /// Whether keys and values are of another sequence: the node's second input, of the same width.
    pub cross: bool,
    /// Which positions mean what.
    pub kind: AttentionKind,
    /// What the products of q and k are multiplied by; `None` for 1 / √head_dim.
    pub scale: Option<f64>,
    /// Whether the projections to q, k and v have biases.
    pub bias: bool,
    /// Whether the key's has one too, where the others have (whisper's has none).
    pub key_bias: bool,
    /// Whether the output's projection has one.
    pub out_bias: bool,
    /// The width that the output's projection takes, where it is not that of all heads together: such an attention does not run.
    pub out_width: Option<u64>,
    /// The norms of q and k, before these are rotated.
    pub norms: Option<HeadNorms>,
    /// Whether q, k and v are one tensor.
    pub projections: Projections,
    /// How the weights of the projections are stored.
    pub layout: Layout,
}

impl Attention {
    /// Full attention without positions over `heads` heads of `head_dim`, everything with a bias.
    pub(crate) fn new(heads: u64, head_dim: u64, projections: Projections) -> Attention {
        Attention {
            heads,
            kv_heads: heads,
            head_dim,
            causal: false,
            window: None,
            cross: false,
            kind: AttentionKind::Plain,
            scale: None,
            bias: true,
            key_bias: true,
            out_bias: true,
            out_width: None,
            norms: None,
            projections,
            layout: Layout::OutIn,
        }
    }

    /// Which of the node's inputs is the mask, where it has one: the last of all that there can be.
    pub(crate) fn mask_place(&self) -> usize {
        1 + usize::from(self.cross || matches!(self.kind, AttentionKind::Disentangled(_)))
    }
}

/// How attention learns of positions.
#[derive(Clone, Debug, PartialEq)]
pub enum AttentionKind {
    /// It does not.
    Plain,
    /// Rotary embedding, in the layout of halves.
    Rope(Rope),
    /// A learned number for each head and distance, added to the scores (T5, arXiv:1910.10683): `relative_attention_bias.weight`
    /// `(buckets, heads)`.
    Relative(Buckets),
    /// Scores between contents and distances (DeBERTa, arXiv:2006.03654). The node's second input is the table of distances
    /// `(2 * span, width)`, projected by the same matrices as queries and keys, or by matrices of its own.
    Disentangled(Disentangled),
}

/// The buckets of T5's distances: exact ones near, logarithmic ones far, half of them for either side unless it is causal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// How many.
    pub buckets: u64,
    /// From this distance on, all are in the last.
    pub max_distance: u64,
}

/// What of DeBERTa's disentangled attention there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disentangled {
    /// How many distances there are on either side.
    pub span: u64,
    /// The distance from which on all are one, where distances beyond half the span are logarithmic; `None` where they are exact.
    pub max_distance: Option<u64>,
    /// Whether a content looks at distances.
    pub content_to_position: bool,
    /// Whether a distance looks at contents.
    pub position_to_content: bool,
    /// The names of the projections of distances to keys and to queries, where they are not those of contents.
    pub own: Option<[&'static str; 2]>,
}

/// A rotary embedding (Su et al., arXiv:2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    pub theta: f64,
    /// How many leading dimensions of each head are rotated; even.
    pub rotary: u64,
    /// What becomes of the frequencies.
    pub scaling: RopeScaling,
}

/// How the frequencies of a rotary embedding are stretched to longer texts than it was trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    Unscaled,
    /// All divided by a factor (Chen et al., arXiv:2306.15595).
    Linear { factor: f64 },
    /// Low frequencies divided, high ones kept, smoothly between them (Llama 3.1, arXiv:2407.21783).
    Llama3 {
        /// The factor of low frequencies.
        factor: f64,
        /// Fewer turns than this over the original length are a low frequency.
        low: f64,
        /// More turns than this are a high one.
        high: f64,
        /// The length that it was trained on.
        original: f64,
    },
    /// Low frequencies divided, high ones kept, evenly by their number between them, and all of q and k longer (YaRN, Peng et al.,
    /// arXiv:2309.00071, as transformers computes it).
    Yarn {
        /// The factor of low frequencies.
        factor: f64,
        /// More turns than this over the original length are a high frequency.
        fast: f64,
        /// Fewer turns than this are a low one.
        slow: f64,
        /// The length that it was trained on.
        original: f64,
        /// What cosines and sines are multiplied by; `None` for the ratio of 0.1 s ln(factor) + 1 for the two `scales`.
        attention: Option<f64>,
        /// The s above and below (`mscale`, `mscale_all_dim`); 1 and 0 in the paper.
        scales: [f64; 2],
        /// Whether the limits between low and high are whole numbers.
        truncated: bool,
    },
    /// Each frequency divided by a factor of its own, of one list for texts up to the original length and of another for longer
    /// ones (LongRoPE, Ding et al., arXiv:2402.13753).
    Long {
        /// The factors of a text up to the original length, one for each pair of dimensions.
        short: Arc<[f64]>,
        /// Those of a longer one.
        long: Arc<[f64]>,
        /// The length that it was trained on.
        original: f64,
        /// What cosines and sines are multiplied by.
        attention: f64,
    },
    /// In a way that there is no code for, in these words: the parameters are what they are, and the graph does not run.
    NotRunnable(&'static str),
}

/// RMS norms of q and of k.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadNorms {
    /// The name of the query's.
    pub q: String,
    /// The name of the key's.
    pub k: String,
    /// What is added to the mean square.
    pub eps: f64,
    /// Whether the scale is 1 + weight.
    pub centred: bool,
    /// Whether all heads are normed together, each number with its own weight; otherwise each head is, with the weights of the others.
    pub whole: bool,
}

/// The names of an attention's projections below its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projections {
    /// Three matrices.
    Separate {
        /// The query's.
        q: String,
        /// The key's.
        k: String,
        /// The value's.
        v: String,
        /// The output's.
        out: String,
    },
    /// One matrix of q, k and v, in this order along axis 0.
    Fused {
        /// The three together.
        qkv: String,
        /// The output's.
        out: String,
    },
    /// One matrix in which q, k and v of each head stand together (GPT-NeoX); as many key heads as query heads.
    PerHead {
        /// The three together.
        qkv: String,
        /// The output's.
        out: String,
    },
}

impl Disentangled {
    /// The names of the projections of distances that there are beside those of contents: to keys, to queries.
    pub(crate) fn own_projections(&self) -> [Option<&'static str>; 2] {
        let [keys, queries] = self.own.map_or([None; 2], |names| names.map(Some));
        [keys.filter(|_| self.content_to_position), queries.filter(|_| self.position_to_content)]
    }
}

impl Projections {
    /// The name of the output's.
    pub(crate) fn out(&self) -> &str {
        match self {
            Projections::Separate { out, .. } | Projections::Fused { out, .. } | Projections::PerHead { out, .. } => {
                out
            }
        }
    }
}
