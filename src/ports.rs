//! What the flow asks of the world.
//!
//! The broker knows tool servers, the store and the agent on the line only
//! through these traits; the edges implement them.

use std::{collections::BTreeMap, future::Future, pin, sync::Arc, time::Duration};

use crate::{
    domain::{
        Call, CallId, Capabilities, Era, Fault, Fingerprint, Outcome, Refusal, RunId, ServerName,
        Stop, StopScope, Subject, ToolFault,
    },
    gate::{Cleared, Verdict},
    wire::Raw,
};

/// A future behind a pointer, for traits that are used as objects.
pub type Boxed<'a, T> = pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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
}

/// What is written down when a call is settled.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// How it ended.
    pub outcome: Outcome,
    /// From leaving to the answer.
    pub duration: Duration,
    /// The answer, for a bounded summary.
    pub result: Option<Raw>,
}

/// The memory of tollgate: judges on fresh facts and records what it judged.
///
/// Every method is one step: it happens wholly or not at all, whatever else
/// happens at the same time. None of them waits for a tool server or a person.
pub trait Store: Send + Sync {
    /// Judges a call and records the judgement, as one.
    ///
    /// # Errors
    /// When the record cannot be written: the call must not run.
    fn admit(&self, call: &Call, context: &Context) -> Result<Admission, Fault>;

    /// Judges a call and records nothing.
    fn judge(&self, call: &Call) -> Vec<(&'static str, Verdict)>;

    /// Records how a call ended.
    ///
    /// # Errors
    /// When the record cannot be written.
    fn settle(&self, spent: Spent, settlement: &Settlement) -> Result<(), Fault>;

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
    fn stops(&self) -> Vec<Stop>;

    /// Pulls the switch: in force when this returns, whatever it returns.
    ///
    /// # Errors
    /// When it is in force but could not be recorded.
    fn stop(&self, stop: Stop) -> Result<(), Fault>;

    /// Lifts a stop; says whether there was one.
    ///
    /// # Errors
    /// When it cannot be recorded: the stop then stays.
    fn resume(&self, scope: &StopScope, by: &str) -> Result<bool, Fault>;

    /// Records that match, oldest first, as they stand: one JSON line each.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn query(&self, query: &Query) -> Result<Vec<String>, Fault>;

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

/// Which records are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Query {
    /// Of this run.
    pub run: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this tool: `server.tool`, or a server.
    pub tool: Option<String>,
    /// Of this tier.
    pub tier: Option<String>,
    /// Calls that ended so: `done`, `failed`, `unknown`, `refused`.
    pub outcome: Option<String>,
    /// Not before this time.
    pub since: Option<jiff::Timestamp>,
    /// Not after this time.
    pub until: Option<jiff::Timestamp>,
    /// With this trace id.
    pub trace: Option<String>,
    /// After this record.
    pub after: Option<u64>,
    /// At most this many, the newest.
    pub limit: Option<usize>,
}

/// What walking the chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verified {
    /// Records that are in order.
    pub records: u64,
    /// The first and the last of them.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Why earlier ones are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PrunedBy>,
    /// The first one that is not, and why.
    pub broken: Option<String>,
}

/// The record that says that earlier records were pruned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PrunedBy {
    /// Its number.
    pub record: u64,
    /// When it was made, as RFC 3339.
    pub at: String,
    /// What was wrong with the records that went, if something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
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

/// The tool servers.
pub trait Tools: Send + Sync {
    /// The instance of a server that runs this run's calls, started if needed.
    ///
    /// # Errors
    /// When it cannot be started or does not complete its handshake.
    fn seat<'a>(
        &'a self,
        server: &'a ServerName,
        run: &'a RunId,
        caller: &'a Arc<dyn Caller>,
    ) -> Boxed<'a, Result<Arc<dyn Seat>, ToolFault>>;

    /// The same, but only if it runs already.
    fn seated(
        &self,
        server: &ServerName,
        run: &RunId,
        caller: &Arc<dyn Caller>,
    ) -> Option<Arc<dyn Seat>>;

    /// The folders that a run's agent works in have changed.
    fn roots_changed(&self, run: &RunId);

    /// A run is over: its instances end.
    fn end_run(&self, run: &RunId);
}

/// One running instance of a tool server.
pub trait Seat: Send + Sync {
    /// How it speaks.
    fn era(&self) -> Era;

    /// The fingerprint of the definition that this very instance offers.
    fn definition(&self, tool: &str) -> Option<Fingerprint>;

