//! What the configuration says, ready to be asked about.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    config::{Agents, Generation, Server},
    domain::{AgentName, Offer, Owner, Place, Principal, Reach, ServerName},
    measure::Rules,
};

/// One generation of the configuration.
#[derive(Debug)]
pub struct Policy {
    agents: Agents,
    /// Who runs tollgate: the owner of agents that no file names.
    user: Owner,
    pub(super) servers: BTreeMap<ServerName, ServerPolicy>,
}

/// What is said of one server.
#[derive(Debug)]
pub(super) struct ServerPolicy {
    pub(super) prefix: String,
    pub(super) admits: Option<(Arc<BTreeSet<AgentName>>, Place)>,
    pub(super) idle: Duration,
    pub(super) total: Duration,
    unlisted: Offer,
    tools: BTreeMap<String, ToolPolicy>,
    place: Place,
}

/// What is said of one tool.
#[derive(Debug, Clone)]
pub(super) struct ToolPolicy {
    pub(super) offer: Offer,
    pub(super) place: Place,
    pub(super) rules: Arc<Rules>,
    pub(super) idle: Option<Duration>,
}

impl Policy {
    /// Takes a validated configuration.
    #[must_use]
    pub fn new(generation: &Generation, user: Owner) -> Self {
        Self {
            agents: generation.agents.clone(),
            user,
            servers: generation
                .servers
                .iter()
                .map(|server| (server.name.clone(), ServerPolicy::new(server)))
                .collect(),
        }
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
    fn new(server: &Server) -> Self {
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
            unlisted: server.unlisted,
            tools: server
                .tools
                .iter()
                .map(|(name, rule)| {
                    let tool = ToolPolicy {
                        offer: rule.offer,
                        place: (&rule.place).into(),
                        rules: Arc::new(Rules::new(&rule.args)),
                        idle: rule.timeout,
                    };
                    (name.clone(), tool)
                })
                .collect(),
            place: place("unlisted"),
        }
    }

    /// What is said of one of its tools, by name or by the rule for the rest.
    pub(super) fn tool(&self, name: &str) -> ToolPolicy {
        self.tools.get(name).cloned().unwrap_or_else(|| ToolPolicy {
            offer: self.unlisted,
            place: self.place.clone(),
            rules: Arc::default(),
            idle: None,
        })
    }
}
