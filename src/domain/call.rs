//! One call, as the gates see it.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use super::{
    AgentName, Amounts, BreakerRule, CallId, Currency, Fingerprint, Limit, Loops, Offer, Owner,
    Place, Rate, RunId, ServerName, Terms, Tier,
};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The agent, as its client's configuration names it.
    pub agent: AgentName,
    /// Who answers for it.
    pub owner: Owner,
    /// Which servers the operator lets it see.
    pub reach: Reach,
}

/// A set of servers, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// No restriction is written down.
    Everything,
    /// Only these.
    Only {
        /// The servers.
        servers: BTreeSet<ServerName>,
        /// Where that is written.
        place: Place,
    },
}

/// What is called.
///
/// Not only tools: every request that reaches a tool server is a call, meets
/// the gates and is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `tools/call`, by the server's own name for the tool.
    Tool(Arc<str>),
    /// `prompts/get`, by the server's own name for the prompt.
    Prompt(Arc<str>),
    /// `resources/read`, by URI.
    Resource(Arc<str>),
    /// `completion/complete`, by the name or URI that is completed.
    Completion(Arc<str>),
    /// `resources/subscribe`, by URI.
    Subscribe(Arc<str>),
    /// `resources/unsubscribe`, by URI.
    Unsubscribe(Arc<str>),
}

impl Subject {
    /// The method of the protocol that carries it.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Subject::Tool(_) => "tools/call",
            Subject::Prompt(_) => "prompts/get",
            Subject::Resource(_) => "resources/read",
            Subject::Completion(_) => "completion/complete",
            Subject::Subscribe(_) => "resources/subscribe",
            Subject::Unsubscribe(_) => "resources/unsubscribe",
        }
    }

    /// The name or URI.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Subject::Tool(name)
            | Subject::Prompt(name)
            | Subject::Resource(name)
            | Subject::Completion(name)
            | Subject::Subscribe(name)
            | Subject::Unsubscribe(name) => name,
        }
    }
}

/// What the catalogue and the instance that would run the call know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A tool, with the definition that the instance offers now.
    Defined(Fingerprint),
    /// A tool whose definition is no longer the one that the arguments were
    /// measured by.
    Renewed(Fingerprint),
    /// Not a tool: nothing to pin.
    Plain,
    /// The server cannot be reached; the text says why, for the operator.
    Unreachable(String),
    /// The server runs, but this instance does not offer the tool.
    Missing,
}

/// One thing that is wrong with the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the arguments, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What is wrong, as a fragment.
    pub says: String,
    /// The operator's rule that says so; none when it is the server's schema.
    pub rule: Option<Place>,
}

/// What measuring the arguments found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Against the server's own schema.
    pub schema: Vec<Finding>,
    /// Against the operator's rules.
    pub rules: Vec<Finding>,
    /// Why nobody knows what is wrong; none once they were measured.
    pub unmeasured: Option<Unmeasured>,
    /// No other arguments would be better: what they are held against is at fault.
    pub hopeless: bool,
}

/// Why arguments were not measured to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmeasured {
    /// It takes longer than others can wait, and is done beside them if at all.
    NotBegun,
    /// That took too long as well.
    TooLong,
    /// Nobody waits for the call any more.
    Cancelled,
}

impl Unmeasured {
    /// As a sentence.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Unmeasured::NotBegun => "measuring it takes longer, and was not begun",
            Unmeasured::TooLong => "its arguments could not be measured in time",
            Unmeasured::Cancelled => "it was cancelled before its arguments were measured",
        }
    }

    /// What would change it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Unmeasured::NotBegun | Unmeasured::TooLong => {
                "Wait for calls that are under way, or call with less."
            }
            Unmeasured::Cancelled => "Call again.",
        }
    }
}

/// One call on its way through the gates.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id, minted when it arrived.
    pub id: CallId,
    /// The run it belongs to.
    pub run: RunId,
    /// Who asks.
    pub by: Arc<Principal>,
    /// The server that would run it.
    pub server: ServerName,
    /// Which agents the server's file admits, if it restricts them.
    pub admits: Option<(Arc<BTreeSet<AgentName>>, Place)>,
    /// What is called.
    pub subject: Subject,
    /// What the operator says of the tool.
    pub offer: Offer,
    /// Where the operator says it.
    pub offer_place: Option<Place>,
    /// The tier after the server's own hints were heard: they may raise it.
    pub tier: Tier,
    /// Whether the record that it leaves is on disk before it leaves: always from
    /// tier 2 on, below that where the operator says so.
    pub durable: bool,
    /// What is known of it now.
    pub standing: Standing,
    /// What is wrong with the arguments.
    pub findings: Findings,
    /// Over everything that a yes would be a yes to.
    pub digest: Fingerprint,
    /// What it asks of the budgets, and the terms that it is held to.
    pub claim: Claim,
}

/// What a call asks of the budgets, and the terms that it is held to.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// What it would use, as far as is known beforehand.
    pub ask: Amounts,
    /// The turn of the agent, if it reports one; a hash of what it says.
    pub turn: Option<u64>,
    /// Which round of its call it is, if it goes on after a question; a hash of what its server
    /// keeps with the agent.
    pub round: Option<u64>,
    /// All of them hold.
    pub terms: Vec<Arc<Terms>>,
    /// The currency of all prices and limits.
    pub currency: Currency,
}

impl Claim {
    /// Every limit, in a fixed order.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.terms.iter().flat_map(|terms| &terms.limits)
    }

    /// Every breaker, in a fixed order.
    pub fn breakers(&self) -> impl Iterator<Item = &BreakerRule> {
        self.terms.iter().flat_map(|terms| &terms.breakers)
    }

    /// Every rate, in a fixed order.
    pub fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.terms.iter().flat_map(|terms| &terms.rates)
    }

    /// What counts as a loop for this tier, by the most special author: those come last.
    #[must_use]
    pub fn loops(&self, tier: Tier) -> Option<&Loops> {
        let mut last_first = self.terms.iter().rev();
        last_first.find_map(|terms| terms.loops.get(&tier).map(Arc::as_ref))
    }

    /// How long the agent may go on without a person.
    #[must_use]
    pub fn autonomy(&self) -> Option<&(Duration, Option<Place>)> {
        let mut last_first = self.terms.iter().rev();
        last_first.find_map(|terms| terms.autonomy.as_ref())
    }

    /// How many new runs the agent may begin.
    #[must_use]
    pub fn runs(&self) -> Option<&Rate> {
        let mut last_first = self.terms.iter().rev();
        last_first.find_map(|terms| terms.runs.as_ref())
    }

    /// From how many times its usual speed of spending on the agent is paused.
    #[must_use]
    pub fn spend(&self) -> Option<u32> {
        let mut last_first = self.terms.iter().rev();
        last_first.find_map(|terms| terms.spend.as_ref().map(|(times, _)| *times))
    }
}

impl Call {
    /// `server.tool`, the name that people use.
    #[must_use]
    pub fn title(&self) -> Title<'_> {
        Title(self)
    }

    /// The line that its tier follows from; none when its server's hints raise it above what
    /// the line says.
    #[must_use]
    pub fn tier_place(&self) -> Option<&Place> {
        match self.offer {
            Offer::At(said) if said < self.tier => None,
            Offer::At(_) | Offer::Unclassified | Offer::Off => self.offer_place.as_ref(),
        }
    }
}

/// Displays as `server.tool`.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a>(&'a Call);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.server, self.0.subject.name())
    }
}
