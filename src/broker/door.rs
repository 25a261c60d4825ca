//! The door: a request becomes a [`Call`], or is wrong.
//!
//! The gate and the server must read the same bytes the same way, so what two
//! readers could understand differently does not get in.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Answer, Broker, Session, Tool, View,
    asking::{Asked, Asking, other_spelling},
    offer, reported,
};
use crate::{
    config,
    domain::{
        Amounts, Call, Claim, Dimension, Findings, Fingerprint, Offer, Prices, RunId, ServerName,
        Standing, Subject, Tier, Unmeasured, shown,
    },
    measure,
    ports::Context,
    wire::{Edit, Node, Raw, rpc},
};

/// A request that got in.
#[derive(Debug)]
pub struct Door {
    /// The call, measured, before it is known who would run it.
    pub(super) call: Call,
    /// The tool, if it is one.
    pub(super) tool: Option<Arc<Tool>>,
    /// What is written down beside it.
    pub(super) context: Context,
    /// How long the server may stay silent.
    pub(super) idle: Duration,
    /// How long it may take.
    pub(super) total: Duration,
    /// Whose instances run it.
    pub(super) home: RunId,
    /// What it costs.
    pub(super) prices: Arc<Prices>,
    /// Paths in the arguments, and directories of rules about them: nobody knows yet
    /// where they lead, so the findings say no.
    pub(super) unfollowed: Vec<PathBuf>,
    /// Whether measuring it takes longer than others can wait: it is not done yet, and
    /// the findings say no.
    pub(super) is_heavy: bool,
}

impl Door {
    /// Whether it is not measured to the end yet.
    pub(super) fn is_unmeasured(&self) -> bool {
        self.is_heavy || !self.unfollowed.is_empty()
    }

    /// What measuring its arguments found, and what it asks for.
    pub(super) fn found(&mut self, (findings, ask): (Findings, Amounts)) {
        self.call.findings = findings;
        // What the agent reports is not measured here.
        let tokens = self.call.claim.ask.get(Dimension::Tokens);
        self.call.claim.ask = ask.with(Dimension::Tokens, tokens);
    }

    /// Whether it is a tool that declares what its results look like.
    pub(super) fn has_output_schema(&self) -> bool {
        self.tool
            .as_ref()
            .is_some_and(|tool| tool.has_output_schema)
    }
}

/// Parameters without what goes from round to round: what is answered is a member of its own.
fn asked_with(params: &Raw) -> Raw {
    let brings = ["requestState", "inputResponses"];
    let mut brings = brings
        .iter()
        .filter(|key| params.get(key).is_some())
        .peekable();
    if brings.peek().is_none() {
        return params.clone();
    }
    let mut edit = Edit::new(params);
    for key in brings {
        edit.remove(key);
    }
    edit.raw()
}

/// The parameters are wrong.
pub(super) fn wrong(says: impl Into<String>) -> Answer {
    Answer::Wrong {
        code: rpc::INVALID_PARAMS,
        says: says.into(),
    }
}

impl Broker {
    /// Lets a request in or says what is wrong with it. `view` is what can be
    /// asked for.
    pub(super) fn enter(
        &self,
        session: &Session,
        asking: &Asking<'_>,
        goes_on: Option<&ServerName>,
        view: &View,
    ) -> Result<Door, Answer> {
        let (called, params) = (&*asking.called, asking.params);
        let route = match asking.asked {
            Asked::Tool => self.tool_route(called, view)?,
            Asked::Prompt => self.prompt_route(called, view)?,
            Asked::Resource => self.resource_route(called, view, Subject::Resource)?,
            Asked::Subscribe => self.resource_route(called, view, Subject::Subscribe)?,
            Asked::Unsubscribe => self.resource_route(called, view, Subject::Unsubscribe)?,
            Asked::Completion => self.completion_route(params.get("ref").as_ref(), view)?,
        };
        // What one server keeps with its agent, and what that answers to it, is no other's.
        if goes_on.is_some_and(|server| *server != route.server) {
            return Err(wrong(
                "`requestState` is of another server than is asked now",
            ));
        }
        let arguments = match asking.has_arguments {
            true => params.get("arguments"),
            false => None,
        };
        let Some(server) = self.policy.servers.get(&route.server) else {
            return Err(wrong("its server is no longer configured"));
        };
        let (offer, tier) = route.rated;
        let unfollowed = RefCell::new(Vec::new());
        let note = |path: &Path| {
            unfollowed.borrow_mut().push(path.to_owned());
            None
        };
        let prices = match &route.tool {
            Some(tool) => tool.prices.clone(),
            None => self.policy.free(),
        };
        let tool = route.tool.as_deref();
        let effort = measure::Effort::AtOnce;
        let measured = measured(tool, arguments.as_ref(), tier, &prices, &note, effort);
        let is_heavy = measured.is_err();
        let (findings, ask) =
            measured.unwrap_or_else(|measure::Heavy| unmeasured(Unmeasured::NotBegun));
        let digest = self.digest(session, &route, &asking.said);
        let meta = params.get("_meta");
        let mut claim = Claim {
            ask,
            turn: meta.as_ref().and_then(reported::turn),
            // Only what we have sealed says so: else whoever adds it makes no call again.
            round: goes_on.and_then(|_| reported::round(params)),
            terms: vec![
                session.terms.clone(),
                match &route.tool {
                    Some(tool) => tool.terms.clone(),
                    None => server.terms.clone(),
                },
            ],
            currency: prices.currency,
        };
        let (run, home) = self.run_of(session, meta.as_ref())?;
        let tokens = meta.as_ref().and_then(reported::tokens).unwrap_or(0);
        claim.ask.set(Dimension::Tokens, tokens);
        let call = Call {
            id: self.new_call_id(),
            run,
            by: session.principal().clone(),
            admits: server.admits.clone(),
            offer,
            offer_place: route.tool.as_ref().and_then(|tool| tool.place.clone()),
            tier,
            durable: tier.is_durable() || route.tool.as_ref().is_some_and(|tool| tool.durable),
            standing: match &route.tool {
                Some(tool) => Standing::Defined(tool.accepted),
                None => Standing::Plain,
            },
            findings,
            digest,
            claim,
            server: route.server,
            subject: route.subject,
        };
        Ok(Door {
            call,
            context: Context {
                arguments: arguments.or_else(|| {
                    // What is not a tool has no arguments of its own: its
                    // parameters are what was asked.
                    route.tool.is_none().then(|| asked_with(params))
                }),
                meta,
                answers: params.get("inputResponses"),
            },
            idle: route
                .tool
                .as_ref()
                .and_then(|tool| tool.idle)
                .unwrap_or(server.idle),
            total: server.total,
            home,
            prices,
            unfollowed: unfollowed.into_inner(),
            is_heavy,
            tool: route.tool,
        })
    }

