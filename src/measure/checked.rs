//! A schema that is asked only what it can answer with little work and little memory.

use jsonschema::{PatternOptions, ValidationOptions, Validator};
use serde_json::Value;

use super::{Effort, pattern, weight::Weight};

/// Findings beyond this are not told.
const MAX_FINDINGS: usize = 8;

/// Visits after which it is not said any more what is wrong, but that something is: each
/// can leave a finding, and they are all made before the first can be read.
const TELLING: u64 = 20_000;

/// Visits that are made at once, and those that are made beside the runtime.
const AT_ONCE: u64 = 20_000;
const BESIDE: u64 = 20_000_000;

/// By how much a pattern that is given up can multiply the visits, in part.
const GIVEN_UP: u64 = 16;

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
        if !self.weight.is_within(value, TELLING, true) {
            let says = "does not fit, and is too large to say where";
            return Ok(vec![(String::new(), says.to_owned())]);
        }
        let told = self.validator.iter_errors(value).take(MAX_FINDINGS);
        Ok(told
            .map(|error| {
                (
                    error.instance_path().to_string(),
                    error.masked().to_string(),
                )
            })
            .collect())
    }
}

/// No network: a schema's `$ref` is never fetched.
fn options() -> ValidationOptions<'static> {
    let patterns = PatternOptions::fancy_regex().backtrack_limit(pattern::STEPS);
    jsonschema::options().with_pattern_options(patterns)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// How a tool server could ask for more than anybody lives to see.
    fn doubled(levels: usize, keyword: &str) -> Value {
        let mut parts = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            parts.insert(format!("a{level}"), json!({keyword: [next, next]}));
        }
        parts.insert(format!("a{levels}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/a0", "$defs": parts})
    }

    fn nested(levels: usize, of: impl Fn(Value) -> Value) -> Value {
        (0..levels).fold(json!(1), |inner, _| of(inner))
    }

    fn ask(schema: &Value, value: &Value, most: u64) -> Result<bool, TooMuch> {
        let schema = Checked::new(schema).unwrap();
        let bytes = value.to_string().len();
        let wrong = schema.check_within(value, bytes, most)?;
        Ok(wrong.is_empty())
    }

    /// Much more than what is done at once, and what a test has time for.
    const MUCH: u64 = 10 * AT_ONCE;

    #[test]
    fn references_that_double_with_each_step_are_too_much_and_not_begun() {
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let schema = doubled(40, keyword);
            assert_eq!(ask(&schema, &json!({}), MUCH), Err(TooMuch), "{keyword}");
        }
        assert_eq!(ask(&doubled(5, "allOf"), &json!({}), AT_ONCE), Ok(true));
        assert_eq!(ask(&doubled(5, "allOf"), &json!(7), AT_ONCE), Ok(false));
    }

    #[test]
    fn a_schema_that_doubles_with_each_level_of_the_value_is_too_much() {
        let again = json!({"$ref": "#/$defs/r"});
        let lists = |level: Value| json!([level]);
        let objects = |level: Value| json!({"a": level});
        for (of, list) in [
            (json!({"items": again}), true),
            (json!({"prefixItems": [again]}), true),
            (json!({"contains": again}), true),
            (json!({"unevaluatedItems": again}), true),
            (json!({"properties": {"a": again}}), false),
            (json!({"patternProperties": {"a": again}}), false),
            (json!({"additionalProperties": again}), false),
            (json!({"unevaluatedProperties": again}), false),
            (
                json!({"if": true, "then": {"additionalProperties": again}}),
                false,
            ),
            (
                json!({"dependentSchemas": {"a": {"properties": {"a": again}}}}),
                false,
            ),
            (json!({"not": {"not": {"properties": {"a": again}}}}), false),
            (json!({"properties": {"a": {"$dynamicRef": "#r"}}}), false),
            (json!({"properties": {"a": {"$ref": "#r"}}}), false),
            (json!({"properties": {"a": {"$ref": "urn:r"}}}), false),
        ] {
            let schema = json!({
                "$defs": {"r": {"$id": "urn:r", "$dynamicAnchor": "r", "allOf": [of, of]}},
                "$ref": "urn:r",
            });
            // Addresses apart: a plain pointer counts from the part that has one.
            let schema = match schema.to_string().contains("#/$defs/r") {
                true => json!({"$defs": {"r": {"allOf": [of, of]}}, "$ref": "#/$defs/r"}),
                false => schema,
            };
            let value = match list {
                true => nested(100, lists),
                false => nested(100, objects),
            };
            assert_eq!(ask(&schema, &value, MUCH), Err(TooMuch), "{schema}");
            let small = match list {
                true => nested(3, lists),
                false => nested(3, objects),
            };
            assert!(ask(&schema, &small, AT_ONCE).is_ok(), "{schema}");
        }
    }

    #[test]
    fn leftovers_that_are_looked_for_at_each_step_are_too_much() {
        let mut schema = json!({"type": "object"});
        for _ in 0..40 {
            schema = json!({"anyOf": [schema], "unevaluatedProperties": false});
        }
        assert_eq!(ask(&schema, &json!({}), MUCH), Err(TooMuch));
    }

    #[test]
    fn a_long_way_through_a_schema_is_too_much_for_a_stack() {
        let mut parts = serde_json::Map::new();
        for level in 0..1_000 {
            let next = format!("#/$defs/a{}", level + 1);
            parts.insert(format!("a{level}"), json!({"$ref": next}));
        }
        parts.insert("a1000".to_owned(), json!(true));
        let schema = json!({"$ref": "#/$defs/a0", "$defs": parts});
        assert_eq!(ask(&schema, &json!({}), MUCH), Err(TooMuch));
        // As deep as is let through.
        let schema = json!({"$ref": "#/$defs/a600", "$defs": schema["$defs"]});
        assert_eq!(ask(&schema, &json!({}), MUCH), Ok(true));
    }

    #[test]
    fn a_pattern_that_tries_again_and_again_is_given_up() {
        let schema = json!({"items": {"pattern": "^(?=a)(a|a|aa)+$\\1"}});
        let value = json!(vec!["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"; 8]);
        assert_eq!(ask(&schema, &value, MUCH), Ok(false));
        let value = json!(vec!["a"; 100_000]);
        assert_eq!(ask(&schema, &value, MUCH), Err(TooMuch));
    }

    #[test]
    fn what_honest_servers_write_is_judged() {
        let node = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://server.example/tool",
            "type": "object",
            "properties": {
                "when": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
                "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true},
                "filter": {"$ref": "#/definitions/Filter%3CT%3E"},
                "id": {"type": "string"},
            },
            "definitions": {"Filter<T>": {"anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {
                    "and": {"type": "array", "items": {"$ref": "#/definitions/Filter%3CT%3E"}},
                    "not": {"$ref": "#/definitions/Filter%3CT%3E"},
                }, "additionalProperties": false},
            ]}},
            "additionalProperties": false,
        });
        let of = |inner: &str| {
            json!({"id": "x", "when": "2026-11-20", "tags": ["a", "b"],
                   "filter": {"and": ["x", {"not": {"and": [{"not": {"and": [inner]}}]}}]}})
        };
        assert_eq!(ask(&node, &of("y"), AT_ONCE), Ok(true));
        let wrong = json!({"filter": {"or": []}});
        assert_eq!(ask(&node, &wrong, AT_ONCE), Ok(false));
        // What is called `id` in data has no address.
        let known: Vec<Value> = (0..100).map(|id| json!({"id": id.to_string()})).collect();
        let schema = json!({"properties": {"item": {"enum": known}}});
        assert_eq!(
            ask(&schema, &json!({"item": {"id": "7"}}), AT_ONCE),
            Ok(true)
        );
        assert!(Checked::new(&json!({"$ref": "http://169.254.169.254/x"})).is_err());
    }

    #[test]
    fn what_is_large_is_judged_beside_and_told_in_few_words() {
        for items in [
            json!({"type": "string"}),
            json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
        ] {
            let schema = Checked::new(&json!({"properties": {"c": {"items": items}}})).unwrap();
            let value = json!({"c": vec![1; 100_000]});
            assert_eq!(schema.check(&value, 200_006, Effort::AtOnce), Err(TooMuch));
            let told = schema.check(&value, 200_006, Effort::Beside).unwrap();
            assert_eq!(told.len(), 1);
            assert!(told[0].1.contains("too large"), "{told:?}");
            let value = json!({"c": [1, 2]});
            assert_eq!(schema.check(&value, 11, Effort::AtOnce).unwrap().len(), 2);
        }
    }
}
