//! Numbers that stand for others are never passed on raw, whatever is stored next to them and whatever the target lists.

use proptest::prelude::*;

use crate::adapt::Op;
use crate::graph::Parameter;
use crate::plan::Planned;
use crate::plan::error::PlanError;

use crate::plan::testing::{of_parameters, options, parameter, planned_with, stored_as};
use crate::plan::value::{Action, Value};
use crate::tensor::{Dtype, Role};

/// What a module of a source may store: endings of its path, types and shapes. The first are the codes.
type Module = &'static [(&'static str, Dtype, &'static [u64])];

/// Numbers times a scale.
const PRODUCTS: &[Module] = &[
    &[(".weight", Dtype::F8E4m3, &[8, 16]), (".weight_scale", Dtype::F32, &[])],
    &[(".weight", Dtype::F8E5m2, &[8, 16]), (".weight_scale", Dtype::Bf16, &[8, 1])],
    &[(".weight", Dtype::F8E4m3, &[8, 16]), (".weight_scale_inv", Dtype::F8E8m0, &[2, 4])],
    &[
        (".weight", Dtype::F8E4m3fnuz, &[8, 16]),
        (".weight_scale", Dtype::F16, &[1, 16]),
        (".input_scale", Dtype::F32, &[]),
    ],
    &[(".weight", Dtype::F8E4m3, &[8, 16]), (".scale_weight", Dtype::F32, &[1])],
    &[(".weight", Dtype::I8, &[8, 16]), (".SCB", Dtype::F32, &[8])],
    &[
        (".weight", Dtype::I8, &[8, 16]),
        (".weight_scale", Dtype::F32, &[8, 4]),
        (".weight_zero_point", Dtype::I8, &[8, 4]),
    ],
    &[(".weight._data", Dtype::I8, &[8, 16]), (".weight._scale", Dtype::F32, &[8, 1])],
    &[("._weight_qdata", Dtype::F8E4m3, &[8, 16]), ("._weight_scale", Dtype::F32, &[8, 1])],
];

/// Everything else.
const OTHERS: &[Module] = &[
    &[(".weight", Dtype::F8E4m3, &[8, 16])],
    &[(".weight", Dtype::I8, &[8, 16])],
    &[(".weight", Dtype::U8, &[8, 16])],
    &[(".weight", Dtype::F4, &[8, 16])],
    &[(".weight", Dtype::F8E4m3, &[8, 16]), (".weight_scale", Dtype::F32, &[3, 5])],
    &[
        (".weight", Dtype::F8E4m3, &[8, 16]),
        (".weight_scale", Dtype::F32, &[]),
        (".pre_quant_scale", Dtype::F32, &[16]),
    ],
    &[(".weight", Dtype::U8, &[8, 8]), (".weight_scale", Dtype::F8E4m3, &[8, 1]), (".weight_scale_2", Dtype::F32, &[])],
    &[(".weight", Dtype::U8, &[64, 1]), (".weight.absmax", Dtype::F32, &[2]), (".weight.quant_map", Dtype::F32, &[16])],
    &[(".weight", Dtype::U32, &[8, 2]), (".scales", Dtype::F16, &[8, 2]), (".biases", Dtype::F16, &[8, 2])],
    &[(".weight", Dtype::I8, &[8, 8]), (".weight_scale", Dtype::F32, &[8, 1])],
    &[
        (".qweight", Dtype::I32, &[2, 8]),
        (".qzeros", Dtype::I32, &[1, 1]),
        (".scales", Dtype::F16, &[1, 8]),
        (".g_idx", Dtype::I32, &[16]),
    ],
    &[
        (".weight_packed", Dtype::I32, &[8, 2]),
        (".weight_scale", Dtype::F32, &[8, 1]),
        (".weight_shape", Dtype::I64, &[2]),
    ],
    &[(".W_q", Dtype::U8, &[8, 8]), (".scale", Dtype::F16, &[8, 1]), (".zero", Dtype::F16, &[8, 1])],
    &[
        (".codes", Dtype::I16, &[8, 2, 1]),
        (".codebooks", Dtype::F16, &[1, 256, 1, 8]),
        (".scales", Dtype::F16, &[8, 1, 1, 1]),
    ],
    &[(".weight", Dtype::I8, &[8, 16]), (".scale", Dtype::F32, &[8])],
    &[(".what", Dtype::U8, &[8, 8]), (".ever", Dtype::F32, &[3])],
];

fn modules() -> impl Iterator<Item = &'static Module> {
    PRODUCTS.iter().chain(OTHERS)
}

/// How the target lists a module: its weight in this type, or in the type that is stored; or every stored tensor in its type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Listed {
    Unsaid,
    Float,
    Codes,
    All,
}

