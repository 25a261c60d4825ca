//! Arguments against what the server and the operator say of them.
//!
//! Pure but for one thing that is handed in: what a path really points to.

mod address;
mod checked;
mod dearness;
mod kinds;
pub mod leave_alone;
mod names;
mod path;
mod pattern;
pub mod price;
mod reader;
mod reported;
mod rules;
mod schema;
mod spelling;
mod weight;

use std::path::{Path, PathBuf};

pub use rules::Rules;
pub use schema::Schema;

use serde_json::Value;

use checked::TooMuch;

use crate::{
    domain::{Finding, Findings},
    wire::{Raw, room},
};

/// Follows the links of a path as far as it exists; nothing where that is not known.
pub type Follow<'a> = &'a dyn Fn(&Path) -> Option<PathBuf>;

/// Arguments longer than this are measured beside the runtime.
const SMALL: usize = 64 * 1024;

/// Bytes that the arguments of one call may take once they are taken apart.
const ROOM: usize = 64 * 1024 * 1024;

/// How much work may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What others can wait for.
    AtOnce,
    /// What can be done where nobody waits for it.
    Beside,
}

/// It is too much to be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heavy;

/// What the arguments of one call are held against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The server's own schema.
    pub schema: &'a Schema,
    /// The operator's rules.
    pub rules: &'a Rules,
    /// Whether arguments that nobody names are refused.
    pub strict: bool,
}

/// Everything that is wrong with the arguments of one call.
///
/// # Errors
/// When it takes more than may be done at once. What is too much beside the runtime as
/// well is a finding.
pub fn findings(
    arguments: Option<&Raw>,
    against: Against<'_>,
    follow: Follow<'_>,
    effort: Effort,
) -> Result<Findings, Heavy> {
    let Against {
        schema,
        rules,
        strict,
    } = against;
    let at_once = effort == Effort::AtOnce;
    if at_once && !schema.is_at_hand() {
        return Err(Heavy);
    }
    if schema.is_open() && rules.is_empty() && !strict {
        return Ok(Findings::default());
    }
    if at_once && is_large(arguments) {
        return Err(Heavy);
    }
    let value = match taken_apart(arguments) {
        Ok(value) => value,
        Err(why) => return Ok(unjudged(&why)),
    };
    let bytes = arguments.map_or(2, |raw| raw.bytes().len());
    let mut hopeless = schema.is_broken();
    let found = match schema.check(&value, bytes, effort) {
        Ok(mut found) => {
            if strict {
                found.extend(rules.unnamed(&value, schema));
            }
            found
        }
        Err(TooMuch) if at_once => return Err(Heavy),
        Err(TooMuch) => {
            // If nothing at all is too much as well, then it is not what was given.
            let least = Value::Object(serde_json::Map::new());
            hopeless = value == least || schema.check(&least, 2, effort).is_err();
            vec![too_much(hopeless)]
        }
    };
    let broken = rules.check(&value, follow, (bytes, effort));
    let mut broken = broken.map_err(|TooMuch| Heavy)?;
    broken.extend(rules.wrong_with_all(schema));
    Ok(Findings {
        schema: found,
        rules: broken,
        hopeless,
        unmeasured: None,
    })
}

fn too_much(hopeless: bool) -> Finding {
    let advice = match hopeless {
        true => "",
        false => "; call with less",
    };
    schema::finding(
        "",
        &format!("cannot be judged: that takes more work than a call is worth{advice}"),
    )
}

/// The arguments as a tree. The error says why they are none.
fn taken_apart(arguments: Option<&Raw>) -> Result<Value, String> {
    let Some(raw) = arguments else {
        return Ok(Value::Object(serde_json::Map::new()));
    };
    // What is not large takes no more than a few of them.
    if is_large(arguments) && room(raw.text()) > ROOM {
        let most = ROOM / (1024 * 1024);
        return Err(format!(
            "taken apart they take more than {most} MiB; call with less"
        ));
    }
    // Such as a number that nobody can look at: 1e400.
    raw.to().map_err(|error| error.to_string())
}

/// What is found while nothing can be said.
#[must_use]
pub fn unjudged(why: &str) -> Findings {
    Findings {
        schema: vec![schema::finding("", &format!("cannot be judged: {why}"))],
        ..Findings::default()
    }
}

