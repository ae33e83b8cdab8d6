use proptest::prelude::*;

use crate::arch::Pattern;

fn bound(pattern: &str, name: &str) -> Option<Vec<(String, String)>> {
    Pattern::parse(pattern).unwrap().matches(name).map(|bindings| bindings.0.into_iter().collect())
}

fn matches(pattern: &str, name: &str) -> bool {
    bound(pattern, name).is_some()
}

fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
}

#[test]
fn plain_text_matches_exactly_that_name() {
    assert!(matches("a.b", "a.b"));
    assert!(!matches("a.b", "a.b.c"));
    assert!(!matches("a.b", "a.bc"));
}

#[test]
fn one_star_is_one_whole_component() {
    assert!(matches("classifier.*", "classifier.weight"));
    assert!(!matches("classifier.*", "classifier.dense.weight"));
    assert!(!matches("classifier.*", "classifier"));
    assert!(Pattern::parse("class*").is_err());
}

#[test]
fn two_stars_are_any_number_of_components_zero_too() {
    for name in ["classifier", "classifier.weight", "classifier.dense.weight"] {
        assert!(matches("classifier.**", name), "{name}");
    }
    assert!(!matches("classifier.**", "classifiers.weight"));
    assert!(matches("**.weight", "weight"));
    assert!(matches("**", "anything.at.all"));
    assert!(matches("**.attn.**.weight", "a.attn.q.weight"));
    assert!(!matches("**.attn.**.weight", "a.attn.q.bias"));
}

#[test]
fn an_index_is_an_integer_and_other_letters_are_paths() {
    assert_eq!(bound("h.{i}.w", "h.12.w"), pairs(&[("i", "12")]));
    assert_eq!(bound("h.{i}.w", "h.twelve.w"), None);
    assert_eq!(bound("{p}.q.weight", "a.b.q.weight"), pairs(&[("p", "a.b")]));
    assert_eq!(bound("{p}.q.weight", "q.weight"), None);
    assert_eq!(bound("layer{i}.w", "layer3.w"), pairs(&[("i", "3")]));
    assert_eq!(bound("x.{n}_proj.w", "x.q_proj.w"), pairs(&[("n", "q")]));
    assert_eq!(bound("x.{n}_proj.w", "x._proj.w"), None);
}

#[test]
fn a_letter_stands_for_the_same_thing_wherever_it_stands() {
    assert!(matches("a.{i}.b.{i}", "a.3.b.3"));
    assert!(!matches("a.{i}.b.{i}", "a.3.b.4"));
    assert!(matches("{p}.x.{p}", "u.v.x.u.v"));
}

#[test]
fn arithmetic_is_undone_when_matching_and_applied_when_spelling() {
    let cases = [
        ("l.{i+1}.w", "l.4.w", "3"),
        ("l.{i-1}.w", "l.4.w", "5"),
        ("l.{i*2}.w", "l.4.w", "2"),
        ("l.{i*2+1}.w", "l.5.w", "2"),
        ("l.{i*3-1}.w", "l.5.w", "2"),
    ];
    for (pattern, name, index) in cases {
        let parsed = Pattern::parse(pattern).unwrap();
        assert!(parsed.has_arithmetic());
        let bindings = parsed.matches(name).unwrap();
        assert_eq!(bindings.0["i"], index, "{pattern}");
        assert_eq!(parsed.substitute(&bindings).as_deref(), Some(name));
    }
    assert_eq!(bound("l.{i+1}.w", "l.0.w"), None);
    assert_eq!(bound("l.{i*2}.w", "l.5.w"), None);
    assert!(!Pattern::parse("l.{i}.w").unwrap().has_arithmetic());
}

#[test]
fn arithmetic_that_leaves_the_integers_spells_nothing() {
    let bindings = Pattern::parse("{i}").unwrap().matches(&u64::MAX.to_string()).unwrap();
    assert_eq!(Pattern::parse("{i+1}").unwrap().substitute(&bindings), None);
    assert_eq!(Pattern::parse("{i*2}").unwrap().substitute(&bindings), None);
    let zero = Pattern::parse("{i}").unwrap().matches("0").unwrap();
    assert_eq!(Pattern::parse("{i-1}").unwrap().substitute(&zero), None);
}

#[test]
fn stars_are_carried_over_in_order_and_an_empty_one_leaves_no_dot() {
    let to = Pattern::parse("enc.{i}.attn.**").unwrap();
    let from = Pattern::parse("bert.encoder.layer.{i}.attention.**").unwrap();
    let spelt = |name: &str| from.substitute(&to.matches(name).unwrap()).unwrap();
    assert_eq!(spelt("enc.7.attn.self.query.weight"), "bert.encoder.layer.7.attention.self.query.weight");
    assert_eq!(spelt("enc.7.attn"), "bert.encoder.layer.7.attention");
}

#[test]
fn a_wrong_pattern_says_what_is_wrong() {
    for (text, part) in [
        ("", "empty"),
        ("a..b", "empty component"),
        ("a.{i", "without `}`"),
        ("a.i}", "without `{`"),
        ("a.{3}", "not a wildcard"),
        ("a.{i/2}", "not supported arithmetic"),
        ("a.{i*0}", "not supported arithmetic"),
        ("a.b*", "one whole component"),
        ("a.{i}*", "one whole component"),
        ("**.**.**.**.**", "at most 4"),
    ] {
        let error = Pattern::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn what_a_pattern_matches_it_spells_again(
        name in "[ab0-2]{1,2}(\\.[ab0-2]{1,2}){0,5}",
        pattern in "(\\*|\\*\\*|\\{i\\}|\\{p\\}|\\{q\\}|a|b|a\\{i\\}|\\{p\\}b|\\{i\\+1\\}|0)(\\.(\\*|\\*\\*|\\{i\\}|\\{p\\}|\\{q\\}|a|b|a\\{i\\}|\\{p\\}b|\\{i\\*2\\+1\\}|0)){0,3}",
    ) {
        let pattern = Pattern::parse(&pattern).unwrap();
        if let Some(bindings) = pattern.matches(&name) {
            prop_assert_eq!(pattern.substitute(&bindings), Some(name));
            for key in pattern.wildcards() {
                prop_assert!(bindings.0.contains_key(key));
            }
        }
    }

    #[test]
    fn no_text_makes_a_pattern_panic(text in "[a*{}.i+0-9]{0,12}", name in "[a.0-9]{0,12}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            let _ = pattern.matches(&name);
        }
    }
}
