//! Everything that the servers offer, under the names that agents see.
//!
//! Built anew from the servers' listings whenever one changes. Lists are ready
//! bytes, the same for every connection that may see the same servers; a server
//! that is not running keeps its place with what it offered last.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;

use super::{
    before::{Before, Read},
    offer, own,
    owners::{self, Owners},
    policy::{Policy, ServerPolicy},
    prompts::{Prompt, Prompts},
    refresh::few,
    resources::Resources,
    vain,
};
use crate::{
    config,
    domain::{Fingerprint, Offer, Place, Prices, ServerName, Terms, Tier, shown},
    measure::{Rules, Schema},
    ports::{Listing, Store},
    wire::{self, Node, Raw},
};

/// Why a tool is not even read.
const TOO_MANY: &str = "its server listed too many new ones today; it is read when a list changes a day later, or tollgate starts again";

/// One generation of what is offered.
#[derive(Debug, Default)]
pub struct Catalog {
    listings: BTreeMap<ServerName, Arc<Listing>>,
    tools: HashMap<Arc<str>, Arc<Tool>>,
    /// In the order of lists: by server, then as the server lists them.
    tool_order: Vec<Arc<Tool>>,
    prompts: Prompts,
    resources: Arc<Resources>,
    /// What was made of each definition, for the catalogue after this one.
    pub(super) read: Read,
    /// What could not be offered, and why, and what files say in vain: for the operator.
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
    /// Where; none if nothing is said of it.
    pub place: Option<Place>,
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

/// The lists of all who may see the same servers.
#[derive(Debug)]
pub struct View {
    servers: Vec<ServerName>,
    /// `[…]`: the value of `tools`.
    pub tools: Bytes,
    /// The value of `prompts`.
    pub prompts: Bytes,
    listings: Vec<Arc<Listing>>,
    owners: Arc<Resources>,
    /// Made when somebody asks for them: they may be long, and every call asks for a view.
    resources: OnceLock<Bytes>,
    templates: OnceLock<Bytes>,
    /// What the servers would tell a model.
    pub instructions: String,
}

impl View {
    /// Whether this server is part of it.
    #[must_use]
    pub fn shows(&self, server: &ServerName) -> bool {
        self.servers.contains(server)
    }

    /// The value of `resources`.
    #[must_use]
    pub fn resources(&self) -> Bytes {
        let list = || {
            let listings = self.listings.iter();
            clean(listings.flat_map(|listing| self.owners.shown(listing, &self.servers)))
        };
        self.resources.get_or_init(list).clone()
    }

    /// The value of `resourceTemplates`.
    #[must_use]
    pub fn templates(&self) -> Bytes {
        let list = || {
            let listings = self.listings.iter();
            clean(listings.flat_map(|listing| self.owners.shown_templates(listing, &self.servers)))
        };
        self.templates.get_or_init(list).clone()
    }
}

impl Catalog {
    /// Builds the catalogue of these listings. New definitions are accepted by
    /// the store on the way, changed ones are not. What was there before stays,
    /// and keeps its name.
    pub(super) fn build(
        listings: BTreeMap<ServerName, Arc<Listing>>,
        policy: &Policy,
        store: &dyn Store,
        owners: &Owners,
        before: Option<&Before<'_>>,
    ) -> Self {
        let mut catalog = Self::default();
        for (server, listing) in &listings {
            let Some(rules) = policy.servers.get(server) else {
                continue;
            };
            let mut names = HashSet::new();
            for definition in &listing.tools {
                let name = owners::text(definition, "name");
                if name.is_some_and(|name| !names.insert(name)) {
                    let why = "a tool is hidden: its name is listed twice".to_owned();
                    catalog.warnings.push((server.clone(), why));
                    continue;
                }
                let known = before.and_then(|before| before.read(server, definition));
                let tool = match known {
                    Some(known) => known.clone(),
                    // Before it is accepted: who cannot have the name leaves no trace.
                    None if let Err(why) =
                        Tool::may_have_name(server, definition, rules, owners) =>
                    {
                        catalog.warnings.push((server.clone(), why));
                        continue;
                    }
                    None if before.is_some_and(|before| !before.lets_in(server, definition)) => {
                        let why = format!("a tool is hidden: {TOO_MANY}");
                        catalog.warnings.push((server.clone(), why));
                        continue;
                    }
                    None => Tool::read(server, definition, rules, store).map(Arc::new),
                };
                let read = catalog.read.entry(server.clone()).or_default();
                read.insert(definition.bytes().clone(), tool.clone());
                if let Err(why) = tool.and_then(|tool| catalog.add_tool(tool, owners)) {
                    catalog.warnings.push((server.clone(), why));
                }
            }
            let mut vain = vain::tools(rules, &listing.tools);
            let tools = catalog.tool_order.iter();
            let own = tools.filter(|tool| tool.server == *server);
            vain.extend(own.flat_map(|tool| vain::rules(tool)));
            let vain = vain.into_iter().map(|why| (server.clone(), why));
            catalog.warnings.extend(vain);
        }
        let before = before.map(|before| before.catalog);
        let known = before.map(|known| &known.prompts);
        let (prompts, hidden) = Prompts::new(&listings, policy, owners, known);
        catalog.prompts = prompts;
        catalog.warnings.extend(hidden);
        let known = before.map(|known| (&*known.resources, &known.listings));
        let (resources, hidden) = Resources::new(known, &listings);
        catalog.resources = Arc::new(resources);
        catalog.warnings.extend(hidden);
        catalog.listings = listings;
        catalog
    }

