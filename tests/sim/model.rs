//! What the store must know, and what it must have written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tollgate::domain::{
    AgentName, Amounts, Call, CallId, Claim, Dimension, Fingerprint, Limit, Offer, Over, Period,
    RunId, ServerName, Standing, StopScope, Subject, Terms, Then, Tier,
};
use tollgate::gate::Verdict;
use tollgate::ports::Store;
use tollgate::store::LocalStore;

use crate::TOOLS;
use crate::stores::{print, server};

/// What the store must know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub stops: BTreeSet<StopScope>,
    pub pins: BTreeMap<(ServerName, &'static str), Pin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub accepted: Fingerprint,
    pub offered: Option<Fingerprint>,
}

impl Model {
    pub fn is_stopped(&self, call: &Call) -> bool {
        let covers = |scope: &StopScope| scope.covers(&call.by.agent, &call.server, &call.run);
        self.stops.iter().any(covers)
    }

    pub fn passes(&self, call: &Call) -> bool {
        let known = match (&call.subject, &call.standing) {
            (Subject::Tool(name), Standing::Defined(now)) => self
                .pins
                .iter()
                .any(|((s, t), pin)| *s == call.server && *t == &**name && pin.accepted == *now),
            _ => call.standing == Standing::Plain,
        };
        !self.is_stopped(call)
            && known
            && call.findings.rules.is_empty()
            && matches!(call.offer, Offer::At(_))
            && call.tier <= Tier::Reversible
    }

    pub fn pin(
        &mut self,
        server: &ServerName,
        tool: &'static str,
        print: Fingerprint,
    ) -> Fingerprint {
        let pin = self.pins.entry((server.clone(), tool)).or_insert(Pin {
            accepted: print,
            offered: None,
        });
        pin.offered = (pin.accepted != print).then_some(print);
        pin.accepted
    }

    pub fn offered(&self, server: &ServerName, tool: &'static str) -> Option<Fingerprint> {
        self.pins.get(&(server.clone(), tool))?.offered
    }

    pub fn accept(&mut self, server: &ServerName, tool: &'static str) -> bool {
        let Some(pin) = self.pins.get_mut(&(server.clone(), tool)) else {
            return false;
        };
        match pin.offered.take() {
            Some(offered) => pin.accepted = offered,
            None => return false,
        }
        true
    }

    pub fn of(store: &LocalStore) -> Self {
        let pin = |pin: tollgate::ports::Pin| {
            let tool = TOOLS.into_iter().find(|tool| *tool == pin.tool).unwrap();
            let offered = pin.offered.map(|text| print(text.text()));
            let accepted = pin.accepted;
            assert_eq!(print(pin.definition.text()), accepted);
            ((pin.server, tool), Pin { accepted, offered })
        };
        Self {
            stops: store
                .stops()
                .all()
                .iter()
                .map(|stop| stop.scope.clone())
                .collect(),
            pins: store.pins().into_iter().map(pin).collect(),
        }
    }
}

/// What was said of a call, and so what its records may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The store could not record it: it never ran.
    NotAdmitted,
    Refused,
    /// It left.
    Running,
    /// It left, and ended with this word; whether that could be recorded.
    Settled(&'static str, bool),
    /// It was under way at a crash.
    Lost,
}

/// What a crash leaves: all that was written, or all that was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    Kill,
    PowerCut,
}

impl Fate {
    /// What a start found of it: the outcome in its last record.
    pub fn found(self, outcome: Option<&Value>) -> Self {
        match (outcome, self) {
            (None, _) => Fate::NotAdmitted,
            (Some(Value::Null), _) => Fate::Refused,
            (Some(outcome), Fate::Settled(word, _)) if outcome == word => Fate::Settled(word, true),
            (Some(_), _) => Fate::Lost,
        }
    }
}

/// So many calls a run, and whoever makes the last is halted.
pub fn terms(allowed: u64) -> Terms {
    let calls = Limit {
        over: Over::Everything,
        period: Period::Run,
        dimension: Dimension::Calls,
        at: allowed,
        warn: None,
        notify: None,
        then: Then::Kill,
        rolling: false,
        place: None,
    };
    Terms {
        limits: vec![calls],
        ..Terms::default()
    }
}

pub fn claim(terms: &Arc<Terms>) -> Claim {
    Claim {
        ask: Amounts::ZERO.with(Dimension::Calls, 1),
        terms: vec![terms.clone()],
        ..Claim::default()
    }
}

/// A halt; if it was made while the clock was ahead, it holds for a day of the right time
/// at least.
struct Halted {
    at: i64,
    until: i64,
    /// Since when the clock is right, if it was ahead.
    right: i64,
}

impl Halted {
    fn clock_is(&mut self, now: i64) {
        if now < self.at {
            self.right = self.right.min(now);
        }
    }

