//! Rules for the arguments of a tool: `[tools.NAME.args]`.
//!
//! A rule is JSON Schema, laid over the schema of the server, plus three words
//! that a schema cannot say: `under`, `host`, `absent`. Keywords are checked
//! here because a schema ignores what it does not know: a typo would switch
//! the rule off.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::Place;
use super::decode::{Field, Table, Vocabulary};
use super::error::{Code, listed, quoted, suggest};
use super::file::Problem;

/// What one argument must be.
#[derive(Debug, Clone, PartialEq)]
pub struct ArgRule {
    /// The argument.
    pub argument: String,
    /// JSON Schema for its value: an object, empty when nothing is said.
    pub schema: Value,
    /// The directory that a path must lie in, after links are followed.
    pub under: Option<PathBuf>,
    /// The hosts that a URL may name: exact, or `*.example.com`; lower case.
    pub host: Vec<String>,
    /// Whether it must not be given at all.
    pub absent: bool,
    /// Where the rule stands.
    pub place: Place,
}

/// The words that are ours; all others are JSON Schema.
const OWN: [&str; 3] = ["absent", "host", "under"];

pub(super) const RULE: Vocabulary = Vocabulary {
    keys: &[
        "absent",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "contains",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "host",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "type",
        "under",
        "uniqueItems",
    ],
    later: &[],
    elsewhere: &[],
};

/// The same inside a schema, where our own words mean nothing.
const SCHEMA: Vocabulary = Vocabulary {
    keys: &[
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "contains",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "type",
        "uniqueItems",
    ],
    later: &[],
    elsewhere: &[(&OWN, "stands only directly below an argument")],
};

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// The formats that a rule can ask for: another word would be one that nobody checks.
/// Those with `idn-` need tables that are not built in.
pub const FORMATS: [&str; 17] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

/// Keywords that hold one schema, and those that hold a list of them. Besides these only
/// `properties` holds any.
pub const HOLD_ONE: [&str; 4] = ["additionalProperties", "contains", "items", "not"];
pub const HOLD_LIST: [&str; 3] = ["allOf", "anyOf", "oneOf"];

pub(super) fn decode_all(field: &Field<'_>) -> Vec<ArgRule> {
    field
        .entries("a table of arguments, for example { path = { under = \"/srv\" } }")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(argument, field)| decode(argument, &field))
        .collect()
}

fn decode(argument: &str, field: &Field<'_>) -> Option<ArgRule> {
    let table = field.table(&RULE, "a table, for example { maximum = 100 }")?;
    let under = table.get("under").map(|field| decode_under(&field));
    let host = table.get("host").map(|field| decode_hosts(&field));
    let absent = table.get("absent").map(|field| decode_absent(&field));
    let schema = decode_keywords(&table, &SCHEMA)?;
    check_effect(
        argument,
        field,
        &schema,
        under.is_some() || host.is_some(),
        absent.is_some(),
    );
    Some(ArgRule {
        argument: argument.to_owned(),
        schema: Value::Object(schema),
        under: match under {
            Some(under) => Some(under?),
            None => None,
        },
        host: match host {
            Some(host) => host?,
            None => Vec::new(),
        },
        absent: match absent {
            Some(absent) => absent?,
            None => false,
        },
        place: field.place(),
    })
}

fn check_effect(
    argument: &str,
    field: &Field<'_>,
    schema: &Map<String, Value>,
    has_place: bool,
    has_absent: bool,
) {
    let says_value = has_place || !schema.is_empty();
    let (message, label) = match (says_value, has_absent) {
        (false, false) => ("says nothing", "add what its value must be"),
        (true, true) => (
            "is absent, so nothing else can hold for it",
            "keep `absent`, or the rest",
        ),
        (true, false) | (false, true) => return,
    };
    field.file.report(
        field
            .key_problem(
                Code::BadRule,
                format!("the rule for {} {message}", quoted(argument)),
            )
            .label(label),
    );
}

