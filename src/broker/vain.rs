//! What a file says of tools and arguments that its server does not have: a typo there
//! switches a rule off, and only the server's list shows it.

use super::{owners, policy::ServerPolicy};
use crate::{
    config::suggest,
    domain::shown,
    wire::{self, Raw},
};

/// How many names are compared with one that is not there.
const CANDIDATES: usize = 500;

/// What is said in vain, for the operator.
pub(super) fn said(rules: &ServerPolicy, definitions: &[Raw]) -> Vec<String> {
    if rules.tools.is_empty() {
        return Vec::new();
    }
    let name = |definition: &Raw| owners::text(definition, "name").map(|name| name.to_string());
    let names: Vec<String> = definitions.iter().filter_map(name).collect();
    let mut vain = Vec::new();
    for (tool, said) in &rules.tools {
        let Some(at) = names.iter().position(|name| name == tool) else {
            let meant = meant(tool, names.iter().map(String::as_str));
            vain.push(format!(
                "its file speaks of a tool `{}` that it does not list: nothing holds by that{meant}",
                shown(tool)
            ));
            continue;
        };
        let schema = definitions
            .get(at)
            .and_then(|found| found.get("inputSchema"));
        let Some(arguments) = schema.as_ref().and_then(plain) else {
            continue;
        };
        for argument in said.rules.arguments() {
            // Wherever it stands: a schema can name arguments at more places than one.
            let quoted = format!("\"{argument}\"");
            if schema
                .as_ref()
                .is_some_and(|it| it.text().contains(&quoted))
            {
                continue;
            }
            let meant = meant(argument, arguments.iter().map(String::as_str));
            vain.push(format!(
                "its file has a rule for an argument `{}` of tool `{}`, whose schema does not name one: the rule holds for nothing{meant}",
                shown(argument),
                shown(tool)
            ));
        }
    }
    vain
}

/// The arguments that a schema names, if it says so in plain words.
fn plain(schema: &Raw) -> Option<Vec<String>> {
    let text = schema.text();
    // A key can be written with an escape.
    let open = text.contains("\\u") || text.contains("\"patternProperties\"");
    let properties = schema.get("properties").filter(|_| !open)?;
    let keys = wire::members(properties.text());
    let keys = keys.filter_map(|(key, _)| wire::unquote(key).map(|key| key.to_string()));
    Some(keys.collect())
}

fn meant<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    suggest(given, known.take(CANDIDATES)).map_or_else(String::new, |name| {
        format!("; did you mean `{}`?", shown(name))
    })
}
