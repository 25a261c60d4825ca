//! The decision over random calls and facts: whatever is added against a call
//! never lets it pass, and nothing that is not known passes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use tollgate::domain::{
    AgentName, Call, CallId, Claim, Finding, Findings, Fingerprint, Offer, Owner, Place, Principal,
    Reach, Refusal, RunId, ServerName, Standing, Stop, StopScope, Subject, Tier,
};
use tollgate::gate::{Decision, Facts, GATES, Verdict, decide, explain};

const AGENTS: [&str; 2] = ["ann", "bot"];
const SERVERS: [&str; 2] = ["files", "mail"];
const RUNS: [&str; 2] = ["1", "2"];

/// Everything a decision looks at.
#[derive(Debug, Clone)]
struct Case {
    call: Call,
    stops: Vec<Stop>,
    pinned: Option<Fingerprint>,
}

impl Case {
    fn refusal(&self) -> Option<Refusal> {
        match decide(&self.call, &self.facts()) {
            Decision::Clear(cleared) => {
                assert_eq!(*cleared.call(), self.call.id);
                None
            }
            Decision::Refuse(refusal) => Some(refusal),
        }
    }

    fn passes(&self) -> bool {
        self.refusal().is_none()
    }

    fn facts(&self) -> Facts<'_> {
        Facts::calm(now(), &self.stops, self.pinned)
    }

    /// The whole decision of this version, in one sentence.
    fn may_pass(&self) -> bool {
        let call = &self.call;
        let reached = match &call.by.reach {
            Reach::Everything => true,
            Reach::Only { servers, .. } => servers.contains(&call.server),
        };
        let admitted = call
            .admits
            .as_ref()
            .is_none_or(|(agents, _)| agents.contains(&call.by.agent));
        let known = match (&call.subject, &call.standing) {
            (_, Standing::Defined(now)) => self.pinned == Some(*now),
            (Subject::Tool(_), Standing::Plain) => false,
            (_, Standing::Plain) => true,
            (_, Standing::Unreachable(_) | Standing::Missing | Standing::Renewed(_)) => false,
        };
        let low = |tier| tier <= Tier::Reversible;
        !self.stops.iter().any(|stop| stop.covers(call))
            && reached
            && admitted
            && known
            && call.findings == Findings::default()
            && low(call.tier)
            && matches!(call.offer, Offer::At(said) if low(said))
    }

    fn restrict(&mut self, restriction: &Restriction) {
        let call = &mut self.call;
        match restriction.clone() {
            Restriction::Stop(at, stop) => insert(&mut self.stops, at, stop),
            Restriction::Schema(at, finding) => insert(&mut call.findings.schema, at, finding),
            Restriction::Rule(at, finding) => insert(&mut call.findings.rules, at, finding),
            Restriction::Reach(only) => {
                let mut by = (*call.by).clone();
                let servers = match &by.reach {
                    Reach::Everything => only,
                    Reach::Only { servers, .. } => servers.intersection(&only).cloned().collect(),
                };
                by.reach = Reach::Only {
                    servers,
                    place: place(),
                };
                call.by = Arc::new(by);
            }
            Restriction::Admits(only) => {
                let agents = match &call.admits {
                    None => only,
                    Some((agents, _)) => agents.intersection(&only).cloned().collect(),
                };
                call.admits = Some((Arc::new(agents), place()));
            }
            Restriction::Tier(tier) => call.tier = call.tier.max(tier),
            Restriction::Offer(tier) => {
                call.offer = match call.offer {
                    Offer::At(said) => Offer::At(said.max(tier)),
                    other @ (Offer::Unclassified | Offer::Off) => other,
                }
            }
            Restriction::Unclassify => {
                call.offer = match call.offer {
                    Offer::At(_) | Offer::Unclassified => Offer::Unclassified,
                    Offer::Off => Offer::Off,
                }
            }
            Restriction::Off => call.offer = Offer::Off,
            Restriction::Unpin => self.pinned = None,
            Restriction::Missing => call.standing = Standing::Missing,
            Restriction::Unreachable => call.standing = Standing::Unreachable("gone".into()),
        }
    }
}

/// What an operator, a server or a mishap can add against a call.
#[derive(Debug, Clone)]
enum Restriction {
    Stop(Index, Stop),
    Schema(Index, Finding),
    Rule(Index, Finding),
    Reach(BTreeSet<ServerName>),
    Admits(BTreeSet<AgentName>),
    Tier(Tier),
    Offer(Tier),
    Unclassify,
    Off,
    Unpin,
    Missing,
    Unreachable,
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

fn insert<T>(list: &mut Vec<T>, at: Index, item: T) {
    let at = at.index(list.len() + 1);
    list.insert(at, item);
}

fn place() -> Place {
    Place {
        file: "tools.d/files.toml".into(),
        line: 3,
    }
}

fn agent() -> impl Strategy<Value = AgentName> {
    select(&AGENTS[..]).prop_map(|name| AgentName::parse(name).unwrap())
}

fn server() -> impl Strategy<Value = ServerName> {
    select(&SERVERS[..]).prop_map(|name| ServerName::parse(name).unwrap())
}

fn run() -> impl Strategy<Value = RunId> {
    select(&RUNS[..]).prop_map(RunId::from_tail)
}

fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![
        4 => select(&[Tier::Read, Tier::Reversible][..]),
        1 => select(&Tier::ALL[..]),
    ]
}

