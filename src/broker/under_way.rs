//! The calls under way: from the door to the answer.
//!
//! A call is entered before it is judged. Who ends calls finds it here, cancels it
//! wherever it is, and is told what became of it.

mod stoppable;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::stop::Struck;
use crate::{
    clock::Clock,
    domain::{
        AgentName, Became, Call, CallId, Capabilities, Fault, Halt, Limit, Outcome, Place, Refusal,
        RunId, Scope, ServerName, Stop, Subject, Terms, ToolFault,
    },
    gate,
    ports::{Caller, NotPut, Posed, QUESTIONS, Question, Questions, Reply, WhyNot},
    wire::{self, Ask, Raw, asks as wire_asks},
};
use stoppable::Stoppable;

/// Tells whether somebody is stopped, or has been ended: neither calls nor answers.
pub(super) type Silenced = Arc<dyn Fn(&AgentName, &ServerName, &RunId) -> bool + Send + Sync>;

/// Every call between the door and its answer.
pub(super) struct UnderWay {
    calls: Mutex<HashMap<CallId, Arc<One>>>,
    silenced: Silenced,
    /// Tells of each stop and each end of an agent: a server may ask when its call is over.
    strikes: watch::Sender<()>,
    questions: Arc<dyn Questions>,
    clock: Arc<dyn Clock>,
}

