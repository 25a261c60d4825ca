//! One call, from request to answer.
//!
//! [`Broker::call`] is the product: every request that reaches a tool server
//! goes through it, and it reads from top to bottom as the life of a call.

mod catalog;
mod door;
mod judge;
mod names;
mod offer;
mod policy;
mod refresh;
mod runs;
mod stop;
mod uri;

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
};

use tokio::sync::{broadcast, watch};

pub use catalog::{Catalog, Tool, View};
pub use door::{Asked, Door};
pub use judge::{Judged, NotJudged};
pub use policy::Policy;
pub use refresh::Changed;
pub use runs::{JoinError, Session};
pub use stop::{Stopped, Struck};

use crate::{
    clock::Clock,
    domain::{
        Call, CallId, Era, Fault, Offer, Outcome, Principal, Refusal, ServerName, Standing,
        Subject, Tier, ToolFault,
    },
    ids::{IdKind, Ids},
    ports::{Admission, Caller, Event, Job, Permit, Reply, Seat, Settlement, Shelf, Store, Tools},
    wire::{Body, Raw},
};

/// Lines of what happened that are kept for the one screen.
const LATEST: usize = 20;

/// One request of an agent for something of a tool server.
pub struct Request {
    /// Who asks, in which run.
    pub session: Arc<Session>,
    /// What for.
    pub asked: Asked,
    /// As sent.
    pub params: Option<Raw>,
    /// Who waits.
    pub caller: Arc<dyn Caller>,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// The request itself is wrong: an error of the protocol, nothing to judge.
    Wrong {
        /// The code of JSON-RPC.
        code: i32,
        /// What is wrong.
        says: String,
    },
    /// Judged, and not run.
    Refused {
        /// Which call it would have been.
        call: Box<Call>,
        /// Why not.
        refusal: Refusal,
        /// Whether the tool declares what its results look like.
        has_output_schema: bool,
    },
    /// An operator pulled the stop switch while it ran.
    CutShort {
        /// The call.
        call: Box<Call>,
        /// What the stop says.
        refusal: Refusal,
        /// Whether the tool declares what its results look like.
        has_output_schema: bool,
    },
    /// tollgate itself could not do its part: not run, or not recorded.
    Fault(Fault),
    /// The server did not answer properly.
    Failed {
        /// The call.
        call: Box<Call>,
        /// What went wrong.
        fault: ToolFault,
    },
    /// The server answered.
    Done {
        /// The call.
        call: Box<Call>,
        /// With a result or an error of its own.
        body: Body,
    },
    /// The server wants something from the user first.
    Asks {
        /// The call.
        call: Box<Call>,
        /// Its `input_required` result.
        result: Raw,
    },
}

/// See the module.
pub struct Broker {
    store: Arc<dyn Store>,
    shelf: Arc<dyn Shelf>,
    tools: OnceLock<Arc<dyn Tools>>,
    clock: Arc<dyn Clock>,
    ids: Ids,
    policy: Policy,
    catalog: RwLock<Arc<Catalog>>,
    /// Over what arguments say, so that a short secret cannot be guessed from it.
    digest_key: [u8; 32],
    events: broadcast::Sender<Event>,
    changed: broadcast::Sender<Changed>,
    runs: runs::Runs,
    under_way: stop::UnderWay,
    latest: Mutex<VecDeque<Happened>>,
    /// Servers that were listed at least once, or could not be.
    met: watch::Sender<BTreeSet<ServerName>>,
}

/// A call that ended, for the one screen.
struct Happened {
    at: jiff::Timestamp,
    call: CallId,
    by: Arc<Principal>,
    server: ServerName,
    subject: Subject,
    what: &'static str,
}

/// What a broker is made of.
pub struct Parts {
    /// Where judgements are recorded.
    pub store: Arc<dyn Store>,
    /// Where listings are kept between starts.
    pub shelf: Arc<dyn Shelf>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Ids,
    /// The configuration.
    pub policy: Policy,
    /// A secret of this state directory.
    pub digest_key: [u8; 32],
}

