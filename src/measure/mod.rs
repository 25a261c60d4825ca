//! Arguments against what the server and the operator say of them.
//!
//! Pure but for one thing that is handed in: what a path really points to.

pub mod leave_alone;
pub mod price;
mod rules;
mod schema;

use std::path::{Path, PathBuf};

pub use rules::Rules;
pub use schema::Schema;

use serde_json::Value;

use crate::{domain::Findings, wire::Raw};

/// Follows the links of a path as far as it exists; nothing where that is not known.
pub type Follow<'a> = &'a dyn Fn(&Path) -> Option<PathBuf>;

/// Everything that is wrong with the arguments of one call.
#[must_use]
pub fn findings(
    arguments: Option<&Raw>,
    schema: &Schema,
    rules: &Rules,
    strict: bool,
    follow: Follow<'_>,
) -> Findings {
    if schema.is_open() && rules.is_empty() && !strict {
        return Findings::default();
    }
    let value = match arguments {
        None => Value::Object(serde_json::Map::new()),
        Some(raw) => match raw.to::<Value>() {
            Ok(value) => value,
            // A number that no schema can look at, such as 1e400.
            Err(error) => {
                return Findings {
                    schema: vec![schema::finding("", &format!("cannot be judged: {error}"))],
                    rules: Vec::new(),
                };
            }
        },
    };
    Findings {
        schema: schema.check(&value),
        rules: rules.check(&value, schema, strict, follow),
    }
}
