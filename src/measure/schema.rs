//! Arguments against the server's own inputSchema.

use std::sync::OnceLock;

use serde_json::Value;

use super::{
    Effort,
    checked::{Checked, TooMuch},
    names::Names,
};
use crate::{domain::Finding, wire::Raw};

/// A schema up to this length is compiled at once, if it has no pattern.
const SMALL: usize = 32 * 1024;

/// A message longer than this quotes the arguments, not the fault.
const MAX_TEXT: usize = 200;

/// A tool's inputSchema, compiled when it is first needed.
#[derive(Debug)]
pub struct Schema {
    text: Raw,
    compiled: OnceLock<Compiled>,
    names: OnceLock<Names>,
}

#[derive(Debug)]
enum Compiled {
    /// Anything passes: no keyword says otherwise.
    Open,
    /// What it says of arguments.
    Checks(Box<Checked>),
    /// The schema itself is broken; the text says how.
    Broken(String),
}

impl Schema {
    /// Keeps the schema of a definition.
    #[must_use]
    pub fn new(text: Raw) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
            names: OnceLock::new(),
        }
    }

    /// Whether it says nothing about arguments.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.compiled(), Compiled::Open)
    }

    /// Whether it names an argument.
    #[must_use]
    pub fn names(&self, argument: &str) -> bool {
        self.all_named().has(argument)
    }

    /// The arguments that it names; none if it does not say which there are.
    pub(super) fn named(&self) -> Option<&Names> {
        Some(self.all_named()).filter(|names| names.each().next().is_some())
    }

    fn all_named(&self) -> &Names {
        self.names.get_or_init(|| {
            let schema = self.text.to();
            schema.map_or_else(|_| Names::default(), |schema: Value| Names::of(&schema))
        })
    }

    /// Whether the arguments that it names are known, or take no while to be.
    #[must_use]
    pub fn are_names_at_hand(&self) -> bool {
        let text = self.text.text();
        // A key can be written with an escape.
        let is_plain = || !text.contains("\"patternProperties\"") && !text.contains("\\u");
        self.names.get().is_some() || text.len() <= SMALL && is_plain()
    }

    /// Whether nothing can be held against it, because it is broken itself.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self.compiled(), Compiled::Broken(_))
    }

    /// Whether it is compiled, or takes no while to be.
    pub(super) fn is_at_hand(&self) -> bool {
        let text = self.text.text();
        // A key can be written with an escape.
        let is_plain = || text.len() <= SMALL && !text.contains("attern") && !text.contains("\\u");
        self.compiled.get().is_some() || is_plain()
    }

    /// What it finds wrong with arguments that were written in so many bytes.
    pub(super) fn check(
        &self,
        arguments: &Value,
        bytes: usize,
        effort: Effort,
    ) -> Result<Vec<Finding>, TooMuch> {
        match self.compiled() {
            Compiled::Open => Ok(Vec::new()),
            Compiled::Checks(schema) => {
                let told = schema.check(arguments, bytes, effort)?;
                Ok(told.iter().map(|(at, says)| finding(at, says)).collect())
            }
            Compiled::Broken(why) => Ok(vec![finding(
                "",
                &format!("cannot be judged: the tool's inputSchema is broken: {why}"),
            )]),
        }
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let schema: Value = match self.text.to() {
                Ok(schema) => schema,
                Err(error) => return Compiled::Broken(error.to_string()),
            };
            let open = schema.as_object().is_some_and(|keywords| {
                keywords.iter().all(|(key, value)| match key.as_str() {
                    "type" => value == "object",
                    "$schema" | "title" | "description" | "$id" | "$comment" => true,
                    "properties" => value.as_object().is_some_and(serde_json::Map::is_empty),
                    _ => false,
                })
            });
            if open {
                return Compiled::Open;
            }
            // Who waits for the one has the other as well.
            let _ = self.names.get_or_init(|| Names::of(&schema));
            match Checked::new(&schema) {
                Ok(checked) => Compiled::Checks(Box::new(checked)),
                Err(why) => Compiled::Broken(bounded(&why)),
            }
        })
    }
}

