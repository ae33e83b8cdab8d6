//! The four plans that the types were made for: each is written by hand as a tree, reads back equal from JSON, and gives the
//! numbers that plain loops give.

use super::*;
use crate::adapt::RopeLayout;
use crate::adapt::tests::run as taken;
use crate::tensor::Dtype;

/// The values that a plan gives its targets, after it went through JSON.
fn values(assignments: Vec<Assignment>, tensors: &[Stored]) -> Vec<Vec<f64>> {
    let written_plan = plan(assignments);
    let text = serde_json::to_string(&written_plan).unwrap();
    let plan: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(plan, written_plan);
    let (files, _) = run(&plan, &[Memory::of(tensors, Gives::Extents)], options(2)).unwrap();
    let value = |(i, assignment): (usize, &Assignment)| match assignment.value {
        Value::Tied { .. } => Vec::new(),
        _ => Stored { info: assignment.target.clone(), bytes: written(&plan, &files, i) }.values(),
    };
    plan.assignments.iter().enumerate().map(value).collect()
}

fn matrix(values: &[f64], columns: usize) -> Vec<Vec<f64>> {
    values.chunks(columns).map(<[f64]>::to_vec).collect()
}

/// (a) Separate q, k and v as Meta stores them (rotary neighbours) into one fused tensor as Hugging Face stores it (rotary
/// halves), with half as many key and value heads. The mean of heads is taken in one layout, so before or after the permute.
#[test]
fn a_fused_qkv_with_fewer_kv_heads_and_rope() {
    let (heads, kv_heads, groups, head, width) = (4, 4, 2, 6, 5);
    let q = Stored::counting("wq", Dtype::F32, &[heads * head, width]);
    let k = Stored::counting("wk", Dtype::F32, &[kv_heads * head, width]);
    let v = Stored::counting("wv", Dtype::F32, &[kv_heads * head, width]);
    let rope = |heads, value| apply(Op::RopePermute { heads, rotary: head, to: RopeLayout::ToHalves }, vec![value]);
    let mean = |value| apply(Op::MeanHeads { heads: kv_heads, groups }, vec![value]);
    let fused =
        apply(Op::Concat { axis: 0 }, vec![rope(heads, source(&q)), rope(groups, mean(source(&k))), mean(source(&v))]);
    let found = matrix(&values(vec![assign("qkv", fused)], &[q.clone(), k.clone(), v.clone()])[0], width as usize);

    let (head, half) = (head as usize, head as usize / 2);
    let mut expected: Vec<Vec<f64>> = Vec::new();
    let rows = |stored: &Stored| matrix(&stored.values(), width as usize);
    let permuted = |head_rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        (0..head).map(|j| head_rows[if j < half { 2 * j } else { 2 * (j - half) + 1 }].clone()).collect()
    };
    let mean_of = |stored: &Stored, group: usize| -> Vec<Vec<f64>> {
        let rows = rows(stored);
        let (a, b) = (2 * group * head, (2 * group + 1) * head);
        (0..head).map(|j| rows[a + j].iter().zip(&rows[b + j]).map(|(x, y)| (x + y) / 2.0).collect()).collect()
    };
    rows(&q).chunks(head).for_each(|h| expected.extend(permuted(h)));
    (0..groups as usize).for_each(|g| expected.extend(permuted(&mean_of(&k, g))));
    (0..groups as usize).for_each(|g| expected.extend(mean_of(&v, g)));
    assert_eq!(found, expected);
}

/// (b) A vocabulary by token: rows of the source in the order of the new tokens, new rows where the source lacks one. The new
/// rows are drawn under the index that they have in the target, so that a further token changes none of them.
#[test]
fn b_vocabulary_by_token_with_new_rows() {
    let old = ["[PAD]", "the", "cat", "sat", "mat"];
    let new = ["[PAD]", "dog", "cat", "sat", "on", "the"];
    let width = 4u64;
    let embedding = Stored::counting("embedding", Dtype::Bf16, &[old.len() as u64, width]);
    let fresh = |rows: u64| {
        let drawn = init(&[rows, width], 0, normal(0.02));
        apply(Op::Cast { dtype: Dtype::Bf16 }, vec![drawn])
    };
    let by_token = |tokens: &[&str]| {
        let runs: Vec<_> = tokens
            .iter()
            .enumerate()
            .map(|(row, token)| match old.iter().position(|o| o == token) {
                Some(id) => taken(0, id as u64, 1, 1),
                None => taken(1, row as u64, 1, 1),
            })
            .collect();
        let value =
            apply(Op::Gather { axis: 0, runs: runs.into() }, vec![source(&embedding), fresh(tokens.len() as u64)]);
        let assignment = Assignment { new_rows: 2, ..assign("embedding", value) };
        matrix(&values(vec![assignment], std::slice::from_ref(&embedding))[0], width as usize)
    };
    let found = by_token(&new);
    let rows = matrix(&embedding.values(), width as usize);
    let mut drawn = vec![0f32; new.len() * width as usize];
    let len = drawn.len() as u64;
    Generator::new(SEED, "embedding").fill(&normal(0.02), &[new.len() as u64, width], 0, 0..len, &mut drawn).unwrap();
    for (row, token) in new.iter().enumerate() {
        let expected = match old.iter().position(|o| o == token) {
            Some(id) => rows[id].clone(),
            None => drawn[row * 4..row * 4 + 4].iter().map(|x| half::bf16::from_f32(*x).to_f64()).collect(),
        };
        assert_eq!(found[row], expected, "{token}");
    }
    let longer = by_token(&[&new[..], &["bird"]].concat());
    assert_eq!(longer[..new.len()], found[..], "one more token changes no other row");
}