    fn holds(&self, now: i64) -> bool {
        let is_past = now.saturating_sub(self.right) >= 24 * 3_600_000_000;
        now < self.until && !is_past
    }
}

type Told = BTreeMap<CallId, Vec<String>>;

/// Reads the journal: the stops at its end, the records of each call, and how many
/// calls each run made.
pub fn read(records: &[Value]) -> (BTreeSet<StopScope>, Told, BTreeMap<RunId, u64>) {
    let mut stops = BTreeSet::new();
    let mut used: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut halts: BTreeMap<AgentName, Halted> = BTreeMap::new();
    let mut told = Told::new();
    for record in records {
        let text = |key: &str| record[key].as_str().unwrap();
        let at: Timestamp = text("at").parse().unwrap();
        let at = at.as_microsecond();
        halts.values_mut().for_each(|halted| halted.clock_is(at));
        let leaves = match text("kind") {
            "call.intent" => true,
            "question" => text("decision") == "pass",
            _ => false,
        };
        if leaves {
            let (agent, run) = (AgentName::parse(text("agent")), RunId::parse(text("run")));
            let (agent, run) = (agent.unwrap(), run.unwrap());
            let covers = |s: &StopScope| s.covers(&agent, &server(text("server")), &run);
            assert!(!stops.iter().any(covers), "it left after a stop: {record}");
            let halted = halts.get(&agent).is_some_and(|halted| halted.holds(at));
            assert!(!halted, "it left after a halt: {record}");
        }
        match text("kind") {
            "stop" => drop(stops.insert(scope_of(record))),
            "resume" => drop(stops.remove(&scope_of(record))),
            "call.intent" => {
                let run = RunId::parse(text("run")).unwrap();
                *used.entry(run).or_default() += 1;
            }
            "halt" => {
                let agent = AgentName::parse(text("agent")).unwrap();
                let halted = Halted {
                    at: record["at_us"].as_i64().unwrap(),
                    until: record["until_us"].as_i64().unwrap(),
                    right: i64::MAX,
                };
                halts.insert(agent, halted);
            }
            // Of a call that is under way: what it counts for is charged with that.
            "question" => {
                let of_call = told.get(&CallId::parse(text("call")).unwrap());
                assert_eq!(of_call.unwrap(), &["call.intent"], "{record}");
                let run = RunId::parse(text("run")).unwrap();
                let more = record["charge"]["calls"].as_u64().unwrap_or(0);
                *used.entry(run).or_default() += more;
            }
            "clear" => drop(halts.remove(&AgentName::parse(text("agent")).unwrap())),
            _ => {}
        }
        // What people are told of a call, or are asked in it, is no record of what became of
        // it.
        let call = record["call"].as_str();
        let beside = ["notice", "question", "answer"].contains(&text("kind"));
        if let Some(call) = call.filter(|_| !beside) {
            let word = record["outcome"].as_str().unwrap_or(text("kind"));
            let of_call = told.entry(CallId::parse(call).unwrap()).or_default();
            of_call.push(word.to_owned());
        }
    }
    (stops, told, used)
}

/// Whether the store would let it pass.
pub fn passes(store: &LocalStore, call: &Call) -> bool {
    let pass = |verdict: &Verdict| !matches!(verdict, Verdict::Refuse(_));
    store.judge(call).iter().all(|(_, verdict)| pass(verdict))
}

/// Whether the records of a call fit what was said of it, and of which that
/// much is sure to be there.
pub fn fits(told: &[&str], fate: Fate, sure: Option<Fate>) -> bool {
    const INTENT: &str = "call.intent";
    let right = match fate {
        Fate::NotAdmitted => matches!(told, [] | ["call.refused"] | [INTENT, "unknown"]),
        Fate::Refused => matches!(told, [] | ["call.refused"]),
        Fate::Running | Fate::Lost => matches!(told, [] | [INTENT, "unknown"]),
        Fate::Settled(word, _) => match told {
            [] => true,
            [INTENT, outcome] => *outcome == word || *outcome == "unknown",
            _ => false,
        },
    };
    let there = match sure {
        None | Some(Fate::NotAdmitted) => true,
        Some(Fate::Settled(word, true)) => told.last() == Some(&word),
        Some(Fate::Refused | Fate::Running | Fate::Lost | Fate::Settled(_, false)) => {
            !told.is_empty()
        }
    };
    right && there
}

fn scope_of(record: &Value) -> StopScope {
    let name = |key: &str| record[key].as_str().unwrap();
    match name("scope") {
        "everything" => StopScope::Everything,
        "agent" => StopScope::Agent(AgentName::parse(name("agent")).unwrap()),
        "server" => StopScope::Server(server(name("server"))),
        "run" => StopScope::Run(RunId::parse(name("run")).unwrap()),
        other => panic!("a stop of {other}"),
    }
}