impl Broker {
    /// A broker with what it remembers, before any server runs.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            store,
            shelf,
            clock,
            ids,
            policy,
            digest_key,
        } = parts;
        let catalog = Catalog::build(shelf.listings(), &policy, store.as_ref());
        let met = catalog.listings().keys().cloned().collect();
        Arc::new(Self {
            store,
            shelf,
            tools: OnceLock::new(),
            clock,
            ids,
            policy,
            catalog: RwLock::new(Arc::new(catalog)),
            digest_key,
            events: broadcast::Sender::new(256),
            changed: broadcast::Sender::new(16),
            runs: runs::Runs::default(),
            under_way: stop::UnderWay::default(),
            latest: Mutex::default(),
            met: watch::Sender::new(met),
        })
    }

    /// Gives it its tool servers, once.
    pub fn connect(&self, tools: Arc<dyn Tools>) {
        let _ = self.tools.set(tools);
    }

    /// One call, from request to answer.
    ///
    /// Runs to its end whoever has gone away meanwhile: what left for a server
    /// is settled.
    pub async fn call(&self, request: Request) -> Answer {
        // What is seldom waited for is boxed here and below: a call's future is
        // moved when it is spawned, and its size is felt.
        if !self.all_met() {
            Box::pin(self.met(&request.session)).await;
        }
        // 1. Parse at the door, 2. measure: what is asked, of which server, and
        // what is wrong with the arguments.
        let view = self.view(&request.session);
        let params = request.params.as_ref();
        let door = match self.parse(&request.session, request.asked, params, &view) {
            Ok(door) => door,
            Err(wrong) => return wrong,
        };
        let Door {
            mut call,
            tool,
            context,
            idle,
            total,
        } = door;
        let has_output_schema = tool.as_ref().is_some_and(|tool| tool.has_output_schema);
        let refused = |call, refusal| Answer::Refused {
            call: Box::new(call),
            refusal,
            has_output_schema,
        };

        // From here on a stop finds it and cancels whatever it waits for.
        let open = self.under_way.enter(&call, request.caller);

        // The instance that would run it says what the tool is now. A call that
        // is refused anyway starts no process.
        let seat = match self.seated(&call, open.caller()) {
            Some(seat) => Ok(Some(seat)),
            None => Box::pin(self.seat(&call, open.caller())).await,
        };
        call.standing = standing(&call, &seat);

        // 3. Decide on fresh facts and record the judgement, as one.
        let intent = match self.store.admit(&call, &context) {
            Ok(Admission::Cleared(intent)) => intent,
            // 4. Refused: the answer says why.
            Ok(Admission::Refused(refusal)) => {
                self.happened(&call, refusal.code.as_str());
                return refused(call, refusal);
            }
            Err(fault) => return Answer::Fault(fault),
        };
        let permit = match intent.permit().await {
            Ok(permit) => permit,
            Err(fault) => return Answer::Fault(fault),
        };

        // 5. Execute; the permit is used up.
        let begun = self.clock.elapsed();
        let seat = match (open.stopped(), seat.ok().flatten()) {
            (None, Some(seat)) => seat,
            // While the record was on its way to the disk.
            (Some(refusal), _) => {
                return match self.not_begun(permit, &refusal.says) {
                    Ok(_) => refused(call, refusal),
                    Err(fault) => Answer::Fault(fault),
                };
            }
            // A stop that was lifted between the first look and the judgement:
            // the instance was never asked what the tool is now.
            (None, None) => {
                return match self.not_begun(permit, "it was not ready yet; call again") {
                    Ok(fault) => Answer::Failed {
                        call: Box::new(call),
                        fault,
                    },
                    Err(fault) => Answer::Fault(fault),
                };
            }
        };
        let job = Job {
            subject: call.subject.clone(),
            params: request.params,
            caller: open.caller().clone(),
            idle,
            total,
        };
        let (spent, reply) = seat.run(permit, job).await;

        // 6. (Framing comes here.) 7. Settle, then answer.
        let settlement = Settlement {
            outcome: outcome(call.tier, &reply),
            duration: self.clock.elapsed().saturating_sub(begun),
            result: reply.as_ref().ok().map(|reply| match reply {
                Reply::Result(raw) | Reply::Asks(raw) | Reply::Error(raw) => raw.clone(),
            }),
        };
        if let Err(fault) = self.store.settle(spent, &settlement) {
            return Answer::Fault(fault);
        }
        self.happened(&call, settlement.outcome.word());
        open.became(&settlement.outcome);
        let call = Box::new(call);
        match reply {
            Ok(Reply::Result(result)) => Answer::Done {
                call,
                body: Body::Result(result),
            },
            Ok(Reply::Error(error)) => Answer::Done {
                call,
                body: Body::Error(error),
            },
            Ok(Reply::Asks(result)) => Answer::Asks { call, result },
            Err(fault) => match open.stopped() {
                Some(refusal) => Answer::CutShort {
                    call,
                    refusal,
                    has_output_schema,
                },
                None => Answer::Failed { call, fault },
            },
        }
    }

    /// Settles a call that was cleared and never left.
    fn not_begun(&self, permit: Permit, why: &str) -> Result<ToolFault, Fault> {
        let fault = ToolFault::NotStarted(why.to_owned());
        let settlement = Settlement {
            outcome: Outcome::Failed(fault.clone()),
            duration: std::time::Duration::ZERO,
            result: None,
        };
        self.store.settle(permit.spend(), &settlement)?;
        Ok(fault)
    }

    /// The instance that runs already.
    fn seated(&self, call: &Call, caller: &Arc<dyn Caller>) -> Option<Arc<dyn Seat>> {
        self.tools.get()?.seated(&call.server, &call.run, caller)
    }

    /// A new instance for a call, if the gates would let it pass as far as is
    /// known without one.
    async fn seat(
        &self,
        call: &Call,
        caller: &Arc<dyn Caller>,
    ) -> Result<Option<Arc<dyn Seat>>, ToolFault> {
        let Some(tools) = self.tools.get() else {
            return Err(ToolFault::NotStarted("tollgate is starting".to_owned()));
        };
        let refused = self
            .store
            .judge(call)
            .iter()
            .any(|(_, verdict)| matches!(verdict, crate::gate::Verdict::Refuse(_)));
        if refused {
            return Ok(None);
        }
        tokio::select! {
            seat = tools.seat(&call.server, &call.run, caller) => seat.map(Some),
            reason = caller.cancelled() => Err(ToolFault::Cancelled(reason)),
        }
    }

    /// The era that a server was last seen to speak.
    #[must_use]
    pub fn era(&self, server: &ServerName) -> Era {
        self.catalog()
            .listings()
            .get(server)
            .map_or(Era::Legacy, |listing| listing.era)
    }

    /// The catalogue as it is now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The lists that a session sees now.
    #[must_use]
    pub fn view(&self, session: &Session) -> Arc<View> {
        self.catalog().view(session.visible())
    }

    /// The configuration in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The store, for the command line.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Where tool servers tell of themselves.
    #[must_use]
    pub fn events(&self) -> &broadcast::Sender<Event> {
        &self.events
    }

    /// What happened last, newest first.
    #[must_use]
    pub fn latest(&self) -> Vec<(jiff::Timestamp, String)> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest
            .iter()
            .rev()
            .map(|happened| {
                let Happened {
                    at,
                    call,
                    by,
                    server,
                    subject,
                    what,
                } = happened;
                let line = format!("{call}  {}  {server}.{}  {what}", by.agent, subject.name());
                (*at, line)
            })
            .collect()
    }

    fn happened(&self, call: &Call, what: &'static str) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= LATEST {
            latest.pop_front();
        }
        latest.push_back(Happened {
            at: self.clock.now(),
            call: call.id.clone(),
            by: call.by.clone(),
            server: call.server.clone(),
            subject: call.subject.clone(),
            what,
        });
    }

    fn new_call_id(&self) -> CallId {
        CallId::parse(&self.ids.next(IdKind::Call)).unwrap_or_else(|| CallId::from_tail("0"))
    }
}