/// Whether others would wait while arguments are read.
#[must_use]
pub fn is_large(arguments: Option<&Raw>) -> bool {
    arguments.is_some_and(|raw| raw.bytes().len() > SMALL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        config::ArgRule,
        domain::{Currency, Path as PricePath, Place as Written, Prices},
    };

    fn raw(text: String) -> Raw {
        Raw::parse(text.into()).unwrap()
    }

    fn beside(schema: &Value, rules: &Rules, arguments: &Raw) -> Findings {
        let against = Against {
            schema: &Schema::new(raw(schema.to_string())),
            rules,
            strict: false,
        };
        findings(Some(arguments), against, &|_| None, Effort::Beside).unwrap()
    }

    #[test]
    fn arguments_that_would_take_much_room_are_not_taken_apart() {
        let schema = json!({"type": "object", "required": ["c"]});
        let of = |one: &str, count: usize| {
            let rest = format!(",{one}").repeat(count - 1);
            raw(format!("{{\"c\":[{one}{rest}]}}"))
        };
        for (one, count) in [("{\"\":0}", 100_000), ("[0]", 400_000)] {
            let found = beside(&schema, &Rules::default(), &of(one, count));
            assert_eq!(found.schema.len(), 1, "{one}");
            let says = &found.schema[0].says;
            assert!(says.contains("64 MiB") && says.contains("less"), "{says}");
            assert!(!found.hopeless);
            let found = beside(&schema, &Rules::default(), &of(one, 10_000));
            assert_eq!(found, Findings::default(), "{one}");
        }
        let many = of("0", 1_000_000);
        assert_eq!(
            beside(&schema, &Rules::default(), &many),
            Findings::default()
        );
        let place = Written {
            file: "tools.d/a.toml".into(),
            line: 7,
        };
        let prices = Prices {
            count: Some(PricePath {
                text: "$.c[*]".to_owned(),
                minor: false,
                place,
            }),
            ..Prices::free(Currency::USD)
        };
        let finding = price::asks(Some(&of("{\"\":0}", 100_000)), &prices).unwrap_err();
        assert!(finding.says.contains("64 MiB"), "{}", finding.says);
        assert_eq!(finding.rule.unwrap().line, 7);
    }

    fn nested(levels: usize) -> String {
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn a_schema_is_at_fault_only_if_the_least_arguments_are_too_much_as_well() {
        let again = json!({"properties": {"a": {"$ref": "#"}}});
        let schema = json!({"allOf": [again, again]});
        let found = beside(&schema, &Rules::default(), &raw(nested(100)));
        assert!(!found.hopeless);
        let says = &found.schema[0].says;
        assert!(
            says.contains("more work") && says.contains("call with less"),
            "{says}"
        );
        let found = beside(&schema, &Rules::default(), &raw(nested(3)));
        assert_eq!(found, Findings::default());
        let mut parts = serde_json::Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            parts.insert(format!("a{level}"), json!({"allOf": [next, next]}));
        }
        parts.insert("a40".to_owned(), json!({}));
        let bomb = json!({"$ref": "#/$defs/a0", "$defs": parts});
        assert!(beside(&bomb, &Rules::default(), &raw("{}".to_owned())).hopeless);
    }

    fn rule(argument: &str, schema: Value) -> ArgRule {
        ArgRule {
            argument: argument.to_owned(),
            schema,
            under: None,
            host: Vec::new(),
            absent: false,
            place: crate::config::Place {
                path: "tools.d/a.toml".into(),
                line: 7,
                column: 1,
            },
        }
    }

    #[test]
    fn a_rule_for_an_argument_that_the_tool_does_not_have_refuses_its_calls() {
        let misspelt = Rules::new(&[rule("amuont", json!({"maximum": 5}))]);
        let of = |schema: Value, arguments: &str| {
            beside(&schema, &misspelt, &raw(arguments.to_owned())).rules
        };
        let closed = json!({"type": "object", "properties": {"amount": {}}});
        for arguments in ["{}", r#"{"amount":9}"#, r#"{"amuont":1}"#] {
            let found = of(closed.clone(), arguments);
            assert_eq!(found.len(), 1, "{arguments}");
            assert!(found[0].says.contains("`amuont`"), "{}", found[0].says);
            assert_eq!(found[0].rule.as_ref().unwrap().line, 7);
        }
        let open = [
            json!({"type": "object"}),
            json!({"type": "object", "required": ["amount"]}),
            json!({"properties": {"amount": {}}, "additionalProperties": true}),
            json!({"properties": {"amount": {}}, "additionalProperties": {"type": "number"}}),
            json!({"properties": {"amount": {}}, "patternProperties": {"^amu": {}}}),
            json!({"properties": {"amount": {}}, "anyOf": [{"properties": {"amuont": {}}}]}),
        ];
        for schema in open {
            assert_eq!(of(schema.clone(), r#"{"amount":9}"#), [], "{schema}");
            assert_eq!(of(schema.clone(), r#"{"amount":9,"amuont":9}"#).len(), 1);
        }
        let absent = ArgRule {
            absent: true,
            ..rule("amuont", json!({}))
        };
        let arguments = raw(r#"{"amount":9}"#.to_owned());
        let found = beside(&closed, &Rules::new(&[absent]), &arguments);
        assert_eq!(found.rules, []);
    }

    #[test]
    fn a_rule_that_takes_too_much_work_is_not_blamed_on_the_schema() {
        let items = json!({"items": {"allOf": vec![json!({"pattern": "^(?=a)a{9}"}); 300]}});
        let rule = rule("q", items);
        let arguments = json!({"q": vec!["aaaaaaaaa"; 5_000]});
        let arguments = raw(arguments.to_string());
        let found = beside(
            &json!({"type": "object", "required": ["q"]}),
            &Rules::new(&[rule]),
            &arguments,
        );
        assert_eq!(found.schema, []);
        assert!(!found.hopeless);
        assert_eq!(found.rules.len(), 1);
        assert!(found.rules[0].rule.is_some());
        assert!(
            found.rules[0].says.contains("more work"),
            "{}",
            found.rules[0].says
        );
    }
}