fn decode_under(field: &Field<'_>) -> Option<PathBuf> {
    let text = field.text()?;
    let path = Path::new(text);
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && is_plain {
        return Some(path.to_owned());
    }
    let message = format!("{} is not an absolute path", quoted(text));
    field.file.report(
        field
            .problem(Code::BadPath, message)
            .label("start with `/`, without `~` and `..`"),
    );
    None
}

fn decode_hosts(field: &Field<'_>) -> Option<Vec<String>> {
    let hosts = field.list_of(decode_host)?;
    if hosts.is_empty() {
        let problem = field.problem(Code::BadRule, "an empty list of hosts admits nothing");
        field
            .file
            .report(problem.hint("to forbid the argument, write `absent = true`"));
        return None;
    }
    Some(hosts)
}

fn decode_host(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let host = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if host.split('.').all(is_label) {
        return Some(text.to_ascii_lowercase());
    }
    let label = if text.contains("://") || text.contains(['/', ':']) {
        "only the host: no scheme, port or path"
    } else if text.contains('*') {
        "`*.` can stand only at the beginning, for any subdomain"
    } else if !text.is_ascii() {
        "write an international name in its ASCII form (xn--…)"
    } else {
        "a host is `example.com` or `*.example.com`"
    };
    let message = format!("{} is not a host", quoted(text));
    field
        .file
        .report(field.problem(Code::BadRule, message).label(label));
    None
}

fn decode_absent(field: &Field<'_>) -> Option<bool> {
    let absent = field.boolean()?;
    if !absent {
        field.file.report(
            field
                .problem(Code::BadRule, "`absent = false` says nothing")
                .label("leave it out"),
        );
        return None;
    }
    Some(true)
}

/// The JSON Schema keywords of a table.
fn decode_keywords(table: &Table<'_>, words: &Vocabulary) -> Option<Map<String, Value>> {
    let decoded: Vec<Option<(String, Value)>> = words
        .keys
        .iter()
        .filter_map(|key| Some((key, table.get(key)?)))
        .map(|(key, field)| Some(((*key).to_owned(), decode_keyword(key, &field)?)))
        .collect();
    check_bounds(table);
    decoded.into_iter().collect()
}

fn decode_keyword(key: &str, field: &Field<'_>) -> Option<Value> {
    match key {
        "const" => to_json(field),
        "enum" => {
            let values = field.list_of(to_json)?;
            not_empty(field, values.is_empty())?;
            Some(Value::Array(values))
        }
        "type" => match field.value() {
            DeValue::Array(_) => field.list_of(type_name).map(Value::Array),
            _ => type_name(field),
        },
        "format" => one_word(field, "a format that is checked", "formats", &FORMATS),
        "pattern" => field.text().map(Value::from),
        "required" => {
            let names = field.list_of(|one| one.text().map(Value::from))?;
            Some(Value::Array(names))
        }
        "uniqueItems" => field.boolean().map(Value::Bool),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            number(field, key == "multipleOf")
        }
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            count(field)
        }
        "additionalProperties" if field.value().is_bool() => field.boolean().map(Value::Bool),
        one if HOLD_ONE.contains(&one) => schema(field),
        list if HOLD_LIST.contains(&list) => {
            let schemas = field.list_of(schema)?;
            not_empty(field, schemas.is_empty())?;
            Some(Value::Array(schemas))
        }
        "properties" => {
            let entries = field.entries("a table of schemas")?;
            let schemas: Vec<_> = entries
                .iter()
                .map(|(name, field)| Some(((*name).to_owned(), schema(field)?)))
                .collect();
            let schemas: Option<Map<String, Value>> = schemas.into_iter().collect();
            schemas.map(Value::Object)
        }
        // The list of keywords and this match belong together: see the test.
        _ => None,
    }
}

fn schema(field: &Field<'_>) -> Option<Value> {
    let table = field.table(&SCHEMA, "a schema, for example { type = \"string\" }")?;
    decode_keywords(&table, &SCHEMA).map(Value::Object)
}

fn not_empty(field: &Field<'_>, is_empty: bool) -> Option<()> {
    if is_empty {
        let message = format!("{} is empty and admits nothing", field.subject());
        field.file.report(field.problem(Code::BadRule, message));
        return None;
    }
    Some(())
}

