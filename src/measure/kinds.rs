//! What kind of value a rule is about.
//!
//! To JSON Schema a keyword about texts says nothing of a list: `{ format = "email" }` lets
//! `["anything"]` through. Who writes it as a rule means a text, so it says that as well.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// All kinds, in the order in which they are written down.
const KINDS: [&str; 6] = ["string", "number", "array", "object", "boolean", "null"];

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
/// about one. Keywords about several kinds admit those, also where they stand in an `allOf`,
/// or one beside alternatives about another.
pub(super) fn said(rule: &Value) -> Value {
    said_beside(rule, &Kinds::new())
}

type Kinds = BTreeSet<&'static str>;

/// The same of a schema that holds of the same value as others, which are about `beside`.
fn said_beside(rule: &Value, beside: &Kinds) -> Value {
    match rule {
        Value::Object(keywords) => Value::Object(of(keywords, beside)),
        other => other.clone(),
    }
}

fn of(keywords: &Map<String, Value>, beside: &Kinds) -> Map<String, Value> {
    let together = joined([beside.clone(), named(keywords)]);
    let within = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value) {
            ("additionalProperties" | "contains" | "items", one) => said(one),
            ("allOf", Value::Array(all)) => {
                let all = all.iter().map(|one| said_beside(one, &together));
                all.collect()
            }
            ("anyOf" | "oneOf", Value::Array(all)) => {
                let others = keywords.iter().filter(|(other, _)| *other != key);
                let others = others.map(|(key, value)| named_by(key, value));
                let others = joined(others.chain([beside.clone()]));
                let free = untouched(&others, all);
                all.iter().map(|one| said_beside(one, &free)).collect()
            }
            ("properties", Value::Object(all)) => {
                let all = all.iter().map(|(name, value)| (name.clone(), said(value)));
                Value::Object(all.collect())
            }
            // What a `not` says of a kind would let all others through.
            (_, other) => other.clone(),
        };
        (key.clone(), value)
    };
    let mut said: Map<String, Value> = keywords.iter().map(within).collect();
    // Values that are listed are of a kind already.
    let is_listed = keywords.contains_key("const") || keywords.contains_key("enum");
    let is_about = keywords.keys().any(|key| about(key).is_some());
    if is_about && !is_listed {
        let kinds: Vec<&str> = KINDS
            .into_iter()
            .filter(|one| together.contains(one))
            .collect();
        said.entry("type").or_insert_with(|| json!(kinds));
    }
    said
}

/// Those kinds that may pass any of some alternatives, because none is about them: else
/// they have to pass the one that is.
fn untouched(kinds: &Kinds, alternatives: &[Value]) -> Kinds {
    let touched: Vec<Kinds> = alternatives.iter().map(touched).collect();
    // One about no kind is about all.
    match touched.iter().any(Kinds::is_empty) {
        true => Kinds::new(),
        false => kinds.difference(&joined(touched)).copied().collect(),
    }
}

/// All kinds that a schema has to do with, also those of which it says what must not be.
fn touched(schema: &Value) -> Kinds {
    let by = |(key, value): (&String, &Value)| match (key.as_str(), value) {
        ("not", one) => touched(one),
        ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => joined(all.iter().map(touched)),
        (key, value) => named_by(key, value),
    };
    let keywords = schema.as_object().into_iter().flatten();
    joined(keywords.map(by))
}

/// All kinds that a schema is about, or says by name.
fn named(keywords: &Map<String, Value>) -> Kinds {
    joined(keywords.iter().map(|(key, value)| named_by(key, value)))
}

fn named_by(key: &str, value: &Value) -> Kinds {
    let each = || value.as_array().into_iter().flatten();
    match key {
        "allOf" | "anyOf" | "oneOf" => {
            let all = each().filter_map(Value::as_object);
            joined(all.map(named))
        }
        "const" => Kinds::from([kind(value)]),
        "enum" => each().map(kind).collect(),
        "type" => {
            let names = each().chain([value]).filter_map(Value::as_str);
            let known = |name| match name {
                "integer" => Some("number"),
                name => KINDS.into_iter().find(|kind| *kind == name),
            };
            names.filter_map(known).collect()
        }
        key => about(key).into_iter().collect(),
    }
}

