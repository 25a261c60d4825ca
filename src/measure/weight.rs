//! How much work it is to judge a value by a schema, found out before it is done.
//!
//! A schema comes from a tool server and a value from an agent, and a few bytes of
//! either can ask for more work than anybody lives to see: references that double with
//! each step, alternatives that are tried at each level. So the visits that a validator
//! would make are counted first, without its memory of what it has seen, and never
//! further than to what is allowed. Where it is not clear what a reference means,
//! everything that it could mean counts.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::pattern;
use crate::domain::shown;

/// A path through schema and value that is longer could exhaust a stack.
const DEEPEST: u32 = 500;

/// A schema that has more parts with a name of their own is made by nobody.
const MOST_NAMED: usize = 64;

/// Nor one with more parts: it is not compiled.
const MOST_PARTS: usize = 10_000;

/// Patterns are compiled before the first call, and each takes a while.
const MOST_PATTERNS: usize = 1_000;

/// What it takes, at each place within a list, to find out whether its elements differ.
const DIFFERENT: u64 = 8;

/// The parts of a schema, and which of them look at what.
#[derive(Debug)]
pub(super) struct Weight {
    parts: Vec<Part>,
    /// The visits to a value of one byte, if that is a number.
    whole: Option<u64>,
    /// Whether a pattern may be tried again and again.
    pub(super) backtracks: bool,
}

/// One schema within a schema: what it costs, and which others look at the same value
/// or at what is in it.
#[derive(Debug, Default)]
struct Part {
    own: u64,
    /// Of each sixteen bytes of a string.
    letters: u64,
    /// Parts that look at the same value.
    beside: Vec<usize>,
    /// Those among them that are asked twice when it shall be said what is wrong.
    choices: Vec<usize>,
    properties: HashMap<String, usize>,
    /// Of each member of an object: its value, and its key.
    members: Vec<usize>,
    keys: Vec<usize>,
    /// What it costs to look at a key, for each sixteen bytes.
    key_letters: u64,
    first: Vec<usize>,
    elements: Vec<usize>,
    /// Asked again when it is found out what nobody has looked at yet.
    leftover: Vec<usize>,
    looks_for_leftovers: bool,
    /// What it takes at each place within the value, if it looks at all of them.
    all: u64,
}

impl Weight {
    /// Takes a schema apart.
    ///
    /// # Errors
    /// When no bound can be given.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let mut reader = Reader::of(schema)?;
        let root = reader.part_of(schema);
        debug_assert_eq!(root, 0, "the root is the first part");
        while let Some(part) = reader.left.pop() {
            reader.read(part)?;
            if reader.parts.len() > MOST_PARTS {
                return Err(format!("it has more than {MOST_PARTS} parts"));
            }
        }
        let mut weight = Self {
            whole: None,
            backtracks: reader.backtracks,
            parts: reader.parts,
        };
        let mut known = vec![None; weight.parts.len()];
        weight.whole = weight.sum(0, 0, &mut known);
        Ok(weight)
    }

    /// Whether it is clear from its length alone that a value takes no more visits.
    pub(super) fn is_light(&self, bytes: usize, most: u64) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.whole
            .is_some_and(|whole| whole.saturating_mul(bytes.max(1)) <= most)
    }

    /// Whether judging a value takes no more than so many visits. `telling` counts what
    /// it takes to say what is wrong.
    pub(super) fn is_within(&self, value: &Value, most: u64, telling: bool) -> bool {
        let mut walk = Walk {
            parts: &self.parts,
            left: most,
            telling,
        };
        walk.visit(0, value, 0).is_some()
    }

    /// All that can be visited from a part on, if no way leads back to it.
    fn sum(&self, at: usize, depth: u32, known: &mut [Option<Option<u64>>]) -> Option<u64> {
        if let Some(known) = known.get(at).copied().flatten() {
            return known;
        }
        if depth > DEEPEST / 4 {
            return None;
        }
        // Who comes by here again has gone round.
        *known.get_mut(at)? = Some(None);
        let part = self.parts.get(at)?;
        let letters = part.letters.saturating_add(part.key_letters);
        let mut sum = part.own.saturating_add(letters).saturating_add(part.all);
        let within = part.properties.values().chain(&part.members);
        let within = within.chain(&part.keys).chain(&part.first);
        for next in within.chain(&part.beside).chain(&part.elements) {
            sum = sum.saturating_add(self.sum(*next, depth + 1, known)?);
        }
        let sum = (!part.looks_for_leftovers).then_some(sum);
        *known.get_mut(at)? = Some(sum);
        sum
    }
}