/// What the instance says of the tool that is called.
fn standing(call: &Call, seat: &Result<Option<Arc<dyn Seat>>, ToolFault>) -> Standing {
    match (seat, &call.subject) {
        (Err(fault), _) => Standing::Unreachable(match fault {
            ToolFault::NotStarted(why) => why.clone(),
            other => other.to_string(),
        }),
        // Not seated: it will be refused, by what was known before.
        (Ok(None), _) => call.standing.clone(),
        (Ok(Some(seat)), Subject::Tool(name)) => match seat.definition(name) {
            Some(definition) => Standing::Defined(definition),
            None => Standing::Missing,
        },
        (
            Ok(Some(_)),
            Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_),
        ) => Standing::Plain,
    }
}

/// How a call ended, for the record.
fn outcome(tier: Tier, reply: &Result<Reply, ToolFault>) -> Outcome {
    match reply {
        Ok(Reply::Result(result)) => Outcome::Done {
            error: result
                .get("isError")
                .is_some_and(|error| error.text() == "true"),
            bytes: result.bytes().len(),
        },
        Ok(Reply::Error(error)) => Outcome::Done {
            error: true,
            bytes: error.bytes().len(),
        },
        Ok(Reply::Asks(_)) => Outcome::Asked,
        Err(fault) => match tier {
            Tier::Consequential | Tier::Irreversible if fault.may_have_run() => {
                Outcome::Unknown(fault.clone())
            }
            Tier::Read | Tier::Reversible | Tier::Consequential | Tier::Irreversible => {
                Outcome::Failed(fault.clone())
            }
        },
    }
}

/// Follows the links of a path as far as it exists; the rest is appended.
fn follow(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        if let Ok(real) = known.canonicalize() {
            return missing
                .iter()
                .rev()
                .fold(real, |real, part| real.join(part));
        }
        match (known.parent(), known.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                known = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What a call to something other than a tool counts as.
const PLAIN: (Offer, Tier) = (Offer::At(Tier::Read), Tier::Read);
