//! One call, from request to answer.
//!
//! [`Broker::call`] is the product: every request that reaches a tool server
//! goes through it, and it reads from top to bottom as the life of a call.

mod answer;
mod arrivals;
mod asking;
mod before;
mod beginning;
mod beside;
mod catalog;
mod charge;
mod door;
mod halt;
mod judge;
mod latest;
mod links;
mod news;
mod offer;
mod offload;
mod own;
mod owners;
mod patience;
mod policy;
mod prompts;
mod refresh;
mod reported;
mod resources;
mod runs;
mod seat;
mod stop;
mod templates;
mod under_way;
mod uri;
mod vain;

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::{broadcast, watch};

pub use answer::{Answer, Paid, Request};
pub use asking::{Asked, READ_ALREADY};
pub use catalog::{Catalog, Tool, View};
pub use door::Door;
pub use judge::{Judged, NotJudged};
pub use latest::Happened;
pub use policy::Policy;
pub use refresh::Changed;
pub use runs::{JoinError, Session};
pub use stop::{Stopped, Struck};

use crate::{
    clock::Clock,
    domain::{Call, CallId, Dimension, Era, Fault, ServerName, Stops, ToolFault},
    ids::Ids,
    ports::{
        Admission, Context, Event, Job, Permit, Seat, Settled, Settlement, Shelf, Spent, Store,
        Tools,
    },
};
use answer::No;
use latest::Latest;
use links::Links;
use offload::Offload;
use patience::{Patience, Waited};

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
    /// Those that are in force.
    stops: watch::Sender<Stops>,
    news: news::News,
    beside: beside::Beside,
    owners: owners::Owners,
    runs: runs::Runs,
    beginning: beginning::Beginning,
    under_way: under_way::UnderWay,
    latest: Latest,
    links: Links,
    offload: Offload,
    patience: Patience,
    /// Servers that were listed at least once, or could not be.
    met: watch::Sender<BTreeSet<ServerName>>,
    /// Servers that are started anew for who has come, until they are listed or cannot be.
    due: watch::Sender<BTreeSet<ServerName>>,
    present: arrivals::Present,
}

/// So much that takes long is done at a time, one of each agent: it keeps a core busy,
/// and what it looks at in memory.
const SEATS: usize = 4;

