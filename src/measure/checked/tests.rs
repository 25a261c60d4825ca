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
    let mut schema = schema;
    schema["$defs"]["a1000"] = json!(false);
    assert_eq!(ask(&schema, &json!("x".repeat(5_000)), MUCH), Ok(false));
}

#[test]
fn a_pattern_that_tries_again_and_again_is_given_up() {
    let schema = json!({"items": {"pattern": "^(?=a)(a|a|aa)+$\\1"}});
    let value = json!(vec!["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"; 8]);
    assert_eq!(ask(&schema, &value, MUCH), Ok(false));
    let value = json!(vec!["a"; 100_000]);
    assert_eq!(ask(&schema, &value, MUCH), Err(TooMuch));
    // Each may be tried 64 times, as long as others cannot be decided.
    let schema = Checked::new(&schema).unwrap();
    let value = json!(vec!["a"; 1_000]);
    assert_eq!(schema.check(&value, 4_001, Effort::Beside), Err(TooMuch));
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
    for (items, says) in [
        (json!({"type": "string"}), "value is not of type \"string\""),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
            "too large",
        ),
    ] {
        let schema = Checked::new(&json!({"properties": {"c": {"items": items}}})).unwrap();
        let value = json!({"c": vec![1; 100_000]});
        assert_eq!(schema.check(&value, 200_006, Effort::AtOnce), Err(TooMuch));
        let told = schema.check(&value, 200_006, Effort::Beside).unwrap();
        assert_eq!(told.len(), 1);
        assert!(told[0].1.contains(says), "{told:?}");
        let value = json!({"c": [1, 2]});
        assert_eq!(schema.check(&value, 11, Effort::AtOnce).unwrap().len(), 2);
    }
}

/// What is told of a value beside the runtime.
fn told(schema: &Value, value: &Value) -> Vec<(String, String)> {
    let bytes = value.to_string().len();
    let schema = Checked::new(schema).unwrap();
    schema.check(value, bytes, Effort::Beside).unwrap()
}

#[test]
fn what_would_be_copied_for_each_fault_is_told_in_few_words() {
    let blunt = |schema: Value, value: Value| {
        let told = told(&schema, &value);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].1.contains("too large"), "{told:?}");
    };
    // Each branch would copy the whole list.
    let wants = json!({"type": "object", "required": ["k"]});
    let block = json!({"properties": {"block": {"anyOf": [wants, wants, wants]}}});
    blunt(
        block.clone(),
        json!({"block": {"x": vec![json!({"": 0}); 1_000]}}),
    );
    let few = told(&block, &json!({"block": {"x": [{"": 0}]}}));
    assert_eq!(few[0].0, "/block");
    // Each item would copy what must not be.
    let long = "d".repeat(50_000);
    for one in [
        json!({"not": {"type": "integer", "description": long}}),
        json!({"const": long}),
        json!({"enum": [long]}),
    ] {
        blunt(json!({"anyOf": [{"items": one}]}), json!(vec![1; 50]));
    }
    // Each fault would copy the way to it.
    let way = json!({"properties": {long: {"items": {"type": "null"}}}});
    let value = json!({"d".repeat(50_000): vec![1; 50]});
    assert_eq!(told(&way, &value).len(), 1);
}

#[test]
fn the_first_fault_of_what_is_large_is_told_where_that_costs_nothing() {
    let schema = json!({
        "properties": {"text": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["text", "to"],
    });
    let value = json!({"text": "x".repeat(400_000), "n": "y"});
    let told = told(&schema, &value);
    assert_eq!(told.len(), 1, "{told:?}");
    let all = [
        "/n: value is not of type \"integer\"",
        ": \"to\" is a required property",
    ];
    let (at, says) = &told[0];
    assert!(all.contains(&format!("{at}: {says}").as_str()), "{told:?}");
}

#[test]
fn a_long_text_beside_it_keeps_no_fault_from_being_told() {
    let optional = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    let schema = json!({
        "properties": {"content": {"type": "string"}, "title": optional, "lang": optional},
        "required": ["content", "path"],
        "additionalProperties": false,
    });
    let value = json!({"content": "x".repeat(50_000), "title": 7, "file": "a"});
    let mut at: Vec<String> = told(&schema, &value).into_iter().map(|one| one.0).collect();
    at.sort();
    assert_eq!(at, ["", "", "/title"]);
}

#[test]
fn names_that_another_one_asks_for_count_each() {
    let names: Vec<String> = (0..1_000).map(|n| format!("n{n}")).collect();
    for keyword in ["dependentRequired", "dependencies"] {
        let draft = match keyword {
            "dependencies" => "http://json-schema.org/draft-07/schema#",
            _ => "https://json-schema.org/draft/2020-12/schema",
        };
        let schema = json!({"$schema": draft, "items": {keyword: {"x": names}}});
        let value = json!(vec![json!({"x": 1}); 100]);
        assert_eq!(ask(&schema, &value, AT_ONCE), Err(TooMuch), "{keyword}");
        assert_eq!(ask(&schema, &json!([{"x": 1}]), AT_ONCE), Ok(false));
    }
}

#[test]
fn a_text_that_must_be_a_pattern_is_looked_at_again_for_each_of_its_names() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": {"format": "regex"},
    });
    let names: String = (0..2_000).map(|n| format!("(?<n{n}>)")).collect();
    assert_eq!(ask(&schema, &json!([names]), AT_ONCE), Err(TooMuch));
    assert_eq!(ask(&schema, &json!(["^(?<a>x)$"]), AT_ONCE), Ok(true));
    assert_eq!(ask(&schema, &json!(["("]), AT_ONCE), Ok(false));
}