    /// The run that a call belongs to, and the one whose instances serve it: what it names,
    /// if that is the agent's own, or the one that its connection is in and began with.
    fn run_of(&self, session: &Session, meta: Option<&Raw>) -> Result<(RunId, RunId), Answer> {
        let now = session.run_at(self.clock.elapsed(), || self.new_run_id());
        let home = session.home().clone();
        let Some(named) = meta.and_then(reported::run) else {
            return Ok((now, home));
        };
        let agent = &session.principal().agent;
        match RunId::parse(&named) {
            Some(named) if named == now => Ok((named, home)),
            // Else each connection that names it would have instances of its own, and no
            // limit on runs would bound them.
            Some(named) if self.is_own_run(agent, &named) => Ok((named.clone(), named)),
            Some(_) | None => Err(wrong("the run that it names is not one of yours")),
        }
    }

    fn tool_route(&self, name: &str, view: &View) -> Result<Route, Answer> {
        let catalog = self.catalog();
        // A tool of a server that the agent may not see does not exist for it.
        let Some(tool) = catalog.tool(name).filter(|tool| view.shows(&tool.server)) else {
            let unlisted = self.unlisted_route(name, view);
            return unlisted.ok_or_else(|| wrong(format!("unknown tool: {}", shown(name))));
        };
        Ok(Route {
            server: tool.server.clone(),
            subject: Subject::Tool(tool.name.clone()),
            rated: (tool.offer, tool.tier),
            tool: Some(tool.clone()),
        })
    }

    /// To what may be a tool of a server that was stopped before it was ever listed: who
    /// asks for one hears of the stop.
    fn unlisted_route(&self, name: &str, view: &View) -> Option<Route> {
        if !config::can_be_exposed(name) {
            return None;
        }
        let catalog = self.catalog();
        let stops = self.stops.borrow();
        let is_held = |server: &&ServerName| {
            !catalog.listings().contains_key(server)
                && view.shows(server)
                && stops.of_server(server).is_some()
        };
        let server = self.owners.named(name).iter().find(is_held)?;
        let rules = self.policy.servers.get(server)?;
        let name = name.strip_prefix(&rules.prefix);
        let name = name.filter(|name| !name.is_empty())?;
        let offer = rules.tool(name).offer;
        Some(Route {
            server: server.clone(),
            subject: Subject::Tool(name.into()),
            rated: (offer, offer::said(offer)),
            tool: None,
        })
    }

    fn prompt_route(&self, name: &str, view: &View) -> Result<Route, Answer> {
        let catalog = self.catalog();
        let prompt = catalog
            .prompt(name, view)
            .ok_or_else(|| wrong(format!("unknown prompt: {}", shown(name))))?;
        Ok(Route {
            server: prompt.server.clone(),
            subject: Subject::Prompt(prompt.name.clone()),
            rated: PLAIN,
            tool: None,
        })
    }

