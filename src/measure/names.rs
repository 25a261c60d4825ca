//! Which arguments a schema names, wherever in it.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::{checked::Checked, reader::Reader};

/// Parts of a schema after which no more is looked for.
const MOST: usize = 1_000;

/// A name that is longer is no name.
const LONGEST: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Names {
    named: BTreeSet<String>,
    /// Says no to what a pattern names.
    unnamed: Vec<Checked>,
    /// Whether it says of all others what they must be.
    others: bool,
    /// Whether it says in so many words that there may be others, or nobody knows.
    welcome: bool,
}

impl Names {
    pub(super) fn of(root: &Value) -> Self {
        let mut names = Self::default();
        // One that cannot be taken apart has no call.
        let reader = Reader::of(root).ok();
        let mut seen = HashSet::new();
        let mut left = vec![root];
        while let Some(part) = left.pop() {
            if seen.len() >= MOST {
                // What was not looked at may name others.
                names.welcome = true;
                break;
            }
            if !seen.insert(std::ptr::from_ref(part)) {
                continue;
            }
            for key in ["allOf", "anyOf", "oneOf"] {
                left.extend(
                    part.get(key)
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten(),
                );
            }
            left.extend(
                ["if", "then", "else"]
                    .iter()
                    .filter_map(|key| part.get(key)),
            );
            let by_name = part.get("dependentSchemas").and_then(Value::as_object);
            left.extend(by_name.into_iter().flat_map(serde_json::Map::values));
            let referred = reader.as_ref().map(|reader| reader.referred_by(part));
            left.extend(referred.into_iter().flatten());
            names.take(part);
        }
        names
    }

    fn take(&mut self, part: &Value) {
        let properties = part.get("properties").and_then(Value::as_object);
        let properties = properties.into_iter().flat_map(serde_json::Map::keys);
        self.named.extend(properties.cloned());
        let patterns = part.get("patternProperties").and_then(Value::as_object);
        if let Some(patterns) = patterns.filter(|patterns| !patterns.is_empty()) {
            let none: serde_json::Map<String, Value> = patterns
                .keys()
                .map(|pattern| (pattern.clone(), Value::Bool(false)))
                .collect();
            let none = Checked::new(&json!({"patternProperties": none}));
            self.unnamed.extend(none);
        }
        for key in ["additionalProperties", "unevaluatedProperties"] {
            let Some(others) = part.get(key) else {
                continue;
            };
            // `true` and `{}` say nothing of them.
            let says_nothing = *others == Value::Bool(true) || *others == json!({});
            self.welcome |= says_nothing;
            self.others |= others.is_object() && !says_nothing;
        }
    }

    /// Those that it names one by one.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(String::as_str)
    }

    /// Whether there may be others than those.
    pub(super) fn welcomes_others(&self) -> bool {
        self.others || self.welcome
    }

    pub(super) fn has(&self, name: &str) -> bool {
        if self.others || self.named.contains(name) {
            return true;
        }
        if name.len() > LONGEST || self.unnamed.is_empty() {
            return false;
        }
        let alone = json!({name: null});
        self.unnamed.iter().any(|none| !none.fits(&alone))
    }
}
