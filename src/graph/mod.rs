//! Parameters and the graph that connects them. A node is a layer as people name layers, never a bare product or
//! reshape: roles, fans, coupled axes and data-dependent initialisation live at that grain. Both are made together by `Builder`.

mod attention;
mod builder;
pub(crate) mod error;
mod layer;
mod node;
mod parameter;
mod parameters;
mod run;
mod shape;
#[cfg(test)]
mod tests;

pub use crate::init::Nonlinearity;
pub use attention::{Attention, AttentionKind, Buckets, Disentangled, HeadNorms, Projections, Rope, RopeScaling};
pub use builder::{Builder, LayerOptions};
pub use layer::{Convolution, Experts, Layer, PositionIds, Use};
pub use node::{Dim, DimsText, Graph, Node, NodeId};
pub use parameter::{FamilyInit, Layout, Parameter, ParameterId, Part};
pub use run::{Extent, Hook, Weights, batch_norm_in_training, live_bytes, run};