    /// The tool behind an exposed name.
    #[must_use]
    pub fn tool(&self, exposed: &str) -> Option<&Arc<Tool>> {
        self.tools.get(exposed)
    }

    /// The prompt behind an exposed name, for who sees this.
    #[must_use]
    pub fn prompt(&self, exposed: &str, view: &View) -> Option<&Prompt> {
        self.prompts.get(exposed, &view.servers)
    }

    /// Every tool, in the order of lists.
    #[must_use]
    pub fn tools(&self) -> &[Arc<Tool>] {
        &self.tool_order
    }

    /// What could not be offered, and why, and what files say in vain.
    #[must_use]
    pub fn warnings(&self) -> &[(ServerName, String)] {
        &self.warnings
    }

    /// A little of what of a server could not be offered, and why, and of what its file
    /// says in vain.
    #[must_use]
    pub fn hidden(&self, server: &ServerName) -> Vec<String> {
        let warnings = self.warnings.iter();
        few(warnings
            .filter(|(of, _)| of == server)
            .map(|(_, why)| why.as_str()))
    }

    /// The listings it was built from.
    #[must_use]
    pub fn listings(&self) -> &BTreeMap<ServerName, Arc<Listing>> {
        &self.listings
    }

    /// The server that a resource belongs to.
    #[must_use]
    pub fn resource(&self, uri: &str, view: &View) -> Option<ServerName> {
        let owner = self.resources.owner(uri, &view.servers);
        owner.cloned()
    }

    /// The server that a template belongs to, as it is written.
    #[must_use]
    pub fn template(&self, text: &str, view: &View) -> Option<ServerName> {
        let owner = self.resources.templates.owner(text, &view.servers);
        owner.cloned()
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
        let prompts = self.prompts.of(&servers);
        let listings = servers.iter();
        let listings = listings.filter_map(|server| self.listings.get(server).cloned());
        View {
            tools: array(offered.chain(&own)),
            prompts: array(prompts),
            listings: listings.collect(),
            owners: self.resources.clone(),
            resources: OnceLock::new(),
            templates: OnceLock::new(),
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

    /// A listing without what belongs to others: as it is kept, so that the next
    /// start finds everything with whom it belongs to.
    pub(super) fn own_part(&self, listing: &Listing, policy: &Policy) -> Listing {
        let server = &listing.server;
        let mut own = listing.clone();
        let others = |owner: Option<&ServerName>| owner.is_some_and(|owner| owner != server);
        if let Some(rules) = policy.servers.get(server) {
            let known = |prompt: &Raw| self.prompts.owner(server, rules, prompt);
            own.prompts.retain(|prompt| !others(known(prompt)));
        }
        self.resources.keep_own(&mut own);
        own
    }

    fn add_tool(&mut self, tool: Arc<Tool>, owners: &Owners) -> Result<(), String> {
        // One that is off is offered to nobody and keeps no name from others.
        let is_off = |tool: &Tool| tool.offer == Offer::Off;
        match self.tools.get(&tool.exposed) {
            Some(other) if other.server == tool.server || !(is_off(&tool) || is_off(other)) => {
                return Err(format!(
                    "tool `{}` is hidden: {}",
                    shown(&tool.name),
                    owners::belongs(&tool.exposed, &other.server)
                ));
            }
            Some(_) if is_off(&tool) => {}
            Some(_) | None => {
                self.tools.insert(tool.exposed.clone(), tool.clone());
            }
        }
        if !is_off(&tool) {
            owners.take(&tool.server, &tool.exposed);
        }
        self.tool_order.push(tool);
        Ok(())
    }
}

impl Tool {
    /// Whether it may have the name that it would be given.
    fn may_have_name(
        server: &ServerName,
        definition: &Raw,
        rules: &ServerPolicy,
        owners: &Owners,
    ) -> Result<(), String> {
        let Some(name) = owners::text(definition, "name") else {
            return Ok(());
        };
        let exposed = config::exposed(&rules.prefix, server, &name);
        let is_off = rules.tool(&name).offer == Offer::Off;
        owners
            .admits(server, &exposed)
            .and_then(|()| match is_off {
                true => Ok(()),
                false => owners.is_free(server, &exposed),
            })
            .map_err(|why| format!("tool `{}` is hidden: {why}", shown(&name)))
    }

    /// Reads one definition. What is wrong with it hides this tool and no other.
    fn read(
        server: &ServerName,
        definition: &Raw,
        rules: &ServerPolicy,
        store: &dyn Store,
    ) -> Result<Self, String> {
        let name = definition.get("name");
        let name = name
            .as_ref()
            .and_then(Raw::as_str)
            .filter(|name| !name.is_empty())
            .ok_or("a tool is hidden: its definition has no name")?;
        let hidden = |why: &str| format!("tool `{}` is hidden: {why}", shown(&name));
        let node = Node::parse(definition.text())
            .map_err(|flaw| hidden(&format!("in its definition {flaw}")))?;
        let print = node.fingerprint();
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
        let exposed = config::exposed(&rules.prefix, server, &name);
        let tier = offer::tier(said.offer, &accepted);
        let terms = rules.terms_of(tier, &said.terms);
        let risk = offer::Risk {
            offer: said.offer,
            tier,
            prices: &said.prices,
            terms: &terms,
        };
        Ok(Self {
            listed: offer::present(&accepted, &exposed, risk),
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
            terms,
            prices: said.prices,
            durable: said.durable,
            idle: said.idle,
        })
    }
}

/// Tools and prompts were cleaned when they were read.
fn clean<'a>(entries: impl Iterator<Item = &'a Raw>) -> Bytes {
    array(entries.map(|entry| wire::without_ours(entry).into_owned()))
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
