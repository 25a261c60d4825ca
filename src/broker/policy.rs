//! What the configuration says, ready to be asked about.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    config::{Agent, Agents, Generation, Server},
    domain::{
        AgentName, BreakerRule, Limit, Offer, Owner, Period, Place, Prices, Principal, Rate, Reach,
        Scope, ServerName, Terms, Tier,
    },
    measure::Rules,
};

/// One generation of the configuration.
#[derive(Debug)]
pub struct Policy {
    agents: Agents,
    /// Who runs tollgate: the owner of agents that no file names.
    user: Owner,
    pub(super) servers: BTreeMap<ServerName, ServerPolicy>,
    /// What holds for an agent that no file names.
    everybody: Arc<Terms>,
    /// What holds for each agent that one names, for it and for everybody.
    agents_terms: BTreeMap<AgentName, Arc<Terms>>,
    /// Of calls that no price is written for.
    free: Arc<Prices>,
}

/// What is said of one server.
#[derive(Debug)]
pub(super) struct ServerPolicy {
    pub(super) prefix: String,
    pub(super) admits: Option<(Arc<BTreeSet<AgentName>>, Place)>,
    pub(super) idle: Duration,
    pub(super) total: Duration,
    /// What limits all calls to it.
    pub(super) terms: Arc<Terms>,
    tool_breaker: Option<BreakerRule>,
    tier_rates: Arc<BTreeMap<Tier, Rate>>,
    free: Arc<Prices>,
    unlisted: Offer,
    pub(super) tools: BTreeMap<String, ToolPolicy>,
    /// Where the file says what holds for the rest, if it does.
    place: Option<Place>,
}

/// What is said of one tool.
#[derive(Debug, Clone)]
pub(super) struct ToolPolicy {
    pub(super) offer: Offer,
    /// Where it is said; none if nothing is, of this tool or of the rest.
    pub(super) place: Option<Place>,
    pub(super) rules: Arc<Rules>,
    pub(super) durable: bool,
    pub(super) idle: Option<Duration>,
    /// What limits its calls beside what limits its server's.
    pub(super) terms: Arc<Terms>,
    pub(super) prices: Arc<Prices>,
}

impl Policy {
    /// Takes a validated configuration.
    #[must_use]
    pub fn new(generation: &Generation, user: Owner) -> Self {
        let free = Arc::new(Prices::free(generation.currency));
        let tier_rates = Arc::new(generation.tier_rates.clone());
        let server = |server: &Server| ServerPolicy::new(server, free.clone(), tier_rates.clone());
        Self {
            agents: generation.agents.clone(),
            user,
            everybody: Arc::new(generation.terms.clone()),
            agents_terms: match &generation.agents {
                Agents::Anyone => BTreeMap::new(),
                Agents::Listed(listed) => listed
                    .iter()
                    .map(|(name, agent)| (name.clone(), Arc::new(together(generation, agent))))
                    .collect(),
            },
            servers: generation
                .servers
                .iter()
                .map(|one| (one.name.clone(), server(one)))
                .collect(),
            free,
        }
    }

    /// Whether a server may ask the model of an agent with these terms.
    pub(super) fn may_sample(&self, agent: &Terms, server: &ServerName) -> bool {
        let rules = self.servers.get(server);
        let of_server = rules.and_then(|rules| rules.terms.no_sampling.as_ref());
        agent.no_sampling.is_none() && of_server.is_none()
    }

    /// What limits an agent: its own terms and those of everybody.
    pub(super) fn terms(&self, agent: &AgentName) -> Arc<Terms> {
        let own = self.agents_terms.get(agent);
        own.unwrap_or(&self.everybody).clone()
    }

    /// Everything that limits a call, in the order in which it is looked at.
    #[must_use]
    pub fn terms_of_call(
        &self,
        agent: &AgentName,
        server: &ServerName,
        tool: Option<&str>,
        tier: Tier,
    ) -> Vec<Arc<Terms>> {
        let mut terms = vec![self.terms(agent)];
        if let Some(server) = self.servers.get(server) {
            terms.push(match tool {
                Some(tool) => server.terms_of(tier, &server.tool(tool).terms),
                None => server.terms.clone(),
            });
        }
        terms
    }

