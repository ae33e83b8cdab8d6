//! Every family run on weights of the reference library, held to its numbers.

use super::{FOLDERS, Run, built, class_of, difference, family_of, outputs, runs};
use crate::family::FAMILIES;
use crate::graph::{Layer, Use};

#[test]
fn every_registered_family_has_a_run() {
    let ran: Vec<&str> = runs().iter().map(|run| family_of(&run.config).name()).collect();
    for family in FAMILIES {
        assert!(ran.contains(&family.name()), "{} has no run in the fixtures {FOLDERS:?}", family.name());
    }
}

#[test]
fn a_run_gives_what_transformers_gives() {
    for Run { folder, config, weights, reference } in runs() {
        let class = class_of(&config);
        let found = outputs(&config, &weights, &reference).unwrap_or_else(|error| panic!("{class}: {error}"));
        let inputs = family_of(&config).inputs();
        let expected: Vec<&String> = reference.keys().filter(|name| !inputs.contains(&name.as_str())).collect();
        // the runs of other folders have padding, which the library fills as it likes, and not all outputs
        let (mask, most) = match folder {
            "families" => (reference.get("attention_mask"), 2e-5),
            _ => {
                assert!(found.keys().eq(expected.iter().copied()) && found.len() >= 2, "{class}: {expected:?}");
                (None, 1e-5)
            }
        };
        assert!(!expected.is_empty(), "{class}");
        for name in expected {
            let difference = difference(&found[name], &reference[name], mask);
            assert!(difference < most, "{class} {name}: {difference}");
        }
    }
}

#[test]
fn every_weight_matters_to_some_run() {
    // a node that reads the wrong tensor, or none, gives the right numbers only where it is not asked
    for Run { config, weights, reference, .. } in runs() {
        let (_, graph) = built(&config);
        let before = outputs(&config, &weights, &reference).unwrap();
        let unused: Vec<&str> = graph
            .nodes
            .iter()
            .filter(|node| matches!(node.layer, Layer::Parameter { usage: Use::None, .. }))
            .map(|node| node.name.as_str())
            .collect();
        for (name, value) in &weights {
            let is_used = !unused.iter().any(|unused| name == unused) && !name.ends_with("shared.weight");
            let mut changed = weights.clone();
            changed.insert(name.clone(), (value.sin().unwrap() + 0.7).unwrap());
            let after = outputs(&config, &changed, &reference).unwrap();
            let moved = before.iter().any(|(output, value)| difference(&after[output], value, None) > 1e-7);
            // a bias of keys moves all scores of a query alike, and a softmax does not see it
            let blind = ["key.bias", "k_lin.bias", "k_proj.bias", "attn.k.bias"].iter().any(|end| name.ends_with(end));
            assert!(moved || !is_used || blind, "{}: {name}", class_of(&config));
        }
    }
}
