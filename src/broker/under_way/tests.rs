use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::clock::SetClock;
use crate::domain::{
    AgentName, Claim, Findings, Fingerprint, Offer, Owner, Principal, Reach, RunId, Standing,
    StopScope, Tier,
};
use crate::ports::Answer as PortAnswer;
use crate::ports::stand_in::{Hears, StandIn};

/// One look at a future.
async fn poll_immediate<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
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
    Arc::new(StandIn {
        capabilities: Capabilities {
            form: true,
            roots: true,
            ..Capabilities::default()
        },
        ..StandIn::default()
    })
}

fn nothing_stopped() -> UnderWay {
    at(Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH)))
}

fn at(clock: Arc<SetClock>) -> UnderWay {
    hearing(Arc::default(), clock)
}

fn hearing(hears: Arc<Hears>, clock: Arc<SetClock>) -> UnderWay {
    UnderWay::new(Arc::new(|_, _, _| false), hears, clock)
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
    assert_eq!(reason, "it was stopped");
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

fn question(method: &str) -> Question {
    Question {
        server: ServerName::parse("files").unwrap(),
        method: method.into(),
        params: None,
    }
}

#[tokio::test]
async fn a_question_is_recorded_and_what_came_of_it_also_when_it_is_withdrawn() {
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let hears = Arc::<Hears>::default();
    let under_way = hearing(hears.clone(), clock.clone());
    let open = under_way.enter(&call("1", "dev"), &home(), patient(), clock.elapsed());
    let mut withdrawn = open.caller().ask(question("roots/list"));
    assert!(poll_immediate(withdrawn.as_mut()).await.is_none());
    clock.advance(Duration::from_secs(3));
    drop(withdrawn);
    let mut stopped = open.caller().ask(question("elicitation/create"));
    assert!(poll_immediate(stopped.as_mut()).await.is_none());
    under_way.tell(&stop("dev"));
    assert!(matches!(stopped.await.leaves(), PortAnswer::Gone));
    let heard = hears.0.lock().unwrap().join("; ");
    assert_eq!(
        heard,
        "c-1 roots/list; c-1 after 3 s; c-1 elicitation/create; c-1 after 0 s"
    );
}

/// An agent that answers at once.
fn willing() -> Arc<dyn Caller> {
    Arc::new(StandIn {
        capabilities: patient().capabilities(),
        answers: Raw::parse("{}".into()),
        ..StandIn::default()
    })
}

#[tokio::test]
async fn an_answer_that_waits_to_leave_does_not_leave_after_a_stop() {
    let hears = Arc::<Hears>::default();
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let under_way = hearing(hears.clone(), clock.clone());
    let open = under_way.enter(&call("1", "dev"), &home(), willing(), Duration::ZERO);
    let leaves = open.caller().ask(question("roots/list")).await;
    let stopped = open.caller().ask(question("roots/list")).await;
    assert!(matches!(stopped.answer(), PortAnswer::Result(_)));
    // Its server takes its time to read.
    clock.advance(Duration::from_secs(3));
    assert!(matches!(leaves.leaves(), PortAnswer::Result(_)));
    under_way.tell(&stop("dev"));
    assert!(matches!(stopped.leaves(), PortAnswer::Gone));
    let heard = hears.0.lock().unwrap().split_off(2).join("; ");
    assert_eq!(heard, "c-1 after 0 s; c-1 after 0 s");
}

#[tokio::test]
async fn who_asks_between_calls_hears_of_a_stop_and_of_its_end() {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let looks = is_stopped.clone();
    let silenced: Silenced = Arc::new(move |_, _, _| looks.load(Ordering::Relaxed));
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let under_way = UnderWay::new(silenced, Arc::<Hears>::default(), clock);
    let open = under_way.enter(&call("1", "dev"), &home(), patient(), Duration::ZERO);
    let caller = open.caller().clone();
    under_way.tell(&stop("dev"));
    drop(open);
    // That was lifted since.
    let mut asked = caller.ask(question("roots/list"));
    assert!(poll_immediate(asked.as_mut()).await.is_none());
    is_stopped.store(true, Ordering::Relaxed);
    under_way.tell(&stop("dev"));
    let gone = poll_immediate(asked.as_mut()).await.unwrap();
    assert!(matches!(gone.leaves(), PortAnswer::Gone));
}

#[tokio::test]
async fn what_was_not_declared_is_not_put_whatever_would_be_answered() {
    let hears = Arc::<Hears>::default();
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let under_way = hearing(hears.clone(), clock);
    let willing = Arc::new(StandIn {
        answers: Raw::parse("{}".into()),
        ..StandIn::default()
    });
    let open = under_way.enter(&call("1", "dev"), &home(), willing, Duration::ZERO);
    let refused = open.caller().ask(question("sampling/createMessage")).await;
    let refused = refused.leaves();
    assert!(matches!(refused, PortAnswer::Refused(_)), "{refused:?}");
    assert_eq!(*hears.0.lock().unwrap(), ["c-1 sampling/createMessage"]);
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_not_heard_for_ever() {
    let hears = Arc::<Hears>::default();
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let under_way = hearing(hears.clone(), clock);
    let open = under_way.enter(&call("1", "dev"), &home(), patient(), Duration::ZERO);
    for _ in 0..QUESTIONS {
        let mut asked = open.caller().ask(question("roots/list"));
        assert!(poll_immediate(asked.as_mut()).await.is_none());
    }
    let refused = open.caller().ask(question("roots/list")).await;
    assert!(matches!(refused.leaves(), PortAnswer::Refused(_)));
    assert_eq!(hears.0.lock().unwrap().len(), 2 * QUESTIONS);
}

#[tokio::test]
async fn what_its_agent_took_to_answer_is_not_what_its_server_took() {
    let clock = Arc::new(SetClock::at(jiff::Timestamp::UNIX_EPOCH));
    let under_way = at(clock.clone());
    let open = under_way.enter(&call("1", "dev"), &home(), patient(), clock.elapsed());
    let pass = |seconds| clock.advance(Duration::from_secs(seconds));
    // Asked before it left, which is counted as what it waited for.
    let mut one = open.caller().ask(question("roots/list"));
    assert!(poll_immediate(one.as_mut()).await.is_none());
    pass(1);
    open.caller().leaves();
    pass(2);
    let mut two = open.caller().ask(question("roots/list"));
    assert!(poll_immediate(two.as_mut()).await.is_none());
    pass(4);
    drop(one);
    pass(8);
    let seconds = |waited, took| Times {
        waited: Duration::from_secs(waited),
        took: Duration::from_secs(took),
    };
    assert_eq!(open.times(), seconds(15, 0));
    drop(two);
    pass(16);
    assert_eq!(open.times(), seconds(15, 16));
}
