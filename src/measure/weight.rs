//! How much work it is to judge a value by a schema, found out before it is done.
//!
//! A schema comes from a tool server and a value from an agent, and a few bytes of
//! either can ask for more work than anybody lives to see: references that double with
//! each step, alternatives that are tried at each level. So the visits that a validator
//! would make are counted first, without its memory of what it has seen, and never
//! further than to what is allowed. Where it is not clear what a reference means,
//! everything that it could mean counts.

use std::collections::HashMap;

use serde_json::Value;

use super::reader::Reader;

/// A path through schema and value that is longer could exhaust a stack.
const DEEPEST: u32 = 500;

/// What may be spent on letters, beside the visits that can leave a finding.
const READ: u64 = 20_000;

/// The parts of a schema, and which of them look at what.
#[derive(Debug)]
pub(super) struct Weight {
    parts: Vec<Part>,
    /// The visits to a value of one byte, if that is a number.
    whole: Option<u64>,
    /// Whether a pattern may be tried again and again.
    pub(super) backtracks: bool,
    /// Whether what is wrong can be a collection of everything that is wrong in parts, each
    /// with a copy of what it is about.
    pub(super) gathers: bool,
    /// Whether the way to a part can be too long to be written down for each fault.
    pub(super) is_far: bool,
}

/// One schema within a schema: what it costs, and which others look at the same value
/// or at what is in it.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) own: u64,
    /// What a fault copies of the part, in sixty-four bytes.
    pub(super) quoted: u64,
    /// Of each sixteen bytes of a string.
    pub(super) letters: u64,
    /// Whether it takes each sixteen bytes of a string for each other sixteen.
    pub(super) squares: bool,
    /// Parts that look at the same value.
    pub(super) beside: Vec<usize>,
    /// Those among them that are asked twice when it shall be said what is wrong.
    pub(super) choices: Vec<usize>,
    pub(super) properties: HashMap<String, usize>,
    /// Of each member of an object: its value, and its key.
    pub(super) members: Vec<usize>,
    pub(super) keys: Vec<usize>,
    /// What it costs to look at a key, for each sixteen bytes.
    pub(super) key_letters: u64,
    pub(super) first: Vec<usize>,
    pub(super) elements: Vec<usize>,
    /// Asked again when it is found out what nobody has looked at yet.
    pub(super) leftover: Vec<usize>,
    pub(super) looks_for_leftovers: bool,
    /// What it takes at each place within the value, if it looks at all of them.
    pub(super) all: u64,
    /// And how many steps it takes from each place to the next.
    pub(super) steps: u32,
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
        reader.read_all()?;
        let mut weight = Self {
            whole: None,
            backtracks: reader.backtracks,
            gathers: reader.gathers,
            is_far: reader.is_far,
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
            read: READ,
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
        let sum = (!part.looks_for_leftovers && !part.squares).then_some(sum);
        *known.get_mut(at)? = Some(sum);
        sum
    }
}

struct Walk<'a> {
    parts: &'a [Part],
    left: u64,
    telling: bool,
    /// What else may be spent on letters while it is said what is wrong.
    read: u64,
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
            self.everything(value, part, depth)?;
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
        if let Value::String(text) = value {
            self.letters(text, part.letters, part)?;
        }
        if self.telling {
            self.spend(part.quoted)?;
        }
        self.spend(part.own)?;
        Some(part)
    }

    fn everything(&mut self, value: &Value, part: &Part, depth: u32) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let next = depth + part.steps.max(1);
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    self.letters(key, 1, part)?;
                    self.everything(value, part, next)?;
                }
            }
            Value::Array(items) => {
                for value in items {
                    self.everything(value, part, next)?;
                }
            }
            Value::String(text) => self.letters(text, 1, part)?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        self.spend(part.all)
    }

    fn letters(&mut self, text: &str, each: u64, part: &Part) -> Option<()> {
        let sixteenths = sixteenths(text);
        let each = match part.squares {
            true => each.saturating_add(sixteenths),
            false => each,
        };
        let visits = each.saturating_mul(sixteenths);
        if self.telling {
            // They leave no findings.
            self.read = self.read.checked_sub(visits)?;
            return Some(());
        }
        self.spend(visits)
    }
}

fn sixteenths(text: &str) -> u64 {
    u64::try_from(text.len() / 16 + 1).unwrap_or(u64::MAX)
}