pub(super) fn finding(at: &str, says: &str) -> Finding {
    Finding {
        at: bounded(at),
        says: bounded(says),
        rule: None,
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        Schema::new(Raw::parse(text.to_owned().into()).unwrap())
    }

    #[test]
    fn a_schema_without_demands_is_open() {
        assert!(schema(r#"{"type":"object"}"#).is_open());
        assert!(!schema(r#"{"type":"object","required":["a"]}"#).is_open());
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let found = schema(
            r#"{"type":"object","properties":{"n":{"type":"integer","maximum":3}},"required":["n","m"]}"#,
        )
        .check(&serde_json::json!({"n": 7}), 7, Effort::AtOnce)
        .unwrap();
        let text: Vec<String> = found
            .iter()
            .map(|finding| format!("{}: {}", finding.at, finding.says))
            .collect();
        assert_eq!(
            text,
            [
                ": \"m\" is a required property",
                "/n: value is greater than the maximum of 3"
            ]
        );
    }

    #[test]
    fn a_reference_to_the_network_is_not_followed() {
        let found = schema(r#"{"$ref":"http://169.254.169.254/x"}"#);
        let found = found.check(&Value::Null, 4, Effort::AtOnce).unwrap();
        assert!(found.iter().any(|finding| finding.says.contains("broken")));
    }

    #[test]
    fn what_a_part_of_a_schema_names_is_named() {
        for (text, named, unnamed) in [
            (
                r#"{"anyOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}"#,
                "b",
                "c",
            ),
            (
                r##"{"$ref":"#/$defs/x","$defs":{"x":{"properties":{"a":{}}}}}"##,
                "a",
                "x",
            ),
            (
                r##"{"allOf":[{"$ref":"#"},{"then":{"properties":{"a":{}}}}]}"##,
                "a",
                "b",
            ),
            (
                r#"{"patternProperties":{"^x-":{"type":"string"}}}"#,
                "x-a",
                "y-x-a",
            ),
            (
                r##"{"$ref":"#node","$defs":{"x":{"$anchor":"node","properties":{"a":{}}}}}"##,
                "a",
                "x",
            ),
            (
                r##"{"$dynamicRef":"#node","$defs":{"x":{"$dynamicAnchor":"node","properties":{"a":{}}}}}"##,
                "a",
                "x",
            ),
            (
                r##"{"$id":"https://ex.example/t","$ref":"base","$defs":{"b":{"$id":"base","properties":{"a":{}}},"c":{"$id":"other","properties":{"c":{}}}}}"##,
                "a",
                "c",
            ),
            (
                r##"{"$schema":"http://json-schema.org/draft-07/schema#","allOf":[{"$ref":"#node"}],"definitions":{"x":{"$id":"#node","properties":{"a":{}}}}}"##,
                "a",
                "x",
            ),
            (
                r##"{"$schema":"https://json-schema.org/draft/2019-09/schema","properties":{"b":{}},"allOf":[{"$recursiveRef":"#"},{"dependentSchemas":{"b":{"properties":{"a":{}}}}}]}"##,
                "a",
                "c",
            ),
        ] {
            let schema = schema(text);
            assert!(schema.names(named), "{text}");
            assert!(!schema.names(unnamed), "{text}");
        }
        let any = schema(r#"{"type":"object","additionalProperties":{"type":"string"}}"#);
        assert!(any.names("whatever"));
        let left = schema(r#"{"type":"object","unevaluatedProperties":{"type":"string"}}"#);
        assert!(left.names("whatever"));
        for open in ["true", "{}", "false"] {
            let text = format!("{{\"properties\":{{\"a\":{{}}}},\"additionalProperties\":{open}}}");
            assert!(!schema(&text).names("b"), "{text}");
            let text = text.replace("additional", "unevaluated");
            assert!(!schema(&text).names("b"), "{text}");
        }
    }

    #[test]
    fn a_finding_is_short_whatever_it_is_about() {
        let long = finding(&"k".repeat(10_000), &"s".repeat(10_000));
        assert!(long.at.len() < 1_000 && long.says.len() < 1_000);
    }
}
