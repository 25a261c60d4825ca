//! Everything that the servers offer, under the names that agents see.
//!
//! Built anew from the servers' listings whenever one changes. Lists are ready
//! bytes, the same for every connection that may see the same servers; a server
//! that is not running keeps its place with what it offered last.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    before::{Before, Read},
    names, offer, own,
    policy::Policy,
    uri,
};
use crate::{
    domain::{Fingerprint, Offer, Place, Prices, ServerName, Terms, Tier},
    measure::{Rules, Schema},
    ports::{Listing, Store},
    wire::{self, Edit, Node, Raw},
};

/// Why a tool is not even read.
const TOO_MANY: &str = "its server listed too many new ones today; it is read when a list changes a day later, or tollgate starts again";

/// One generation of what is offered.
#[derive(Debug, Default)]
pub struct Catalog {
    listings: BTreeMap<ServerName, Arc<Listing>>,
    tools: HashMap<Arc<str>, Arc<Tool>>,
    prompts: HashMap<Arc<str>, Prompt>,
    /// In the order of lists: by server, then as the server lists them.
    tool_order: Vec<Arc<Tool>>,
    prompt_order: Vec<Prompt>,
    /// What was made of each definition, for the catalogue after this one.
    pub(super) read: Read,
    /// What could not be offered, and why: for the operator.
    warnings: Vec<(ServerName, String)>,
    views: Mutex<HashMap<Vec<ServerName>, Arc<View>>>,
}

/// One tool that is known.
#[derive(Debug)]
pub struct Tool {
    /// The name that agents see.
    pub exposed: Arc<str>,
    /// Whose it is.
    pub server: ServerName,
    /// The server's own name for it.
    pub name: Arc<str>,
    /// What the operator says of it.
    pub offer: Offer,
    /// Where.
    pub place: Place,
    /// The tier that counts.
    pub tier: Tier,
    /// The definition that was accepted.
    pub accepted: Fingerprint,
    /// The definition that the server offers now.
    pub offered: Fingerprint,
    /// Whether that is another one.
    pub changed: bool,
    /// Its inputSchema.
    pub schema: Schema,
    /// Whether it declares an outputSchema.
    pub has_output_schema: bool,
    /// The operator's rules for its arguments.
    pub rules: Arc<Rules>,
    /// What limits its calls.
    pub terms: Arc<Terms>,
    /// What its calls cost.
    pub prices: Arc<Prices>,
    /// Whether its calls leave only when their record is on disk, whatever the tier.
    pub durable: bool,
    /// Its own idle limit.
    pub idle: Option<std::time::Duration>,
    /// As it is listed.
    pub listed: Raw,
}

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

/// The lists of all who may see the same servers.
#[derive(Debug)]
pub struct View {
    servers: Vec<ServerName>,
    /// `[…]`: the value of `tools`.
    pub tools: Bytes,
    /// The value of `prompts`.
    pub prompts: Bytes,
    /// The value of `resources`.
    pub resources: Bytes,
    /// The value of `resourceTemplates`.
    pub templates: Bytes,
    /// What the servers would tell a model.
    pub instructions: String,
}

impl View {
    /// Whether this server is part of it.
    #[must_use]
    pub fn shows(&self, server: &ServerName) -> bool {
        self.servers.contains(server)
    }
}

impl Catalog {
    /// Builds the catalogue of these listings. New definitions are accepted by
    /// the store on the way, changed ones are not. What was there before stays.
    pub(super) fn build(
        listings: BTreeMap<ServerName, Arc<Listing>>,
        policy: &Policy,
        store: &dyn Store,
        before: Option<&Before<'_>>,
    ) -> Self {
        let mut catalog = Self::default();
        for (server, listing) in &listings {
            let Some(rules) = policy.servers.get(server) else {
                continue;
            };
            let mut names = HashSet::new();
            for definition in &listing.tools {
                let name = definition.get("name");
                if name.is_some_and(|name| !names.insert(name.text().to_owned())) {
                    let why = "a tool is hidden: its name is listed twice".to_owned();
                    catalog.warnings.push((server.clone(), why));
                    continue;
                }
                let known = before.and_then(|before| before.read(server, definition));
                let tool = match known {
                    Some(known) => known.clone(),
                    None if before.is_some_and(|before| !before.lets_in(server, definition)) => {
                        let why = format!("a tool is hidden: {TOO_MANY}");
                        catalog.warnings.push((server.clone(), why));
                        continue;
                    }
                    None => Tool::read(server, definition, rules, store).map(Arc::new),
                };
                let read = catalog.read.entry(server.clone()).or_default();
                read.insert(definition.bytes().clone(), tool.clone());
                if let Err(why) = tool.and_then(|tool| catalog.add_tool(tool)) {
                    catalog.warnings.push((server.clone(), why));
                }
            }
            for definition in &listing.prompts {
                let prompt = Prompt::read(server, definition, &rules.prefix);
                if let Err(why) = prompt.and_then(|prompt| catalog.add_prompt(prompt)) {
                    catalog.warnings.push((server.clone(), why));
                }
            }
        }
        catalog.listings = listings;
        catalog
    }

