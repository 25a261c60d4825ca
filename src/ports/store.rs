//! The store, as the flow asks it: what it judges, records and remembers.

use std::time::Duration;

use super::{Boxed, Page, Query, Questions, Verified};
use crate::{
    domain::{
        AgentName, Amounts, Call, CallId, Fault, Fingerprint, Halt, Left, Level, Limit, Notice,
        Outcome, Refusal, RunId, Scope, ServerName, Stop, StopScope, Stops,
    },
    gate::{Cleared, Verdict},
    wire::Raw,
};

/// Proof that a cleared call stands in the journal. Running a call consumes it.
#[derive(Debug)]
pub struct Permit {
    call: CallId,
}

impl Permit {
    /// For stores, once the intent is recorded: a call that passed the gates
    /// becomes a call that may run.
    #[must_use]
    pub fn recorded(cleared: &Cleared) -> Self {
        Self {
            call: cleared.call().clone(),
        }
    }

    /// The call that may run.
    #[must_use]
    pub fn call(&self) -> &CallId {
        &self.call
    }

    /// The call leaves.
    #[must_use]
    pub fn spend(self) -> Spent {
        Spent { call: self.call }
    }
}

/// A permit that was used: what settling needs.
#[derive(Debug)]
pub struct Spent {
    call: CallId,
}

impl Spent {
    /// The call that ran.
    #[must_use]
    pub fn call(&self) -> &CallId {
        &self.call
    }
}

/// What the store says to a call.
#[must_use]
pub enum Admission {
    /// Recorded. A durable record is on disk once [`Intent::permit`] answers.
    Cleared(Intent),
    /// Not this call; recorded as well.
    Refused(Refusal),
}

/// A recorded call that may still wait for the disk.
#[must_use]
pub struct Intent {
    permit: Permit,
    durable: Option<Boxed<'static, Result<(), Fault>>>,
}

impl Intent {
    /// An intent whose record needs no sync.
    pub fn recorded(permit: Permit) -> Self {
        Self {
            permit,
            durable: None,
        }
    }

    /// An intent that counts once `durable` answers.
    pub fn once(permit: Permit, durable: Boxed<'static, Result<(), Fault>>) -> Self {
        Self {
            permit,
            durable: Some(durable),
        }
    }

    /// Waits for the disk where the tier demands it.
    ///
    /// # Errors
    /// When the record could not be made durable: the call must not run.
    pub async fn permit(self) -> Result<Permit, Fault> {
        if let Some(durable) = self.durable {
            durable.await?;
        }
        Ok(self.permit)
    }
}

/// What is written down beside a call.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The arguments or parameters, as the agent sent them.
    pub arguments: Option<Raw>,
    /// The request's `_meta`: trace, model and tokens as the client reports them.
    pub meta: Option<Raw>,
    /// The answers that it brings to what its server asked before.
    pub answers: Option<Raw>,
}

/// What is written down when a call is settled.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// How it ended.
    pub outcome: Outcome,
    /// From leaving to the answer.
    pub duration: Duration,
    /// From its arrival to its leaving, or to its end if it never left; none where
    /// nobody measured it.
    pub wait: Option<Duration>,
    /// The answer, for a bounded summary.
    pub result: Option<Raw>,
    /// What it has used.
    pub charged: Amounts,
    /// Whether the breakers of its server, and of its tool, count it as a failure.
    pub trouble: (bool, bool),
    /// How long the server wants to be left alone.
    pub leave_alone: Option<Duration>,
    /// Why the price that its answer should say could not be read.
    pub unpriced: Option<String>,
}

impl Settlement {
    /// Of a call that ended so and of which nothing else is known.
    #[must_use]
    pub fn plain(outcome: Outcome, duration: Duration, charged: Amounts) -> Self {
        Self {
            outcome,
            duration,
            wait: None,
            result: None,
            charged,
            trouble: (false, false),
            leave_alone: None,
            unpriced: None,
        }
    }
}

/// What settling a call has shown.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// What is left of its budgets.
    pub left: Left,
    /// The agent was halted.
    pub halt: Option<Halt>,
}