fn print() -> impl Strategy<Value = Fingerprint> {
    prop_oneof![8 => Just(1), 1 => Just(2)].prop_map(|byte| Fingerprint([byte; 32]))
}

/// Any text, so that every message is made of what people and servers write.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", "[`'\"{}\\n]{0,4}"]
}

fn stop() -> impl Strategy<Value = Stop> {
    let scope = prop_oneof![
        Just(StopScope::Everything),
        agent().prop_map(StopScope::Agent),
        server().prop_map(StopScope::Server),
        run().prop_map(StopScope::Run),
    ];
    (scope, proptest::option::of(text())).prop_map(|(scope, text)| Stop {
        scope,
        by: "ann".into(),
        text,
        at: "2026-01-01T00:00:00Z".into(),
    })
}

/// Stops of which many miss the call.
fn stops() -> impl Strategy<Value = Vec<Stop>> {
    prop_oneof![2 => Just(Vec::new()), 1 => vec(stop(), 0..4)]
}

fn finding() -> impl Strategy<Value = Finding> {
    (text(), text(), any::<bool>()).prop_map(|(at, says, ruled)| Finding {
        at,
        says,
        rule: ruled.then(place),
    })
}

fn findings() -> impl Strategy<Value = Vec<Finding>> {
    prop_oneof![5 => Just(Vec::new()), 1 => vec(finding(), 0..4)]
}

fn principal() -> impl Strategy<Value = Principal> {
    let reach = prop_oneof![
        2 => Just(Reach::Everything),
        1 => btree_set(server(), 0..3).prop_map(|servers| Reach::Only { servers, place: place() }),
    ];
    (agent(), reach).prop_map(|(agent, reach)| Principal {
        agent,
        owner: Owner::parse("ops").unwrap(),
        reach,
    })
}

fn admits() -> impl Strategy<Value = Option<(Arc<BTreeSet<AgentName>>, Place)>> {
    prop_oneof![
        2 => Just(None),
        1 => btree_set(agent(), 0..3).prop_map(|agents| Some((Arc::new(agents), place()))),
    ]
}

fn subject() -> impl Strategy<Value = Subject> {
    let other: [fn(Arc<str>) -> Subject; 5] = [
        Subject::Prompt,
        Subject::Resource,
        Subject::Completion,
        Subject::Subscribe,
        Subject::Unsubscribe,
    ];
    prop_oneof![
        2 => text().prop_map(|name| Subject::Tool(name.into())),
        1 => (text(), select(other.to_vec())).prop_map(|(name, of)| of(name.into())),
    ]
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        8 => print().prop_map(Standing::Defined),
        4 => Just(Standing::Plain),
        1 => text().prop_map(Standing::Unreachable),
        1 => Just(Standing::Missing),
    ]
}

fn offer() -> impl Strategy<Value = Offer> {
    prop_oneof![
        8 => tier().prop_map(Offer::At),
        1 => Just(Offer::Unclassified),
        1 => Just(Offer::Off),
    ]
}

fn pinned() -> impl Strategy<Value = Option<Fingerprint>> {
    prop_oneof![6 => print().prop_map(Some), 1 => Just(None)]
}

fn case() -> impl Strategy<Value = Case> {
    let who = (principal(), server(), run(), admits());
    let what = (subject(), offer(), tier(), standing(), any::<bool>());
    let wrong = (findings(), findings());
    (who, what, wrong, stops(), pinned()).prop_map(|(who, what, wrong, stops, pinned)| {
        let (by, server, run, admits) = who;
        let (subject, offer, tier, standing, placed) = what;
        let (schema, rules) = wrong;
        let call = Call {
            id: CallId::from_tail("1"),
            run,
            by: Arc::new(by),
            server,
            admits,
            subject,
            offer,
            offer_place: placed.then(place),
            tier,
            standing,
            findings: Findings { schema, rules },
            digest: Fingerprint([7; 32]),
            claim: Claim::default(),
        };
        Case {
            call,
            stops,
            pinned,
        }
    })
}

