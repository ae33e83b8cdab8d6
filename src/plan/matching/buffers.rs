//! Buffers that a model computes are computed. One that has a source is a copy; one without, or whose source is of another window, is made
//! by its formula where the sizes are known from shapes, from tensors beside it, and from configs; else it is an error that names it.

use serde_json::Value as Json;

use crate::arch::Architecture;
use crate::graph::Parameter;
use crate::init::Computed;
use crate::name::{join, last, parent};
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::names::is_computed_buffer;
use crate::plan::value::Value;
use crate::tensor::{Dtype, Role, Shape, ShapeText, TensorInfo};

/// Buffers that start in a known state where nothing is transferred.
const START: &[&str] = &["running_mean", "running_var", "num_batches_tracked", "position_ids", "token_type_ids"];

/// The statistics of a batch norm; they belong to its weights.
const STATISTICS: &[&str] = &["running_mean", "running_var"];

/// Gives every buffer without a fitting source its formula, or names it in a violation.
pub(crate) fn settle(sources: &[SourceView], target: &Architecture, matches: &mut [Match]) -> Vec<PlanError> {
    let about = About { sources, target };
    let mut violations = Vec::new();
    for (id, parameter) in target.parameters.iter().enumerate() {
        let is_buffer = parameter.role == Role::Buffer || is_computed_buffer(&parameter.name);
        let Some(found) = matches.get(id).filter(|_| is_buffer && parameter.tied_to.is_none()) else {
            continue;
        };
        let stored = match &found.origin {
            Origin::Tied(_) => continue,
            // a rule, or operations that were asked for
            Origin::Found { value, .. } if !matches!(value, Value::Source { .. }) => continue,
            Origin::Found { value, info } => Some((value.clone(), info.shape.clone())),
            Origin::New if found.declared || found.step != Step::None => continue,
            Origin::New => None,
        };
        let is_equal = stored.as_ref().is_some_and(|(_, shape)| *shape == parameter.shape);
        let is_other = stored.as_ref().is_some_and(|(value, _)| about.is_of_another_window(value, parameter));
        if is_equal && !is_other && !about.is_oblong(parameter) {
            continue;
        }
        match about.formula(parameter) {
            Some((computed, words)) => {
                let dtype = parameter.dtype.unwrap_or(natural(&computed));
                let info = TensorInfo::new(parameter.name.clone(), dtype, parameter.shape.clone());
                let value = Value::Computed { dtype, shape: parameter.shape.clone(), formula: computed };
                if let Some(found) = matches.get_mut(id) {
                    found.origin = Origin::Found { value, info };
                    (found.step, found.reason) = (Step::None, format!("computed: {words}").into());
                }
            }
            None if about.starts_known(parameter, matches) => {}
            None => {
                let target = parameter.name.to_string();
                violations.push(match stored {
                    Some((_, shape)) => PlanError::BufferOfAnotherSize {
                        target,
                        expected: ShapeText(&parameter.shape).to_string(),
                        found: ShapeText(&shape).to_string(),
                    },
                    None => PlanError::BufferWithoutSource { target },
                });
            }
        }
    }
    violations
}

/// The type of a table that nobody states.
fn natural(computed: &Computed) -> Dtype {
    match computed {
        Computed::RelativePositionIndex { .. } => Dtype::I64,
        Computed::RelativeCoordinates { .. }
        | Computed::CausalMask
        | Computed::InverseFrequencies { .. }
        | Computed::Periods { .. }
        | Computed::Constant { .. } => Dtype::F32,
    }
}

/// What formulas are found in.
struct About<'a> {
    sources: &'a [SourceView<'a>],
    target: &'a Architecture,
}