/// One run that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKnown {
    /// Which.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// When it began and when it last called: microseconds since 1970.
    pub began: i64,
    /// See `began`.
    pub last: i64,
    /// How many steps it has taken.
    pub steps: u64,
}

/// What a person adds to a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Helping {
    /// To its limits.
    pub added: Amounts,
    /// Its agent may go on alone: until then, or as long as usual.
    pub alone: Option<Option<i64>>,
}

/// The memory of tollgate: judges on fresh facts and records what it judged.
///
/// Every method is one step: it happens wholly or not at all, whatever else
/// happens at the same time. None of them waits for a tool server or a person.
pub trait Store: Questions {
    /// Judges a call and records the judgement, as one.
    ///
    /// # Errors
    /// When the record cannot be written: the call must not run.
    fn admit(&self, call: &Call, context: &Context) -> Result<Admission, Fault>;

    /// Judges a call and records nothing.
    fn judge(&self, call: &Call) -> Vec<(&'static str, Verdict)>;

    /// Whether a call could be recorded now: one that can't be is not made, whatever the
    /// gates say.
    ///
    /// # Errors
    /// Why it could not be.
    fn ready(&self) -> Result<(), Fault>;

    /// Why the state is no longer kept beside the records, if it is not: the next start
    /// takes longer, and nothing else suffers.
    fn unkept(&self) -> Option<String>;

    /// Records how a call ended.
    ///
    /// # Errors
    /// When the record cannot be written.
    fn settle(&self, spent: Spent, call: &Call, settlement: &Settlement) -> Result<Settled, Fault>;

    /// How limits stand for these scopes and runs.
    fn levels(&self, asked: &[(Scope, Option<RunId>, Limit)]) -> Vec<Level>;

    /// The runs that are remembered.
    fn runs(&self) -> Vec<RunKnown>;

    /// Whose run it is, if it has begun and still goes on.
    fn run_of(&self, run: &RunId) -> Option<AgentName>;

    /// How many more runs the agent of this call may begin now: none if it is one of a run
    /// that has begun, or nothing limits that.
    fn runs_left(&self, call: &Call) -> Option<usize>;

    /// What is left alone at the moment, until when, and why.
    fn circuits(&self) -> Vec<(Scope, i64, String)>;

    /// A person closes a breaker before its time; says whether it was open.
    ///
    /// # Errors
    /// When it cannot be recorded: it then stays open.
    fn close_breaker(&self, scope: &Scope, by: &str) -> Result<bool, Fault>;

    /// The halts in force.
    fn halts(&self) -> Vec<Halt>;

    /// The halt of an agent, if one is in force.
    fn halt_of(&self, agent: &AgentName) -> Option<Halt>;

    /// A person clears what is held against an agent; says whether anything was. What has
    /// come since the halt of the moment that was `shown` to them stays.
    ///
    /// # Errors
    /// When it cannot be recorded: the halt then stays.
    fn clear_shown(&self, agent: &AgentName, shown: Option<i64>, by: &str) -> Result<bool, Fault>;

    /// The same, whatever it is.
    ///
    /// # Errors
    /// As above.
    fn clear(&self, agent: &AgentName, by: &str) -> Result<bool, Fault> {
        self.clear_shown(agent, None, by)
    }

    /// A person adds to a run; none if the run is not known.
    ///
    /// # Errors
    /// When it cannot be recorded: nothing is added then.
    fn extend(&self, run: &RunId, helping: &Helping, by: &str) -> Result<Option<AgentName>, Fault>;

    /// Tells people of something that follows from no call, and records it.
    ///
    /// # Errors
    /// When it cannot be recorded: it was told all the same.
    fn tell(&self, notice: &Notice) -> Result<(), Fault>;

    /// Accepts a definition that was never seen before; says which one is
    /// accepted now.
    ///
    /// # Errors
    /// When it cannot be recorded: the tool is then not offered.
    fn pin(
        &self,
        server: &ServerName,
        tool: &str,
        definition: &Raw,
        fingerprint: Fingerprint,
    ) -> Result<Fingerprint, Fault>;

    /// The definition that was accepted, for lists while the server offers
    /// another.
    fn pinned(&self, server: &ServerName, tool: &str) -> Option<Raw>;

    /// Every tool whose definition was ever accepted.
    fn pins(&self) -> Vec<Pin>;

    /// A person accepts what they saw a server offer; says whether that is still
    /// what it offers.
    ///
    /// # Errors
    /// When it cannot be recorded: the accepted definition then stays.
    fn accept(
        &self,
        server: &ServerName,
        tool: &str,
        seen: Fingerprint,
        by: &str,
    ) -> Result<bool, Fault>;

    /// The stops in force.
    fn stops(&self) -> Stops;

    /// The stop that keeps back all that an agent does in a run: because it covers that,
    /// or because the run would begin in place of another of the agent that was stopped.
    fn stop_of(&self, agent: &AgentName, run: &RunId) -> Option<Stop>;

    /// Pulls the switch: in force when this returns, whatever it returns.
    ///
    /// # Errors
    /// When it is in force but could not be recorded.
    fn stop(&self, stop: Stop) -> Result<(), Fault>;

    /// Lifts a stop; says whether there was one. Another than the one that was `shown` to who
    /// lifts it stays.
    ///
    /// # Errors
    /// When it cannot be recorded: the stop then stays.
    fn resume_shown(
        &self,
        scope: &StopScope,
        shown: Option<&Stop>,
        by: &str,
    ) -> Result<bool, Fault>;

    /// The same, whatever it is.
    ///
    /// # Errors
    /// As above.
    fn resume(&self, scope: &StopScope, by: &str) -> Result<bool, Fault> {
        self.resume_shown(scope, None, by)
    }

    /// Records that match, oldest first, as they stand: as many as one answer carries.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn page(&self, query: &Query) -> Result<Page, Fault>;

    /// All of them, page after page.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn query(&self, query: &Query) -> Result<Vec<String>, Fault> {
        let mut query = query.clone();
        let mut lines = Vec::new();
        loop {
            let page = self.page(&query)?;
            lines.extend(page.lines);
            if !page.more {
                return Ok(lines);
            }
            query.go_on(page.upto, page.sought);
        }
    }