fn restriction() -> impl Strategy<Value = Restriction> {
    prop_oneof![
        (any::<Index>(), stop()).prop_map(|(at, stop)| Restriction::Stop(at, stop)),
        (any::<Index>(), finding()).prop_map(|(at, found)| Restriction::Schema(at, found)),
        (any::<Index>(), finding()).prop_map(|(at, found)| Restriction::Rule(at, found)),
        btree_set(server(), 0..3).prop_map(Restriction::Reach),
        btree_set(agent(), 0..3).prop_map(Restriction::Admits),
        select(&Tier::ALL[..]).prop_map(Restriction::Tier),
        select(&Tier::ALL[..]).prop_map(Restriction::Offer),
        Just(Restriction::Unclassify),
        Just(Restriction::Off),
        Just(Restriction::Unpin),
        Just(Restriction::Missing),
        Just(Restriction::Unreachable),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_passes_is_exactly_what_may(case in case()) {
        prop_assert_eq!(case.passes(), case.may_pass());
    }

    #[test]
    fn no_restriction_turns_a_refusal_into_a_pass(
        mut case in case(),
        restrictions in vec(restriction(), 1..6),
    ) {
        for restriction in &restrictions {
            let passed = case.passes();
            case.restrict(restriction);
            prop_assert!(passed || !case.passes(), "{:?}", restriction);
        }
    }

    #[test]
    fn an_unknown_or_changed_tool_never_passes(mut case in case(), name in text(), nth in 0..5) {
        case.call.subject = Subject::Tool(name.into());
        let defined = Standing::Defined(Fingerprint([3; 32]));
        (case.call.standing, case.pinned) = match nth {
            0 => (Standing::Missing, case.pinned),
            1 => (Standing::Unreachable("gone".into()), case.pinned),
            2 => (Standing::Plain, case.pinned),
            3 => (defined, None),
            _ => (defined, Some(Fingerprint([4; 32]))),
        };
        prop_assert!(!case.passes());
    }

    #[test]
    fn what_needs_a_person_never_passes(mut case in case(), nth in 0..4, tier in tier()) {
        let high = [Tier::Consequential, Tier::Irreversible];
        match nth {
            0 => case.call.offer = Offer::Unclassified,
            1 => case.call.offer = Offer::Off,
            // A server's hint raised it.
            2 => case.call.tier = tier.max(high[0]),
            // The operator said it, whatever became of it on the way.
            _ => case.call.offer = Offer::At(tier.max(high[0])),
        }
        prop_assert!(!case.passes());
    }

    #[test]
    fn the_order_of_stops_and_findings_does_not_matter(
        (case, stops, schema, rules) in case().prop_flat_map(|case| {
            let stops = Just(case.stops.clone()).prop_shuffle();
            let schema = Just(case.call.findings.schema.clone()).prop_shuffle();
            let rules = Just(case.call.findings.rules.clone()).prop_shuffle();
            (Just(case), stops, schema, rules)
        }),
    ) {
        let mut other = case.clone();
        other.stops = stops;
        other.call.findings = Findings { schema, rules };
        let said = |case: &Case| case.refusal().map(|refusal| (refusal.code, refusal.gate));
        prop_assert_eq!(said(&case), said(&other));
    }

    #[test]
    fn an_explanation_ends_as_the_decision_does(case in case()) {
        let said = explain(&case.call, &case.facts());
        let names: Vec<&str> = said.iter().map(|(name, _)| *name).collect();
        let gates: Vec<&str> = GATES.iter().map(|gate| gate.name).take(said.len()).collect();
        prop_assert_eq!(names, gates);
        let (last, before) = said.split_last().unwrap();
        prop_assert!(before.iter().all(|(_, verdict)| !matches!(verdict, Verdict::Refuse(_))));
        match (case.refusal(), &last.1) {
            (None, Verdict::Pass(_) | Verdict::With(..)) => prop_assert_eq!(said.len(), GATES.len()),
            (Some(decided), Verdict::Refuse(told)) => {
                prop_assert_eq!(&decided, told);
                prop_assert_eq!(decided.gate, last.0);
            }
            (decided, told) => prop_assert!(false, "{:?} but {:?}", decided, told),
        }
        // And again: nothing but the call and the facts was looked at.
        prop_assert_eq!(said, explain(&case.call, &case.facts()));
    }
}

/// What is proven of refusals would be worth little if nothing passed.
#[test]
fn the_cases_that_are_drawn_pass_and_are_refused_by_every_gate() {
    let mut runner = TestRunner::deterministic();
    let mut refused_by = BTreeSet::new();
    let mut passed = 0;
    for _ in 0..2000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        match case.refusal() {
            Some(refusal) => drop(refused_by.insert(refusal.gate)),
            None => passed += 1,
        }
    }
    assert!(passed > 100, "{passed} passed");
    assert_eq!(refused_by, GATES.iter().map(|gate| gate.name).collect());
}