    /// What a call of a tool costs.
    #[must_use]
    pub fn prices(&self, server: &ServerName, tool: &str) -> Arc<Prices> {
        let known = self.servers.get(server);
        known.map_or_else(|| self.free(), |server| server.tool(tool).prices)
    }

    /// Every limit in force with what it counts, each as its author wrote it.
    #[must_use]
    pub fn limits(&self) -> Vec<(Scope, Limit)> {
        let mut limits = of_author(&Scope::Everything, &self.everybody);
        if let Agents::Listed(listed) = &self.agents {
            for (name, agent) in listed {
                limits.extend(of_author(&Scope::Agent(name.clone()), &agent.terms));
            }
        }
        for (name, server) in &self.servers {
            limits.extend(of_author(&Scope::Server(name.clone()), &server.terms));
            for (tool, said) in &server.tools {
                let tool = Scope::Tool(name.clone(), tool.as_str().into());
                limits.extend(of_author(&tool, &said.terms));
            }
        }
        limits
    }

    /// The limits of a run of this agent: its own and everybody's, but for those that
    /// it is freed of, and those of servers and tools over a run.
    #[must_use]
    pub fn limits_of_run(&self, agent: &AgentName) -> Vec<(Scope, Limit)> {
        let whole = self.terms(agent);
        let whole = whole.limits.iter().cloned();
        let whole = whole.filter_map(|limit| Some((Scope::of_agent(limit.over, agent)?, limit)));
        let parts = self.limits().into_iter().filter(|(scope, _)| match scope {
            Scope::Server(_) | Scope::Tool(..) => true,
            Scope::Everything | Scope::Agent(_) => false,
        });
        let limits = whole.chain(parts);
        limits
            .filter(|(_, limit)| limit.period == Period::Run)
            .collect()
    }

