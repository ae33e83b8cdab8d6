//! What counts as wrong, and by how much. Every threshold stands here, with where it comes from.

use serde::Serialize;

use super::layer::{Drift, Layer};
use super::pass::Pass;

/// The signal or its gradient may change by a decade over the whole depth; three are too many. He under 30 ReLU layers stays within
/// 0.2 of a decade, Xavier loses 4.4.
const DECADES: (f64, f64) = (1.0, 3.0);
/// Units that are zero on every example. Depth alone brings a He net of 30 layers to a third, because deep signals become alike.
const DEAD: (f64, f64) = (0.10, 0.80);
/// Values near the bounds of a tanh or sigmoid (Karpathy's reading of activations).
const SATURATED: (f64, f64) = (0.05, 0.50);
/// The share of a layer's units that are copies of one another and receive one gradient.
const SYMMETRIC: (f64, f64) = (0.10, 0.50);
/// Fewer units than this are no crowd: two of three may be alike by intent.
const FEW: usize = 3;
/// Natural units above ln C, the loss of a model that knows nothing.
const LOSS: f64 = 0.5;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The signal or its gradient becomes ever smaller.
    Vanishing,
    /// It becomes ever larger.
    Exploding,
    /// Units that nothing will tell apart.
    Symmetric,
    /// Units that are zero on every example.
    Dead,
    /// Activations at their bounds, where no gradient passes.
    Saturated,
    /// NaN or infinity.
    NonFinite,
    /// A loss above that of a model which knows nothing.
    InitialLoss,
}

impl Kind {
    /// The word in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Vanishing => "vanishing",
            Kind::Exploding => "exploding",
            Kind::Symmetric => "symmetric",
            Kind::Dead => "dead",
            Kind::Saturated => "saturated",
            Kind::NonFinite => "non_finite",
            Kind::InitialLoss => "initial_loss",
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Warn,
    /// Training will not work as it is.
    Fail,
}

/// What all findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was found.
    Ok,
    /// Something is worth a look.
    Warn,
    /// Training will not work as it is.
    Fail,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// A weight, `forward`, `backward` or `loss`.
    #[serde(rename = "where")]
    pub place: String,
    /// What was measured; `None` where it is not a finite number.
    pub value: Option<f64>,
    /// What it was compared with.
    pub threshold: f64,
}

/// The worst of the findings.
pub(super) fn verdict(findings: &[Finding]) -> Verdict {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Fail) => Verdict::Fail,
        Some(Severity::Warn) => Verdict::Warn,
        None => Verdict::Ok,
    }
}

/// Everything that is wrong, the worst first, otherwise in execution order.
pub(super) fn all(pass: &Pass, layers: &[Layer], forward: Drift, backward: Drift) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    found.extend(non_finite(pass, layers));
    found.extend(drift("forward", forward));
    found.extend(drift("backward", backward));
    found.extend(symmetric(pass, layers));
    found.extend(shares(layers, Kind::Dead, DEAD, |layer| layer.dead));
    found.extend(saturated(layers));
    found.extend(initial_loss(pass));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

/// `severity` of a value between two thresholds, and the one that it passed.
fn passed(value: f64, (warn, fail): (f64, f64)) -> Option<(Severity, f64)> {
    match value {
        value if value > fail => Some((Severity::Fail, fail)),
        value if value > warn => Some((Severity::Warn, warn)),
        _ => None,
    }
}

/// The first weight whose result or gradient is not finite, in each direction.
fn non_finite(pass: &Pass, layers: &[Layer]) -> Vec<Finding> {
    let finding =
        |place: String| Finding { kind: Kind::NonFinite, severity: Severity::Fail, place, value: None, threshold: 0.0 };
    let forward = pass.sites.iter().find(|site| site.product.non_finite > 0);
    let has_gradient = |name: &str| pass.sites.iter().any(|s| s.name == name && pass.gradients.get(&s.tap).is_some());
    let backward = layers.iter().rev().find(|layer| layer.gradient_std.is_none() && has_gradient(&layer.name));
    let loss = pass.loss.filter(|loss| !loss.is_finite()).map(|_| finding("loss".into()));
    let forward = forward.map(|site| finding(site.name.clone()));
    // what is not finite on the way there is not finite on the way back
    let backward = backward.filter(|_| forward.is_none()).map(|layer| finding(layer.name.clone()));
    forward.into_iter().chain(backward).chain(loss).collect()
}

fn drift(place: &str, drift: Drift) -> Option<Finding> {
    let decades = drift.decades?;
    let (severity, threshold) = passed(decades.abs(), DECADES)?;
    let kind = if decades < 0.0 { Kind::Vanishing } else { Kind::Exploding };
    Some(Finding { kind, severity, place: place.into(), value: Some(decades), threshold })
}

/// Layers many of whose units are copies that receive one gradient: no step will ever tell them apart.
fn symmetric(pass: &Pass, layers: &[Layer]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (depth, site) in pass.sites.iter().enumerate() {
        let Some(copies) = site.copies.filter(|copies| copies.units >= FEW && copies.move_alike) else { continue };
        let share = copies.units as f64 / copies.of as f64;
        let Some((severity, threshold)) = passed(share, SYMMETRIC) else { continue };
        // a layer of zeros that no gradient reaches may lie before another one of zeros, as in a branch before a head; if the
        // signal ends in it, it is not that
        let ends = layers.iter().skip(depth + 1).any(|layer| layer.input_std == Some(0.0));
        if !copies.are_zero || ends {
            let (kind, place) = (Kind::Symmetric, site.name.clone());
            found.push(Finding { kind, severity, place, value: Some(share), threshold });
        }
    }
    found
}

fn shares(layers: &[Layer], kind: Kind, thresholds: (f64, f64), share: impl Fn(&Layer) -> Option<f64>) -> Vec<Finding> {
    let finding = |layer: &Layer| {
        let value = share(layer)?;
        let (severity, threshold) = passed(value, thresholds)?;
        Some(Finding { kind, severity, place: layer.name.clone(), value: Some(value), threshold })
    };
    layers.iter().filter_map(finding).collect()
}

/// One saturated layer is a matter of taste (BERT's trained pooler is one); a net of them passes no gradient.
fn saturated(layers: &[Layer]) -> Vec<Finding> {
    let mut found = shares(layers, Kind::Saturated, SATURATED, |layer| layer.saturated);
    let measured = layers.iter().filter(|layer| layer.saturated.is_some()).count();
    let failed = found.iter().filter(|finding| finding.severity == Severity::Fail).count();
    if failed < 2 || 2 * failed <= measured {
        found.iter_mut().for_each(|finding| finding.severity = Severity::Warn);
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "a diagnosis is not a value of a model")]
fn initial_loss(pass: &Pass) -> Option<Finding> {
    let loss = pass.loss.filter(|loss| loss.is_finite())?;
    let threshold = (pass.classes? as f64).ln() + LOSS;
    let severity = Severity::Warn;
    (loss > threshold).then(|| Finding {
        kind: Kind::InitialLoss,
        severity,
        place: "loss".into(),
        value: Some(loss),
        threshold,
    })
}
