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

use crate::{domain::Findings, wire::Raw};

/// Follows the links of a path as far as it exists; nothing where that is not known.
pub type Follow<'a> = &'a dyn Fn(&Path) -> Option<PathBuf>;

/// Arguments longer than this are measured beside the runtime.
const SMALL: usize = 64 * 1024;

/// If so few bytes take too much work, then not because of what they are.
const LITTLE: usize = 1024;

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
    let value = match arguments {
        None => Value::Object(serde_json::Map::new()),
        Some(raw) => match raw.to::<Value>() {
            Ok(value) => value,
            // A number that no schema can look at, such as 1e400.
            Err(error) => return Ok(unjudged(&error.to_string())),
        },
    };
    let bytes = arguments.map_or(2, |raw| raw.bytes().len());
    let found = schema.check(&value, bytes, effort).and_then(|mut found| {
        if strict {
            found.extend(rules.unnamed(&value, schema));
        }
        Ok(Findings {
            schema: found,
            rules: rules.check(&value, follow, (bytes, effort))?,
            hopeless: schema.is_broken(),
            unmeasured: None,
        })
    });
    match (found, effort) {
        (Ok(found), _) => Ok(found),
        (Err(TooMuch), Effort::AtOnce) => Err(Heavy),
        (Err(TooMuch), Effort::Beside) if bytes > LITTLE => Ok(unjudged(
            "that takes more work than a call is worth; call with less",
        )),
        (Err(TooMuch), Effort::Beside) => Ok(Findings {
            hopeless: true,
            ..unjudged("that takes more work than a call is worth")
        }),
    }
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
