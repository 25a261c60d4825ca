//! What kind of value a rule is about.
//!
//! To JSON Schema a keyword about texts says nothing of a list: `{ format = "email" }` lets
//! `["anything"]` through. Who writes it as a rule means a text, so it says that as well.

use serde_json::{Map, Value, json};

/// The kinds, and the keywords that are about values of that kind alone.
const ABOUT: [(&str, &[&str]); 4] = [
    ("string", &["format", "maxLength", "minLength", "pattern"]),
    (
        "number",
        &[
            "exclusiveMaximum",
            "exclusiveMinimum",
            "maximum",
            "minimum",
            "multipleOf",
        ],
    ),
    (
        "array",
        &["contains", "items", "maxItems", "minItems", "uniqueItems"],
    ),
    (
        "object",
        &[
            "additionalProperties",
            "maxProperties",
            "minProperties",
            "properties",
            "required",
        ],
    ),
];

/// The schema of a rule, which says of what kind its values are wherever its keywords are
/// about one. Keywords about several kinds admit those.
pub(super) fn said(rule: &Value) -> Value {
    match rule {
        Value::Object(keywords) => Value::Object(of(keywords)),
        other => other.clone(),
    }
}

fn of(keywords: &Map<String, Value>) -> Map<String, Value> {
    let within = |(key, value): (&String, &Value)| {
        let value = match key.as_str() {
            "additionalProperties" | "contains" | "items" => said(value),
            "allOf" | "anyOf" | "oneOf" => match value {
                Value::Array(all) => all.iter().map(said).collect(),
                other => other.clone(),
            },
            "properties" => match value {
                Value::Object(all) => {
                    let all = all.iter().map(|(name, value)| (name.clone(), said(value)));
                    Value::Object(all.collect())
                }
                other => other.clone(),
            },
            // What a `not` says of a kind would let all others through.
            _ => value.clone(),
        };
        (key.clone(), value)
    };
    let mut said: Map<String, Value> = keywords.iter().map(within).collect();
    let about = ABOUT.iter().filter(|(_, keys)| {
        let mut keys = keys.iter();
        keys.any(|key| keywords.contains_key(*key))
    });
    let kinds: Vec<&str> = about.map(|(kind, _)| *kind).collect();
    if !kinds.is_empty() {
        said.entry("type").or_insert_with(|| json!(kinds));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_of_what_kind_its_values_are() {
        for (rule, meant) in [
            (
                json!({"format": "email"}),
                json!({"format": "email", "type": ["string"]}),
            ),
            (
                json!({"maximum": 5, "type": "integer"}),
                json!({"maximum": 5, "type": "integer"}),
            ),
            (
                json!({"maxLength": 5, "maxItems": 2}),
                json!({"maxLength": 5, "maxItems": 2, "type": ["string", "array"]}),
            ),
            (
                json!({"items": {"pattern": "a"}}),
                json!({"items": {"pattern": "a", "type": ["string"]}, "type": ["array"]}),
            ),
            (
                json!({"properties": {"n": {"minimum": 1}}}),
                json!({"properties": {"n": {"minimum": 1, "type": ["number"]}}, "type": ["object"]}),
            ),
            (
                json!({"anyOf": [{"minimum": 1}, {"const": null}]}),
                json!({"anyOf": [{"minimum": 1, "type": ["number"]}, {"const": null}]}),
            ),
            (
                json!({"not": {"pattern": "a"}}),
                json!({"not": {"pattern": "a"}}),
            ),
            (json!({"enum": [1, "a"]}), json!({"enum": [1, "a"]})),
        ] {
            assert_eq!(said(&rule), meant);
        }
    }
}
