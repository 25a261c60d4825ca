//! Budgets: for whom something is counted, over which time, and how much is allowed.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    AgentName, Call, Dimension, Place, ServerName, Subject,
    money::{Currency, write_money},
};

/// Over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// One call.
    Action,
    /// One run.
    Run,
    /// Sixty minutes up to now.
    Hour,
    /// A day of the calendar, or twenty-four hours up to now.
    Day,
    /// A month of the calendar, or thirty days up to now.
    Month,
}

impl Period {
    /// All of them, from the shortest.
    pub const ALL: [Period; 5] = [
        Period::Action,
        Period::Run,
        Period::Hour,
        Period::Day,
        Period::Month,
    ];

    /// The word in files, records and lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Period::Action => "action",
            Period::Run => "run",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
        }
    }

    /// How long it is when it follows the clock up to now.
    #[must_use]
    pub const fn rolling(self) -> Option<Duration> {
        match self {
            Period::Action | Period::Run => None,
            Period::Hour => Some(Duration::from_secs(3600)),
            Period::Day => Some(Duration::from_secs(24 * 3600)),
            Period::Month => Some(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Over {
    /// Everybody's.
    Everything,
    /// Those of the agent.
    Agent,
    /// Those to the server.
    Server,
    /// Those of the tool.
    Tool,
}

impl Over {
    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Over::Everything => "everything",
            Over::Agent => "agent",
            Over::Server => "server",
            Over::Tool => "tool",
        }
    }
}

/// A counter belongs to this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything that happens.
    Everything,
    /// One agent.
    Agent(AgentName),
    /// One tool server.
    Server(ServerName),
    /// One tool of a server, by the server's own name.
    Tool(ServerName, Arc<str>),
}

impl Scope {
    /// What of a call a counter over `over` belongs to; none for the tool of a
    /// call that is not to a tool.
    #[must_use]
    pub fn of(over: Over, call: &Call) -> Option<Self> {
        Self::among(over, &call.by.agent, &call.server, &call.subject)
    }

    /// The same for a call of which no more is known than this.
    #[must_use]
    pub fn among(
        over: Over,
        agent: &AgentName,
        server: &ServerName,
        subject: &Subject,
    ) -> Option<Self> {
        match over {
            Over::Everything => Some(Scope::Everything),
            Over::Agent => Some(Scope::Agent(agent.clone())),
            Over::Server => Some(Scope::Server(server.clone())),
            Over::Tool => match subject {
                Subject::Tool(name) => Some(Scope::Tool(server.clone(), name.clone())),
                Subject::Prompt(_)
                | Subject::Resource(_)
                | Subject::Completion(_)
                | Subject::Subscribe(_)
                | Subject::Unsubscribe(_) => None,
            },
        }
    }

    /// The same where nothing is called: what counts for an agent whatever it calls.
    #[must_use]
    pub fn of_agent(over: Over, agent: &AgentName) -> Option<Self> {
        match over {
            Over::Everything => Some(Scope::Everything),
            Over::Agent => Some(Scope::Agent(agent.clone())),
            Over::Server | Over::Tool => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Everything => f.write_str("everything"),
            Scope::Agent(agent) => write!(f, "agent {agent}"),
            Scope::Server(server) => write!(f, "server {server}"),
            Scope::Tool(server, tool) => write!(f, "{server}.{tool}"),
        }
    }
}

/// What happens when a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The call is refused; others may still fit.
    Refuse,
    /// A person is asked for another helping; until somebody can be asked, the
    /// call is refused.
    Ask,
    /// The run is over: what is under way is cancelled, and nothing more passes.
    Kill,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Whose calls are counted together.
    pub over: Over,
    /// Over which time.
    pub period: Period,
    /// What is counted.
    pub dimension: Dimension,
    /// How much of it is allowed.
    pub at: u64,
    /// From how much on the operator hears of it, once a period.
    pub warn: Option<u64>,
    /// From how much on people are notified, once a period.
    pub notify: Option<u64>,
    /// What happens then.
    pub then: Then,
    /// The last so many hours instead of the calendar's day or month.
    pub rolling: bool,
    /// Where it is written; none for what holds without a line.
    pub place: Option<Place>,
}

impl Limit {
    /// Its name in refusals and lists: `run.calls`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.period.name(), self.dimension.name())
    }

    /// What it counts of this call, by name: the same for all calls that are
    /// counted together.
    #[must_use]
    pub fn about(&self, call: &Call) -> String {
        let scope = Scope::of(self.over, call);
        let scope = scope.map(|scope| scope.to_string()).unwrap_or_default();
        match self.period {
            Period::Run => format!("{} {scope} {}", self.name(), call.run),
            Period::Action | Period::Hour | Period::Day | Period::Month => {
                format!("{} {scope}", self.name())
            }
        }
    }
}

