//! One run of all steps of matching.

use crate::arch::Architecture;
use crate::graph::Parameter;
use crate::hash::HashMap;
use crate::plan::inputs::SourceView;
use crate::plan::matching::catalog::Catalog;
use crate::plan::matching::depth::Depths;
use crate::plan::matching::map::Rules;
use crate::plan::matching::matches::Origin;
use crate::plan::matching::requests::{Requests, Route};
use crate::plan::matching::search::Search;
use crate::plan::quantized::Quantized;
use crate::plan::value::{Typed, Value};

/// One run of all steps.
pub(crate) struct Pass<'a> {
    pub(crate) target: &'a Architecture,
    pub sources: &'a [SourceView<'a>],
    pub quantized: &'a [Quantized],
    pub depths: &'a Depths,
    pub search: Search<'a>,
    pub(crate) rules: Rules<'a>,
    pub routes: Vec<Route>,
    pub claimed: Vec<(usize, usize)>,
    pub suggestions: HashMap<usize, usize>,
}

impl<'a> Pass<'a> {
    /// The steps, for what the rules left.
    pub(crate) fn run(
        sources: &'a [SourceView<'a>],
        quantized: &'a [Quantized],
        target: &'a Architecture,
        catalog: &'a Catalog,
        depths: &'a Depths,
        wanted: Requests<'a>,
    ) -> Pass<'a> {
        let Requests { rules, routes, requests, claimed } = wanted;
        let mut search = Search::new(catalog, sources, target, requests, &claimed);
        search.run();
        let suggestions = search.suggestions();
        Pass { target, sources, quantized, depths, search, rules, routes, claimed, suggestions }
    }

    /// As above, with depths that change no name.
    pub(crate) fn with_depths(self, depths: &'a Depths) -> Pass<'a> {
        Pass { depths, ..self }
    }

    /// A candidate's stored name as `map` rules write it.
    pub(crate) fn stored_name(&self, id: usize) -> String {
        let candidate = self.search.candidate(id);
        let view = &self.sources[candidate.source];
        let stored = candidate.tensors.first().and_then(|tensor| view.listing.tensors.get(*tensor));
        let name = candidate.stored.as_deref().or(stored.map(|tensor| tensor.name.as_str())).unwrap_or_default();
        if self.sources.len() > 1 { format!("{}:{name}", view.name) } else { name.to_string() }
    }
}

impl Pass<'_> {
    /// A stored tensor as a value: the weight that its codes stand for, unless a rule itself says how codes are read.
    pub(crate) fn weight(&self, source: usize, tensor: usize, is_explicit: bool) -> Typed {
        let quantized = &self.quantized[source];
        let weight = quantized.of_codes(tensor).filter(|_| !is_explicit);
        match weight.and_then(|weight| quantized.numbers(source, self.sources[source].listing, weight)) {
            Some(numbers) => (numbers.value, numbers.info),
            None => self.stored(source, tensor),
        }
    }

    /// A stored tensor as a value.
    pub(crate) fn stored(&self, source: usize, tensor: usize) -> Typed {
        let info = &self.sources[source].listing.tensors[tensor];
        (Value::stored(source, info), info.clone())
    }

    pub(crate) fn codes_of(&self, parameter: &Parameter, source: usize, tensor: usize) -> Option<Origin> {
        let view = &self.sources[source];
        let weight = self.quantized[source].of_codes(tensor)?;
        let stored = view.listing.tensors.get(tensor)?;
        let is_listed = match parameter.dtype {
            Some(dtype) => dtype == stored.dtype && parameter.shape == stored.shape,
            None => {
                let mut names = weight.names_beside(view.listing, &parameter.name).peekable();
                names.peek().is_some() && names.all(|name| self.search.has_target(&name))
            }
        };
        is_listed.then(|| Origin::Found { value: Value::stored(source, stored), info: stored.clone() })
    }
}