#[test]
fn a_schema_can_ask_for_schemas() {
    for known in [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2020-12/meta/validation",
    ] {
        // The validator has those of the draft that a schema is of.
        let draft = known.replace("meta/validation", "schema");
        let schema = json!({"$schema": draft, "properties": {"schema": {"$ref": known}}});
        let value = json!({"schema": {"type": "object", "properties": {"a": {"type": "string"}}}});
        assert_eq!(ask(&schema, &value, AT_ONCE), Ok(true), "{known}");
        let value = json!({"schema": {"type": "object", "required": "a"}});
        assert_eq!(ask(&schema, &value, AT_ONCE), Ok(false), "{known}");
        let value = json!({"schema": {"pattern": "(?<a>)".repeat(1_000)}});
        assert_eq!(ask(&schema, &value, AT_ONCE), Err(TooMuch), "{known}");
    }
    // One that puts itself in the place of the schema of schemas asks twice a level.
    let meta = json!({"$ref": "https://json-schema.org/draft/2020-12/schema"});
    let twice = json!({"$dynamicAnchor": "meta", "allOf": [meta, meta]});
    assert!(Checked::new(&twice).is_err());
}

#[test]
fn parts_with_addresses_are_found_by_them() {
    let bundle = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://ex.example/tool", "type": "object",
        "allOf": [{"$ref": "base"}],
        "$defs": {"base": {"$id": "base", "properties": {"a": {"type": "string"}}}},
    });
    assert_eq!(ask(&bundle, &json!({}), AT_ONCE), Ok(true));
    assert_eq!(ask(&bundle, &json!({"a": 7}), AT_ONCE), Ok(false));
    let address = json!({
        "$id": "https://ex.example/tool", "type": "object",
        "properties": {"addr": {"$ref": "address.json"}},
        "$defs": {
            "address": {"$id": "address.json", "properties": {"c": {"$ref": "country.json#"}}},
            "country": {"$id": "country.json", "allOf": [{"$ref": "/address.json"}]},
        },
    });
    let value = json!({"addr": {"c": {"c": {"c": {}}}}});
    assert_eq!(ask(&address, &value, AT_ONCE), Ok(true));
}

#[test]
fn an_address_that_is_written_otherwise_hides_no_work() {
    let again = |reference: &str| json!({"items": {"$ref": reference}});
    for (id, reference) in [
        ("urn:r", "urn:r"),
        ("https://ex.example/a/r", "https://EX.example/a/r"),
        ("https://ex.example/a/r", "r"),
        ("https://ex.example/a/r", "./r"),
        ("https://ex.example/a/r", "../a/r#"),
        ("https://ex.example/a/r", "%72"),
        ("https://ex.example/a/", "."),
        ("https://ex.example/", "https://ex.example"),
        ("https://ex.example/a?r", "?r"),
    ] {
        let both = json!([again(reference), again(reference)]);
        let schema = json!({
            "$defs": {"r": {"$id": id, "allOf": both}}, "$ref": id,
        });
        // Nobody can follow some of them, which is as good.
        if let Ok(checked) = Checked::new(&schema) {
            let value = nested(60, |level| json!([level]));
            let told = checked.check_within(&value, 121, MUCH);
            assert_eq!(told, Err(TooMuch), "{id} {reference}");
        }
    }
}

#[test]
fn a_text_that_must_be_json_is_read_and_not_taken_apart() {
    for draft in [
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
    ] {
        let schema = json!({"$schema": draft, "contentMediaType": "application/json"});
        // Who takes it apart fails at these.
        for text in [
            format!("{}{}", "[".repeat(500), "]".repeat(500)),
            "1e400".to_owned(),
        ] {
            assert_eq!(ask(&schema, &json!(text), MUCH), Ok(true), "{text}");
        }
        assert_eq!(ask(&schema, &json!("{\"a\":[1]}"), MUCH), Ok(true));
        assert_eq!(ask(&schema, &json!("{"), MUCH), Ok(false));
        assert_eq!(ask(&schema, &json!("1 2"), MUCH), Ok(false));
        let encoded = json!({"$schema": draft, "contentMediaType": "application/json",
                             "contentEncoding": "base64"});
        assert_eq!(ask(&encoded, &json!("MWU0MDA="), MUCH), Ok(true));
        assert_eq!(ask(&encoded, &json!("ew=="), MUCH), Ok(false));
        assert_eq!(ask(&encoded, &json!("{}"), MUCH), Ok(false));
    }
}
