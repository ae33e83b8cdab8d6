//! Parameters and the graph that connects them. A node is a layer as people name layers, never a bare product or
//! reshape: roles, fans, coupled axes and data-dependent initialisation live at that grain. Both are made together by `Builder`.

mod attention;
mod builder;
pub(crate) mod error;
mod input;
mod layer;
mod node;
mod parameter;
mod parameters;
mod run;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use crate::init::Nonlinearity;
pub(crate) use attention::{
    Attention, AttentionKind, Buckets, Disentangled, HeadNorms, Projections, Rope, RopeScaling,
};
pub(crate) use builder::{Builder, LayerOptions};
pub(crate) use layer::{Convolution, Experts, Layer, PositionIds, Use};
pub(crate) use node::{Dim, DimsText, Graph, Node, NodeId};
pub use parameter::Parameter;
pub(crate) use parameter::{FamilyInit, Layout, ParameterId, Part};
pub use run::run;
pub(crate) use run::{Extent, Hook, batch_norm_in_training, live_bytes};
