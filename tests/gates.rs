//! The decision over random calls and facts: whatever is added against a call
//! never lets it pass, and nothing that is not known passes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use tollgate::domain::{
    AgentName, BreakerRule, Call, CallId, Circuit, Claim, Code, Dimension, Finding, Findings,
    Fingerprint, Halt, HaltKind, Level, Limit, Loops, Offer, Over, Owner, Period, Place, Principal,
    Rate, Reach, Refusal, RunId, ServerName, Standing, Stop, StopScope, Stops, Streaks, Subject,
    Terms, Then, Tier, Unmeasured, Window, Zone,
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
    /// Of another run of the agent.
    follows: Option<Stop>,
    pinned: Option<Fingerprint>,
    halt: Option<Halt>,
    alone_since: Option<i64>,
    streaks: Streaks,
    new_run_at: Option<i64>,
    /// Each rule with how it stands.
    rates: Vec<(Rate, Option<i64>)>,
    circuits: Vec<(BreakerRule, Circuit)>,
    levels: Vec<(Limit, Level)>,
    windows: Vec<(Window, Place)>,
    begins_step: bool,
}

/// What the rules of a case say, as the facts want it.
#[derive(Debug, Default)]
struct Stands {
    rates: Vec<Option<i64>>,
    circuits: Vec<Circuit>,
    levels: Vec<Level>,
    stops: Stops,
}

impl Case {
    /// The call under all its rules.
    fn ruled(&self) -> Call {
        let mut call = self.call.clone();
        let loops = Arc::new(Loops {
            pause: Duration::from_secs(1),
            ..Loops::USUAL
        });
        call.claim.terms.push(Arc::new(Terms {
            limits: self.levels.iter().map(|(limit, _)| limit.clone()).collect(),
            windows: self.windows.clone(),
            breakers: self.circuits.iter().map(|(rule, _)| rule.clone()).collect(),
            rates: self.rates.iter().map(|(rate, _)| rate.clone()).collect(),
            loops: Tier::ALL
                .into_iter()
                .map(|tier| (tier, loops.clone()))
                .collect(),
            autonomy: Some((Duration::from_secs(7200), None)),
            runs: None,
            spend: None,
            no_sampling: None,
        }));
        call
    }

