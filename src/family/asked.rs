//! The keys that a family asked a config for while it was built: those that have an effect, and the defaults of those that are missing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

/// A record of keys, filled while a family is built.
#[derive(Debug, Default)]
pub(crate) struct Asked(RefCell<BTreeMap<String, AskedKey>>);

/// What is known of a key that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AskedKey {
    /// What was taken, where the config does not state the key.
    pub default: Option<Value>,
    /// Whether the default follows from other keys.
    pub derived: bool,
    /// Values beside the default that change which tensors there are.
    pub alternatives: Vec<Value>,
}

impl Asked {
    /// The keys, sorted.
    pub(crate) fn keys(&self) -> Vec<(String, AskedKey)> {
        self.0.borrow().iter().map(|(key, asked)| (key.clone(), asked.clone())).collect()
    }

    /// Whether a key was asked for.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.borrow().contains_key(key)
    }

    pub(super) fn note(&self, key: &str) {
        self.change(key, |_| ());
    }

    pub(super) fn defaulted(&self, key: &str, value: Value) {
        self.change(key, |asked| asked.default = asked.default.take().or(Some(value)));
    }

    pub(super) fn derived(&self, key: &str) {
        self.change(key, |asked| asked.derived = true);
    }

    pub(super) fn alternatives(&self, key: &str, values: impl IntoIterator<Item = Value>) {
        self.change(key, |asked| asked.alternatives = values.into_iter().collect());
    }

    fn change(&self, key: &str, change: impl FnOnce(&mut AskedKey)) {
        let mut keys = self.0.borrow_mut();
        match keys.get_mut(key) {
            Some(asked) => change(asked),
            None => change(keys.entry(key.to_string()).or_default()),
        }
    }
}