struct Walk<'a> {
    parts: &'a [Part],
    left: u64,
    telling: bool,
}

impl<'a> Walk<'a> {
    fn spend(&mut self, visits: u64) -> Option<()> {
        self.left = self.left.checked_sub(visits)?;
        Some(())
    }

    fn visit(&mut self, at: usize, value: &Value, depth: u32) -> Option<()> {
        let part = self.enter(at, value, depth)?;
        for next in &part.beside {
            self.visit(*next, value, depth + 1)?;
        }
        if self.telling {
            for next in &part.choices {
                self.visit(*next, value, depth + 1)?;
            }
        }
        if part.all > 0 {
            self.everything(value, part.all, depth)?;
        }
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    self.spend(1 + part.key_letters.saturating_mul(sixteenths(key)))?;
                    if let Some(next) = part.properties.get(key) {
                        self.visit(*next, value, depth + 1)?;
                    }
                    for next in &part.members {
                        self.visit(*next, value, depth + 1)?;
                    }
                    if !part.keys.is_empty() {
                        let key = Value::String(key.clone());
                        for next in &part.keys {
                            self.visit(*next, &key, depth + 1)?;
                        }
                    }
                }
            }
            Value::Array(items) => {
                self.spend(u64::try_from(items.len()).unwrap_or(u64::MAX))?;
                for (next, value) in part.first.iter().zip(items) {
                    self.visit(*next, value, depth + 1)?;
                }
                for next in &part.elements {
                    for value in items {
                        self.visit(*next, value, depth + 1)?;
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if part.looks_for_leftovers {
            self.mark(at, value, depth)?;
        }
        Some(())
    }

    /// What it takes to find out what of a value a part has looked at: whoever may have
    /// looked is judged again.
    fn mark(&mut self, at: usize, value: &Value, depth: u32) -> Option<()> {
        let part = self.enter(at, value, depth)?;
        for next in &part.beside {
            self.visit(*next, value, depth + 1)?;
            self.mark(*next, value, depth + 1)?;
        }
        for next in &part.leftover {
            match value {
                Value::Object(members) => {
                    for value in members.values() {
                        self.visit(*next, value, depth + 1)?;
                    }
                }
                Value::Array(items) => {
                    for value in items {
                        self.visit(*next, value, depth + 1)?;
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        Some(())
    }

    fn enter(&mut self, at: usize, value: &Value, depth: u32) -> Option<&'a Part> {
        let part = self.parts.get(at)?;
        if depth > DEEPEST {
            return None;
        }
        let letters = match value {
            Value::String(text) => part.letters.saturating_mul(sixteenths(text)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => 0,
        };
        self.spend(part.own.saturating_add(letters))?;
        Some(part)
    }

    fn everything(&mut self, value: &Value, each: u64, depth: u32) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    self.spend(sixteenths(key))?;
                    self.everything(value, each, depth + 1)?;
                }
            }
            Value::Array(items) => {
                for value in items {
                    self.everything(value, each, depth + 1)?;
                }
            }
            Value::String(text) => self.spend(sixteenths(text))?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        self.spend(each)
    }
}

fn sixteenths(text: &str) -> u64 {
    u64::try_from(text.len() / 16 + 1).unwrap_or(u64::MAX)
}

/// Takes a schema apart, one part after the other.
struct Reader<'a> {
    root: &'a Value,
    parts: Vec<Part>,
    /// Where a part of the text stands among the parts.
    known: HashMap<*const Value, usize>,
    left: Vec<&'a Value>,
    /// Whatever has an address of its own.
    addressed: Vec<&'a Value>,
    /// What has a name, and the name.
    anchors: Vec<(&'a str, &'a Value)>,
    patterns: usize,
    backtracks: bool,
}

impl<'a> Reader<'a> {
    /// Finds everything that a reference could mean, wherever it stands.
    fn of(root: &'a Value) -> Result<Self, String> {
        let mut reader = Self {
            root,
            parts: Vec::new(),
            known: HashMap::new(),
            left: Vec::new(),
            addressed: Vec::new(),
            anchors: Vec::new(),
            patterns: 0,
            backtracks: false,
        };
        // In data a member is called `id` as well, so only where it means an address.
        let mut early = Vec::new();
        let mut is_early = false;
        let mut left = vec![root];
        while let Some(value) = left.pop() {
            match value {
                Value::Object(members) => {
                    let says = |key: &str| members.get(key).and_then(Value::as_str);
                    is_early |= says("$schema").is_some_and(|schema| schema.contains("draft-04"));
                    for key in ["$anchor", "$dynamicAnchor"] {
                        reader.anchors.extend(says(key).map(|name| (name, value)));
                    }
                    if let Some(address) = says("$id") {
                        reader.has_address(address, value);
                    }
                    early.extend(says("id").map(|address| (address, value)));
                    left.extend(members.values());
                }
                Value::Array(items) => left.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        for (address, value) in early.into_iter().filter(|_| is_early) {
            reader.has_address(address, value);
        }
        if reader.addressed.len() + reader.anchors.len() > MOST_NAMED {
            return Err(format!("it names more than {MOST_NAMED} of its parts"));
        }
        Ok(reader)
    }

    /// Early drafts name a part by the end of its address.
    fn has_address(&mut self, address: &'a str, schema: &'a Value) {
        self.addressed.push(schema);
        let name = address.split_once('#').map(|(_, name)| name);
        self.anchors.extend(name.map(|name| (name, schema)));
    }

    fn part_of(&mut self, schema: &'a Value) -> usize {
        let next = self.known.len();
        let at = *self.known.entry(std::ptr::from_ref(schema)).or_insert(next);
        if at == next {
            self.parts.push(Part::default());
            self.left.push(schema);
        }
        at
    }

    fn each_of(&mut self, schemas: Option<&'a Value>) -> Vec<usize> {
        match schemas {
            Some(Value::Array(schemas)) => schemas.iter().map(|one| self.part_of(one)).collect(),
            Some(Value::Object(schemas)) => schemas.values().map(|one| self.part_of(one)).collect(),
            Some(_) | None => Vec::new(),
        }
    }

    fn one_of(&mut self, schema: Option<&'a Value>) -> Vec<usize> {
        let schema = schema.filter(|schema| schema.is_object());
        schema.map(|one| self.part_of(one)).into_iter().collect()
    }

    fn read(&mut self, schema: &'a Value) -> Result<(), String> {
        let mut part = Part {
            own: 1,
            ..Part::default()
        };
        let at = self.part_of(schema);
        if let Value::Object(keywords) = schema {
            self.keywords(keywords, &mut part)?;
        }
        // One that means itself is passed over.
        part.beside.retain(|next| *next != at);
        if let Some(place) = self.parts.get_mut(at) {
            *place = part;
        }
        Ok(())
    }

    fn keywords(
        &mut self,
        keywords: &'a Map<String, Value>,
        part: &mut Part,
    ) -> Result<(), String> {
        part.own += u64::try_from(keywords.len()).unwrap_or(u64::MAX);
        part.letters = 1;
        for key in ["enum", "const", "required"] {
            part.own = part.own.saturating_add(keywords.get(key).map_or(0, places));
        }
        if keywords.get("uniqueItems") == Some(&Value::Bool(true)) {
            part.all = DIFFERENT;
        }
        for key in ["allOf", "dependentSchemas", "dependencies"] {
            part.beside.extend(self.each_of(keywords.get(key)));
        }
        for key in ["not", "if", "then", "else"] {
            let one = self.one_of(keywords.get(key));
            part.choices.extend(&one);
            part.beside.extend(one);
        }
        for key in ["anyOf", "oneOf"] {
            let each = self.each_of(keywords.get(key));
            part.choices.extend(&each);
            part.beside.extend(each);
        }
        for key in ["$ref", "$dynamicRef", "$recursiveRef"] {
            // One without text is passed over.
            let reference = keywords.get(key).and_then(Value::as_str);
            if let Some(reference) = reference.filter(|reference| !reference.is_empty()) {
                let meant = self.meant_by(key, reference)?;
                part.beside.extend(meant);
            }
        }
        if let Some(Value::Object(properties)) = keywords.get("properties") {
            let properties = properties
                .iter()
                .map(|(name, schema)| (name.clone(), self.part_of(schema)));
            part.properties = properties.collect();
        }
        if let Some(Value::Object(patterns)) = keywords.get("patternProperties") {
            for pattern in patterns.keys() {
                let weight = self.pattern(pattern)?;
                part.key_letters = part.key_letters.saturating_add(weight);
            }
            part.members = self.each_of(keywords.get("patternProperties"));
        }
        if let Some(pattern) = keywords.get("pattern").and_then(Value::as_str) {
            part.letters = part.letters.saturating_add(self.pattern(pattern)?);
        }
        part.members
            .extend(self.one_of(keywords.get("additionalProperties")));
        part.keys = self.one_of(keywords.get("propertyNames"));
        for key in ["prefixItems", "items"] {
            if let Some(first @ Value::Array(_)) = keywords.get(key) {
                part.first.extend(self.each_of(Some(first)));
            }
        }
        for key in ["items", "additionalItems", "contains"] {
            part.elements.extend(self.one_of(keywords.get(key)));
        }
        part.leftover = self.one_of(keywords.get("contains"));
        for key in ["unevaluatedProperties", "unevaluatedItems"] {
            let one = self.one_of(keywords.get(key));
            match key {
                "unevaluatedItems" => part.elements.extend(&one),
                _ => part.members.extend(&one),
            }
            part.leftover.extend(one);
            part.looks_for_leftovers |= keywords.contains_key(key);
        }
        Ok(())
    }

    fn pattern(&mut self, pattern: &str) -> Result<u64, String> {
        self.patterns += 1;
        if self.patterns > MOST_PATTERNS {
            return Err(format!("it has more than {MOST_PATTERNS} patterns"));
        }
        self.backtracks |= pattern::may_backtrack(pattern);
        Ok(pattern::weight(pattern))
    }

    /// Every part that a reference could mean.
    fn meant_by(&mut self, key: &str, reference: &'a str) -> Result<Vec<usize>, String> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = decoded(fragment);
        let mut meant: Vec<&'a Value> = Vec::new();
        if fragment.is_empty() || fragment.starts_with('/') {
            // From where it counts is not looked at: each place counts that there is.
            let root = Some(self.root).filter(|_| address.is_empty());
            let places = self.addressed.iter().copied().chain(root);
            meant.extend(places.filter_map(|place| place.pointer(&fragment)));
        }
        let anchors = self.anchors.iter();
        let named = anchors.filter(|(name, _)| *name == fragment && !name.is_empty());
        meant.extend(named.map(|(_, schema)| *schema));
        if key == "$recursiveRef" {
            meant.push(self.root);
        }
        if meant.is_empty() {
            return Err(format!("`{}` leads nowhere", shown(reference)));
        }
        let mut meant: Vec<usize> = meant.into_iter().map(|one| self.part_of(one)).collect();
        meant.sort_unstable();
        meant.dedup();
        Ok(meant)
    }
}

/// How many values there are within a value.
fn places(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(places).sum::<u64>(),
        Value::Object(members) => 1 + members.values().map(places).sum::<u64>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// A fragment without its percent signs.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|_| *first == b'%');
        let pair = pair.and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