    fn stands(&self) -> Stands {
        Stands {
            rates: self.rates.iter().map(|(_, wait)| *wait).collect(),
            circuits: self
                .circuits
                .iter()
                .map(|(_, circuit)| circuit.clone())
                .collect(),
            levels: self.levels.iter().map(|(_, level)| *level).collect(),
            stops: Stops::of(self.stops.clone()),
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        match decide(&self.ruled(), &self.facts(&self.stands())) {
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

    fn facts<'a>(&'a self, stands: &'a Stands) -> Facts<'a> {
        Facts {
            follows: self.follows.as_ref(),
            halt: self.halt.as_ref(),
            alone_since: self.alone_since,
            streaks: self.streaks,
            new_run_at: self.new_run_at,
            rates: &stands.rates,
            circuits: &stands.circuits,
            levels: &stands.levels,
            begins_step: self.begins_step,
            ..Facts::calm(now(), &stands.stops, self.pinned)
        }
    }

    /// What limits say, in one sentence.
    fn is_within_limits(&self) -> bool {
        let at = now().as_microsecond();
        let halted = self.halt.as_ref().is_some_and(|halt| halt.holds(at));
        let alone = self.call.tier > Tier::Read
            && self
                .alone_since
                .is_some_and(|since| at - since >= 7_200_000_000);
        let looping =
            self.streaks.same >= 10 || self.streaks.pairs >= 10 || self.streaks.repeated >= 30;
        let failing = self.streaks.errors >= 60
            || (self.streaks.errors >= 20 && at < self.streaks.last_error + 1_000_000);
        let slow = self.new_run_at.is_none() && self.rates.iter().all(|(_, wait)| wait.is_none());
        let well = |circuit: &Circuit| matches!(circuit, Circuit::Closed | Circuit::HalfOpen);
        let paid = self.levels.iter().all(|(limit, level)| {
            let asked = match limit.dimension {
                Dimension::Steps => u64::from(self.begins_step),
                other => self.call.claim.ask.get(other),
            };
            let allowed = limit.at + level.added;
            !limit
                .dimension
                .exceeds(level.used + level.reserved, asked, allowed)
        });
        !halted
            && !alone
            && !looping
            && !failing
            && slow
            && self.windows.iter().all(|(window, _)| window.is_open(now()))
            && self.circuits.iter().all(|(_, circuit)| well(circuit))
            && paid
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
        let stopped = |stop: &Stop| stop.scope.covers(&call.by.agent, &call.server, &call.run);
        !self.stops.iter().any(stopped)
            && self.follows.is_none()
            && reached
            && admitted
            && known
            && call.findings == Findings::default()
            && low(call.tier)
            && matches!(call.offer, Offer::At(said) if low(said))
            && self.is_within_limits()
    }

    fn restrict(&mut self, restriction: &Restriction) {
        let call = &mut self.call;
        match restriction.clone() {
            Restriction::Stop(at, stop) => insert(&mut self.stops, at, stop),
            Restriction::Follows(stop) => self.follows = Some(stop),
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
            Restriction::Halt(halt) => self.halt = self.halt.take().or(Some(halt)),
            Restriction::Limit(at, limit) => insert(&mut self.levels, at, limit),
            Restriction::Used(used) => {
                for (_, level) in &mut self.levels {
                    level.used += used;
                }
            }
            Restriction::Rate(at, rate) => insert(&mut self.rates, at, rate),
            Restriction::Breaker(at, breaker) => insert(&mut self.circuits, at, breaker),
            Restriction::Window(at, window) => insert(&mut self.windows, at, window),
            Restriction::Repeats(more) => {
                self.streaks.same += more;
                self.streaks.repeated += more;
                self.streaks.pairs += more;
            }
            Restriction::Asks(dimension, more) => {
                let asked = call.claim.ask.get(dimension);
                call.claim.ask.set(dimension, asked + more);
            }
        }
    }
}

/// What an operator, a server or a mishap can add against a call.
#[derive(Debug, Clone)]
enum Restriction {
    Stop(Index, Stop),
    Follows(Stop),
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
    Halt(Halt),
    Limit(Index, (Limit, Level)),
    Used(u64),
    Rate(Index, (Rate, Option<i64>)),
    Breaker(Index, (BreakerRule, Circuit)),
    Window(Index, (Window, Place)),
    Repeats(u32),
    Asks(Dimension, u64),
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

fn halt() -> impl Strategy<Value = Halt> {
    let until = prop_oneof![Just(None), (-2..3_i64).prop_map(Some)];
    (any::<bool>(), agent(), run(), until, text()).prop_map(|(killed, agent, run, until, says)| {
        Halt {
            kind: if killed {
                HaltKind::Killed
            } else {
                HaltKind::Paused
            },
            agent,
            run,
            at: -5,
            until,
            says,
        }
    })
}

fn limit() -> impl Strategy<Value = (Limit, Level)> {
    let over = select(&[Over::Everything, Over::Agent, Over::Server, Over::Tool][..]);
    let then = select(&[Then::Refuse, Then::Ask, Then::Kill][..]);
    let what = (select(&Period::ALL[..]), select(&Dimension::ALL[..]));
    let level = (0..8_u64, 0..4_u64, 0..3_u64, any::<bool>());
    (over, what, 1..40_u64, then, level).prop_map(|(over, what, at, then, level)| {
        let (used, reserved, added, resets) = level;
        let limit = Limit {
            over,
            period: what.0,
            dimension: what.1,
            at,
            warn: None,
            notify: None,
            then,
            rolling: false,
            place: None,
        };
        let resets = resets.then_some(7);
        (
            limit,
            Level {
                used,
                reserved,
                added,
                resets,
                begins: None,
                forgotten: None,
            },
        )
    })
}

fn rate() -> impl Strategy<Value = (Rate, Option<i64>)> {
    let wait = prop_oneof![8 => Just(None), 1 => (1..100_i64).prop_map(Some)];
    wait.prop_map(|wait| {
        let rate = Rate {
            over: Over::Tool,
            calls: 3,
            per: Duration::from_secs(60),
            burst: 1,
            place: None,
        };
        (rate, wait)
    })
}

fn breaker() -> impl Strategy<Value = (BreakerRule, Circuit)> {
    let circuit = prop_oneof![
        8 => Just(Circuit::Closed),
        1 => Just(Circuit::HalfOpen),
        1 => Just(Circuit::Probing),
        1 => text().prop_map(|why| Circuit::Open(9, why)),
    ];
    (any::<bool>(), circuit).prop_map(|(server, circuit)| {
        let over = if server { Over::Server } else { Over::Tool };
        (BreakerRule::usual(over), circuit)
    })
}

/// `now` is a Thursday, at midnight.
fn window() -> impl Strategy<Value = (Window, Place)> {
    let texts = [
        "daily 00:00-24:00 UTC",
        "Thu 00:00-01:00 UTC",
        "Fri 08:00-18:00 UTC",
    ];
    select(texts.to_vec()).prop_map(|text| (Window::parse(text, &Zone::UTC).unwrap(), place()))
}

fn streaks() -> impl Strategy<Value = Streaks> {
    let drawn = (1..6_u32, 1..6_u32, 0..6_u32, 0..6_u32, -2_000_000..1_i64);
    let quiet = drawn.prop_map(|(same, repeated, pairs, errors, last_error)| Streaks {
        same,
        repeated,
        pairs,
        errors,
        last_error,
    });
    let loud = (
        1..60_u32,
        1..40_u32,
        0..40_u32,
        0..70_u32,
        -2_000_000..1_i64,
    );
    let loud = loud.prop_map(|(same, repeated, pairs, errors, last_error)| Streaks {
        same,
        repeated,
        pairs,
        errors,
        last_error,
    });
    prop_oneof![6 => quiet, 1 => loud]
}

fn limits() -> impl Strategy<Value = Case> {
    let rules = (vec(limit(), 0..3), vec(rate(), 0..2), vec(breaker(), 0..2));
    let windows = prop_oneof![3 => Just(Vec::new()), 1 => vec(window(), 1..3)];
    let halt = prop_oneof![8 => Just(None), 1 => halt().prop_map(Some)];
    let alone = prop_oneof![3 => Just(None), 1 => (-9_000_000_000..0_i64).prop_map(Some)];
    let new_run = prop_oneof![9 => Just(None), 1 => Just(Some(5))];
    let asked = (0..3_u64, 0..3_u64, any::<bool>());
    (
        base(),
        rules,
        windows,
        halt,
        alone,
        new_run,
        streaks(),
        asked,
    )
        .prop_map(
            |(mut case, rules, windows, halt, alone, new_run, streaks, asked)| {
                (case.levels, case.rates, case.circuits) = rules;
                (case.windows, case.halt, case.streaks) = (windows, halt, streaks);
                (case.alone_since, case.new_run_at) = (alone, new_run);
                let (cost, calls, begins) = asked;
                case.begins_step = begins;
                let ask = &mut case.call.claim.ask;
                *ask = ask
                    .with(Dimension::Cost, cost)
                    .with(Dimension::Calls, calls);
                case
            },
        )
}

/// Half of them with limits, half without: so the other gates are met as well.
fn case() -> impl Strategy<Value = Case> {
    prop_oneof![base(), limits()]
}

fn base() -> impl Strategy<Value = Case> {
    let who = (principal(), server(), run(), admits());
    let what = (subject(), offer(), tier(), standing(), any::<bool>());
    let unmeasured = prop_oneof![9 => Just(None), 1 => Just(Some(Unmeasured::TooLong))];
    let wrong = (findings(), findings(), unmeasured);
    (who, what, wrong, stops(), pinned()).prop_map(|(who, what, wrong, stops, pinned)| {
        let (by, server, run, admits) = who;
        let (subject, offer, tier, standing, placed) = what;
        let (schema, rules, unmeasured) = wrong;
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
            durable: tier.is_durable(),
            standing,
            findings: Findings {
                schema,
                rules,
                unmeasured,
                hopeless: false,
            },
            digest: Fingerprint([7; 32]),
            claim: Claim::default(),
        };
        Case {
            call,
            stops,
            follows: None,
            pinned,
            halt: None,
            alone_since: None,
            streaks: Streaks::default(),
            new_run_at: None,
            rates: Vec::new(),
            circuits: Vec::new(),
            levels: Vec::new(),
            windows: Vec::new(),
            begins_step: true,
        }
    })
}

fn restriction() -> impl Strategy<Value = Restriction> {
    prop_oneof![
        (any::<Index>(), stop()).prop_map(|(at, stop)| Restriction::Stop(at, stop)),
        stop().prop_map(Restriction::Follows),
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
        halt().prop_map(Restriction::Halt),
        (any::<Index>(), limit()).prop_map(|(at, limit)| Restriction::Limit(at, limit)),
        (0..20_u64).prop_map(Restriction::Used),
        (any::<Index>(), rate()).prop_map(|(at, rate)| Restriction::Rate(at, rate)),
        (any::<Index>(), breaker()).prop_map(|(at, breaker)| Restriction::Breaker(at, breaker)),
        (any::<Index>(), window()).prop_map(|(at, window)| Restriction::Window(at, window)),
        (0..20_u32).prop_map(Restriction::Repeats),
        (select(&Dimension::ALL[..]), 0..20_u64).prop_map(|(of, n)| Restriction::Asks(of, n)),
    ]
}

proptest! {
    #![proptest_config(Config {
        cases: std::env::var("GATES_CASES").map_or(500, |n| n.parse().unwrap()),
        failure_persistence: None,
        ..Config::default()
    })]

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
    fn what_was_not_measured_never_passes(mut case in case()) {
        case.call.findings.unmeasured = Some(Unmeasured::TooLong);
        prop_assert!(!case.passes());
    }

