//! From steps to origins: every target by way of its depth, its rule or its request, to an expression.

use smallvec::SmallVec;

use crate::adapt::Op;
use crate::error::Result;
use crate::graph::{Layout, Parameter, ParameterId};
use crate::hash::HashSet;
use crate::plan::error::PlanError;
use crate::plan::matching::Step;
use crate::plan::matching::catalog::Candidate;
use crate::plan::matching::hints::map_flags;
use crate::plan::matching::kernels::Turning;
use crate::plan::matching::known::Layouts;
use crate::plan::matching::map::Ruled;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::matching::pass::Pass;
use crate::plan::matching::recurrent::laid_out;
use crate::plan::matching::requests::{Answerer, Route};
use crate::plan::matching::ruled::Ruling;
use crate::plan::matching::stored_layout::Stored;
use crate::plan::value::{Typed, Value, apply_one};
use crate::tensor::{Dtype, TensorInfo};

impl<'a> Pass<'a> {
    /// What became of every target. `zeroed` are the ends of residual branches in layers that start as the identity.
    pub(crate) fn resolve(&self, layouts: &[&Layouts], zeroed: &HashSet<ParameterId>) -> Result<Vec<Match>> {
        let mut resolutions = Vec::with_capacity(self.routes.len());
        for (id, (parameter, route)) in self.target.parameters.iter().zip(&self.routes).enumerate() {
            let mut resolution = self.follow(parameter, route, layouts, zeroed.contains(&id))?;
            if let (true, Some(list)) = (resolution.is_found(), self.depths.said(&parameter.name)) {
                resolution.reason.to_mut().push_str(&format!("; depth {list}"));
            }
            resolutions.push(resolution);
        }
        Ok(resolutions)
    }

    fn follow(&self, parameter: &Parameter, route: &Route, layouts: &[&Layouts], zero: bool) -> Result<Match> {
        match route {
            Route::New => {
                let list = self.depths.said(&parameter.name).unwrap_or("new");
                Ok(Match::new(Step::None, format!("a new layer by depth {list}"), true))
            }
            Route::Leaf { answerer, identity } => {
                let mut resolution = match answerer {
                    Answerer::Rule(ruled) => self.by_rule(parameter, ruled, layouts)?,
                    Answerer::Request(request) => self.by_request(parameter, *request, layouts)?,
                };
                if *identity && zero {
                    start_at_zero(parameter, &mut resolution);
                }
                Ok(resolution)
            }
            Route::Between(a, b, t) => {
                let a = self.follow(parameter, a, layouts, zero)?;
                let b = self.follow(parameter, b, layouts, zero)?;
                Ok(between(a, b, *t))
            }
        }
    }

    fn by_rule(&self, parameter: &Parameter, ruled: &Ruled, layouts: &[&Layouts]) -> Result<Match> {
        let text = |rule: &usize| self.target.rules.map.get(*rule).map_or("", |rule| rule.text.as_str());
        Ok(match ruled {
            Ruled::Found { rule, slot, tensors, sizes } => {
                let ruling = Ruling { pass: self, parameter, layouts, rule: *rule, slot: *slot, tensors, sizes };
                let (made, words) = ruling.value()?;
                let mut reason = format!("rule `{}`", text(rule));
                if !words.is_empty() {
                    reason.push_str(&format!("; {words}"));
                }
                let mut resolution = Match::new(Step::Map, reason, false);
                resolution.origin = Origin::Found { value: made.0, info: made.1 };
                resolution.tensors = tensors.iter().copied().collect();
                resolution
            }
            Ruled::New { rule } => Match::new(Step::Map, format!("declared new by `{}`", text(rule)), true),
            Ruled::Ambiguous { rule, name, .. } => {
                let reason = format!("ambiguous: several sources have the `{name}` of rule `{}`", text(rule));
                Match { contested: true, ..Match::new(Step::None, reason, false) }
            }
            Ruled::No | Ruled::Missing { .. } => Match::new(Step::None, "no source", false),
        })
    }