/// The kind that a keyword is about.
fn about(key: &str) -> Option<&'static str> {
    let found = ABOUT.iter().find(|(_, keys)| keys.contains(&key));
    found.map(|(kind, _)| *kind)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn joined(kinds: impl IntoIterator<Item = Kinds>) -> Kinds {
    kinds.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::checked::Checked;

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

    #[test]
    fn a_rule_about_several_kinds_is_about_all_of_them_wherever_it_says_so() {
        let email = json!({"format": "email"});
        for (rule, fit, unfit) in [
            (
                json!({"allOf": [{"maxLength": 5}, {"maxItems": 3}]}),
                vec![json!("abc"), json!([1])],
                vec![
                    json!("abcdef"),
                    json!([1, 2, 3, 4]),
                    json!(1),
                    json!({}),
                    json!(null),
                ],
            ),
            (
                json!({"maxLength": 5, "allOf": [{"allOf": [{"maxItems": 3}]}]}),
                vec![json!("abc"), json!([1])],
                vec![json!("abcdef"), json!([1, 2, 3, 4]), json!(1)],
            ),
            (
                json!({"maxLength": 5, "anyOf": [{"maxItems": 1}, {"minimum": 3}]}),
                vec![json!("abc"), json!([1]), json!(7)],
                vec![json!("abcdef"), json!([1, 2]), json!(1), json!({})],
            ),
            (
                json!({"minLength": 1, "anyOf": [email, {"items": email}]}),
                vec![json!("a@b.example"), json!(["a@b.example"])],
                vec![json!("anything"), json!(["anything"]), json!(""), json!(7)],
            ),
            (
                json!({"anyOf": [email, {"format": "uri"}]}),
                vec![json!("a@b.example"), json!("urn:a")],
                vec![json!(["anything"]), json!("any thing"), json!(7)],
            ),
            (
                json!({"format": "email", "anyOf": [{"type": "string"}, {"type": "null"}]}),
                vec![json!("a@b.example"), json!(null)],
                vec![json!("anything"), json!(["anything"]), json!(7)],
            ),
            (
                json!({"maxLength": 5, "oneOf": [{"const": null}, {"pattern": "^a"}]}),
                vec![json!("abc"), json!(null)],
                vec![json!("b"), json!("abcdef"), json!(7), json!([])],
            ),
            (
                json!({"maxLength": 2, "enum": ["a", null]}),
                vec![json!("a"), json!(null)],
                vec![json!("b"), json!(7)],
            ),
            (
                json!({"type": "integer", "anyOf": [{"minimum": 10}, {"maxLength": 3}]}),
                vec![json!(10)],
                vec![json!(5), json!("abc"), json!(10.5)],
            ),
            (
                json!({"maxLength": 5, "anyOf": [{"not": {"pattern": "x"}}, {"maxItems": 3}]}),
                vec![json!("abc"), json!([1])],
                vec![json!("x"), json!("abcdef"), json!([1, 2, 3, 4]), json!(7)],
            ),
            (
                json!({"type": "string", "allOf": [{"maxItems": 3}]}),
                vec![json!("abc")],
                vec![json!([1]), json!(7)],
            ),
            (
                json!({"items": {"allOf": [{"maxLength": 5}, {"maximum": 3}]}}),
                vec![json!(["abc", 1])],
                vec![json!("abc"), json!([[1]]), json!([4])],
            ),
        ] {
            let schema = Checked::of_rule(&said(&rule)).unwrap();
            for value in fit {
                assert!(schema.fits(&value), "{rule} refuses {value}");
            }
            for value in unfit {
                assert!(!schema.fits(&value), "{rule} lets {value} through");
            }
        }
    }
}