fn parameters(path: &str, module: Module, listed: Listed) -> Vec<Parameter> {
    let weight = |dtype| Parameter { dtype, ..parameter(&format!("{path}.weight"), &[8, 16], Role::Linear) };
    match listed {
        Listed::Unsaid => vec![weight(None)],
        Listed::Float => vec![weight(Some(Dtype::Bf16))],
        Listed::Codes => vec![weight(module.first().map(|(_, dtype, _)| *dtype))],
        Listed::All => {
            let one = |(ending, dtype, shape): &(&str, Dtype, &[u64])| Parameter {
                dtype: Some(*dtype),
                ..parameter(&format!("{path}{ending}"), shape, Role::Unknown)
            };
            module.iter().map(one).collect()
        }
    }
}

/// The plan, and what was wanted; an error where a listing asks for floats to become codes.
fn planned_of(chosen: &[(usize, Listed)]) -> crate::error::Result<(Planned, Vec<Parameter>)> {
    let all: Vec<&Module> = modules().collect();
    let paths: Vec<String> = (0..chosen.len()).map(|at| format!("net.{}.fc", ["a", "b", "c", "d"][at])).collect();
    let (mut stored, mut wanted) = (vec![("net.norm.weight".to_string(), Dtype::Bf16, &[16u64][..])], Vec::new());
    wanted.push(parameter("net.norm.weight", &[16], Role::Norm));
    for ((module, listed), path) in chosen.iter().zip(&paths) {
        let module = all[*module];
        stored.extend(module.iter().map(|(ending, dtype, shape)| (format!("{path}{ending}"), *dtype, *shape)));
        wanted.extend(parameters(path, module, *listed));
    }
    let stored: Vec<(&str, Dtype, &[u64])> =
        stored.iter().map(|(name, dtype, shape)| (name.as_str(), *dtype, *shape)).collect();
    Ok((planned_with(&stored_as(&stored), &of_parameters(wanted.clone()), &options())?, wanted))
}

/// Leaves that are no floats and are under no `dequantize`.
fn raw(value: &Value, found: &mut Vec<Dtype>) {
    match value {
        Value::Apply { op: Op::Dequantize { .. }, .. } => {}
        Value::Apply { inputs, .. } => inputs.iter().for_each(|input| raw(input, found)),
        Value::Source { dtype, .. } if !dtype.is_float() => found.push(*dtype),
        Value::Source { .. }
        | Value::Init { .. }
        | Value::Count { .. }
        | Value::Computed { .. }
        | Value::Tied { .. } => {}
    }
}

fn has_codes(planned: &Planned) -> bool {
    planned.violations.iter().any(|violation| matches!(violation, PlanError::Quantized(_)))
}

#[test]
fn every_product_is_dequantised_and_everything_else_refused_alone() {
    for at in 0..PRODUCTS.len() + OTHERS.len() {
        for listed in [Listed::Unsaid, Listed::Float] {
            let (planned, _) = planned_of(&[(at, listed)]).unwrap();
            assert_eq!(has_codes(&planned), at >= PRODUCTS.len(), "{:?} {listed:?}", modules().nth(at));
            let weight = planned.plan.assignments.iter().find(|one| one.target.name == "net.a.fc.weight").unwrap();
            assert_eq!(weight.value.dequantizes(), at < PRODUCTS.len(), "{:?} {listed:?}", modules().nth(at));
            assert!(planned.strict_lines.iter().all(|line| !line.contains("scale") && !line.contains("SCB")), "{at}");
        }
    }
}

#[test]
fn a_listing_of_all_that_is_stored_is_all_copies() {
    for at in 0..PRODUCTS.len() + OTHERS.len() {
        let (planned, _) = planned_of(&[(at, Listed::All)]).unwrap();
        assert!(planned.violations.is_empty(), "{:?}: {:?}", modules().nth(at), planned.violations);
        assert!(planned.plan.assignments.iter().all(|one| one.action == Action::Copied), "{:?}", modules().nth(at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_raw_that_is_not_listed_so_and_nothing_random_that_is_stored(
        chosen in prop::collection::vec(
            (0..PRODUCTS.len() + OTHERS.len(), prop::sample::select(vec![Listed::Unsaid, Listed::Float, Listed::Codes, Listed::All])),
            1..5,
        ),
    ) {
        let Ok((planned, parameters)) = planned_of(&chosen) else { return Ok(()) };
        for (assignment, parameter) in planned.plan.assignments.iter().zip(&parameters) {
            let mut leaves = Vec::new();
            raw(&assignment.value, &mut leaves);
            let is_listed = |dtype: &Dtype| parameter.dtype == Some(*dtype) && assignment.target.dtype == *dtype;
            prop_assert!(leaves.iter().all(is_listed), "{:?} of {:?}", assignment, parameter.dtype);
            // every module has something in the source, so nothing may be drawn without a word
            prop_assert!(assignment.action != Action::New || !planned.violations.is_empty(), "{:?}", assignment);
        }
    }
}
