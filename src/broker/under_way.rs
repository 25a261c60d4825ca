//! The calls under way: from the door to the answer.
//!
//! A call is entered before it is judged. Who ends calls finds it here, cancels it
//! wherever it is, and is told what became of it.

mod stoppable;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::stop::Struck;
use crate::{
    clock::Clock,
    domain::{
        AgentName, Became, Call, CallId, Halt, Outcome, Refusal, RunId, ServerName, Stop, Subject,
        ToolFault,
    },
    gate,
    ports::Caller,
};
use stoppable::Stoppable;

/// Tells whether somebody is stopped, or has been ended: neither calls nor answers.
pub(super) type Silenced = Arc<dyn Fn(&AgentName, &ServerName, &RunId) -> bool + Send + Sync>;

/// Every call between the door and its answer.
pub(super) struct UnderWay {
    calls: Mutex<HashMap<CallId, Arc<One>>>,
    silenced: Silenced,
    clock: Arc<dyn Clock>,
}

impl UnderWay {
    pub(super) fn new(silenced: Silenced, clock: Arc<dyn Clock>) -> Self {
        Self {
            calls: Mutex::default(),
            silenced,
            clock,
        }
    }

    /// Enters a call that came at this time, until the guard is dropped.
    pub(super) fn enter(
        &self,
        call: &Call,
        home: &RunId,
        caller: Arc<dyn Caller>,
        arrived: Duration,
    ) -> Open<'_> {
        let one = Arc::new(One {
            call: call.id.clone(),
            run: call.run.clone(),
            home: home.clone(),
            agent: call.by.agent.clone(),
            server: call.server.clone(),
            subject: call.subject.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
        });
        self.lock().insert(call.id.clone(), one.clone());
        Open {
            under_way: self,
            caller: Arc::new(Stoppable {
                inner: caller,
                one: one.clone(),
                silenced: self.silenced.clone(),
                clock: self.clock.clone(),
            }),
            one,
            arrived,
        }
    }

    /// Cancels what a stop covers.
    pub(super) fn tell(&self, stop: &Stop) -> Vec<Arc<One>> {
        let refusal = gate::stopped(stop);
        self.cancel(&refusal, |one| {
            stop.scope.covers(&one.agent, &one.server, &one.run)
        })
    }

    /// Cancels what a halted agent has under way, also what was let through and waits
    /// for the disk. Returns the runs whose instances have some of it.
    pub(super) fn halt(&self, halt: &Halt) -> BTreeSet<RunId> {
        let refusal = gate::halted(halt);
        let covered = self.cancel(&refusal, |one| one.agent == halt.agent);
        let sent = covered.iter().filter(|one| one.lock().left.is_some());
        sent.map(|one| one.home.clone()).collect()
    }

    fn cancel(&self, refusal: &Refusal, covers: impl Fn(&One) -> bool) -> Vec<Arc<One>> {
        let covered: Vec<Arc<One>> = self
            .lock()
            .values()
            .filter(|one| covers(one))
            .cloned()
            .collect();
        for one in &covered {
            one.lock().told.get_or_insert_with(|| refusal.clone());
            one.changed.notify_waiters();
        }
        covered
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Arc<One>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that is under way, until it is dropped.
pub(super) struct Open<'a> {
    under_way: &'a UnderWay,
    one: Arc<One>,
    caller: Arc<dyn Caller>,
    arrived: Duration,
}

/// Where the time of a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// From its arrival to its leaving, or to now if it has not left.
    pub(super) waited: Duration,
    /// Since then: what its server took.
    pub(super) took: Duration,
}