    fn by_request(&self, parameter: &Parameter, request: usize, layouts: &[&Layouts]) -> Result<Match> {
        let runners_up = self.search.runners_up[request].clone();
        if let Some(contest) = self.search.contested[request] {
            if let Some(disorder) = &self.search.contests[contest].order {
                let reason = format!("undecided: its place in the order of `{}`", disorder.path);
                return Ok(Match { contested: true, ..Match::new(Step::None, reason, false) });
            }
            let rivals = self.search.contests[contest].rivals.iter().flatten().filter(|(of, _)| *of == request);
            let names: Vec<String> = rivals.map(|(_, id)| format!("`{}`", self.stored_name(*id))).collect();
            let reason = format!("ambiguous: {}", names.join(", "));
            let base = Match::new(Step::None, reason, false);
            return Ok(Match { contested: true, runners_up: names, ..base });
        }
        let Some(hit) = &self.search.hits[request] else {
            let base = Match::new(Step::None, "no source tensor matches", false);
            let suggested = self.suggestions.get(&request).map(|id| {
                let pair = (parameter.name.to_string(), self.stored_name(*id));
                format!("`{}` ends alike: {}", pair.1, map_flags(std::slice::from_ref(&pair)).join(" "))
            });
            return Ok(Match { runners_up: runners_up.into_iter().chain(suggested).collect(), ..base });
        };
        let candidate = self.search.candidate(hit.candidate);
        let tensors: SmallVec<_> = candidate.tensors.iter().map(|tensor| (candidate.source, *tensor)).collect();
        let base = Match { runners_up, tensors, ..Match::new(hit.step, hit.reason.clone(), false) };
        if let Some(origin) = self.codes_for(parameter, candidate) {
            return Ok(Match { origin, ..base });
        }
        if candidate.opaque {
            let origin = Origin::Found { value: candidate.value.clone(), info: candidate.info.clone() };
            return Ok(Match { origin, opaque: true, ..base });
        }
        let layouts = layouts.get(candidate.source);
        let stored = layouts.and_then(|layouts| candidate.names().find_map(|name| layouts.layout(name)));
        let made = (candidate.value.clone(), candidate.info.clone());
        let made = match (&stored, &made.0) {
            (None, _) => made,
            (Some(Stored::Family(layout)), _) => relaid(parameter, made, candidate.shown(), *layout)?,
            (Some(stored), Value::Source { .. }) => {
                laid_out(&Turning { parameter, name: candidate.shown(), stored }, made)?.0
            }
            // a dialect has made of it what its family has
            (Some(_), _) => made,
        };
        let mut reason = base.reason;
        for how in self.dequantized(candidate).into_iter().take(1) {
            reason.to_mut().push_str(&format!("; {how}"));
        }
        Ok(Match { origin: Origin::Found { value: made.0, info: made.1 }, reason, ..base })
    }

    /// The codes as they are stored, for a target that lists them so: in their type, with what stands next to them.
    fn codes_for(&self, parameter: &Parameter, candidate: &Candidate) -> Option<Origin> {
        let [tensor] = candidate.tensors.as_slice() else { return None };
        candidate.stored.as_ref().and_then(|_| self.codes_of(parameter, candidate.source, *tensor))
    }

    /// What was done to the codes that a candidate is made of, in words.
    fn dequantized(&self, candidate: &Candidate) -> Option<String> {
        let (quantized, listing) = (&self.quantized[candidate.source], self.sources[candidate.source].listing);
        let codes = candidate.tensors.iter().filter_map(|tensor| quantized.of_codes(*tensor));
        codes
            .filter_map(|weight| quantized.numbers(candidate.source, listing, weight))
            .map(|numbers| numbers.how)
            .next()
    }
}

/// A matrix that the source stores in a layout that is known to matter, laid out as the target stores it.
fn relaid(parameter: &Parameter, made: Typed, name: &str, stored: Layout) -> Result<Typed> {
    match parameter.layout {
        Layout::Unknown => {
            let stored = if stored == Layout::InOut { "(in, out)" } else { "(out, in)" };
            let (target, source_name) = (parameter.name.clone(), name.to_string());
            Err(PlanError::LayoutUnknown { target: target.to_string(), source_name, stored }.into())
        }
        wanted if stored == wanted || made.1.shape.len() != 2 => Ok(made),
        Layout::InOut | Layout::OutIn => apply_one(vec![made], &Op::Transpose),
    }
}

/// The end of a residual branch in a layer that starts as the identity.
fn start_at_zero(parameter: &Parameter, resolution: &mut Match) {
    let Origin::Found { info, .. } = &resolution.origin else { return };
    let shape = parameter.shape.clone();
    let mut value = Value::constant(&shape, 0.0);
    let dtype = if info.dtype.is_float() { info.dtype } else { Dtype::F32 };
    if dtype != Dtype::F32 {
        value = Value::Apply { op: Op::Cast { dtype }, inputs: vec![value] };
    }
    let info = TensorInfo::new(info.name.clone(), dtype, shape);
    resolution.origin = Origin::Found { value, info };
    resolution.tensors.clear();
    resolution.reason = "zero: the end of a residual branch in a layer that starts as the identity".into();
}

/// Between two layers, where both have a source; whole numbers stay with the lower.
fn between(a: Match, b: Match, t: f64) -> Match {
    let (Origin::Found { value, info }, Origin::Found { value: upper, info: upper_info }) = (&a.origin, &b.origin)
    else {
        let contested = a.contested || b.contested;
        let reason = "one of the two layers that it lies between has no source".to_string();
        return Match { contested, ..Match::new(Step::None, reason, a.declared && b.declared) };
    };
    let inputs = vec![(value.clone(), info.clone()), (upper.clone(), upper_info.clone())];
    let Ok((value, info)) = apply_one(inputs, &Op::Lerp { t }) else { return a };
    let tensors = a.tensors.iter().chain(&b.tensors).copied().collect();
    let reason = format!("{}, between two layers ({t} of the upper)", a.reason);
    Match { origin: Origin::Found { value, info }, tensors, reason: reason.into(), ..a }
}
