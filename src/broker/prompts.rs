//! The prompts that servers offer, under the names that agents see.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    owners::{self, Claims, Owners},
    policy::{Policy, ServerPolicy},
};
use crate::{
    config,
    domain::{ServerName, shown},
    ports::Listing,
    wire::{self, Edit, Raw},
};

/// One prompt that is known.
#[derive(Debug, Clone)]
pub struct Prompt {
    exposed: Arc<str>,
    /// Whose it is.
    pub server: ServerName,
    /// The server's own name for it.
    pub name: Arc<str>,
    listed: Raw,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Prompts {
    /// Of each name one for each server that lists it.
    known: HashMap<Arc<str>, Vec<Prompt>>,
    /// In the order of lists.
    order: Vec<Prompt>,
    /// Who lists one under which name, or under one that looks like it.
    claims: Claims,
}

impl Prompts {
    /// Of these listings, and what cannot be offered and why.
    pub(super) fn new(
        listings: &BTreeMap<ServerName, Arc<Listing>>,
        policy: &Policy,
        owners: &Owners,
        before: Option<&Prompts>,
    ) -> (Self, Vec<(ServerName, String)>) {
        let mut read = Vec::new();
        let mut hidden = Vec::new();
        for (server, listing) in listings {
            let Some(rules) = policy.servers.get(server) else {
                continue;
            };
            for definition in &listing.prompts {
                match Prompt::read(server, definition, &rules.prefix, owners) {
                    Ok(prompt) => read.push(prompt),
                    Err(why) => hidden.push((server.clone(), why)),
                }
            }
        }
        let listed = read
            .iter()
            .map(|prompt| (&prompt.server, config::alike(&prompt.exposed)));
        let mut prompts = Self {
            claims: Claims::new(before.map(|before| &before.claims), listed),
            ..Self::default()
        };
        for prompt in read {
            let Prompt { exposed, .. } = &prompt;
            let of_name = prompts.known.entry(exposed.clone()).or_default();
            let twice = of_name.iter().any(|other| other.server == prompt.server);
            let owner = prompts.claims.first(&config::alike(exposed));
            if let Some(owner) = owner.filter(|owner| twice || **owner != prompt.server) {
                let why = owners::belongs(exposed, owner);
                let why = format!("prompt `{}` is hidden: {why}", shown(&prompt.name));
                hidden.push((prompt.server.clone(), why));
            }
            // Who may not see the owner sees another's.
            if !twice {
                of_name.push(prompt.clone());
                prompts.order.push(prompt);
            }
        }
        (prompts, hidden)
    }

    /// The prompt behind an exposed name, for who may see these servers.
    pub(super) fn get(&self, exposed: &str, servers: &[ServerName]) -> Option<&Prompt> {
        let owner = self.claims.owner(&config::alike(exposed), servers)?;
        let mut of_name = self.known.get(exposed)?.iter();
        of_name.find(|prompt| prompt.server == *owner)
    }

    /// As those of these servers are listed.
    pub(super) fn of(&self, servers: &[ServerName]) -> impl Iterator<Item = &Raw> {
        let shown = self.order.iter().filter(|prompt| {
            let Prompt {
                server, exposed, ..
            } = prompt;
            self.claims.owner(&config::alike(exposed), servers) == Some(server)
        });
        shown.map(|prompt| &prompt.listed)
    }

    /// Whose the name of a prompt is that a server lists.
    pub(super) fn owner(
        &self,
        server: &ServerName,
        rules: &ServerPolicy,
        definition: &Raw,
    ) -> Option<&ServerName> {
        let name = owners::text(definition, "name")?;
        let exposed = config::exposed(&rules.prefix, server, &name);
        self.claims.first(&config::alike(&exposed))
    }
}

impl Prompt {
    fn read(
        server: &ServerName,
        definition: &Raw,
        prefix: &str,
        owners: &Owners,
    ) -> Result<Self, String> {
        let name = owners::text(definition, "name")
            .filter(|name| !name.is_empty())
            .ok_or("a prompt is hidden: its definition has no name")?;
        let exposed = config::exposed(prefix, server, &name);
        owners
            .admits(server, &exposed)
            .map_err(|why| format!("prompt `{}` is hidden: {why}", shown(&name)))?;
        let definition = wire::without_ours(definition);
        let definition = wire::without_misspelt(&definition, &["name"]).into_owned();
        let listed = if *exposed == *name {
            definition.clone()
        } else {
            let mut edit = Edit::new(&definition);
            edit.set("name", wire::quote(&exposed));
            edit.raw()
        };
        Ok(Self {
            exposed: exposed.into(),
            server: server.clone(),
            name: name.into(),
            listed,
        })
    }
}