impl Open<'_> {
    /// Who waits for it, with the switch in hand.
    pub(super) fn caller(&self) -> &Arc<dyn Caller> {
        &self.caller
    }

    /// Whether its server may have it.
    pub(super) fn has_left(&self) -> bool {
        self.one.lock().left.is_some()
    }

    /// What went wrong, with what is known here: what was cancelled before it left was
    /// never its server's.
    pub(super) fn unsent(&self, fault: ToolFault) -> ToolFault {
        match fault {
            ToolFault::Cancelled(why) if !self.has_left() => ToolFault::Unsent(why),
            other => other,
        }
    }

    /// Where its time went until now.
    pub(super) fn times(&self) -> Times {
        let now = self.under_way.clock.elapsed();
        let left = self.one.lock().left.unwrap_or(now);
        Times {
            waited: left.saturating_sub(self.arrived),
            took: now.saturating_sub(left),
        }
    }

    /// What it hears if it was stopped.
    pub(super) fn stopped(&self) -> Option<Refusal> {
        self.one.lock().told.clone()
    }

    /// It was let through, and ended like this.
    pub(super) fn became(&self, outcome: &Outcome) {
        self.one.end(match outcome {
            Outcome::Done { .. } | Outcome::Asked => Became::Answered,
            Outcome::Failed(_) if !self.has_left() => Became::NotSent,
            Outcome::Failed(_) => Became::Cancelled,
            Outcome::Unknown(_) => Became::Unknown,
        });
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.one.call);
        self.one.end(match self.has_left() {
            true => Became::Unknown,
            false => Became::NotSent,
        });
    }
}

/// What is shared between a call and the stop that may find it.
pub(super) struct One {
    call: CallId,
    run: RunId,
    /// Whose instances run it.
    home: RunId,
    agent: AgentName,
    server: ServerName,
    subject: Subject,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// When it left for its server.
    left: Option<Duration>,
    told: Option<Refusal>,
    became: Option<Became>,
}

impl One {
    fn end(&self, became: Became) {
        self.lock().became.get_or_insert(became);
        self.changed.notify_waiters();
    }

    /// Returns once it is known what became of it.
    pub(super) async fn ended(&self) {
        self.until(|state| state.became).await;
    }

    async fn told(&self) -> String {
        self.until(|state| state.told.as_ref().map(|refusal| refusal.says.clone()))
            .await
    }

