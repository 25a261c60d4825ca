//! A schema that is asked only what it can answer with little work and little memory.

#[cfg(test)]
mod tests;

use jsonschema::{PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Value, value::RawValue};

use super::{Effort, pattern, weight::Weight};

/// Findings beyond this are not told.
const MAX_FINDINGS: usize = 8;

/// What is wrong is said in full only of what is small: each visit can leave a finding,
/// each finding a copy of what it is about, and they are all made before the first can be
/// read. So many visits, and so many bytes for all their copies.
const TELLING: u64 = 1_000;
const COPIED: u64 = 16 * 1024 * 1024;

/// Visits that are made at once, and those that are made beside the runtime.
const AT_ONCE: u64 = 20_000;
const BESIDE: u64 = 20_000_000;

/// By how much patterns that are given up can multiply the visits: so often it is tried
/// what would be if they fitted, or did not.
const GIVEN_UP: u64 = 64;

/// More work than may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// See the module.
#[derive(Debug)]
pub(super) struct Checked {
    validator: Validator,
    weight: Weight,
}

impl Checked {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is no schema, or one whose work has no bound.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        Self::by(&options(), schema)
    }

    /// Compiles a schema that the operator wrote: a `format` is meant, although newer
    /// drafts only take note of it.
    ///
    /// # Errors
    /// As [`Checked::new`]; also when it asks for a format that nobody checks.
    pub(super) fn of_rule(schema: &Value) -> Result<Self, String> {
        let strict = options()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false);
        Self::by(&strict, schema)
    }

    fn by(options: &ValidationOptions<'_>, schema: &Value) -> Result<Self, String> {
        let weight = Weight::of(schema)?;
        let validator = options.build(schema).map_err(|error| error.to_string())?;
        Ok(Self { validator, weight })
    }

    /// Whether a value fits that is known to be small.
    pub(super) fn fits(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// What is wrong with a value that was written in so many bytes, and where; nothing
    /// when it fits.
    pub(super) fn check(
        &self,
        value: &Value,
        bytes: usize,
        effort: Effort,
    ) -> Result<Vec<(String, String)>, TooMuch> {
        let most = match effort {
            Effort::AtOnce => AT_ONCE,
            Effort::Beside => BESIDE,
        };
        let most = match self.weight.backtracks {
            true => most / GIVEN_UP,
            false => most,
        };
        self.check_within(value, bytes, most)
    }

    fn check_within(
        &self,
        value: &Value,
        bytes: usize,
        most: u64,
    ) -> Result<Vec<(String, String)>, TooMuch> {
        if !self.weight.is_light(bytes, most) && !self.weight.is_within(value, most, false) {
            return Err(TooMuch);
        }
        if self.validator.is_valid(value) {
            return Ok(Vec::new());
        }
        Ok(self.told(value))
    }

    /// What is wrong with a value that does not fit.
    fn told(&self, value: &Value) -> Vec<(String, String)> {
        let of = |error: ValidationError<'_>| {
            let at = error.instance_path().to_string();
            (at, error.masked().to_string())
        };
        let most = TELLING.min(COPIED / copy(value));
        if !self.weight.is_far && self.weight.is_within(value, most, true) {
            let all = self.validator.iter_errors(value).take(MAX_FINDINGS);
            return all.map(of).collect();
        }
        // The first ends the search, and is all that is copied; but among alternatives
        // all that is wrong with each would be collected.
        let first = match self.weight.gathers {
            true => None,
            false => self.validator.validate(value).err(),
        };
        let says = || "does not fit, and is too large to say where".to_owned();
        vec![first.map_or_else(|| (String::new(), says()), of)]
    }
}

/// About how many bytes a copy of a value takes.
fn copy(value: &Value) -> u64 {
    let text = |text: &str| 64 + u64::try_from(text.len()).unwrap_or(u64::MAX / 2);
    match value {
        // However few are in it, there is room for several.
        Value::Object(members) => {
            let members = members.iter();
            768 + members.map(|(key, one)| text(key) + copy(one)).sum::<u64>()
        }
        Value::Array(items) => 64 + items.iter().map(copy).sum::<u64>(),
        Value::String(one) => text(one),
        Value::Null | Value::Bool(_) | Value::Number(_) => 32,
    }
}

/// No network: a schema's `$ref` is never fetched.
fn options() -> ValidationOptions<'static> {
    let patterns = PatternOptions::fancy_regex().backtrack_limit(pattern::STEPS);
    jsonschema::options()
        .with_pattern_options(patterns)
        .with_content_media_type("application/json", is_json)
}

/// Whether a text is JSON. The library would build it, in a hundred times its room.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}
