//! Takes a schema apart: what each part of it costs, and what each reference can mean.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    address::{self, Address},
    pattern,
    weight::Part,
};
use crate::domain::shown;

/// A schema that has more parts with a name of their own is made by nobody.
const MOST_NAMED: usize = 64;

/// Nor one with more parts: it is not compiled.
const MOST_PARTS: usize = 10_000;

/// Patterns are compiled before the first call, and each takes a while.
const MOST_PATTERNS: usize = 1_000;

/// What it takes, at each place within a list, to find out whether its elements differ.
const DIFFERENT: u64 = 8;

/// What it takes, at each place within a value, to find out whether it is a schema, and
/// the steps from there to the next.
const SCHEMA: u64 = 64;
const SCHEMA_STEPS: u32 = 6;

/// A key of a schema that is longer makes the ways to its parts too long to be written
/// down for each fault.
const LONG: usize = 256;

/// Takes a schema apart, one part after the other.
pub(super) struct Reader<'a> {
    root: &'a Value,
    pub(super) parts: Vec<Part>,
    /// Where a part of the text stands among the parts.
    known: HashMap<*const Value, usize>,
    left: Vec<&'a Value>,
    /// Whatever has an address of its own.
    addressed: Vec<Addressed<'a>>,
    /// In which of them something stands, if in any.
    within: HashMap<*const Value, usize>,
    /// What has a name, and the name.
    anchors: Vec<(&'a str, &'a Value)>,
    /// The part that asks for a schema, if any does.
    schemas: Option<usize>,
    /// Whether it puts something of its own in the place of the schema of schemas.
    redefines: bool,
    patterns: usize,
    pub(super) backtracks: bool,
    pub(super) gathers: bool,
    pub(super) is_far: bool,
}

#[derive(Debug, Clone, Copy)]
struct Addressed<'a> {
    schema: &'a Value,
    address: Address<'a>,
    /// In which other it stands.
    within: Option<usize>,
}