impl UnderWay {
    pub(super) fn new(
        silenced: Silenced,
        questions: Arc<dyn Questions>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            calls: Mutex::default(),
            silenced,
            strikes: watch::Sender::new(()),
            questions,
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
            terms: call.claim.terms.clone(),
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
                strikes: self.strikes.subscribe(),
                questions: self.questions.clone(),
                clock: self.clock.clone(),
            }),
            one,
            arrived,
        }
    }

    /// Whether somebody is stopped, or has been ended.
    pub(super) fn is_silenced(&self, agent: &AgentName, server: &ServerName, run: &RunId) -> bool {
        (self.silenced)(agent, server, run)
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
        self.strikes.send_replace(());
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
    /// From its arrival to its leaving, or to now if it has not left; and while its agent
    /// was asked.
    pub(super) waited: Duration,
    /// The rest since then: what its server took.
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

    /// What its server answered, if it may. What it asks with its answer is recorded and
    /// counted like any other question.
    pub(super) fn allowed(&self, reply: Reply) -> Result<Reply, ToolFault> {
        let asked = match &reply {
            Reply::Asks(result) => result.get("inputRequests"),
            Reply::Result(_) | Reply::Lacks(_) | Reply::Error(_) => None,
        };
        let Some(asked) = asked else {
            return Ok(reply);
        };
        if let Some(refusal) = self.stopped() {
            return Err(ToolFault::Cancelled(refusal.says));
        }
        let requests = wire::members(asked.text());
        let questions: Vec<Question> = requests
            .map(|(_, request)| {
                let request = asked.part(request);
                let method = request.get("method");
                let method = method.as_ref().and_then(Raw::as_str).unwrap_or_default();
                Question {
                    server: self.one.server.clone(),
                    method: method.as_ref().into(),
                    params: request.get("params"),
                }
            })
            .collect();
        let (heard, can) = (&*self.under_way.questions, self.caller.capabilities());
        match self.one.poses(heard, &questions, can) {
            Ok(Ok(_)) => Ok(reply),
            Ok(Err(not)) => match not.why {
                // Its agent is told what it would have to declare, and gets nothing of it:
                // it may have declared more since.
                WhyNot::NotDeclared => {
                    let lacking = questions.iter().filter(|asked| !is_declared(asked, can));
                    let lacking = lacking.map(asks);
                    Ok(Reply::Lacks(wire_asks::not_declared(lacking)))
                }
                WhyNot::TurnedOff | WhyNot::TooMany | WhyNot::NoRoom | WhyNot::Stopped => {
                    Err(not.into())
                }
            },
            Err(fault) => Err(ToolFault::Cancelled(format!(
                "what it asks cannot be recorded: {fault}"
            ))),
        }
    }

    /// Where its time went until now.
    pub(super) fn times(&self) -> Times {
        let now = self.under_way.clock.elapsed();
        let state = self.one.lock();
        let (left, asked) = (state.left.unwrap_or(now), state.asked_by(now));
        Times {
            waited: left.saturating_sub(self.arrived) + asked,
            took: now.saturating_sub(left).saturating_sub(asked),
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
    /// What its questions are held to as well.
    terms: Vec<Arc<Terms>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// When it left for its server.
    left: Option<Duration>,
    told: Option<Refusal>,
    became: Option<Became>,
    /// Questions that are with its agent now, and since when there is one.
    asking: usize,
    asking_since: Duration,
    /// How long there was one before.
    asked: Duration,
    /// How many there were.
    questions: usize,
}

impl State {
    /// One more question; says whether there was none before.
    fn asks(&mut self, now: Duration) -> bool {
        let first = self.asking == 0;
        if first {
            self.asking_since = now;
        }
        self.asking += 1;
        first
    }

    /// One question less; says whether there is none now.
    fn was_answered(&mut self, now: Duration) -> bool {
        self.asked = self.asked_by(now);
        self.asking_since = now;
        self.asking = self.asking.saturating_sub(1);
        self.asking == 0
    }

    /// How long its agent was asked since it left: questions side by side count once.
    fn asked_by(&self, now: Duration) -> Duration {
        match (self.asking, self.left) {
            (0, _) | (_, None) => self.asked,
            (_, Some(left)) => self.asked + now.saturating_sub(self.asking_since.max(left)),
        }
    }
}

/// Whether a client that declared this can be asked it.
fn is_declared(question: &Question, can: Capabilities) -> bool {
    asks(question).is_some_and(|asks| asks.is_declared(can))
}

fn asks(question: &Question) -> Option<Ask> {
    Ask::of(&question.method, question.params.as_ref())
}

impl One {
    /// Where it says that its server may not ask the client's model.
    fn no_sampling(&self) -> Option<&Place> {
        let mut terms = self.terms.iter();
        terms.find_map(|terms| terms.no_sampling.as_ref())
    }

    /// More questions of its server, which go together, recorded: the number of the first,
    /// or why they are not put.
    fn poses(
        &self,
        heard: &dyn Questions,
        questions: &[Question],
        can: Capabilities,
    ) -> Result<Result<usize, NotPut>, Fault> {
        let first = {
            let mut state = self.lock();
            let before = state.questions;
            state.questions = before.saturating_add(questions.len());
            if state.questions > QUESTIONS {
                let says = format!("it asks more than {QUESTIONS} questions in one call");
                let why = WhyNot::TooMany;
                return Ok(Err(NotPut { why, says }));
            }
            before + 1
        };
        let limits = self.limits();
        let posed = |(question, number)| Posed {
            is_declared: is_declared(question, can),
            limits: &limits,
            ..self.posed(question, number)
        };
        let posed: Vec<_> = questions.iter().zip(first..).map(posed).collect();
        Ok(heard.posed(&posed)?.map_or(Ok(first), Err))
    }

    /// A question of its server that could be put.
    fn posed<'a>(&'a self, question: &'a Question, number: usize) -> Posed<'a> {
        Posed {
            call: &self.call,
            run: &self.run,
            agent: &self.agent,
            number,
            question,
            is_declared: true,
            no_sampling: self.no_sampling(),
            limits: &[],
        }
    }

    /// Every limit that it counts for, with what that counts.
    fn limits(&self) -> Vec<(Scope, &Limit)> {
        let limits = self.terms.iter().flat_map(|terms| &terms.limits);
        let scoped = limits.filter_map(|limit| {
            let scope = Scope::among(limit.over, &self.agent, &self.server, &self.subject)?;
            Some((scope, limit))
        });
        scoped.collect()
    }

    fn end(&self, became: Became) {
        self.lock().became.get_or_insert(became);
        self.changed.notify_waiters();
    }

    /// Returns once it is known what became of it.
    pub(super) async fn ended(&self) {
        self.until(|state| state.became).await;
    }

    /// Whether it was told to end, and has not ended yet.
    fn is_told(&self) -> bool {
        let state = self.lock();
        state.told.is_some() && state.became.is_none()
    }

    async fn told(&self) {
        self.until(|state| state.told.is_some().then_some(())).await;
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
