//! Sequences: an index is a position, and layers keep their order.

use crate::arch::Flags;
use crate::plan::assignment::Step;
use crate::plan::matching::matches::Origin;
use proptest::prelude::*;

use crate::plan::testing::*;

/// A sequence: layers with their shapes, each after some members without parameters.
fn sequence(path: &str, layers: &[(Layer, usize)]) -> (String, Vec<usize>) {
    let (mut text, mut products, mut index) = (String::new(), Vec::new(), 0);
    for (layer, skipped) in layers {
        index += skipped;
        let at = format!("{path}.{index}");
        match layer {
            Layer::Product(shape) => {
                text.push_str(&format!("{at}.weight {shape}\n{at}.bias {}\n", shape.split('x').next().unwrap()));
                products.push(index);
            }
            Layer::Norm(size) => {
                for name in ["weight", "bias", "running_mean", "running_var"] {
                    text.push_str(&format!("{at}.{name} {size}\n"));
                }
            }
        }
        index += 1;
    }
    (text, products)
}

#[derive(Clone, Debug)]
enum Layer {
    Product(&'static str),
    Norm(u64),
}

/// Products of a few shapes, so that many are alike, and for each whether a norm follows it and how much without parameters.
fn products() -> impl Strategy<Value = Vec<(&'static str, bool, usize, usize)>> {
    let shape = prop::sample::select(vec!["4x4", "4x4x3x3", "8x4x3x3", "8x8x3x3", "6x8"]);
    prop::collection::vec((shape, any::<bool>(), 0..3usize, 0..3usize), 1..7)
}

fn plain(products: &[(&'static str, bool, usize, usize)]) -> Vec<(Layer, usize)> {
    products.iter().map(|(shape, _, skipped, _)| (Layer::Product(shape), *skipped)).collect()
}

fn normed(products: &[(&'static str, bool, usize, usize)]) -> Vec<(Layer, usize)> {
    let layers = products.iter().flat_map(|(shape, has_norm, _, skipped)| {
        let norm = has_norm.then_some((Layer::Norm(4), 0));
        [(Layer::Product(shape), *skipped)].into_iter().chain(norm)
    });
    layers.collect()
}

/// Whether every product of the target comes from the one in the same place of the order.
fn check_order(case: &Case, to: (&str, &[usize]), from: (&str, &[usize])) -> std::result::Result<(), TestCaseError> {
    let found = case.matched();
    for (ours, theirs) in to.1.iter().zip(from.1) {
        for tensor in ["weight", "bias"] {
            let (target, source) = (format!("{}.{ours}.{tensor}", to.0), format!("{}.{theirs}.{tensor}", from.0));
            prop_assert_eq!(found.from(&target), source, "{}", target);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_product_comes_from_the_same_place_of_the_order_whatever_stands_between(layers in products()) {
        let ((source, theirs), (target, ours)) = (sequence("net", &plain(&layers)), sequence("net", &normed(&layers)));
        check_order(&texts(&source, &target), ("net", &ours), ("net", &theirs))?;
        check_order(&texts(&target, &source), ("net", &theirs), ("net", &ours))?;
    }

    #[test]
    fn below_another_path_the_order_is_kept_too(layers in products()) {
        let more = "\nstem.conv.weight 4x3\nstem.norm.weight 4\nneck.conv.weight 4x8";
        let ((source, theirs), (target, ours)) = (sequence("net", &plain(&layers)), sequence("body.net", &normed(&layers)));
        let case = texts(&(source + more), &(target + &more.replace('\n', "\nbody.")));
        check_order(&case, ("body.net", &ours), ("net", &theirs))?;
    }

    #[test]
    fn what_is_found_in_a_sequence_keeps_its_order_and_its_kind(
        a in prop::collection::vec((0..4usize, 0..2usize), 1..7),
        b in prop::collection::vec((0..4usize, 0..2usize), 1..7),
    ) {
        let kinds = [Layer::Product("4x4"), Layer::Product("8x4"), Layer::Norm(4), Layer::Norm(8)];
        let made = |chosen: &[(usize, usize)]| chosen.iter().map(|(kind, skip)| (kinds[*kind].clone(), *skip)).collect::<Vec<_>>();
        let case = texts(&sequence("net", &made(&a)).0, &sequence("net", &made(&b)).0);
        let found = case.matched();
        let index = |name: &str| name.split('.').nth(1).and_then(|part| part.parse::<usize>().ok()).unwrap();
        let mut last = None;
        for (parameter, one) in case.target.parameters.iter().zip(&found.matches) {
            let Origin::Found { value, .. } = &one.origin else { continue };
            let from = index(&words(value));
            prop_assert!(last.is_none_or(|last| last <= from), "{} from {}", parameter.name, from);
            last = Some(from);
        }
    }
}

#[test]
fn a_layer_more_of_the_same_shape_could_stand_anywhere_and_is_refused() {
    for target in ["net.{0,2,4}.weight 4x4", "net.{0,3,6}.weight 4x4"] {
        let case = texts("net.{0,2}.weight 4x4", target);
        let [violation] = &case.matched().violations()[..] else { panic!("{target}") };
        assert!(
            violation.contains("net.0.weight") && violation.contains("their order fits in several ways"),
            "{violation}"
        );
    }
    let longer = texts("net.{0,2,4}.weight 4x4", "net.{1,4}.weight 4x4");
    assert!(longer.matched().hints()[0].contains("--unused 'net.INDEX.*'"), "{:?}", longer.matched().hints());
}

#[test]
fn saying_which_layer_is_new_or_left_out_decides() {
    let new = |pattern: &str| Flags { new: vec![pattern.into()], ..Flags::default() };
    let case = texts("net.{0,2}.weight 4x4", "net.{0,2,4}.weight 4x4").flags(new("net.0.*"));
    let found = case.matched().clean();
    assert_eq!(
        ["net.0.weight", "net.2.weight", "net.4.weight"].map(|name| found.from(name)),
        ["new", "net.0.weight", "net.2.weight"]
    );
    let unused = Flags { unused: vec!["net.2.*".into()], ..Flags::default() };
    let case = texts("net.{0,2,4}.weight 4x4", "net.{1,4}.weight 4x4").flags(unused);
    let found = case.matched().clean();
    assert_eq!(["net.1.weight", "net.4.weight"].map(|name| found.from(name)), ["net.0.weight", "net.4.weight"]);
}

#[test]
fn a_sequence_that_is_cut_keeps_its_indices() {
    let case = texts("net.{0,2,4,6}.weight 4x4\nnet.8.weight 2x4", "net.{0,2,4}.weight 4x4");
    let found = case.matched().clean();
    for name in ["net.0.weight", "net.2.weight", "net.4.weight"] {
        assert_eq!((found.from(name), found.step(name)), (name.to_string(), Step::Name));
    }
}

#[test]
fn a_layer_of_another_size_is_paired_with_the_one_whose_place_it_took() {
    let case = texts("net.{0,2}.weight 4x4\nnet.4.weight 10x4", "net.{0,3}.weight 4x4\nnet.6.weight 7x4");
    let found = case.matched().clean();
    assert_eq!((found.from("net.6.weight"), found.step("net.6.weight")), ("net.4.weight".into(), Step::Sequence));
}

#[test]
fn other_widths_everywhere_leave_the_indices_as_they_are() {
    let case = texts(
        "net.0.weight 64x3\nnet.2.weight 64x64\nnet.4.weight 128x64\nnet.6.weight 128x128",
        "net.0.weight 32x3\nnet.2.weight 32x32\nnet.4.weight 64x32\nnet.6.weight 64x64",
    );
    let found = case.matched().clean();
    assert_eq!(found.from("net.6.weight"), "net.6.weight");
}

#[test]
fn nested_sequences_follow_the_ones_around_them() {
    let block =
        |at: &str, second: u64, shape: &str| format!("net.{at}.0.weight {shape}\nnet.{at}.{second}.weight {shape}\n");
    let source = block("0", 2, "4x4") + &block("1", 2, "8x8") + "net.3.weight 2x8";
    let target = block("0", 3, "4x4") + &block("2", 3, "8x8") + "net.5.weight 2x8";
    let case = texts(&source, &target);
    let found = case.matched().clean();
    for (to, from) in [("0.0", "0.0"), ("0.3", "0.2"), ("2.0", "1.0"), ("2.3", "1.2"), ("5", "3")] {
        assert_eq!(found.from(&format!("net.{to}.weight")), format!("net.{from}.weight"));
    }
}

#[test]
fn a_sequence_of_layers_that_differ_is_no_repeated_block() {
    // of an inverted residual: a list of blocks that ends in a convolution and its norm
    let block = "conv.{0,1}.0.weight 8x1x3x3\nconv.{0,1}.1.weight 8\nconv.2.weight 4x8x1x1\nconv.3.weight 4";
    let lacking = block.replace("\nconv.3.weight 4", "");
    let found = texts(&lacking, block);
    assert_eq!(found.matched().clean().from("conv.3.weight"), "new");
}

#[test]
fn the_alignment_is_reported() {
    let case = texts("net.{0,2}.weight 4x4", "net.{0,3}.weight 4x4");
    let found = case.matched().clean();
    assert!(
        found
            .warnings
            .iter()
            .any(|warning| warning.contains("the layers of `net` have other indices") && warning.contains("3 from 2")),
        "{:?}",
        found.warnings
    );
    assert!(found.of("net.3.weight").reason.contains("2 of 2 layers agree in kind and shape"));
    assert!(found.of("net.0.weight").reason.contains("the same name"));
}

#[test]
fn long_sequences_are_aligned_in_a_time_that_is_bounded() {
    let text = |step: usize| (0..5000).map(|at| format!("net.{}.weight 4x4\n", at * step)).collect::<String>();
    let started = std::time::Instant::now();
    texts(&text(2), &text(3)).matched();
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn sequences_in_the_layers_of_a_block_are_reported_once() {
    let case = texts("h.{0-5}.mlp.{0,2}.weight 4x4", "h.{0-5}.mlp.{0,3}.weight 4x4");
    let found = case.matched().clean();
    let [note] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert!(note.contains("`h.0.mlp` and 5 more like it"), "{note}");
    assert_eq!(found.from("h.5.mlp.3.weight"), "h.5.mlp.2.weight");
}

#[test]
fn a_head_of_other_layers_is_new_and_no_word_is_lost_about_an_order() {
    let case = texts("head.1.weight 10x8\nbody.weight 8x8", "head.0.weight 4x8\nhead.3.weight 3x4\nbody.weight 8x8");
    let found = case.matched().clean();
    assert_eq!([found.from("head.0.weight"), found.from("head.3.weight")], ["new", "new"]);
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}