    /// The limits of these servers and of the tools that they offer, but those of a
    /// single call.
    pub(super) fn limits_of_servers<'a>(
        &'a self,
        names: impl Iterator<Item = &'a ServerName>,
    ) -> Vec<(Scope, Limit)> {
        let mut limits = Vec::new();
        for (name, server) in names.filter_map(|name| self.servers.get_key_value(name)) {
            limits.extend(of_author(&Scope::Server(name.clone()), &server.terms));
            let offered = server
                .tools
                .iter()
                .filter(|(_, said)| said.offer != Offer::Off);
            for (tool, said) in offered {
                let tool = Scope::Tool(name.clone(), tool.as_str().into());
                limits.extend(of_author(&tool, &said.terms));
            }
        }
        limits.retain(|(_, limit)| limit.period != Period::Action);
        limits
    }

    /// How long an agent may go on without a person.
    #[must_use]
    pub fn autonomy(&self, agent: &AgentName) -> Option<Duration> {
        let terms = self.terms(agent);
        terms.autonomy.as_ref().map(|(length, _)| *length)
    }

    /// What a call costs that no price is written for.
    pub(super) fn free(&self) -> Arc<Prices> {
        self.free.clone()
    }

    /// Who an agent of this name is; `None` when the configuration lists agents
    /// and not this one.
    #[must_use]
    pub fn principal(&self, agent: &AgentName) -> Option<Principal> {
        let (owner, reach) = match &self.agents {
            Agents::Anyone => (self.user.clone(), Reach::Everything),
            Agents::Listed(listed) => {
                let known = listed.get(agent)?;
                let reach = match &known.servers {
                    None => Reach::Everything,
                    Some(servers) => Reach::Only {
                        servers: servers.iter().cloned().collect(),
                        place: (&known.place).into(),
                    },
                };
                (known.owner.clone(), reach)
            }
        };
        Some(Principal {
            agent: agent.clone(),
            owner,
            reach,
        })
    }

    /// The servers that an agent may see, in order.
    pub(super) fn visible(&self, by: &Principal) -> Vec<ServerName> {
        self.servers
            .iter()
            .filter(|(name, server)| {
                let reached = match &by.reach {
                    Reach::Everything => true,
                    Reach::Only { servers, .. } => servers.contains(name),
                };
                let admitted = server
                    .admits
                    .as_ref()
                    .is_none_or(|(agents, _)| agents.contains(&by.agent));
                reached && admitted
            })
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl ServerPolicy {
    fn new(server: &Server, free: Arc<Prices>, tier_rates: Arc<BTreeMap<Tier, Rate>>) -> Self {
        // The owner is always there: a file without one is an error.
        let place = |key: &str| {
            let found = server
                .places
                .get(key)
                .or_else(|| server.places.get("owner"));
            found.map_or_else(
                || Place {
                    file: server.name.as_str().into(),
                    line: 1,
                },
                Place::from,
            )
        };
        Self {
            prefix: server.prefix.as_str().to_owned(),
            admits: server
                .agents
                .as_ref()
                .map(|agents| (Arc::new(agents.iter().cloned().collect()), place("agents"))),
            idle: server.timeouts.call,
            total: server.timeouts.total,
            terms: Arc::new(server.terms.clone()),
            tool_breaker: server.tool_breaker.clone(),
            tier_rates,
            free,
            unlisted: server.unlisted,
            tools: server
                .tools
                .iter()
                .map(|(name, rule)| {
                    let tool = ToolPolicy {
                        offer: rule.offer,
                        place: Some((&rule.place).into()),
                        rules: Arc::new(Rules::new(&rule.args)),
                        durable: rule.durable,
                        idle: rule.timeout,
                        terms: Arc::new(rule.terms.clone()),
                        prices: Arc::new(rule.prices.clone()),
                    };
                    (name.clone(), tool)
                })
                .collect(),
            place: server.places.get("unlisted").map(Place::from),
        }
    }

    /// What is said of one of its tools, by name or by the rule for the rest.
    pub(super) fn tool(&self, name: &str) -> ToolPolicy {
        self.tools.get(name).cloned().unwrap_or_else(|| ToolPolicy {
            offer: self.unlisted,
            place: self.place.clone(),
            rules: Arc::default(),
            durable: false,
            idle: None,
            terms: Arc::new(Terms {
                breakers: self.tool_breaker.iter().cloned().collect(),
                ..Terms::default()
            }),
            prices: self.free.clone(),
        })
    }

    /// What limits the calls of one tool: its server's terms, its own, and the rate of
    /// its tier.
    pub(super) fn terms_of(&self, tier: Tier, own: &Terms) -> Arc<Terms> {
        let mut terms = (*self.terms).clone();
        terms.limits.extend(own.limits.iter().cloned());
        terms.windows.extend(own.windows.iter().cloned());
        terms.breakers.extend(own.breakers.iter().cloned());
        terms.rates.extend(own.rates.iter().cloned());
        terms.rates.extend(self.tier_rates.get(&tier).cloned());
        Arc::new(terms)
    }
}

fn of_author(scope: &Scope, terms: &Terms) -> Vec<(Scope, Limit)> {
    let limits = terms.limits.iter();
    limits.map(|limit| (scope.clone(), limit.clone())).collect()
}

/// What holds for everybody and what holds for one agent, together. Limits add up:
/// all of them hold, but for built-in ones of a call and of a run of which the agent's
/// own table says something else.
fn together(generation: &Generation, agent: &Agent) -> Terms {
    let mut terms = generation.terms.clone();
    terms.limits.retain(|limit| {
        let built_in = limit.place.is_none();
        !(built_in && agent.lifts.contains(&(limit.period, limit.dimension)))
    });
    let own = &agent.terms;
    terms.limits.extend(own.limits.iter().cloned());
    terms.windows.extend(own.windows.iter().cloned());
    terms.rates.extend(own.rates.iter().cloned());
    terms.no_sampling = terms.no_sampling.or_else(|| own.no_sampling.clone());
    terms.autonomy = agent.autonomy(&generation.terms).cloned();
    terms.runs = agent.runs(&generation.terms).cloned();
    terms.spend = agent.spend(&generation.terms).cloned();
    if !own.loops.is_empty() {
        terms.loops.clone_from(&own.loops);
    }
    terms
}