impl<'a> Reader<'a> {
    /// Finds everything that a reference could mean, wherever it stands.
    pub(super) fn of(root: &'a Value) -> Result<Self, String> {
        let mut reader = Self {
            root,
            parts: Vec::new(),
            known: HashMap::new(),
            left: Vec::new(),
            addressed: Vec::new(),
            within: HashMap::new(),
            anchors: Vec::new(),
            schemas: None,
            redefines: false,
            patterns: 0,
            backtracks: false,
            gathers: false,
            is_far: false,
        };
        // In data a member is called `id` as well, so only where it means an address.
        let is_early = reader.is_early();
        let mut left = vec![(root, None)];
        while let Some((value, mut within)) = left.pop() {
            match value {
                Value::Object(members) => {
                    let says = |key: &str| members.get(key).and_then(Value::as_str);
                    for key in ["$anchor", "$dynamicAnchor"] {
                        reader.anchors.extend(says(key).map(|name| (name, value)));
                    }
                    reader.redefines |= says("$dynamicAnchor") == Some("meta")
                        || members.get("$recursiveAnchor") == Some(&Value::Bool(true));
                    let early = says("id").filter(|_| is_early);
                    for address in says("$id").into_iter().chain(early) {
                        within = reader.has_address(address, value, within);
                    }
                    if let Some(within) = within {
                        reader.within.insert(std::ptr::from_ref(value), within);
                    }
                    left.extend(members.values().map(|value| (value, within)));
                }
                Value::Array(items) => left.extend(items.iter().map(|value| (value, within))),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
            if reader.addressed.len() + reader.anchors.len() > MOST_NAMED {
                return Err(format!("it names more than {MOST_NAMED} of its parts"));
            }
        }
        Ok(reader)
    }

    /// Whether it is of the draft that says `id` for `$id`. Sees on the way how long keys
    /// are.
    fn is_early(&mut self) -> bool {
        let mut is_early = false;
        let mut left = vec![self.root];
        while let Some(value) = left.pop() {
            match value {
                Value::Object(members) => {
                    let draft = members.get("$schema").and_then(Value::as_str);
                    is_early |= draft.is_some_and(|schema| schema.contains("draft-04"));
                    self.is_far |= members.keys().any(|key| key.len() > LONG);
                    left.extend(members.values());
                }
                Value::Array(items) => left.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        is_early
    }

    /// Takes apart what was found so far, and what is found while it is.
    pub(super) fn read_all(&mut self) -> Result<(), String> {
        while let Some(part) = self.left.pop() {
            self.read(part)?;
            if self.parts.len() > MOST_PARTS {
                return Err(format!("it has more than {MOST_PARTS} parts"));
            }
        }
        Ok(())
    }

    /// Early drafts name a part by the end of its address. Says within what stands that
    /// which is in it.
    fn has_address(
        &mut self,
        address: &'a str,
        schema: &'a Value,
        within: Option<usize>,
    ) -> Option<usize> {
        let (base, name) = address.split_once('#').unwrap_or((address, ""));
        self.anchors
            .extend(Some((name, schema)).filter(|(name, _)| !name.is_empty()));
        if base.is_empty() && !name.is_empty() {
            return within;
        }
        self.addressed.push(Addressed {
            schema,
            address: Address::of(base),
            within,
        });
        Some(self.addressed.len() - 1)
    }

    pub(super) fn part_of(&mut self, schema: &'a Value) -> usize {
        let next = self.parts.len();
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
            let within = self.within.get(&std::ptr::from_ref(schema)).copied();
            self.keywords(keywords, within, &mut part)?;
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
        within: Option<usize>,
        part: &mut Part,
    ) -> Result<(), String> {
        part.own += u64::try_from(keywords.len()).unwrap_or(u64::MAX);
        part.letters = 1;
        for key in ["enum", "const", "required", "dependentRequired"] {
            part.own = part.own.saturating_add(keywords.get(key).map_or(0, places));
        }
        // The lists of names among them, and a part itself is counted where it is one.
        if let Some(Value::Object(all)) = keywords.get("dependencies") {
            let lists = all.values().filter(|one| one.is_array()).map(places);
            part.own = part.own.saturating_add(lists.sum());
        }
        for key in QUOTED {
            let bytes = keywords.get(key).map_or(0, letters);
            part.quoted = part.quoted.saturating_add(bytes / 64);
        }
        part.squares = keywords.get("format").and_then(Value::as_str) == Some("regex");
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
            self.gathers |= !each.is_empty();
            part.choices.extend(&each);
            part.beside.extend(each);
        }
        for key in REFERENCES {
            // One without text is passed over.
            let reference = keywords.get(key).and_then(Value::as_str);
            if let Some(reference) = reference.filter(|reference| !reference.is_empty()) {
                let meant = self.meant_by(key, reference, within)?;
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
    fn meant_by(
        &mut self,
        key: &str,
        reference: &'a str,
        within: Option<usize>,
    ) -> Result<Vec<usize>, String> {
        let (meant, asks_for_schema) = self.found_by(key, reference, within);
        let mut meant: Vec<usize> = meant.into_iter().map(|one| self.part_of(one)).collect();
        if asks_for_schema {
            meant.push(self.schema_of_schemas()?);
        }
        if meant.is_empty() {
            return Err(format!("`{}` leads nowhere", shown(reference)));
        }
        meant.sort_unstable();
        meant.dedup();
        Ok(meant)
    }

    /// Whatever the references of a part could mean, as far as it stands in the text.
    pub(super) fn referred_by(&self, part: &'a Value) -> Vec<&'a Value> {
        let within = self.within.get(&std::ptr::from_ref(part)).copied();
        let each = REFERENCES.into_iter().filter_map(|key| {
            let reference = part.get(key)?.as_str()?;
            Some(self.found_by(key, reference, within).0)
        });
        each.flatten().collect()
    }

    /// What a reference could mean, and whether that could be a schema of schemas as well.
    fn found_by(
        &self,
        key: &str,
        reference: &str,
        within: Option<usize>,
    ) -> (Vec<&'a Value>, bool) {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = decoded(fragment);
        let (places, asks_for_schema) = match (key, address) {
            // Which of them is meant depends on the way by which one came.
            ("$recursiveRef", _) => (self.everywhere(), !address.is_empty()),
            (_, "") => (self.around(within), false),
            (_, address) => self.at(address),
        };
        let mut meant: Vec<&'a Value> = Vec::new();
        if fragment.is_empty() || fragment.starts_with('/') {
            meant.extend(places.iter().filter_map(|place| place.pointer(&fragment)));
        }
        let anchors = self.anchors.iter();
        let named = anchors.filter(|(name, _)| *name == fragment && !name.is_empty());
        meant.extend(named.map(|(_, schema)| *schema));
        (meant, asks_for_schema)
    }

    fn everywhere(&self) -> Vec<&'a Value> {
        let addressed = self.addressed.iter().map(|one| one.schema);
        addressed.chain([self.root]).collect()
    }

    /// Where a reference can count from that names no address: from whatever it stands in,
    /// and what has the same address as that.
    fn around(&self, mut within: Option<usize>) -> Vec<&'a Value> {
        let mut around = Vec::new();
        while let Some(one) = within.and_then(|at| self.addressed.get(at)) {
            around.push(one.address);
            within = one.within;
        }
        let same = self.addressed.iter().filter(|one| {
            // One that is not clear may be the whole.
            let mut around = around.iter();
            !one.address.is_sure() || around.any(|other| one.address.may_be(*other))
        });
        same.map(|one| one.schema).chain([self.root]).collect()
    }

    /// What may have an address, and whether the schema of schemas may.
    fn at(&self, text: &str) -> (Vec<&'a Value>, bool) {
        let address = Address::of(text);
        let may_be = |one: &&Addressed<'a>| one.address.may_be(address);
        let found: Vec<&Addressed<'a>> = self.addressed.iter().filter(may_be).collect();
        let is_known = found.iter().any(|one| one.address.is_sure());
        let schemas = address::SCHEMAS;
        let places = found.iter().map(|one| one.schema).collect();
        match address.is_sure() {
            true if is_known => (places, address.ends_like_a_schema_of_schemas()),
            true if schemas.iter().any(|schemas| text.starts_with(schemas)) => (places, true),
            true | false => (self.everywhere(), true),
        }
    }

    /// The part that stands for any of the schemas by which drafts say what a schema is.
    fn schema_of_schemas(&mut self) -> Result<usize, String> {
        if self.redefines {
            return Err("it changes what a schema is, and asks for one".to_owned());
        }
        if let Some(known) = self.schemas {
            return Ok(known);
        }
        self.parts.push(Part {
            own: SCHEMA,
            all: SCHEMA,
            steps: SCHEMA_STEPS,
            squares: true,
            ..Part::default()
        });
        // What is asked for has no place in the text, so nothing else has its number.
        let at = self.parts.len() - 1;
        self.schemas = Some(at);
        self.gathers = true;
        Ok(at)
    }
}

const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// What a fault copies to say what was wanted.
const QUOTED: [&str; 10] = [
    "const",
    "contentEncoding",
    "contentMediaType",
    "dependencies",
    "dependentRequired",
    "enum",
    "format",
    "not",
    "pattern",
    "required",
];

/// About how many bytes a value takes.
fn letters(value: &Value) -> u64 {
    let text = |text: &str| 8 + u64::try_from(text.len()).unwrap_or(u64::MAX / 2);
    match value {
        Value::Array(items) => 8 + items.iter().map(letters).sum::<u64>(),
        Value::Object(members) => {
            let members = members.iter();
            8 + members
                .map(|(key, value)| text(key) + letters(value))
                .sum::<u64>()
        }
        Value::String(one) => text(one),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
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