    /// The tool behind an exposed name.
    #[must_use]
    pub fn tool(&self, exposed: &str) -> Option<&Arc<Tool>> {
        self.tools.get(exposed)
    }

    /// The prompt behind an exposed name.
    #[must_use]
    pub fn prompt(&self, exposed: &str) -> Option<&Prompt> {
        self.prompts.get(exposed)
    }

    /// Every tool, in the order of lists.
    #[must_use]
    pub fn tools(&self) -> &[Arc<Tool>] {
        &self.tool_order
    }

    /// What could not be offered, and why.
    #[must_use]
    pub fn warnings(&self) -> &[(ServerName, String)] {
        &self.warnings
    }

    /// The listings it was built from.
    #[must_use]
    pub fn listings(&self) -> &BTreeMap<ServerName, Arc<Listing>> {
        &self.listings
    }

    /// The server that a resource belongs to: the first that lists the URI, or
    /// has a template for it, or has resources of its scheme, or is the only
    /// one that has resources at all.
    #[must_use]
    pub fn resource(&self, uri: &str, view: &View) -> Option<ServerName> {
        let mut having: Vec<&Arc<Listing>> = Vec::new();
        for server in &view.servers {
            if let Some(listing) = self.listings.get(server)
                && listing.capabilities.get("resources").is_some()
            {
                having.push(listing);
            }
        }
        let lists = |listing: &&&Arc<Listing>| {
            listing.resources.iter().any(|resource| {
                let known = resource.get("uri");
                known.is_some_and(|known| known.as_str().is_some_and(|known| known == uri))
            })
        };
        let has_template = |listing: &&&Arc<Listing>| {
            listing.templates.iter().any(|template| {
                let template = template.get("uriTemplate");
                let template = template.as_ref().and_then(Raw::as_str);
                template.is_some_and(|template| uri::fits(&template, uri))
            })
        };
        let same_scheme = |listing: &&&Arc<Listing>| {
            let of = |entries: &[Raw], key: &str| {
                entries.iter().any(|entry| {
                    let known = entry.get(key);
                    let known = known.as_ref().and_then(Raw::as_str);
                    known.is_some_and(|known| uri::scheme(&known) == uri::scheme(uri))
                })
            };
            of(&listing.resources, "uri") || of(&listing.templates, "uriTemplate")
        };
        let found = having
            .iter()
            .find(lists)
            .or_else(|| having.iter().find(has_template))
            .or_else(|| having.iter().find(same_scheme))
            .or(match having.as_slice() {
                [only] => Some(only),
                _ => None,
            });
        found.map(|listing| listing.server.clone())
    }

    /// The lists of an agent that may see these servers.
    #[must_use]
    pub fn view(&self, servers: &[ServerName]) -> Arc<View> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(servers) {
            return view.clone();
        }
        let view = Arc::new(self.build_view(servers.to_vec()));
        views.insert(servers.to_vec(), view.clone());
        view
    }

    fn build_view(&self, servers: Vec<ServerName>) -> View {
        let own = own::definitions();
        let offered = self
            .tool_order
            .iter()
            .filter(|tool| servers.contains(&tool.server))
            .filter(|tool| match tool.offer {
                Offer::At(_) | Offer::Unclassified => true,
                Offer::Off => false,
            })
            .map(|tool| &tool.listed);
        let prompts = self
            .prompt_order
            .iter()
            .filter(|prompt| servers.contains(&prompt.server))
            .map(|prompt| &prompt.listed);
        let of_all = |entries: fn(&Listing) -> &Vec<Raw>| {
            servers
                .iter()
                .filter_map(|server| self.listings.get(server))
                .flat_map(move |listing| entries(listing))
                // Tools and prompts were cleaned when they were read.
                .map(wire::without_ours)
        };
        View {
            tools: array(offered.chain(&own)),
            prompts: array(prompts),
            resources: array(of_all(|listing| &listing.resources)),
            templates: array(of_all(|listing| &listing.templates)),
            instructions: self.instructions(&servers),
            servers,
        }
    }

    /// What servers would tell a model is theirs and says so, line by line.
    fn instructions(&self, servers: &[ServerName]) -> String {
        let mut text = String::from(
            "These tools pass through tollgate. Each carries its tier; a call that is refused says why and what would change it. Do not work around a refusal: tell your user.",
        );
        for server in servers {
            let said = self
                .listings
                .get(server)
                .and_then(|listing| listing.instructions.as_deref())
                .map(str::trim)
                .filter(|said| !said.is_empty());
            if let Some(said) = said {
                text.push_str(&format!("\n\nServer `{server}` says of itself:"));
                for line in said.lines().take(100) {
                    text.push_str("\n> ");
                    text.extend(line.chars().take(500));
                }
            }
        }
        text
    }

    fn add_tool(&mut self, tool: Arc<Tool>) -> Result<(), String> {
        if let Some(other) = self.tools.get(&tool.exposed) {
            return Err(format!(
                "tool `{}` is hidden: `{}` already belongs to server `{}`",
                tool.name, tool.exposed, other.server
            ));
        }
        self.tools.insert(tool.exposed.clone(), tool.clone());
        self.tool_order.push(tool);
        Ok(())
    }

    fn add_prompt(&mut self, prompt: Prompt) -> Result<(), String> {
        if let Some(other) = self.prompts.get(&prompt.exposed) {
            return Err(format!(
                "prompt `{}` is hidden: `{}` already belongs to server `{}`",
                prompt.name, prompt.exposed, other.server
            ));
        }
        self.prompts.insert(prompt.exposed.clone(), prompt.clone());
        self.prompt_order.push(prompt);
        Ok(())
    }
}

