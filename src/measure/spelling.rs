//! Keys that are another spelling of what a schema or a path names.

use jsonpath_rust::parser::model::{Segment, Selector};
use serde_json::Value;

use crate::wire::is_other_spelling;

/// The first key within a value that is another spelling of one which a schema names at
/// this place; and that one.
pub(super) fn misspelt<'v>(schema: &Value, value: &'v Value) -> Option<(&'v str, String)> {
    let part = |key: &str| schema.get(key);
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(part);
    let same = lists
        .filter_map(Value::as_array)
        .flatten()
        .chain(part("not"));
    let found = same.filter_map(|schema| misspelt(schema, value)).next();
    if found.is_some() {
        return found;
    }
    match value {
        Value::Object(members) => {
            let named = part("properties").and_then(Value::as_object);
            let others = part("additionalProperties");
            members.iter().find_map(|(key, value)| {
                if let Some(schema) = named.and_then(|named| named.get(key)) {
                    return misspelt(schema, value);
                }
                let mut meant = named.into_iter().flat_map(serde_json::Map::keys);
                let meant = meant.find(|meant| is_other_spelling(key, meant));
                match meant {
                    Some(meant) => Some((key.as_str(), meant.clone())),
                    None => others.and_then(|schema| misspelt(schema, value)),
                }
            })
        }
        Value::Array(items) => {
            let schemas = ["items", "contains"].into_iter().filter_map(part);
            let mut found = schemas.flat_map(|schema| {
                let each = items.iter();
                each.filter_map(move |value| misspelt(schema, value))
            });
            found.next()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The first key that is another spelling of one on the way of a JSONPath. What a path
/// looks for at any depth, or by a condition, has no place of its own: from there on
/// nothing is said.
pub(super) fn misspelt_on_the_way<'v>(path: &[Segment], value: &'v Value) -> Option<&'v str> {
    let (step, rest) = path.split_first()?;
    match step {
        Segment::Selector(one) => misspelt_from(one, rest, value),
        Segment::Selectors(all) => all.iter().find_map(|one| misspelt_from(one, rest, value)),
        Segment::Descendant(_) => None,
    }
}

fn misspelt_from<'v>(step: &Selector, rest: &[Segment], value: &'v Value) -> Option<&'v str> {
    let further = |value| misspelt_on_the_way(rest, value);
    match (step, value) {
        (Selector::Name(name), Value::Object(members)) => {
            let other = members.keys().find(|key| is_other_spelling(key, name));
            let within = || further(members.get(name)?);
            other.map(String::as_str).or_else(within)
        }
        (Selector::Wildcard, Value::Object(members)) => members.values().find_map(further),
        (Selector::Wildcard | Selector::Index(_) | Selector::Slice(..), Value::Array(items)) => {
            items.iter().find_map(further)
        }
        (
            Selector::Name(_)
            | Selector::Wildcard
            | Selector::Index(_)
            | Selector::Slice(..)
            | Selector::Filter(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        config::{HOLD_LIST, HOLD_ONE},
        measure::path::Way,
    };

    #[test]
    fn every_keyword_that_holds_schemas_is_followed() {
        let inner = json!({"properties": {"to": {}}});
        let one = HOLD_ONE.map(|key| json!({key: inner}));
        let lists = HOLD_LIST.map(|key| json!({key: [true, inner]}));
        for schema in one.into_iter().chain(lists) {
            // Whatever looks at the value itself, at its members or at its items.
            let values = [
                json!({"TO": 1}),
                json!({"x": {"TO": 1}}),
                json!([{"TO": 1}]),
            ];
            let found = values
                .iter()
                .any(|value| misspelt(&schema, value).is_some());
            assert!(found, "{schema}");
        }
        let schema = json!({"properties": {"x": inner}});
        assert!(misspelt(&schema, &json!({"x": {"TO": 1}})).is_some());
    }

    #[test]
    fn within_a_value_only_what_a_schema_names_there_is_looked_at() {
        let schema =
            json!({"items": {"anyOf": [{"properties": {"n": {"properties": {"to": {}}}}}]}});
        let found = |value: Value| misspelt(&schema, &value).map(|(given, _)| given.to_owned());
        assert_eq!(
            found(json!([{"n": {"to": 1}}, {"n": {"TO": 1}}])),
            Some("TO".into())
        );
        assert_eq!(found(json!([{"N": {}}])), Some("N".into()));
        assert_eq!(found(json!([{"n": {"x": {"TO": 1}}, "TO": 1}])), None);
        assert_eq!(found(json!({"N": 1})), None);
    }

    #[test]
    fn on_the_way_of_a_path_no_key_is_spelt_otherwise() {
        let value = json!({"items": [{"amount": 1}, {"AMOUNT": 2}], "x": {"Items": 1}});
        let other = |path| {
            let way = Way::of(path).unwrap();
            misspelt_on_the_way(way.segments(), &value)
        };
        assert_eq!(other("$.items[*].amount"), Some("AMOUNT"));
        assert_eq!(other("$['items'][0]['amount']"), Some("AMOUNT"));
        assert_eq!(other("$.*.items"), Some("Items"));
        assert_eq!(other("$.items[*]"), None);
        assert_eq!(other("$['x','items'][*].amount"), Some("AMOUNT"));
        assert_eq!(other("$.amount"), None);
        assert_eq!(other("$..amount"), None);
    }
}