impl About<'_> {
    /// The shape of a target tensor.
    fn shape(&self, name: &str) -> Option<&Shape> {
        self.target.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.shape)
    }

    /// Whether the table of biases beside a stored index has another shape than the one beside the target's: equal numbers of places in
    /// another window.
    fn is_of_another_window(&self, value: &Value, parameter: &Parameter) -> bool {
        let Value::Source { source, tensor, .. } = value else { return false };
        let listing = self.sources.get(*source).map(|view| view.listing);
        TABLES.iter().any(|table| {
            let theirs =
                listing.and_then(|listing| listing.tensors.get(listing.position(&join(parent(tensor), table))?));
            let ours = self.shape(&join(parent(&parameter.name), table));
            last(&parameter.name) == INDEX && theirs.zip(ours).is_some_and(|(theirs, ours)| theirs.shape != *ours)
        })
    }

    /// Whether an index is of a window that is not square: one of the same size may be turned, which no shape says.
    fn is_oblong(&self, parameter: &Parameter) -> bool {
        let is_index = last(&parameter.name) == INDEX;
        let window = self.formula(parameter).filter(|_| is_index).map(|(computed, _)| computed);
        matches!(window, Some(Computed::RelativePositionIndex { window: [height, width], .. }) if height != width)
    }

    /// Whether a buffer starts in a known state: statistics only beside weights that are new too.
    fn starts_known(&self, parameter: &Parameter, matches: &[Match]) -> bool {
        let leaf = last(&parameter.name);
        let is_found = |name: &str| {
            let id = self.target.parameters.iter().position(|parameter| parameter.name == name);
            id.and_then(|id| matches.get(id)).is_some_and(|found| matches!(found.origin, Origin::Found { .. }))
        };
        let beside = ["weight", "running_mean", "running_var"].map(|leaf| join(parent(&parameter.name), leaf));
        START.contains(&leaf)
            && !(STATISTICS.contains(&leaf) && beside.iter().any(|name| *name != *parameter.name && is_found(name)))
            && (leaf != "position_ids"
                || parameter.dtype.is_none_or(|dtype| !dtype.is_float()) && parameter.dtype.is_some())
    }

    /// The formula of a buffer whose name and sizes say it, and words for it.
    fn formula(&self, parameter: &Parameter) -> Option<(Computed, String)> {
        let (path, leaf, shape) = (parent(&parameter.name), last(&parameter.name), parameter.shape.as_slice());
        let has = |leaf: &str| self.shape(&join(path, leaf)).is_some();
        let found = match leaf {
            INDEX => self.index(path, shape),
            COORDINATES => self.coordinates(&parameter.name, shape),
            // GPT-Neo's `attn.attention` has windows
            "bias" if has("c_attn.weight") || has("query_key_value.weight") => {
                Some((Computed::CausalMask, "a mask of what comes after".to_string()))
            }
            "masked_bias" if has("c_attn.weight") => {
                Some((Computed::Constant { value: -1e4 }, "GPT-2's -10000".into()))
            }
            "masked_bias" if has("query_key_value.weight") => {
                Some((Computed::Constant { value: -1e9 }, "GPT-NeoX's -1e9".into()))
            }
            "inv_freq" | "original_inv_freq" => self.theta().map(|theta| {
                (Computed::InverseFrequencies { theta }, format!("frequencies of a rotary embedding of base {theta}"))
            }),
            "periods" if ["rope", "rope_embed"].contains(&last(path)) => {
                let theta = self.theta().unwrap_or(100.0);
                Some((Computed::Periods { theta }, format!("periods of a rotary embedding of base {theta}")))
            }
            _ => None,
        };
        found.filter(|(computed, _)| computed.fits(shape) && is_typed(computed, parameter.dtype))
    }

    fn index(&self, path: &str, shape: &[u64]) -> Option<(Computed, String)> {
        let places = match shape {
            [rows, columns] if rows == columns => *rows,
            [all] => root(*all)?,
            _ => return None,
        };
        let spans = self.shape(&join(path, COORDINATES)).and_then(|shape| match shape.as_slice() {
            [1, rows, columns, 2] | [rows, columns, 2] => Some([rows.div_ceil(2), columns.div_ceil(2)]),
            _ => None,
        });
        let rows = self.shape(&join(path, TABLES[0])).and_then(|table| table.first().copied());
        let stated = self.stated_window();
        [false, true].into_iter().find_map(|class_token| {
            let area = places.checked_sub(u64::from(class_token))?;
            let fits = |[height, width]: [u64; 2]| {
                let count = (2 * height).saturating_sub(1).saturating_mul((2 * width).saturating_sub(1));
                let expected = count.saturating_add(if class_token { 3 } else { 0 });
                height.checked_mul(width) == Some(area) && rows.is_none_or(|rows| rows == expected)
            };
            let square = root(area).map(|side| [side, side]).filter(|_| rows.is_some());
            let window = spans.into_iter().chain(stated).chain(square).find(|window| fits(*window))?;
            let [height, width] = window;
            let words = format!("the index of relative positions of a window of {height} by {width}");
            Some((Computed::RelativePositionIndex { window, class_token }, words))
        })
    }

    /// Swin V2's: a window that was pretrained is stated by the config alone; torchvision's measures every window by itself.
    fn coordinates(&self, name: &str, shape: &[u64]) -> Option<(Computed, String)> {
        let [1, rows, columns, 2] = shape else { return None };
        let window = [rows.div_ceil(2), columns.div_ceil(2)];
        let own = |sizes: &Json| -> Option<u64> {
            let stage = name.split('.').find_map(|part| part.parse::<usize>().ok())?;
            sizes.as_array()?.get(stage)?.as_u64()
        };
        let pretrained = match self.target.config.as_ref().and_then(|config| config.0.get("pretrained_window_sizes")) {
            Some(sizes) => own(sizes)?,
            None if name.starts_with("features.") => 0,
            None => return None,
        };
        let measure = if pretrained > 0 { [pretrained; 2] } else { window };
        let words = format!("the coordinates of a window of {} by {}", window[0], window[1]);
        Some((Computed::RelativeCoordinates { window, measure }, words))
    }

    /// The window that a config states, or the places of a picture.
    fn stated_window(&self) -> Option<[u64; 2]> {
        let config = &self.target.config.as_ref()?.0;
        let pair = |key: &str| match config.get(key)? {
            Json::Array(sizes) => Some([sizes.first()?.as_u64()?, sizes.get(1)?.as_u64()?]),
            size => size.as_u64().map(|size| [size, size]),
        };
        let of_picture = || {
            let (image, patch) = (pair("image_size")?, pair("patch_size")?);
            Some([image[0].checked_div(patch[0])?, image[1].checked_div(patch[1])?])
        };
        pair("window_size").or_else(of_picture)
    }

    /// The base of an unscaled rotary embedding that the target's config or else a source's states.
    fn theta(&self) -> Option<f64> {
        let parse = |text: &String| serde_json::from_str::<Json>(text).ok();
        let of_target = self.target.config.iter().map(|config| Json::Object(config.0.clone()));
        let of_blocks = self.target.blocks.iter().map(|block| Json::Object(block.config.0.clone()));
        let of_sources = self.sources.iter().filter_map(|source| source.listing.config.as_ref().and_then(parse));
        of_target.chain(of_blocks).chain(of_sources).find_map(|config| {
            let objects =
                ["rope_parameters", "rope_scaling"].map(|key| config.get(key).filter(|value| !value.is_null()));
            let kind = |object: &Json| {
                object.get("rope_type").or_else(|| object.get("type")).and_then(Json::as_str).map(str::to_string)
            };
            let is_scaled = objects.iter().flatten().filter_map(|object| kind(object)).any(|kind| kind != "default");
            let inside = objects.into_iter().flatten().find_map(|object| object.get("rope_theta"));
            let theta = inside.or(config.get("rope_theta")).or(config.get("rotary_emb_base"))?.as_f64()?;
            (!is_scaled && theta.is_finite() && theta > 0.0).then_some(theta)
        })
    }
}

const INDEX: &str = "relative_position_index";

const COORDINATES: &str = "relative_coords_table";

/// What stands beside an index and has the shape of its window.
const TABLES: [&str; 2] = ["relative_position_bias_table", COORDINATES];

/// Whether a type can hold a table.
fn is_typed(computed: &Computed, dtype: Option<Dtype>) -> bool {
    let Some(dtype) = dtype else { return true };
    match computed {
        Computed::RelativePositionIndex { .. } => [Dtype::I64, Dtype::I32].contains(&dtype),
        Computed::CausalMask => dtype.is_float() || [Dtype::Bool, Dtype::U8, Dtype::I64].contains(&dtype),
        Computed::RelativeCoordinates { .. }
        | Computed::InverseFrequencies { .. }
        | Computed::Periods { .. }
        | Computed::Constant { .. } => dtype.is_float(),
    }
}

/// The whole square root, where there is one.
fn root(number: u64) -> Option<u64> {
    let side = (number as f64).sqrt().round() as u64;
    (side.checked_mul(side) == Some(number)).then_some(side)
}
