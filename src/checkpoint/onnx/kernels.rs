//! How a graph uses its initialisers: a matrix that is multiplied from the right is `(in, out)`, and recurrent layers have their gates in
//! the order of ONNX.

use std::collections::BTreeMap;

use super::graph::{Model, Node};
use crate::checkpoint::kernel::{Axis, Cell, Form, Kernel, Part, Recurrent};
use crate::hash::HashMap;

/// Casts and transpositions between an initialiser and its product that are followed.
const STEPS: usize = 4;

/// The initialisers whose use states a layout, by name. One that is used in two ways is left out.
pub(super) fn of(model: &Model) -> BTreeMap<String, Kernel> {
    let mut uses: Uses = HashMap::default();
    for node in &model.nodes {
        for (place, input) in node.inputs.iter().enumerate() {
            uses.entry(input).or_default().push((node, place));
        }
    }
    let mut counts: HashMap<&str, usize> = HashMap::default();
    for tensor in &model.tensors {
        *counts.entry(&tensor.name).or_default() += 1;
    }
    let distinct = model.tensors.iter().filter(|tensor| counts.get(tensor.name.as_str()) == Some(&1));
    let kernel = |name: &str, rank| {
        let mut stated = Vec::new();
        follow(&uses, name, (rank, false), 0, &mut stated);
        let first = stated.first().cloned()?;
        stated.iter().all(|other| *other == first).then_some(first)
    };
    distinct.filter_map(|tensor| Some((tensor.name.clone(), kernel(&tensor.name, tensor.dims.len())?))).collect()
}

type Uses<'a> = HashMap<&'a str, Vec<(&'a Node, usize)>>;

/// What every use of a value states; `is_turned` after a transposition.
fn follow(uses: &Uses, name: &str, (rank, is_turned): (usize, bool), step: usize, stated: &mut Vec<Kernel>) {
    for (node, place) in uses.get(name).into_iter().flatten() {
        let number = |key: &str| node.numbers.iter().find(|(name, _)| name == key).map_or(0, |(_, number)| *number);
        let is_in_out = match (node.operator.as_str(), place) {
            ("Cast" | "Identity" | "Transpose", 0) if step < STEPS => {
                let turned = is_turned != (node.operator == "Transpose" && rank == 2);
                if let Some(output) = node.outputs.first() {
                    follow(uses, output, (rank, turned), step + 1, stated);
                }
                continue;
            }
            ("LSTM" | "GRU" | "RNN", 1..=3) => {
                stated.push(recurrent(node, *place, number("linear_before_reset") == 1));
                continue;
            }
            ("MatMul", 0) => false,
            ("MatMul", 1) => true,
            ("Gemm", 0) => number("transA") == 1,
            ("Gemm", 1) => number("transB") == 0,
            _ => continue,
        };
        if rank == 2 {
            let axes = if is_in_out != is_turned { [Axis::In, Axis::Out] } else { [Axis::Out, Axis::In] };
            stated.push(Kernel::Axes(axes.to_vec()));
        }
    }
}

fn recurrent(node: &Node, place: usize, reset_after: bool) -> Kernel {
    let cell = match node.operator.as_str() {
        "LSTM" => Cell::Lstm,
        "GRU" => Cell::Gru { reset_after: Some(reset_after) },
        _ => Cell::Simple,
    };
    let part = match place {
        1 => Part::Input,
        2 => Part::Hidden,
        _ => Part::Bias,
    };
    Kernel::Recurrent(Recurrent { form: Form::Onnx, cell, part })
}
