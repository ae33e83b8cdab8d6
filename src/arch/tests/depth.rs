use proptest::prelude::*;

use crate::arch::{DepthItem, DepthList, ListItem};

fn layers(list: &str, target: u64, source: u64) -> Vec<u64> {
    let items = list.parse::<DepthList>().unwrap().resolve(target, source).unwrap();
    items
        .iter()
        .map(|item| match item {
            DepthItem::Source(layer) => *layer,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn error(list: &str, target: u64, source: u64) -> String {
    list.parse::<DepthList>().unwrap().resolve(target, source).unwrap_err().to_string()
}

#[test]
fn every_word_chooses_the_layers_that_its_formula_says() {
    assert_eq!(layers("first", 3, 12), [0, 1, 2]);
    assert_eq!(layers("last", 3, 12), [9, 10, 11]);
    assert_eq!(layers("every:2", 6, 12), [0, 2, 4, 6, 8, 10]);
    assert_eq!(layers("every:2+1", 6, 12), [1, 3, 5, 7, 9, 11]);
    assert_eq!(layers("every:5", 3, 12), [0, 5, 10]);
    assert_eq!(layers("stack", 5, 2), [0, 1, 0, 1, 0]);
    assert_eq!(layers("interleave", 4, 2), [0, 0, 1, 1]);
    assert_eq!(layers("interleave", 36, 12)[35], 11);
    assert_eq!(layers("0,2,4,7,9,-1", 6, 12), [0, 2, 4, 7, 9, 11]);
    assert_eq!(layers("0-3,2-5", 8, 6), [0, 1, 2, 3, 2, 3, 4, 5]);
}

#[test]
fn spaced_rounds_as_numpy_does_with_halves_to_the_even_neighbour() {
    // numpy.round(numpy.linspace(0, L - 1, l))
    assert_eq!(layers("spaced", 6, 12), [0, 2, 4, 7, 9, 11]);
    assert_eq!(layers("spaced", 3, 6), [0, 2, 5]);
    assert_eq!(layers("spaced", 3, 12), [0, 6, 11]);
    assert_eq!(layers("spaced", 1, 12), [0]);
    assert_eq!(layers("spaced", 12, 12), (0..12).collect::<Vec<_>>());
}

#[test]
fn interpolation_keeps_the_ends_and_never_names_a_layer_beyond_the_last() {
    let items = "interpolate".parse::<DepthList>().unwrap().resolve(5, 3).unwrap();
    let half = |lower| DepthItem::Between { lower, t: 0.5 };
    assert_eq!(items, [DepthItem::Source(0), half(0), DepthItem::Source(1), half(1), DepthItem::Source(2)]);
    assert_eq!("interpolate".parse::<DepthList>().unwrap().resolve(1, 3).unwrap(), [DepthItem::Source(0)]);
}

#[test]
fn expand_puts_identity_copies_after_every_group_of_layers() {
    let items = "expand".parse::<DepthList>().unwrap().resolve(6, 4).unwrap();
    let source = DepthItem::Source;
    assert_eq!(items, [source(0), source(1), DepthItem::Identity(1), source(2), source(3), DepthItem::Identity(3)]);
    let llama_pro = "expand".parse::<DepthList>().unwrap().resolve(40, 32).unwrap();
    let copies: Vec<_> = llama_pro.iter().filter(|item| matches!(item, DepthItem::Identity(_))).copied().collect();
    assert_eq!(copies, (0..8).map(|k| DepthItem::Identity(4 * k + 3)).collect::<Vec<_>>());
}

#[test]
fn a_list_that_does_not_fit_is_an_error_with_both_numbers() {
    assert_eq!(error("first", 13, 12), "depth list `first` gives 12 layers, the target has 13 (the source has 12)");
    assert_eq!(error("every:2", 5, 12), "depth list `every:2` gives 6 layers, the target has 5 (the source has 12)");
    assert_eq!(error("expand", 3, 12), "depth list `expand` gives 12 layers, the target has 3 (the source has 12)");
    assert_eq!(error("0,12", 2, 12), "depth list `0,12` names layer 12, the source has 12 layers");
    assert_eq!(error("0,-13", 2, 12), "depth list `0,-13` names layer -13, the source has 12 layers");
    assert_eq!(error("stack", 2, 0), "depth list `stack` names layer 0, the source has 0 layers");
}

#[test]
fn new_needs_no_source() {
    let items = "new,new".parse::<DepthList>().unwrap().resolve(2, 0).unwrap();
    assert_eq!(items, [DepthItem::New, DepthItem::New]);
}

#[test]
fn what_is_no_list_is_an_error() {
    for text in
        ["", "every:0", "every:", "every:2+", "first,", "5-3", "0-99999999999", "1.5", "-0", "--1", "1-", "frist"]
    {
        assert!(text.parse::<DepthList>().is_err(), "{text}");
    }
    let error = "frist".parse::<DepthList>().unwrap_err();
    assert!(error.to_string().contains("did you mean `first`?"), "{error}");
}

fn any_list() -> impl Strategy<Value = DepthList> {
    let item = prop_oneof![(-20i64..20).prop_map(ListItem::Index), Just(ListItem::New)];
    prop_oneof![
        Just(DepthList::First),
        Just(DepthList::Last),
        Just(DepthList::Spaced),
        Just(DepthList::Stack),
        Just(DepthList::Interleave),
        Just(DepthList::Interpolate),
        Just(DepthList::Expand),
        (1u64..9, 0u64..9).prop_map(|(step, offset)| DepthList::Every { step, offset }),
        prop::collection::vec(item, 1..12).prop_map(DepthList::Items),
    ]
}

proptest! {
    #[test]
    fn a_list_reads_back_as_it_was_written(list in any_list()) {
        prop_assert_eq!(list.to_string().parse::<DepthList>().unwrap(), list);
    }

    #[test]
    fn what_resolves_has_one_item_for_each_target_layer_and_names_no_layer_beyond_the_source(
        list in any_list(), target in 0u64..40, source in 0u64..40,
    ) {
        if let Ok(items) = list.resolve(target, source) {
            prop_assert_eq!(items.len() as u64, target);
            for item in items {
                let last = match item {
                    DepthItem::New => None,
                    DepthItem::Source(layer) | DepthItem::Identity(layer) => Some(layer),
                    DepthItem::Between { lower, t } => {
                        prop_assert!(t > 0.0 && t < 1.0);
                        Some(lower + 1)
                    }
                };
                prop_assert!(last.is_none_or(|layer| layer < source));
            }
        }
    }
}