/// (c) Experts in separate tensors into one stack, gate over up within each (`[experts, 2 · inner, width]`).
#[test]
fn c_expert_stack_of_gate_and_up() {
    let (experts, inner, width) = (12usize, 3usize, 2usize);
    let of = |name: &str, e: usize| {
        Stored::counting(&format!("experts.{e}.{name}"), Dtype::Bf16, &[inner as u64, width as u64])
    };
    let gates: Vec<Stored> = (0..experts).map(|e| of("w1", e)).collect();
    let ups: Vec<Stored> = (0..experts).map(|e| of("w3", e)).collect();
    let joined = |e: usize| apply(Op::Concat { axis: 0 }, vec![source(&gates[e]), source(&ups[e])]);
    let stack = apply(Op::Stack, (0..experts).map(joined).collect());
    let tensors = [gates.clone(), ups.clone()].concat();
    let assignment = assign("experts.gate_up_proj", stack);
    assert_eq!(assignment.target.shape, [12, 6, 2]);
    let found = values(vec![assignment], &tensors).remove(0);
    let expected: Vec<f64> = (0..experts).flat_map(|e| [gates[e].values(), ups[e].values()].concat()).collect();
    assert_eq!(found, expected);
}

/// (d) A width doubled by tiling. One index map for the width, shared by every tensor that touches it. What reads the doubled
/// width is divided by 2; with a tied head that cannot be the embedding, so the last norm's scale is.
#[test]
fn d_width_doubled_by_tiling_with_a_tied_head() {
    let (vocabulary, width, inner) = (5usize, 3usize, 4usize);
    let embedding = Stored::counting("embedding", Dtype::F32, &[vocabulary as u64, width as u64]);
    let up = Stored::counting("up", Dtype::F32, &[inner as u64, width as u64]);
    let down = Stored::counting("down", Dtype::F32, &[width as u64, inner as u64]);
    let norm = Stored::counting("norm", Dtype::F32, &[width as u64]);
    let twice: Arc<[crate::adapt::Run]> = [taken(0, 0, 1, width as u64), taken(0, 0, 1, width as u64)].into();
    let tile = |axis, value| apply(Op::Gather { axis, runs: Arc::clone(&twice) }, vec![value]);
    let halved = |value| apply(Op::Affine { scale: 0.5, offset: 0.0 }, vec![value]);
    let assignments = vec![
        assign("embedding", tile(1, source(&embedding))),
        assign("up", halved(tile(1, source(&up)))),
        assign("down", tile(0, source(&down))),
        assign("norm", halved(tile(0, source(&norm)))),
        Assignment {
            target: TensorInfo::new("head", Dtype::F32, [5, 6]),
            ..assign("head", Value::Tied { to: "embedding".into() })
        },
    ];
    let tensors = [embedding.clone(), up.clone(), down.clone(), norm.clone()];
    let found = values(assignments, &tensors);

    // the wide model computes what the narrow one did: token → up → relu → down, added → scale → logits by the embedding
    let narrow: Vec<Vec<f64>> = tensors.iter().map(Stored::values).collect();
    for token in 0..vocabulary {
        let logits = forward(&narrow[0], &narrow[1], &narrow[2], &narrow[3], width, inner, token);
        let wide = forward(&found[0], &found[1], &found[2], &found[3], 2 * width, inner, token);
        assert_eq!(logits, wide, "token {token}");
    }
}

fn forward(
    embedding: &[f64],
    up: &[f64],
    down: &[f64],
    norm: &[f64],
    width: usize,
    inner: usize,
    token: usize,
) -> Vec<f64> {
    let x = &embedding[token * width..(token + 1) * width];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let hidden: Vec<f64> = (0..inner).map(|i| dot(&up[i * width..(i + 1) * width], x).max(0.0)).collect();
    let y: Vec<f64> = (0..width).map(|i| (x[i] + dot(&down[i * inner..(i + 1) * inner], &hidden)) * norm[i]).collect();
    embedding.chunks(width).map(|row| dot(row, &y)).collect()
}
