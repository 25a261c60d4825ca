//! What the flow asks of the world.
//!
//! The broker knows tool servers, the store and the agent on the line only
//! through these traits; the edges implement them.

mod query;
mod questions;
#[cfg(test)]
pub(crate) mod stand_in;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin,
    sync::Arc,
    time::Duration,
};

pub use query::{Page, PrunedBy, Query, Sought, Verified};
pub use questions::{Heard, NotPut, Posed, QUESTIONS, Questions, WhyNot};
pub use store::{
    Admission, Context, Helping, InFlight, Intent, Permit, Pin, RunKnown, Settled, Settlement,
    Spent, Store,
};

use crate::{
    domain::{
        Capabilities, Era, Fault, Fingerprint, Guise, Met, RunId, ServerName, Subject, ToolFault,
    },
    wire::{Raw, asks},
};

/// A future behind a pointer, for traits that are used as objects.
pub type Boxed<'a, T> = pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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

    /// An agent has arrived that may call this server. If no run has the one that feeds the
    /// lists, and it was told of another kind of agent, another takes its place: says whether
    /// the lists are therefore about to be others.
    fn arrives(&self, server: &ServerName, guise: Guise) -> bool;

    /// How the instances that run now define a tool, each.
    fn definitions(&self, server: &ServerName, tool: &str) -> Vec<Fingerprint>;

    /// The folders that a run's agent works in have changed. If nothing `leaves` now, and for
    /// a server that is stopped, the news waits for the next call.
    fn roots_changed(&self, run: &RunId, leaves: bool);

    /// A run is over: its instances end.
    fn end_run(&self, run: &RunId);

    /// A connection is over: it hears of no resource any more.
    fn left(&self, connection: u64);

    /// A connection hears of these resources no longer.
    fn unwatch(&self, connection: u64, uris: BTreeSet<String>);

    /// The resources that a connection hears of, or is about to.
    fn watched(&self, connection: u64) -> BTreeSet<String>;
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
    /// The same, of what its agent did not declare: the error that says so.
    Lacks(Raw),
    /// The value of `error`, as it stands.
    Error(Raw),
}

impl Reply {
    /// What was answered, whichever it is.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        match self {
            Reply::Result(raw) | Reply::Asks(raw) | Reply::Lacks(raw) | Reply::Error(raw) => raw,
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

    /// Both, as a tool server is to see it.
    fn guise(&self) -> Guise {
        Guise {
            era: self.era(),
            can: self.capabilities(),
        }
    }

    /// The level of log messages it asked for with this request.
    fn log_level(&self) -> Option<String>;

    /// Whether it wants to hear of progress.
    fn wants_progress(&self) -> bool;

    /// Passes on a progress notification's parameters.
    fn progress(&self, params: &Raw);

    /// Passes on a log message's parameters.
    fn log(&self, params: &Raw);

    /// The call leaves for its server now: what it waited for until here was not the
    /// server's doing, and from here on the server may have it.
    fn leaves(&self) {}

    /// Puts a server's question to it: `elicitation/create`,
    /// `sampling/createMessage` or `roots/list`.
    fn ask<'a>(&'a self, question: Question) -> Boxed<'a, Heard<'a>>;

    /// Tells it that a server asks what it did not declare: the question is not put. Answers
    /// once it was told, or nobody is there to tell. An agent of the handshake era has nothing
    /// to declare in the middle of a call.
    fn lacks<'a>(&'a self, question: Question) -> Boxed<'a, ()> {
        drop(question);
        Box::pin(std::future::ready(()))
    }

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

impl Question {
    /// Whether the client's model is asked, which somebody pays for, and not a person.
    #[must_use]
    pub fn asks_the_model(&self) -> bool {
        &*self.method == asks::SAMPLING
    }
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
    /// Nobody was asked, and why not.
    Refused(NotPut),
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
        /// The connections that subscribed to it there.
        to: Vec<u64>,
        /// The notification's parameters.
        params: Raw,
    },
    /// For a while a tool server told nobody of changes, and does so again.
    MayHaveChanged {
        /// The server.
        server: ServerName,
        /// The run whose instance it is; none for a shared one.
        run: Option<RunId>,
        /// The resources, and the connections that subscribed to each.
        watched: Arc<BTreeMap<String, Vec<u64>>>,
    },
    /// A tool server does not tell any more of what it was subscribed to: it has ended, or
    /// the stream on which it did, or it said so.
    Unwatched {
        /// The resources, and the connections that subscribed to each.
        lost: Arc<BTreeMap<String, Vec<u64>>>,
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
    /// What it was told of the agent: before another it may list other things.
    pub told: Guise,
    /// In which era it is met.
    pub met: Met,
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

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