    /// The records of one call, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn records_of(&self, call: &CallId) -> Result<Vec<String>, Fault>;

    /// When the first record was made that is kept; none if no record was ever
    /// pruned.
    fn kept_since(&self) -> Option<jiff::Timestamp>;

    /// Walks the chain of records from its beginning.
    ///
    /// # Errors
    /// When the journal cannot be read at all.
    fn verify(&self) -> Result<Verified, Fault>;

    /// The calls that have left and are not settled.
    fn in_flight(&self) -> Vec<InFlight>;

    /// Fires with every new record's number.
    fn follow(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Compares what is kept beside the journal with what follows from it.
    ///
    /// # Errors
    /// When either cannot be read.
    fn check(&self) -> Result<String, Fault>;

    /// Makes everything durable and closes; nothing is admitted afterwards.
    fn close(&self);
}

/// One tool whose definition was accepted.
#[derive(Debug, Clone)]
pub struct Pin {
    /// Whose it is.
    pub server: ServerName,
    /// The server's own name for it.
    pub tool: String,
    /// What was accepted.
    pub accepted: Fingerprint,
    /// Its text.
    pub definition: Raw,
    /// When it was accepted, as RFC 3339.
    pub since: String,
    /// Who accepted it; none when it was the first that was seen.
    pub by: Option<String>,
    /// What the server offers now, where that is something else.
    pub offered: Option<Raw>,
}

/// A call that has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Which.
    pub call: CallId,
    /// Of whom.
    pub agent: String,
    /// In which run.
    pub run: RunId,
    /// `server.tool`
    pub title: String,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Admission::Cleared(_) => f.write_str("Cleared"),
            Admission::Refused(refusal) => f.debug_tuple("Refused").field(refusal).finish(),
        }
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intent")
            .field("permit", &self.permit)
            .field("durable", &self.durable.is_some())
            .finish()
    }
}