fn type_name(field: &Field<'_>) -> Option<Value> {
    one_word(field, "a type of JSON", "types", &TYPES)
}

/// One word of a list.
fn one_word(field: &Field<'_>, what: &str, all: &str, words: &[&str]) -> Option<Value> {
    let text = field.text()?;
    if words.contains(&text) {
        return Some(Value::from(text));
    }
    let message = format!("{} is not {what}", quoted(text));
    let problem = field
        .problem(Code::UnknownWord, message)
        .hint(format!("{all} are {}", listed(words.iter().copied())));
    field
        .file
        .report(match suggest(text, words.iter().copied()) {
            Some(meant) => problem.label(format!("did you mean `{meant}`?")),
            None => problem,
        });
    None
}

fn number(field: &Field<'_>, is_positive: bool) -> Option<Value> {
    if !matches!(field.value(), DeValue::Integer(_) | DeValue::Float(_)) {
        field.file.report(field.wrong_type("a number"));
        return None;
    }
    let value = to_json(field)?;
    if is_positive && value.as_f64().is_none_or(|number| number <= 0.0) {
        let message = format!("{} must be above zero", field.subject());
        field.file.report(field.problem(Code::BadRule, message));
        return None;
    }
    Some(value)
}

fn count(field: &Field<'_>) -> Option<Value> {
    let value = match field.value() {
        DeValue::Integer(_) => to_json(field)?,
        _ => Value::Null,
    };
    if !value.is_u64() {
        let message = format!("{} must be a whole number from 0", field.subject());
        field.file.report(field.problem(Code::WrongType, message));
        return None;
    }
    Some(value)
}

/// A lower bound above the upper one admits nothing.
fn check_bounds(table: &Table<'_>) {
    for (low, high) in [
        ("minimum", "maximum"),
        ("minLength", "maxLength"),
        ("minItems", "maxItems"),
        ("minProperties", "maxProperties"),
    ] {
        let (Some(low), Some(high)) = (table.get(low), table.get(high)) else {
            continue;
        };
        let bound = |field: &Field<'_>| plain_number(field.value()).and_then(|n| n.as_f64());
        if let (Some(from), Some(to)) = (bound(&low), bound(&high))
            && from > to
        {
            let message = format!(
                "{} is above {}: no value fits",
                low.subject(),
                high.subject()
            );
            table.file.report(low.problem(Code::NeverMatches, message));
        }
    }
}

fn to_json(field: &Field<'_>) -> Option<Value> {
    let problem: Problem = match field.value() {
        DeValue::String(text) => return Some(Value::from(&**text)),
        DeValue::Boolean(value) => return Some(Value::Bool(*value)),
        DeValue::Array(_) => return field.list_of(to_json).map(Value::Array),
        DeValue::Table(_) => {
            let entries = field.entries("a table")?;
            let values: Vec<_> = entries
                .iter()
                .map(|(name, field)| Some(((*name).to_owned(), to_json(field)?)))
                .collect();
            let values: Option<Map<String, Value>> = values.into_iter().collect();
            return values.map(Value::Object);
        }
        number @ (DeValue::Integer(_) | DeValue::Float(_)) => match plain_number(number) {
            Some(number) => return Some(Value::Number(number)),
            None => field.problem(Code::WrongType, "this number does not exist in JSON"),
        },
        DeValue::Datetime(_) => field
            .wrong_type("a value of JSON")
            .label("JSON has no dates: put it in quotes"),
    };
    field.file.report(problem);
    None
}

fn plain_number(value: &DeValue<'_>) -> Option<Number> {
    match value {
        DeValue::Integer(integer) => {
            let (text, radix) = (integer.as_str(), integer.radix());
            let signed = i64::from_str_radix(text, radix).map(Number::from);
            signed
                .or_else(|_| u64::from_str_radix(text, radix).map(Number::from))
                .ok()
        }
        DeValue::Float(float) => float.as_str().parse().ok().and_then(Number::from_f64),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}