impl Tool {
    /// Reads one definition. What is wrong with it hides this tool and no other.
    fn read(
        server: &ServerName,
        definition: &Raw,
        rules: &super::policy::ServerPolicy,
        store: &dyn Store,
    ) -> Result<Self, String> {
        let name = definition.get("name");
        let name = name
            .as_ref()
            .and_then(Raw::as_str)
            .filter(|name| !name.is_empty())
            .ok_or("a tool is hidden: its definition has no name")?;
        let hidden = |why: &str| format!("tool `{name}` is hidden: {why}");
        let node = Node::parse(definition.text())
            .map_err(|flaw| hidden(&format!("in its definition {flaw}")))?;
        let print = Fingerprint(*blake3::hash(node.canonical().as_bytes()).as_bytes());
        let pinned = store
            .pin(server, &name, definition, print)
            .map_err(|fault| hidden(&fault.says))?;
        // A changed definition stays listed as it was accepted.
        let accepted = if pinned == print {
            definition.clone()
        } else {
            store
                .pinned(server, &name)
                .ok_or_else(|| hidden("its accepted definition cannot be read"))?
        };
        let schema = accepted
            .get("inputSchema")
            .filter(|schema| schema.text().starts_with('{'))
            .ok_or_else(|| hidden("it has no inputSchema that is an object"))?;
        let needs_task = accepted
            .get("execution")
            .and_then(|execution| execution.get("taskSupport"))
            .is_some_and(|task| task.as_str().is_some_and(|task| task == "required"));
        if needs_task {
            return Err(hidden(
                "it runs only as a task, which tollgate does not relay",
            ));
        }
        let said = rules.tool(&name);
        let exposed = names::exposed(&rules.prefix, server, &name);
        let tier = offer::tier(said.offer, &accepted);
        Ok(Self {
            listed: offer::present(&accepted, &exposed, said.offer, tier),
            exposed: exposed.into(),
            server: server.clone(),
            name: name.as_ref().into(),
            offer: said.offer,
            place: said.place,
            tier,
            accepted: pinned,
            offered: print,
            changed: pinned != print,
            schema: Schema::new(schema),
            has_output_schema: accepted.get("outputSchema").is_some(),
            rules: said.rules,
            terms: rules.terms_of(tier, &said.terms),
            prices: said.prices,
            durable: said.durable,
            idle: said.idle,
        })
    }
}

impl Prompt {
    fn read(server: &ServerName, definition: &Raw, prefix: &str) -> Result<Self, String> {
        let name = definition.get("name");
        let name = name
            .as_ref()
            .and_then(Raw::as_str)
            .filter(|name| !name.is_empty())
            .ok_or("a prompt is hidden: its definition has no name")?;
        let exposed = names::exposed(prefix, server, &name);
        let definition = wire::without_ours(definition);
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
            name: name.as_ref().into(),
            listed,
        })
    }
}

fn array(entries: impl Iterator<Item = impl Borrow<Raw>>) -> Bytes {
    let mut out = vec![b'['];
    for (nth, entry) in entries.enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        out.extend_from_slice(entry.borrow().bytes());
    }
    out.push(b']');
    out.into()
}