    /// Runs one call to its end.
    fn run<'a>(&'a self, permit: Permit, job: Job) -> Boxed<'a, (Spent, Result<Reply, ToolFault>)>;
}

/// One call as the tool side needs it.
pub struct Job {
    /// What to call, by the server's own name.
    pub subject: Subject,
    /// The parameters as the agent sent them.
    pub params: Option<Raw>,
    /// Who waits for it.
    pub caller: Arc<dyn Caller>,
    /// No sign of life for this long fails the call.
    pub idle: Duration,
    /// However lively, it fails after this.
    pub total: Duration,
}

/// What a tool server answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The value of `result`, as it stands.
    Result(Raw),
    /// The value of `result` of a server that wants something from the user
    /// first, for an agent that understands that.
    Asks(Raw),
    /// The value of `error`, as it stands.
    Error(Raw),
}

impl Reply {
    /// What was answered, whichever it is.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        match self {
            Reply::Result(raw) | Reply::Asks(raw) | Reply::Error(raw) => raw,
        }
    }
}

/// The agent on the line, during one call.
pub trait Caller: Send + Sync {
    /// Which connection it is: two callers of one connection share a user.
    fn connection(&self) -> u64;

    /// How it speaks.
    fn era(&self) -> Era;

    /// What it can be asked, in this call.
    fn capabilities(&self) -> Capabilities;

    /// The level of log messages it asked for with this request.
    fn log_level(&self) -> Option<String>;

    /// Whether it wants to hear of progress.
    fn wants_progress(&self) -> bool;

    /// Passes on a progress notification's parameters.
    fn progress(&self, params: &Raw);

    /// Passes on a log message's parameters.
    fn log(&self, params: &Raw);

    /// Puts a server's question to it: `elicitation/create`,
    /// `sampling/createMessage` or `roots/list`.
    fn ask<'a>(&'a self, question: Question) -> Boxed<'a, Answer>;

    /// The reason, if the call is cancelled by now.
    fn is_cancelled(&self) -> Option<String>;

    /// Answers when the agent cancels the call, with its reason.
    fn cancelled<'a>(&'a self) -> Boxed<'a, String>;
}

/// A question of a server in the middle of a call.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub server: ServerName,
    /// The method of the handshake era, whichever era the server speaks.
    pub method: Box<str>,
    /// Its parameters, as the server wrote them.
    pub params: Option<Raw>,
}

/// What became of a question.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The value of `result`.
    Result(Raw),
    /// The value of `error`.
    Error(Raw),
    /// Nobody is there to answer.
    Gone,
}

/// What tool servers tell of themselves, outside any call.
#[derive(Debug, Clone)]
pub enum Event {
    /// A resource that somebody subscribed to has changed.
    ResourceUpdated {
        /// The server.
        server: ServerName,
        /// The run whose instance it is; none for a shared one.
        run: Option<RunId>,
        /// The notification's parameters.
        params: Raw,
    },
    /// The user finished something that was opened in a browser.
    ElicitationComplete {
        /// The server.
        server: ServerName,
        /// The run whose instance it is; none for a shared one.
        run: Option<RunId>,
        /// The notification's parameters.
        params: Raw,
    },
    /// A log message outside a call.
    Log {
        /// The server.
        server: ServerName,
        /// The run whose instance it is; none for a shared one.
        run: Option<RunId>,
        /// The notification's parameters.
        params: Raw,
    },
}

/// Keeps listings between starts, so that a list can be answered at once.
pub trait Shelf: Send + Sync {
    /// What was kept. What cannot be read is not there: it will be listed again.
    fn listings(&self) -> BTreeMap<ServerName, Arc<Listing>>;

    /// Keeps one server's listing.
    ///
    /// # Errors
    /// When it cannot be written; nothing but the next start suffers.
    fn keep(&self, listing: &Listing) -> Result<(), Fault>;
}

/// Everything that one server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The server.
    pub server: ServerName,
    /// How it speaks.
    pub era: Era,
    /// Its declared capabilities.
    pub capabilities: Raw,
    /// What it says of itself.
    pub info: Option<Raw>,
    /// What it would tell a model.
    pub instructions: Option<String>,
    /// Tool definitions.
    pub tools: Vec<Raw>,
    /// Prompt definitions.
    pub prompts: Vec<Raw>,
    /// Resource definitions.
    pub resources: Vec<Raw>,
    /// Resource template definitions.
    pub templates: Vec<Raw>,
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

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
