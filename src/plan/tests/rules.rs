//! A rule does what it says, or is an error: laws over shapes, keys and orders.

use crate::adapt::Op;
use crate::arch::{Heads, NewRows, Positions};
use crate::error::Error;
use crate::plan::fit::error::FitError;
use crate::plan::testing::*;
use crate::plan::*;
use crate::tensor::Role;

fn fit(error: Error) -> FitError {
    error.downcast().unwrap_or_else(|error| panic!("{error}"))
}

/// `[1, positions, width]` is a table of positions with an axis in front, and is adapted as the table is.
#[test]
fn positions_behind_an_axis_of_one_are_adapted_as_a_table_is() {
    let run = |rule: Option<Positions>, prefix: Option<[u64; 2]>, rows: u64| {
        let mut to = of_parameters(vec![parameter("pos_embed", &[1, rows, 4], Role::Position)]);
        to.rules.adapt.push(adapt("pos_embed", |adapt| {
            adapt.positions = rule;
            adapt.prefix = prefix;
        }));
        planned_with(&stored(&[("pos_embed", &[1, 12, 4])]), &to, &options())
    };
    for rows in [5, 30] {
        let plan = run(Some(Positions::Interpolate), None, rows).unwrap().plan;
        let pos = of(&plan, "pos_embed");
        let Value::Apply { op: Op::Reshape { shape }, inputs } = &pos.value else { panic!("{:?}", pos.value) };
        assert_eq!(*shape, [1, rows, 4]);
        assert!(matches!(&inputs[..], [Value::Apply { op: Op::ResizeRows { prefix: 0, .. }, .. }]));
    }
    for rule in [Positions::New, Positions::Repeat, Positions::Tile] {
        let plan = run(Some(rule), None, 30).unwrap().plan;
        assert_eq!(
            (of(&plan, "pos_embed").action, of(&plan, "pos_embed").target.shape.as_slice()),
            (Action::Adapted, &[1, 30, 4][..])
        );
    }
    assert_eq!(of(&run(Some(Positions::Cut), None, 7).unwrap().plan, "pos_embed").action, Action::Adapted);
    assert!(matches!(fit(run(Some(Positions::Cut), None, 30).unwrap_err()), FitError::Adapt { .. }));
    assert_eq!(of(&run(Some(Positions::Interpolate), None, 12).unwrap().plan, "pos_embed").action, Action::Copied);
}

/// The cells of an image are no line; a `prefix` says that they are.
#[test]
fn a_grid_of_positions_is_not_interpolated_along_a_line() {
    let run = |shape: [&[u64]; 2], prefix: Option<[u64; 2]>| {
        let name = if shape[0].len() == 3 { "pos_embed" } else { "position_embedding.weight" };
        let mut to = of_parameters(vec![parameter(name, shape[1], Role::Position)]);
        to.rules
            .adapt
            .push(adapt(name, |adapt| (adapt.positions, adapt.prefix) = (Some(Positions::Interpolate), prefix)));
        planned_with(&stored(&[(name, shape[0])]), &to, &options())
    };
    let grids: [[&[u64]; 2]; 3] = [[&[1, 17, 8], &[1, 37, 8]], [&[1, 196, 8], &[1, 1024, 8]], [&[50, 8], &[197, 8]]];
    for shape in grids {
        assert!(matches!(fit(run(shape, None).unwrap_err()), FitError::PositionsOfGrid { .. }), "{shape:?}");
        run(shape, Some([0, 0])).unwrap();
    }
    let lines: [[&[u64]; 2]; 3] = [[&[512, 8], &[1024, 8]], [&[64, 8], &[256, 8]], [&[1, 77, 8], &[1, 154, 8]]];
    for shape in lines {
        run(shape, None).unwrap();
    }
}

/// Every key of `adapt` acts, or the shapes are equal, or it is an error that names the tensor and the key.
#[test]
fn an_adapt_rule_that_cannot_act_is_an_error() {
    type Change = fn(&mut crate::arch::AdaptRule);
    let keys: [(&str, Change); 4] = [
        ("positions", |rule| rule.positions = Some(Positions::Interpolate)),
        ("heads", |rule| rule.heads = Some(Heads::Mean)),
        ("rows", |rule| rule.rows = Some(NewRows::Zeros)),
        ("prefix", |rule| rule.prefix = Some([1, 1])),
    ];
    for (key, change) in keys {
        let run = |from: &[u64], to: &[u64]| {
            let mut to = of_parameters(vec![
                parameter("x.weight", to, Role::Linear),
                parameter("y.weight", &[3, 3], Role::Linear),
            ]);
            to.rules.adapt.push(adapt("x.weight", change));
            planned_with(&stored(&[("x.weight", from), ("y.weight", &[3, 3])]), &to, &options())
        };
        let error = run(&[6, 4], &[9, 5]).unwrap_err();
        assert_eq!(error.exit(), crate::error::Exit::Input);
        assert!(error.to_string().contains("x.weight") && error.to_string().contains(key), "{error}");
        assert_eq!(of(&run(&[6, 4], &[6, 4]).unwrap().plan, "x.weight").action, Action::Copied, "{key}");
    }
    let mut to =
        of_parameters(vec![parameter("x.weight", &[9, 5], Role::Linear), parameter("y.weight", &[3, 3], Role::Linear)]);
    to.rules.adapt.push(adapt("x.weight", |rule| rule.rows = Some(NewRows::Zeros)));
    let nothing = fit(refused(&stored(&[("y.weight", &[3, 3])]), &to));
    assert!(matches!(&nothing, FitError::NothingToAdapt { name, .. } if name == "x.weight"), "{nothing}");
    to.rules.adapt[0].target.optional = true;
    planned(&stored(&[("y.weight", &[3, 3])]), &to);
}

/// Whatever the shapes are, a rule gives its source or is an error; only then does a shape decide.
#[test]
fn a_map_rule_whose_source_does_not_fit_is_an_error_with_both_shapes() {
    let shapes: [&[u64]; 6] = [&[6, 4], &[4, 6], &[6], &[24], &[1, 6, 4], &[6, 4, 1]];
    for (from, to) in shapes.iter().flat_map(|from| shapes.iter().map(move |to| (*from, *to))) {
        for pattern in ["x.weight=old.weight", "x.**=old.**"] {
            let mut to_model = of_parameters(vec![
                parameter("x.weight", to, Role::Linear),
                parameter("y.weight", &[9, 9], Role::Linear),
            ]);
            let flags = crate::arch::Flags { map: vec![pattern.into()], ..Default::default() };
            to_model.rules = crate::arch::Rules::from_flags(&flags).unwrap();
            let stored = stored(&[("old.weight", from), ("y.weight", &[9, 9])]);
            match planned_with(&stored, &to_model, &options()) {
                Ok(planned) => {
                    assert_eq!(from, to);
                    assert_eq!(of(&planned.plan, "x.weight").action, Action::Copied);
                }
                Err(error) => {
                    assert_ne!(from, to);
                    assert_eq!(error.exit(), crate::error::Exit::Input);
                    let text = error.to_string();
                    let names = [pattern.to_string(), "x.weight".into(), "old.weight".into()];
                    let shapes = [from, to].map(|shape| crate::tensor::ShapeText(shape).to_string());
                    assert!(names.iter().chain(&shapes).all(|part| text.contains(part.as_str())), "{text}");
                }
            }
        }
    }
}