/// How long a call may wait until what takes long is done.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let owners = owners::Owners::new(&policy, store.as_ref());
        let listings = shelf.listings();
        let catalog = Catalog::build(listings, &policy, store.as_ref(), &owners, None);
        refresh::warn_of(catalog.warnings(), &[]);
        let silenced = halt::silenced(store.clone());
        let under_way = under_way::UnderWay::new(silenced, store.clone(), clock.clone());
        let in_force = store.stops();
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
            stops: watch::Sender::new(in_force),
            news: news::News::default(),
            beside: beside::Beside::default(),
            owners,
            runs: runs::Runs::default(),
            beginning: beginning::Beginning::default(),
            under_way,
            latest: Latest::default(),
            links: Links::default(),
            offload: Offload::new(SEATS, 1, PATIENCE),
            patience: Patience::default(),
            met: watch::Sender::new(met),
            due: watch::Sender::default(),
            present: arrivals::Present::default(),
        })
    }

    /// Gives it its tool servers, once.
    pub fn connect(&self, tools: Arc<dyn Tools>) {
        let _ = self.tools.set(tools);
    }

    /// One call, from request to answer, in the steps that ARCHITECTURE.md tells.
    ///
    /// Runs to its end whoever has gone away meanwhile: what left for a server
    /// is settled.
    pub async fn call(&self, request: Request) -> Answer {
        let arrived = self.clock.elapsed();
        // 1. Wait for the first lists. What is seldom waited for is boxed here and
        // below: a call's future is moved when it is spawned, and its size is felt.
        if !self.is_ready(&request.session) {
            Box::pin(self.ready_for(&request.session, &*request.caller)).await;
        }

        // 2. Parse at the door, 3. measure: what is asked, of which server, and
        // what is wrong with the arguments.
        let view = self.view(&request.session);
        let params = request.params.as_ref();
        if let Some(own) = self.asked_of_us(&request) {
            return own;
        }
        let agent = &request.session.principal().agent;
        let read = self.read(agent, request.asked, params).await;
        let door = read.and_then(|asking| {
            self.enter(&request.session, &asking, request.goes_on.as_ref(), &view)
        });
        let mut door = match door {
            Ok(door) => door,
            Err(wrong) => return wrong,
        };
        let _busy = request.session.busy(&*self.clock);

        // 4. From here on a stop finds it and cancels whatever it waits for.
        let caller = request.caller;
        let open = self
            .under_way
            .enter(&door.call, &door.home, caller, arrived);
        if door.is_unmeasured() {
            Box::pin(self.measured(&mut door, &open)).await;
        }
        let has_output_schema = door.has_output_schema();
        let Door {
            mut call,
            context,
            idle,
            total,
            home,
            prices,
            ..
        } = door;

        let _visit = self.visit(&request.session, &home);

        // 5. The instance that would run it says what the tool is now. A call that
        // is refused anyway starts no process.
        let (seat, begins) = match self.seated(&call, &home, open.caller()) {
            Some(seat) => (Ok(Some(seat)), None),
            None => Box::pin(self.seat(&call, &home, &open)).await,
        };
        call.standing = seat::standing(&call, &seat);

        // Each refusal is a record: who is refused without end waits before the next.
        let mut waited = Waited::No;
        if self.is_patience_used_up(&call) {
            match Box::pin(self.be_patient(&call, &open)).await {
                Ok(turn) => waited = turn,
                Err(no) => return no.answer(call),
            }
        }

        // 6. Decide on fresh facts and record the judgement, as one; 7. what is
        // refused hears why.
        let (permit, seat) = match self.permit(&call, &context, &open, seat).await {
            Ok(cleared) => cleared,
            Err(no) => {
                if no.is_refusal() {
                    self.refused(&call, waited);
                }
                return no.answer(call, has_output_schema);
            }
        };

        // Its run has begun, as the record says.
        drop(begins);

        // 8. Execute; the permit is used up.
        let job = Job {
            subject: call.subject.clone(),
            params: request.params,
            caller: open.caller().clone(),
            idle,
            total,
        };
        let (spent, reply) = seat.run(permit, job).await;
        let reply = reply.map_err(|fault| open.unsent(fault));
        let reply = reply.and_then(|reply| open.allowed(reply));

        // 9. Settle, then answer. (Framing comes before.)
        let settlement = charge::settlement(&call, &prices, &reply, &open.times());
        open.became(&settlement.outcome);
        let settled = match self.settled(spent, &call, &settlement) {
            Ok(settled) => settled,
            Err(fault) => {
                return Answer::Unrecorded {
                    call: Box::new(call),
                    fault,
                };
            }
        };
        let paid = Box::new(Paid {
            cost: settlement.charged.get(Dimension::Cost),
            left: settled.left,
            waited: settlement.wait.unwrap_or_default(),
        });
        let stopped = open.stopped();
        match (&reply, stopped) {
            // Nothing of it reached its server: it was stopped before it ran.
            (Err(_), Some(refusal)) if !open.has_left() => {
                No::Refused(refusal).answer(call, has_output_schema)
            }
            (_, stopped) => Answer::of(call, paid, reply, stopped, has_output_schema),
        }
    }

    /// Judges a call, records the judgement and waits for the disk where the
    /// tier demands it.
    async fn permit(
        &self,
        call: &Call,
        context: &Context,
        open: &under_way::Open<'_>,
        seat: seat::Found,
    ) -> Result<(Permit, Arc<dyn Seat>), No> {
        let intent = match self.store.admit(call, context).map_err(No::Fault)? {
            Admission::Cleared(intent) => intent,
            Admission::Refused(refusal) => {
                self.latest
                    .add(self.clock.now(), call, refusal.code.as_str());
                if refusal.ends.is_some() {
                    self.halted_by(call);
                }
                return Err(No::Refused(refusal));
            }
        };
        let permit = intent.permit().await.map_err(No::Fault)?;
        // While the record was on its way to the disk.
        if let Some(refusal) = open.stopped() {
            let why = ToolFault::Unsent(refusal.says.clone());
            self.not_begun(permit, call, open, why).map_err(No::Fault)?;
            return Err(No::Refused(refusal));
        }
        let why = match seat {
            Ok(Some(seat)) => return Ok((permit, seat)),
            // A stop that was lifted between the first look and the judgement:
            // the instance was never asked what the tool is now.
            Ok(None) => ToolFault::NotStarted("it was not ready yet; call again".to_owned()),
            // Nobody waited until its instance was there.
            Err(fault) => fault,
        };
        Err(match self.not_begun(permit, call, open, why) {
            Ok(fault) => No::Failed(fault),
            Err(fault) => No::Fault(fault),
        })
    }

    /// Settles a call, and tells who has to know of it.
    fn settled(
        &self,
        spent: Spent,
        call: &Call,
        settlement: &Settlement,
    ) -> Result<Settled, Fault> {
        let settled = self.store.settle(spent, call, settlement)?;
        if let Some(halt) = &settled.halt {
            self.halted(halt);
        }
        self.latest
            .add(self.clock.now(), call, settlement.outcome.word());
        Ok(settled)
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
    pub fn latest(&self) -> Vec<Happened> {
        self.latest.all()
    }

    fn new_call_id(&self) -> CallId {
        CallId::from_tail(&self.ids.tail())
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
