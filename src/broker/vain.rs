//! What a file says of tools and arguments that its server does not have: a typo there
//! switches a rule off, and only the server's list shows it.

use super::{Tool, owners, policy::ServerPolicy};
use crate::{config::suggest, domain::shown, wire::Raw};

/// How many names are compared with one that is not there.
const CANDIDATES: usize = 500;

/// Tools that the file speaks of and the server does not list, for the operator.
pub(super) fn tools(rules: &ServerPolicy, definitions: &[Raw]) -> Vec<String> {
    if rules.tools.is_empty() {
        return Vec::new();
    }
    let name = |definition: &Raw| owners::text(definition, "name").map(|name| name.to_string());
    let names: Vec<String> = definitions.iter().filter_map(name).collect();
    let missing = rules.tools.keys().filter(|tool| !names.contains(tool));
    let told = missing.map(|tool| {
        format!(
            "its file speaks of a tool `{}` that it does not list: nothing holds by that{}",
            shown(tool),
            meant(tool, names.iter().map(String::as_str))
        )
    });
    told.collect()
}

/// Rules for arguments that the tool does not have, for the operator.
pub(super) fn rules(tool: &Tool) -> Vec<String> {
    // Others would wait while such a schema is read: its calls tell.
    if tool.rules.is_empty() || !tool.schema.are_names_at_hand() {
        return Vec::new();
    }
    let told = tool.rules.astray(&tool.schema).map(|astray| {
        let follows = match astray.is_refused() {
            true => "its calls are refused",
            false => "the rule holds only where it is given",
        };
        format!(
            "its file has a rule for an argument `{}` of tool `{}`, whose schema does not name one: {follows}{}",
            shown(astray.argument()),
            shown(&tool.name),
            meant(astray.argument(), astray.named())
        )
    });
    told.collect()
}

fn meant<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    suggest(given, known.take(CANDIDATES)).map_or_else(String::new, |name| {
        format!("; did you mean `{}`?", shown(name))
    })
}
