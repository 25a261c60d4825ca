//! The state is what follows from the journal, whatever happened: after random
//! histories under limits of every kind, with a clock that jumps, what is in memory,
//! what was kept beside the journal and what is built anew from it are the same.

use std::time::Duration;

use crate::world::{Flying, World, done};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tollgate::clock::Clock as _;
use tollgate::domain::{AgentName, Amounts, Dimension, Outcome, RunId, ToolFault};
use tollgate::ports::{Helping, Settlement, Store};

/// Every kind of limit, so tight that each is met.
const MAIN: &str = r#"
autonomy = "40m"
runs = "3/h"
spend = 2
breaker = { failures = 2, within = "10m", cooldown = "2m" }
[budget]
run = { cost = { at = "0.60 USD", warn = 0.5, then = "kill" }, calls = 12, steps = "none", time = "60s" }
hour = { cost = "3.00 USD" }
month = { cost = { at = "9.00 USD", notify = 0.5 } }
[loops]
same = { refuse = 3, kill = 6 }
pairs = { refuse = 3, kill = 5 }
errors = { refuse = 3, kill = 9, pause = "30s" }
[tiers.reversible]
rate = { per = "30/min", burst = 8 }
"#;
const SHOP: &str = r#"
[tools.buy]
tier = "read"
cost = { estimate = "$.price" }
[tools.look]
tier = "read"
[tools.send]
tier = "reversible"
"#;

#[derive(Debug, Clone)]
enum Step {
    /// An agent asks for one of few things, so that it repeats itself.
    Ask(bool, u8, u8, u8),
    /// One that is under way ends, in one of several ways.
    End(Index, u8),
    /// The server of one that is under way asks its agent's model.
    AskTheModel(Index),
    /// So many seconds pass, or are taken back.
    Jump(i64),
    Clear(bool),
    Extend(bool, u8),
    Keep,
    Restart,
    Rebuild,
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![
        6 => 0..70_i64,
        4 => 200..2_000_i64,
        2 => HOUR..30 * HOUR,
        1 => Just(40 * DAY),
        1 => Just(366 * DAY),
        1 => Just(-HOUR),
        1 => Just(-366 * DAY),
    ];
    prop_oneof![
        14 => (any::<bool>(), 0..5_u8, 0..3_u8, 0..4_u8)
            .prop_map(|(ann, run, tool, price)| Step::Ask(ann, run, tool, price)),
        10 => (any::<Index>(), 0..6_u8).prop_map(|(nth, how)| Step::End(nth, how)),
        4 => any::<Index>().prop_map(Step::AskTheModel),
        5 => jump.prop_map(Step::Jump),
        1 => any::<bool>().prop_map(Step::Clear),
        1 => (any::<bool>(), 0..5_u8).prop_map(|(ann, run)| Step::Extend(ann, run)),
        1 => Just(Step::Keep),
        1 => Just(Step::Restart),
        1 => Just(Step::Rebuild),
    ]
}

/// One is the beginning of the other: what is kept of them must not be mixed up.
fn name(ann: bool) -> &'static str {
    if ann { "bot-2" } else { "bot" }
}

fn end(world: &World, flying: Flying, how: u8) {
    let ask = flying.call.claim.ask;
    let free = ask.with(Dimension::Cost, 0);
    let exited = || ToolFault::Exited("code 1".into());
    let plain = |outcome, charged| Settlement::plain(outcome, Duration::from_secs(4), charged);
    let settlement = match how {
        0 => plain(Outcome::Asked, free),
        1 => plain(done(true), ask),
        2 => Settlement {
            trouble: (true, true),
            ..plain(Outcome::Failed(exited()), ask)
        },
        3 => Settlement {
            leave_alone: Some(Duration::from_secs(90)),
            ..plain(done(true), ask)
        },
        4 => plain(done(false), ask.with(Dimension::Time, 20_000_000)),
        _ => plain(done(false), ask),
    };
    world.settles(flying, &settlement);
}

fn take(world: &mut World, flying: &mut Vec<Flying>, step: &Step) {
    match step {
        Step::Ask(ann, run, tool, price) => {
            let agent = name(*ann);
            let tool = ["buy", "look", "send"][usize::from(*tool)];
            let price = format!("{{\"price\":0.{price}}}");
            let call = world.call_with(agent, &format!("{agent}-{run}"), tool, &price);
            flying.extend(world.ask(call));
        }
        Step::End(nth, how) if !flying.is_empty() => {
            let one = flying.remove(nth.index(flying.len()));
            end(world, one, *how);
        }
        Step::AskTheModel(nth) if !flying.is_empty() => {
            let one = &flying[nth.index(flying.len())];
            world.asks_the_model(&one.call);
        }
        Step::End(..) | Step::AskTheModel(_) => {}
        Step::Jump(seconds) => {
            let to = world.clock.now() + jiff::SignedDuration::from_secs(*seconds);
            world.clock.jump_to(to);
        }
        Step::Clear(ann) => {
            let agent = AgentName::parse(name(*ann)).unwrap();
            world.store().clear(&agent, "ana").unwrap();
        }
        Step::Extend(ann, run) => {
            let run = RunId::from_tail(&format!("{}-{run}", name(*ann)));
            let helping = Helping {
                added: Amounts::ZERO.with(Dimension::Calls, 3),
                alone: Some(None),
            };
            world.store().extend(&run, &helping, "ana").unwrap();
        }
        Step::Keep => world.store().keep().unwrap(),
        Step::Restart => {
            flying.clear();
            world.restart();
        }
        Step::Rebuild => {
            flying.clear();
            world.rebuild();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("REPLAY_CASES").map_or(16, |n| n.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    })]

    #[test]
    fn memory_what_is_kept_and_what_is_replayed_are_the_same(steps in vec(step(), 1..120)) {
        let mut world = World::at("2026-01-30T20:00:00Z", MAIN, SHOP);
        let mut flying = Vec::new();
        for step in &steps {
            take(&mut world, &mut flying, step);
        }
        world.store().check().unwrap();
        world.restart();
        world.again().ok();
        world.store().keep().unwrap();
        world.store().check().unwrap();
    }
}