    #[test]
    fn a_rule_of_which_nobody_knows_how_it_stands_lets_nothing_pass(
        mut case in case(), rate in rate(), breaker in breaker(), limit in limit()
    ) {
        case.rates.push(rate);
        case.circuits.push(breaker);
        case.levels.push(limit);
        let call = case.ruled();
        for missing in 0..3 {
            let mut stands = case.stands();
            match missing {
                0 => drop(stands.rates.pop()),
                1 => drop(stands.circuits.pop()),
                _ => drop(stands.levels.pop()),
            }
            match decide(&call, &case.facts(&stands)) {
                Decision::Refuse(refusal) if case.passes() => {
                    prop_assert_eq!(refusal.code, Code::StateUnavailable);
                }
                Decision::Refuse(_) => {}
                Decision::Clear(_) => prop_assert!(false, "nobody knows of {}", missing),
            }
        }
    }

    #[test]
    fn the_order_of_stops_and_findings_does_not_matter(
        (case, stops, schema, rules, levels, windows, circuits) in case().prop_flat_map(|case| {
            let stops = Just(case.stops.clone()).prop_shuffle();
            let schema = Just(case.call.findings.schema.clone()).prop_shuffle();
            let rules = Just(case.call.findings.rules.clone()).prop_shuffle();
            let levels = Just(case.levels.clone()).prop_shuffle();
            let windows = Just(case.windows.clone()).prop_shuffle();
            let circuits = Just(case.circuits.clone()).prop_shuffle();
            (Just(case), stops, schema, rules, levels, windows, circuits)
        }),
    ) {
        let mut other = case.clone();
        other.stops = stops;
        (other.call.findings.schema, other.call.findings.rules) = (schema, rules);
        (other.levels, other.windows, other.circuits) = (levels, windows, circuits);
        // Of two limits that are both met, the first in the list is named.
        let said = |case: &Case| case.refusal().map(|refusal| refusal.gate);
        prop_assert_eq!(said(&case), said(&other));
    }

    #[test]
    fn an_explanation_ends_as_the_decision_does(case in case()) {
        let (call, stands) = (case.ruled(), case.stands());
        let said = explain(&call, &case.facts(&stands));
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
        prop_assert_eq!(said, explain(&call, &case.facts(&stands)));
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