    async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            // Registered before the look: a change in between is not missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(seen) = look(&self.lock()) {
                return seen;
            }
            changed.await;
        }
    }

    /// It, as a stop tells of it.
    pub(super) fn struck(&self) -> Struck {
        Struck {
            call: self.call.clone(),
            agent: self.agent.clone(),
            run: self.run.clone(),
            server: self.server.clone(),
            subject: self.subject.clone(),
            became: self.lock().became,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Open<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.one.call)
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use super::*;
    use crate::clock::SetClock;
    use crate::domain::{
        AgentName, Claim, Findings, Fingerprint, Offer, Owner, Principal, Reach, RunId, Standing,
        StopScope, Tier,
    };
    use crate::ports::stand_in::StandIn;

    /// One look at a future.
    async fn poll_immediate<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future.as_mut() => Some(done),
            () = std::future::ready(()) => None,
        }
    }

    fn call(id: &str, agent: &str) -> Call {
        Call {
            id: CallId::from_tail(id),
            run: RunId::from_tail("1"),
            by: Arc::new(Principal {
                agent: AgentName::parse(agent).unwrap(),
                owner: Owner::parse("ana").unwrap(),
                reach: Reach::Everything,
            }),
            server: ServerName::parse("files").unwrap(),
            admits: None,
            subject: Subject::Tool("read".into()),
            offer: Offer::At(Tier::Read),
            offer_place: None,
            tier: Tier::Read,
            durable: false,
            standing: Standing::Plain,
            findings: Findings::default(),
            digest: Fingerprint([0; 32]),
            claim: Claim::default(),
        }
    }

    fn patient() -> Arc<dyn Caller> {
        Arc::new(StandIn::default())
    }

    fn nothing_stopped() -> UnderWay {
        at(Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH)))
    }

    fn at(clock: Arc<SetClock>) -> UnderWay {
        UnderWay::new(Arc::new(|_, _, _| false), clock)
    }

    fn home() -> RunId {
        RunId::from_tail("1")
    }

    fn stop(agent: &str) -> Stop {
        Stop {
            scope: StopScope::Agent(AgentName::parse(agent).unwrap()),
            by: "ana".into(),
            text: None,
            at: String::new(),
        }
    }

    #[tokio::test]
    async fn a_stop_reaches_the_calls_that_it_covers_and_no_others() {
        let under_way = nothing_stopped();
        let covered = under_way.enter(&call("1", "dev"), &home(), patient(), Duration::ZERO);
        let other = under_way.enter(&call("2", "ops"), &home(), patient(), Duration::ZERO);
        let told = under_way.tell(&stop("dev"));
        assert_eq!(told.len(), 1);
        assert!(covered.stopped().is_some() && other.stopped().is_none());
        let reason = covered.caller().cancelled().await;
        assert_eq!(reason, "an operator stopped agent `dev`");
        assert!(
            poll_immediate(pin!(other.caller().cancelled()))
                .await
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_halt_reaches_what_has_not_left_and_ends_instances_of_what_has() {
        let under_way = nothing_stopped();
        let enter = |id, agent, home: &str| {
            let home = RunId::from_tail(home);
            under_way.enter(&call(id, agent), &home, patient(), Duration::ZERO)
        };
        let (sent, waits) = (enter("1", "dev", "1"), enter("2", "dev", "2"));
        let other = enter("3", "ops", "3");
        sent.caller().leaves();
        other.caller().leaves();
        let homes = under_way.halt(&Halt {
            kind: crate::domain::HaltKind::Killed,
            agent: AgentName::parse("dev").unwrap(),
            run: home(),
            at: 0,
            until: None,
            says: "too much".into(),
        });
        assert_eq!(homes, BTreeSet::from([RunId::from_tail("1")]));
        assert!(sent.stopped().is_some() && waits.stopped().is_some());
        assert!(other.stopped().is_none());
    }

    #[tokio::test]
    async fn a_call_that_waits_already_is_woken() {
        let under_way = nothing_stopped();
        let open = under_way.enter(&call("1", "dev"), &home(), patient(), Duration::ZERO);
        let mut waiting = pin!(open.caller().cancelled());
        assert!(poll_immediate(waiting.as_mut()).await.is_none());
        under_way.tell(&stop("dev"));
        waiting.await;
    }

    #[tokio::test]
    async fn a_call_says_what_became_of_it() {
        let under_way = nothing_stopped();
        let enter = |id| under_way.enter(&call(id, "dev"), &home(), patient(), Duration::ZERO);
        let (sent, never, answered, still) = (enter("1"), enter("2"), enter("3"), enter("4"));
        let (cut, waits) = (enter("5"), enter("6"));
        cut.caller().leaves();
        let mut told = under_way.tell(&stop("dev"));
        told.sort_by(|a, b| a.call.cmp(&b.call));
        sent.became(&Outcome::Unknown(ToolFault::Cancelled("stop".into())));
        answered.became(&Outcome::Done {
            error: false,
            bytes: 2,
        });
        cut.became(&Outcome::Failed(ToolFault::Cancelled("stop".into())));
        waits.became(&Outcome::Failed(ToolFault::Unsent("stop".into())));
        drop((sent, never, answered));
        let became: Vec<_> = told.iter().map(|one| one.struck().became).collect();
        assert_eq!(
            became,
            [
                Some(Became::Unknown),
                Some(Became::NotSent),
                Some(Became::Answered),
                None,
                Some(Became::Cancelled),
                Some(Became::NotSent)
            ]
        );
        drop((still, cut, waits));
        assert!(under_way.lock().is_empty());
    }

    #[test]
    fn what_a_call_waited_for_before_it_left_is_not_what_its_server_took() {
        let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
        let under_way = at(clock.clone());
        let arrived = clock.elapsed();
        clock.advance(Duration::from_secs(1));
        let enter = |id| under_way.enter(&call(id, "dev"), &home(), patient(), arrived);
        let (open, never) = (enter("1"), enter("2"));
        clock.advance(Duration::from_secs(2));
        open.caller().leaves();
        clock.advance(Duration::from_secs(4));
        // It goes on, after a question to its user.
        open.caller().leaves();
        let seconds = |waited, took| Times {
            waited: Duration::from_secs(waited),
            took: Duration::from_secs(took),
        };
        assert_eq!(open.times(), seconds(3, 4));
        assert_eq!(never.times(), seconds(7, 0));
        assert!(open.has_left() && !never.has_left());
    }
}
