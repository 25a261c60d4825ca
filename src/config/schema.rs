//! The JSON Schemas that editors use, made from the forms.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::form::{TollgateForm, ToolsForm};

/// The schema of `tollgate.toml`.
#[must_use]
pub fn tollgate_schema() -> Value {
    schema_of::<TollgateForm>()
}

/// The schema of a file in `tools.d/`.
#[must_use]
pub fn tools_schema() -> Value {
    schema_of::<ToolsForm>()
}

/// Draft 7, because that is what the TOML language servers understand in full.
fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .with_transform(RecursiveTransform(for_authors))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// What Rust's types and comments bring along and an author of TOML does not
/// need: null (an optional key is left out), the widths of numbers, line breaks.
fn for_authors(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("format");
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(variants)) = object.get_mut("anyOf") {
        variants.retain(|variant| variant.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = variants.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            // A reference beside other keywords is ignored in draft 7, so it stays wrapped.
            if only.contains_key("$ref") && !object.is_empty() {
                object.insert("allOf".to_owned(), Value::Array(vec![Value::Object(only)]));
            } else {
                object.extend(only);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::words;
    use super::super::{args, audit, server, tollgate_toml, tool};
    use super::*;

    /// The properties of the form of this name; the root's without one.
    fn properties(schema: &Value, form: &str) -> Vec<String> {
        let form = match form {
            "" => schema,
            name => &schema["definitions"][name],
        };
        assert_eq!(form["additionalProperties"], false, "{form}");
        let properties = form["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(property["description"].is_string(), "{name} has no tooltip");
        }
        let mut names: Vec<_> = properties.keys().cloned().collect();
        names.sort();
        names
    }

    #[test]
    fn the_schemas_know_exactly_the_keys_that_are_read() {
        let main = tollgate_schema();
        assert_eq!(properties(&main, ""), tollgate_toml::ROOT.keys);
        assert_eq!(properties(&main, "AgentForm"), tollgate_toml::AGENT.keys);
        assert_eq!(properties(&main, "AuditForm"), audit::AUDIT.keys);
        let tools = tools_schema();
        assert_eq!(properties(&tools, ""), server::ROOT.keys);
        assert_eq!(properties(&tools, "ToolForm"), tool::TOOL.keys);
        assert_eq!(properties(&tools, "ArgForm"), args::RULE.keys);
    }

    #[test]
    fn the_schemas_know_exactly_the_keys_of_limits() {
        let (main, tools) = (tollgate_schema(), tools_schema());
        assert_eq!(properties(&main, "TiersForm"), words::TIERS.keys);
        assert_eq!(properties(&main, "TierRulesForm"), words::TIER_RULES.keys);
        assert_eq!(properties(&main, "LoopsForm"), words::LOOPS.keys);
        assert_eq!(properties(&main, "TierLoopsForm"), words::TIER.keys);
        assert_eq!(properties(&main, "ThresholdForm"), words::THRESHOLD.keys);
        assert_eq!(properties(&main, "RepeatedForm"), words::REPEATED.keys);
        assert_eq!(properties(&main, "ErrorsForm"), words::ERRORS.keys);
        assert_eq!(properties(&tools, "CostForm"), words::COST.keys);
        assert_eq!(properties(&tools, "CostPathForm"), words::COST_PATH.keys);
        assert_eq!(properties(&tools, "AmountForm"), words::AMOUNT.keys);
        for schema in [&main, &tools] {
            assert_eq!(properties(schema, "BreakerForm"), words::BREAKER.keys);
            assert_eq!(properties(schema, "RateForm"), words::RATE.keys);
            assert_eq!(properties(schema, "BudgetForm"), words::BUDGET.keys);
            assert_eq!(properties(schema, "LimitForm"), words::LIMIT.keys);
            assert_eq!(properties(schema, "RunForm"), words::ACTION.keys);
            // Known to the decoder, so that it can say why they count nothing there.
            let but = |keys: &[&'static str], wrong: &[&str]| {
                let keys = keys.iter().filter(|key| !wrong.contains(key));
                keys.copied().collect::<Vec<_>>()
            };
            let no_action = ["bytes", "calls", "elapsed", "steps", "time", "tokens"];
            let action = but(words::ACTION.keys, &no_action);
            assert_eq!(properties(schema, "ActionForm"), action);
            let hour = but(words::HOUR.keys, &["elapsed"]);
            assert_eq!(properties(schema, "HourForm"), hour);
            let day = but(words::DAY.keys, &["elapsed"]);
            assert_eq!(properties(schema, "DayForm"), day);
        }
    }

    #[test]
    fn the_schemas_have_no_null() {
        for schema in [tollgate_schema(), tools_schema()] {
            assert!(!schema.to_string().contains("\"null\""), "{schema:#}");
        }
    }
}
