//! What every target asks for: a rule, or a name to look for.

use crate::arch::{Architecture, FamilyBlock};
use crate::error::Result;
use crate::graph::Parameter;
use crate::hash::HashMap;
use crate::name::below;
use crate::plan::inputs::SourceView;
use crate::plan::matching::depth::{Depths, Lookup};
use crate::plan::matching::map::{Ruled, Rules};
use crate::plan::matching::search::Request;
use crate::tensor::Name;

/// What the rules answer, and what they leave to look for.
pub(crate) struct Requests<'a> {
    pub rules: Rules<'a>,
    pub routes: Vec<Route>,
    pub requests: Vec<Request>,
    pub claimed: Vec<(usize, usize)>,
}

impl<'a> Requests<'a> {
    /// Every target by way of its depth.
    pub(crate) fn of(sources: &'a [SourceView<'a>], target: &'a Architecture, depths: &Depths) -> Result<Requests<'a>> {
        let mut wanting = Collector {
            rules: Rules::new(&target.rules.map, sources, &target.parameters),
            requests: Vec::with_capacity(target.parameters.len()),
            // without depth every target looks for its own name, and no two have one
            by_name: depths.has_rules().then(HashMap::default),
            claimed: Vec::new(),
        };
        let mut routes = Vec::with_capacity(target.parameters.len());
        for parameter in &target.parameters {
            let block = target.blocks.iter().find(|block| below(&parameter.name, &block.path).is_some());
            let ruled = depths.ruled(&parameter.name);
            routes.push(wanting.route(parameter, depths.lookup(&parameter.name), ruled, block)?);
        }
        let Collector { rules, requests, claimed, by_name: _ } = wanting;
        Ok(Requests { rules, routes, requests, claimed })
    }
}

/// Collects requests while rules are asked.
pub(crate) struct Collector<'a> {
    pub rules: Rules<'a>,
    pub requests: Vec<Request>,
    /// Requests by their names, where several targets may look for one.
    pub by_name: Option<HashMap<Name, usize>>,
    pub claimed: Vec<(usize, usize)>,
}

impl Collector<'_> {
    pub(crate) fn route(
        &mut self,
        parameter: &Parameter,
        lookup: Lookup,
        ruled: Option<&str>,
        block: Option<&FamilyBlock>,
    ) -> Result<Route> {
        Ok(match lookup {
            Lookup::New => Route::New,
            Lookup::Between(a, b, t) => {
                let a = self.route(parameter, *a, ruled, block)?;
                let b = self.route(parameter, *b, ruled, block)?;
                Route::Between(Box::new(a), Box::new(b), t)
            }
            Lookup::Name { name, identity } => {
                let said = self.rules.decide(&parameter.name, &name, ruled)?;
                if let Ruled::Found { tensors, .. } = &said {
                    self.claimed.extend(tensors);
                }
                let answerer = match said {
                    Ruled::No | Ruled::Missing { .. } => Answerer::Request(self.request(parameter, name, block)),
                    // what is new by rule still holds its namesake, which no other target may take for its own
                    Ruled::New { .. } => {
                        self.request(parameter, name, block);
                        Answerer::Rule(Box::new(said))
                    }
                    Ruled::Found { .. } | Ruled::Ambiguous { .. } => Answerer::Rule(Box::new(said)),
                };
                Route::Leaf { answerer, identity }
            }
        })
    }

    pub(crate) fn request(&mut self, parameter: &Parameter, name: Name, block: Option<&FamilyBlock>) -> usize {
        if let Some(known) = self.by_name.as_ref().and_then(|known| known.get(&name)) {
            return *known;
        }
        let id = self.requests.len();
        if let Some(known) = &mut self.by_name {
            known.insert(name.clone(), id);
        }
        self.requests.push(Request::new(name, parameter.shape.clone(), block));
        id
    }
}

/// A target's route to its sources.
pub(crate) enum Route {
    New,
    Leaf { answerer: Answerer, identity: bool },
    Between(Box<Route>, Box<Route>, f64),
}

impl Route {
    pub(crate) fn mark_requests(&self, marks: &mut [bool]) {
        match self {
            Route::Leaf { answerer: Answerer::Request(request), .. } => marks[*request] = true,
            Route::Between(a, b, _) => {
                a.mark_requests(marks);
                b.mark_requests(marks);
            }
            Route::New | Route::Leaf { answerer: Answerer::Rule(_), .. } => {}
        }
    }
}

/// What answers for one name of a target.
pub(crate) enum Answerer {
    Rule(Box<Ruled>),
    Request(usize),
}
