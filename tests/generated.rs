//! What is generated into the repository equals what the code generates.
//!
//! `TOLLGATE_BLESS=1 cargo test --test generated` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;
use tollgate::config;

fn holds(file: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schemas")
        .join(file);
    let wanted = format!("{schema:#}\n");
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "schemas/{file} is not what the code generates; \
         run TOLLGATE_BLESS=1 cargo test --test generated and review the difference"
    );
}

#[test]
fn the_schema_of_tollgate_toml_is_up_to_date() {
    holds("tollgate.schema.json", &config::tollgate_schema());
}

#[test]
fn the_schema_of_tools_is_up_to_date() {
    holds("tools.schema.json", &config::tools_schema());
}