    fn resource_route(
        &self,
        uri: &str,
        view: &View,
        subject: fn(Arc<str>) -> Subject,
    ) -> Result<Route, Answer> {
        let server = self
            .catalog()
            .resource(uri, view)
            .ok_or_else(|| Answer::Wrong {
                // Which code the agent's era has for it is settled where the answer leaves.
                code: rpc::RESOURCE_NOT_FOUND,
                says: format!("resource not found: {}", shown(uri)),
            })?;
        Ok(Route {
            server,
            subject: subject(uri.into()),
            rated: PLAIN,
            tool: None,
        })
    }

    fn completion_route(&self, reference: Option<&Raw>, view: &View) -> Result<Route, Answer> {
        if measure::is_large(reference) {
            return Err(wrong("`ref` is too long"));
        }
        let reference = reference.and_then(|reference| Node::parse(reference.text()).ok());
        let Some(Node::Object(reference)) = reference else {
            return Err(wrong("`ref` is missing"));
        };
        let text = |key: &str| {
            reference.iter().find_map(|(name, value)| match value {
                Node::String(text) if name == key => Some(text.as_ref()),
                _ => None,
            })
        };
        let has = |key: &str| reference.iter().any(|(name, _)| name == key);
        let parts = ["type", "name", "uri"];
        let misread = reference
            .iter()
            .find_map(|(key, _)| other_spelling(key, &parts));
        // Which of both a server would take is its business, and not known.
        if misread.is_some() || has("name") && has("uri") {
            return Err(wrong("`ref` can be read as two things"));
        }
        let route = match (text("type"), text("name"), text("uri")) {
            (Some("ref/prompt"), Some(name), None) => self.prompt_route(name, view)?,
            (Some("ref/resource"), None, Some(uri)) => match self.catalog().template(uri, view) {
                // A template as it is listed, not something that templates could fit.
                Some(server) => Route {
                    server,
                    subject: Subject::Resource(uri.into()),
                    rated: PLAIN,
                    tool: None,
                },
                None => self.resource_route(uri, view, Subject::Resource)?,
            },
            _ => return Err(wrong("`ref` names neither a prompt nor a resource")),
        };
        let name = route.subject.name().clone();
        Ok(Route {
            subject: Subject::Completion(name),
            ..route
        })
    }

    /// Over everything that a yes to this call would be a yes to.
    fn digest(
        &self,
        session: &Session,
        route: &Route,
        arguments: &[Option<String>; 2],
    ) -> Fingerprint {
        // Put together first: hashing many small pieces takes longer than hashing them.
        let length: usize = arguments.iter().flatten().map(String::len).sum();
        let mut said = Vec::with_capacity(length + 256);
        let mut part = |bytes: &[u8]| {
            said.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            said.extend_from_slice(bytes);
        };
        part(session.principal().agent.as_str().as_bytes());
        part(route.server.as_str().as_bytes());
        part(route.subject.method().as_bytes());
        part(route.subject.name().as_bytes());
        if let Some(tool) = &route.tool {
            part(&tool.accepted.0);
            let place = tool.place.as_ref();
            part(place.map_or("", |place| &place.file).as_bytes());
            part(&place.map_or(0, |place| place.line).to_be_bytes());
        }
        // One that is not there is empty, which JSON never is: else it could not be told
        // which of them is.
        for said in arguments {
            part(said.as_deref().unwrap_or_default().as_bytes());
        }
        Fingerprint(*blake3::keyed_hash(&self.digest_key, &said).as_bytes())
    }
}

/// What is wrong with the arguments, and what the call asks for by its prices. `follow`
/// says where paths lead.
pub(super) fn measured(
    tool: Option<&Tool>,
    arguments: Option<&Raw>,
    tier: Tier,
    prices: &Prices,
    follow: measure::Follow<'_>,
    effort: measure::Effort,
) -> Result<(Findings, Amounts), measure::Heavy> {
    let mut findings = match tool {
        None => Findings::default(),
        Some(tool) => {
            let against = measure::Against {
                schema: &tool.schema,
                rules: &tool.rules,
                // From tier 2 on, what nobody named is not let through.
                strict: tier >= Tier::Consequential,
            };
            measure::findings(arguments, against, follow, effort)?
        }
    };
    let at_once = effort == measure::Effort::AtOnce;
    if at_once && measure::price::is_large(arguments, prices) {
        return Err(measure::Heavy);
    }
    let ask = measure::price::asks(arguments, prices).unwrap_or_else(|finding| {
        findings.rules.push(finding);
        Amounts::ZERO.with(Dimension::Calls, 1)
    });
    Ok((findings, ask))
}

/// What holds of a call that was not measured: it does not pass.
pub(super) fn unmeasured(why: Unmeasured) -> (Findings, Amounts) {
    let findings = Findings {
        unmeasured: Some(why),
        ..Findings::default()
    };
    (findings, Amounts::ZERO.with(Dimension::Calls, 1))
}

struct Route {
    server: ServerName,
    subject: Subject,
    rated: (Offer, Tier),
    tool: Option<Arc<Tool>>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.server, self.subject)
    }
}

/// What a call to something other than a tool counts as.
const PLAIN: (Offer, Tier) = (Offer::At(Tier::Read), Tier::Read);
