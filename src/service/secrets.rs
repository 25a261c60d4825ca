//! The secrets that the configuration names. Whatever is fetched is kept out of what is
//! recorded, logged and shown.

use std::fs;

use crate::{
    config::{Agents, EnvValue, Generation, SecretRef},
    store,
    tools::has_every_server,
};

/// Keeps all of them out before anything is recorded. What can't be fetched is told where
/// it is needed.
pub(super) fn keep_out(generation: &Generation) {
    let servers = generation.servers.iter();
    let values = servers.flat_map(|server| server.launch.env.values());
    for value in values {
        match value {
            EnvValue::Literal(_) => {}
            EnvValue::Secret(secret) => drop(fetch(secret)),
        }
    }
    match &generation.agents {
        Agents::Listed(listed) => {
            let tokens = listed.values().filter_map(|agent| agent.token.as_ref());
            tokens.for_each(|token| drop(fetch(token)));
        }
        Agents::Anyone => {}
    }
}

/// The text behind a reference.
pub(super) fn fetch(secret: &SecretRef) -> Result<String, String> {
    let text = match secret {
        SecretRef::Env(name) => std::env::var(name)
            .map_err(|_| format!("`{name}` is not set where the daemon started"))?,
        SecretRef::File(path) => fs::read_to_string(path)
            .map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?,
    };
    match secret {
        // Where the home is, or the language, is no secret.
        SecretRef::Env(name) if has_every_server(name) => {}
        SecretRef::Env(_) | SecretRef::File(_) => store::keep_out(&text),
    }
    Ok(text)
}
