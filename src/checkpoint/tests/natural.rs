use std::cmp::Ordering;

use proptest::prelude::*;

use crate::checkpoint::file_format::CheckpointFormat;
use crate::checkpoint::{Listing, natural_cmp};
use crate::tensor::{Dtype, TensorInfo};

#[test]
fn layers_are_counted_and_not_spelled() {
    let mut names = vec!["h.10.w", "h.9.w", "h.100.w", "h.1.w", "h", "h.1", "a10b2", "a10b10", "a2b99"];
    names.sort_by(|a, b| natural_cmp(a, b));
    assert_eq!(names, ["a2b99", "a10b2", "a10b10", "h", "h.1", "h.1.w", "h.9.w", "h.10.w", "h.100.w"]);
}

#[test]
fn numbers_may_be_longer_than_any_integer() {
    let (nine, ten) = ("9".repeat(50), format!("1{}", "0".repeat(50)));
    assert_eq!(natural_cmp(&nine, &ten), Ordering::Less);
}

#[test]
fn a_listing_finds_every_tensor_at_its_place() {
    let tensors = (0..1000).rev().map(|n| TensorInfo::new(format!("l.{n}"), Dtype::F32, [n])).collect();
    let listing = Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), None);
    for n in 0..1000 {
        assert_eq!(listing.position(&format!("l.{n}")), Some(n));
        assert_eq!(listing.tensors[n].shape, [n as u64]);
    }
    assert_eq!(listing.position("l.1000"), None);
}

proptest! {
    #[test]
    fn what_both_begin_with_decides_nothing(start in "[a0-2.]{0,20}", a in "[a0-2.]{0,4}", b in "[a0-2.]{0,4}") {
        let [long_a, long_b] = [&a, &b].map(|end| format!("{start}/{end}"));
        prop_assert_eq!(natural_cmp(&long_a, &long_b), natural_cmp(&a, &b));
    }

    #[test]
    fn a_number_that_both_begin_with_in_part_is_compared_whole(start in "[a0-2.]{0,20}", a in 1u32..2000, b in 1u32..2000) {
        let [long_a, long_b] = [a, b].map(|number| format!("{start}.{number}.w"));
        prop_assert_eq!(natural_cmp(&long_a, &long_b), a.cmp(&b));
    }

    #[test]
    fn the_order_is_total(a in "[a0-2.]{0,6}", b in "[a0-2.]{0,6}", c in "[a0-2.]{0,6}") {
        prop_assert_eq!(natural_cmp(&a, &b), natural_cmp(&b, &a).reverse());
        prop_assert_eq!(natural_cmp(&a, &b) == Ordering::Equal, a == b);
        if natural_cmp(&a, &b).is_le() && natural_cmp(&b, &c).is_le() {
            prop_assert!(natural_cmp(&a, &c).is_le());
        }
    }
}