/// How a limit stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Charged in this period.
    pub used: u64,
    /// Kept back for calls that are under way.
    pub reserved: u64,
    /// What people have added to the limit.
    pub added: u64,
    /// Since when this period counts, in microseconds since 1970; none for a run,
    /// which has no clock to be measured by.
    pub begins: Option<i64>,
    /// When this period ends, or the first of it is forgotten: microseconds
    /// since 1970.
    pub resets: Option<i64>,
    /// When all that counts by now has been forgotten; only where each use is by itself.
    pub forgotten: Option<i64>,
}

impl Level {
    /// From when on a limit that is used up leaves room again, at the latest.
    #[must_use]
    pub fn free_again(&self) -> Option<i64> {
        self.resets.or(self.forgotten)
    }

    /// Used and reserved.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.used.saturating_add(self.reserved)
    }

    /// What the limit is with what people have added.
    #[must_use]
    pub const fn allowed(&self, limit: &Limit) -> u64 {
        limit.at.saturating_add(self.added)
    }

    /// What is left.
    #[must_use]
    pub const fn left(&self, limit: &Limit) -> u64 {
        self.allowed(limit).saturating_sub(self.total())
    }

    /// When it is used up if it goes on as it did since the period began; only if
    /// that is before it resets.
    #[must_use]
    pub fn full_at(&self, limit: &Limit, now: i64) -> Option<i64> {
        let (begins, resets) = (self.begins?, self.resets?);
        let (left, total) = (self.left(limit), self.total());
        if left == 0 || total == 0 || now <= begins {
            return None;
        }
        let takes = i128::from(left) * i128::from(now - begins) / i128::from(total);
        let full = i64::try_from(i128::from(now) + takes).ok()?;
        (full < resets).then_some(full)
    }
}

/// What is left of every dimension that is limited: of several limits the least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left([Option<u64>; Dimension::NUMBER]);

impl Left {
    /// Takes one more limit into account.
    pub fn note(&mut self, dimension: Dimension, left: u64) {
        if let Some(place) = self.0.get_mut(dimension as usize) {
            *place = Some(place.map_or(left, |least| least.min(left)));
        }
    }

    /// What is left, where anything is limited.
    pub fn each(&self) -> impl Iterator<Item = (Dimension, u64)> {
        let all = Dimension::ALL.into_iter().zip(self.0);
        all.filter_map(|(dimension, left)| Some((dimension, left?)))
    }

    /// Appends it as a JSON object: money as text, times in milliseconds. Every call
    /// writes it three times, so it is not put together from formatted pieces.
    pub fn write_json(&self, currency: Currency, out: &mut String) {
        out.push('{');
        for (nth, (dimension, left)) in self.each().enumerate() {
            out.push_str(if nth == 0 { "\"" } else { ",\"" });
            out.push_str(dimension.name());
            match dimension {
                Dimension::Cost | Dimension::Amount => {
                    out.push_str("\":\"");
                    write_money(left, currency, out);
                    out.push('"');
                }
                Dimension::Time | Dimension::Elapsed => {
                    out.push_str("_ms\":");
                    out.push_str(itoa::Buffer::new().format(left / 1_000));
                }
                Dimension::Steps
                | Dimension::Calls
                | Dimension::Count
                | Dimension::Bytes
                | Dimension::Tokens => {
                    out.push_str("\":");
                    out.push_str(itoa::Buffer::new().format(left));
                }
            }
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_of_calls(at: u64) -> Limit {
        Limit {
            over: Over::Everything,
            period: Period::Day,
            dimension: Dimension::Calls,
            at,
            warn: None,
            notify: None,
            then: Then::Refuse,
            rolling: false,
            place: None,
        }
    }

    #[test]
    fn a_limit_is_full_when_it_goes_on_like_this_and_before_it_resets() {
        let level = |used| Level {
            used,
            begins: Some(0),
            resets: Some(240),
            ..Level::default()
        };
        let limit = day_of_calls(100);
        assert_eq!(level(50).full_at(&limit, 60), Some(120));
        // At this pace it resets before.
        assert_eq!(level(20).full_at(&limit, 60), None);
        // Nothing to go by, and nothing left to wait for.
        assert_eq!(level(0).full_at(&limit, 60), None);
        assert_eq!(level(100).full_at(&limit, 60), None);
        assert_eq!(level(50).full_at(&limit, 0), None);
        let huge = day_of_calls(u64::MAX);
        assert_eq!(level(1).full_at(&huge, 60), None);
    }
}
