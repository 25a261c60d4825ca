//! The ledger against a naive model: for any sequence of reserving, settling,
//! releasing, waiting and starting again, what is used, reserved and let through is
//! what a list of everything that ever happened says.

use crate::world::{Flying, World, done, only};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tollgate::domain::Outcome;
use tollgate::domain::{Amounts, Call, Dimension, Level, Limit, Period, RunId, Scope, ToolFault};
use tollgate::ports::{Helping, Store};

const CENT: u64 = 10_000;
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Limits of every scope and period that money has.
const MAIN: &str = r#"
[budget]
run = { cost = "0.60 USD", calls = 3, steps = "none", time = "none" }
hour = { cost = "1.00 USD" }
day = { cost = "2.00 USD" }
month = { cost = "2.50 USD" }
[agents.ann]
owner = "ops"
budget = { hour = { cost = "0.70 USD" } }
[agents.bot]
owner = "ops"
budget = { day = { calls = 5 } }
"#;
const SHOP: &str = r#"
budget = { day = { cost = "1.50 USD", rolling = true } }
[tools.buy]
tier = "read"
cost = { estimate = "$.price" }
budget = { run = { cost = "0.50 USD" }, month = { calls = 7 } }
[tools.look]
tier = "read"
cost = { estimate = "$.price" }
"#;

/// What can happen.
#[derive(Debug, Clone)]
enum Step {
    /// An agent asks for a call at a price in cents.
    Ask(bool, u8, bool, u64),
    /// One that is under way ends, having cost so many cents.
    Settle(Index, u64),
    /// One that is under way turns out never to have left.
    Release(Index),
    /// So many seconds pass.
    Wait(u64),
    /// A person adds to a run.
    Extend(u8, u64),
    /// tollgate ends in order and starts again.
    Restart,
    /// It starts again from the journal alone, in the middle of everything.
    Rebuild,
}

fn price() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0..4_u64, 1 => 0..40_u64]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), 0..3_u8, any::<bool>(), price())
            .prop_map(|(ann, run, buy, cents)| Step::Ask(ann, run, buy, cents)),
        8 => (any::<Index>(), 0..60_u64).prop_map(|(nth, cents)| Step::Settle(nth, cents)),
        2 => any::<Index>().prop_map(Step::Release),
        3 => prop_oneof![0..90_u64, 600..4_000_u64, 20_000..90_000_u64].prop_map(Step::Wait),
        1 => (0..3_u8, 1..30_u64).prop_map(|(run, cents)| Step::Extend(run, cents)),
        1 => Just(Step::Restart),
        1 => Just(Step::Rebuild),
    ]
}

/// One call that was let through, as the model remembers it.
#[derive(Debug, Clone)]
struct Entry {
    call: Call,
    asked: i64,
    /// When it was charged, and what; none while it is under way.
    charged: Option<(i64, Amounts)>,
}

/// Everything that ever happened.
#[derive(Debug, Default)]
struct Naive {
    entries: Vec<Entry>,
    added: Vec<(RunId, i64, u64)>,
}

impl Naive {
    /// How a limit stands, by looking at every entry there is.
    fn level(&self, call: &Call, limit: &Limit, now: i64) -> Level {
        let scope = Scope::of(limit.over, call).unwrap();
        let mut level = Level::default();
        if limit.period == Period::Action {
            return level;
        }
        let began = self.run_began(&call.run, now);
        if limit.period == Period::Run && limit.dimension == Dimension::Cost {
            let of_run = self.added.iter().filter(|(run, _, _)| *run == call.run);
            let of_run = of_run.filter(|(_, at, _)| *at >= began);
            level.added = of_run.map(|(_, _, cents)| cents * CENT).sum();
        }
        for entry in &self.entries {
            if Scope::of(limit.over, &entry.call).unwrap() != scope {
                continue;
            }
            let same_run = entry.call.run == call.run && entry.asked >= began;
            if limit.period == Period::Run && !same_run {
                continue;
            }
            match &entry.charged {
                None => level.reserved += entry.call.claim.ask.get(limit.dimension),
                Some((at, used)) if counts(limit, *at, now) => {
                    level.used += used.get(limit.dimension);
                }
                Some(_) => {}
            }
        }
        level
    }

    /// When a run began: after a day in which nothing of it happened, and nothing was
    /// under way, it is another one.
    fn run_began(&self, run: &RunId, now: i64) -> i64 {
        let mut began = i64::MIN;
        let mut last = None;
        for entry in self.entries.iter().filter(|entry| entry.call.run == *run) {
            if last.is_some_and(|last| entry.asked - last >= DAY) {
                began = entry.asked;
            }
            let ended = entry.charged.map_or(i64::MAX, |(at, _)| at);
            last = Some(last.unwrap_or(i64::MIN).max(ended));
        }
        match last {
            Some(last) if last < i64::MAX && now - last >= DAY => now,
            Some(_) | None => began,
        }
    }

    fn lets_pass(&self, call: &Call, now: i64) -> bool {
        call.claim.limits().all(|limit| {
            let level = self.level(call, limit, now);
            let asked = call.claim.ask.get(limit.dimension);
            let total = level.used + level.reserved;
            !limit
                .dimension
                .exceeds(total, asked, limit.at + level.added)
        })
    }

    /// A call that is refused uses nothing; but a run can begin with it, and then ends
    /// a day later like any other.
    fn refused(&mut self, mut call: Call, now: i64) {
        let lives = self.entries.iter().any(|entry| {
            entry.call.run == call.run && entry.charged.is_none_or(|(at, _)| now - at < DAY)
        });
        if !lives {
            call.claim.ask = Amounts::ZERO;
            self.entries.push(Entry {
                call,
                asked: now,
                charged: Some((now, Amounts::ZERO)),
            });
        }
    }

    /// What was under way at a crash keeps its charge.
    fn crash(&mut self, now: i64) {
        for entry in &mut self.entries {
            let ask = entry.call.claim.ask;
            entry.charged.get_or_insert((now, ask));
        }
    }
}

/// Whether what was charged at a moment still counts: whole minutes of the last hour,
/// whole quarters of the last day, days and months of the calendar.
fn counts(limit: &Limit, at: i64, now: i64) -> bool {
    let slot = |moment: i64, width: i64| moment.div_euclid(width);
    match (limit.period, limit.rolling) {
        (Period::Action, _) => false,
        (Period::Run, _) => true,
        (Period::Hour, _) => slot(at, MINUTE) >= slot(now - 60 * MINUTE, MINUTE),
        (Period::Day, true) => slot(at, 15 * MINUTE) >= slot(now - DAY, 15 * MINUTE),
        (Period::Day, false) => slot(at, DAY) >= slot(now, DAY),
        (Period::Month, _) => month(at) >= month(now),
    }
}

fn month(at: i64) -> (i16, i8) {
    let at = jiff::Timestamp::from_microsecond(at).unwrap();
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    (date.year(), date.month())
}

/// The ledger and the model, side by side.
struct Both {
    world: World,
    naive: Naive,
    flying: Vec<(usize, Flying)>,
}

impl Both {
    fn new() -> Both {
        Both {
            world: World::at("2026-01-30T20:00:00Z", &only(MAIN), SHOP),
            naive: Naive::default(),
            flying: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        let now = self.world.now();
        match step {
            Step::Ask(ann, run, buy, cents) => {
                let agent = if *ann { "ann" } else { "bot" };
                let run = format!("{agent}-{run}");
                let tool = if *buy { "buy" } else { "look" };
                let price = format!("{{\"price\":{}.{:02}}}", cents / 100, cents % 100);
                let call = self.world.call_with(agent, &run, tool, &price);
                let passes = self.naive.lets_pass(&call, now);
                match self.world.ask(call.clone()) {
                    Ok(flying) => {
                        assert!(passes, "it passed, and should not have: {call:?}");
                        self.flying.push((self.naive.entries.len(), flying));
                        self.naive.entries.push(Entry {
                            call,
                            asked: now,
                            charged: None,
                        });
                    }
                    Err(refusal) => {
                        assert!(!passes, "it was refused: {}", refusal.says);
                        self.naive.refused(call, now);
                    }
                }
            }
            Step::Settle(nth, cents) if !self.flying.is_empty() => {
                let (entry, flying) = self.flying.remove(nth.index(self.flying.len()));
                let ask = flying.call.claim.ask;
                let charged = ask.with(Dimension::Cost, cents * CENT);
                self.world.ends(flying, done(false), charged);
                self.naive.entries[entry].charged = Some((now, charged));
            }
            Step::Release(nth) if !self.flying.is_empty() => {
                let (entry, flying) = self.flying.remove(nth.index(self.flying.len()));
                let charged = flying.call.claim.ask.with(Dimension::Cost, 0);
                let never = Outcome::Failed(ToolFault::NotStarted("no".into()));
                self.world.ends(flying, never, charged);
                self.naive.entries[entry].charged = Some((now, charged));
            }
            Step::Settle(..) | Step::Release(_) => {}
            Step::Wait(seconds) => self.world.wait(*seconds),
            Step::Extend(run, cents) => {
                let run = RunId::from_tail(&format!("ann-{run}"));
                let helping = Helping {
                    added: Amounts::ZERO.with(Dimension::Cost, cents * CENT),
                    alone: None,
                };
                let known = self.world.store().extend(&run, &helping, "ana").unwrap();
                let goes_on = self.naive.run_began(&run, now) < now
                    && self.naive.entries.iter().any(|entry| entry.call.run == run);
                if known.is_some() {
                    self.naive.added.push((run, now, *cents));
                } else {
                    assert!(!goes_on, "a run that goes on can be added to");
                }
            }
            Step::Restart | Step::Rebuild => {
                self.flying.clear();
                self.naive.crash(now);
                if matches!(step, Step::Restart) {
                    self.world.restart();
                } else {
                    self.world.rebuild();
                }
            }
        }
    }

    fn agree(&mut self) {
        let now = self.world.now();
        for (agent, run, tool) in [("ann", "ann-0", "buy"), ("bot", "bot-1", "look")] {
            let call = self.world.call_with(agent, run, tool, "{\"price\":0}");
            for limit in call.claim.limits() {
                let scope = Scope::of(limit.over, &call).unwrap();
                let asked = [(scope, Some(call.run.clone()), limit.clone())];
                let mut said = self.world.store().levels(&asked)[0];
                (said.resets, said.begins, said.forgotten) = (None, None, None);
                let name = limit.name();
                assert_eq!(
                    said,
                    self.naive.level(&call, limit, now),
                    "{name} {limit:?}"
                );
            }
        }
    }
}

#[test]
fn a_run_that_began_with_a_refusal_ends_a_day_later_with_what_was_added_to_it() {
    let mut both = Both::new();
    // More than a run may cost; then a person adds to it, and a day and more passes.
    for step in [
        Step::Ask(true, 0, true, 900),
        Step::Extend(0, 28),
        Step::Wait(88_812),
    ] {
        both.take(&step);
        both.agree();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_ledger_is_what_a_list_of_everything_says(steps in vec(step(), 1..60)) {
        let mut both = Both::new();
        for step in &steps {
            both.take(step);
        }
        both.agree();
        both.world.store().keep().unwrap();
        both.world.store().check().unwrap();
    }
}

/// What is proven would be worth little if no limit were ever met.
#[test]
fn the_sequences_that_are_drawn_meet_every_limit() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let steps = vec(step(), 60).new_tree(&mut runner).unwrap().current();
        let mut both = Both::new();
        for step in &steps {
            if !matches!(step, Step::Restart | Step::Rebuild) {
                both.take(step);
            }
        }
        for record in both.world.records("call.refused") {
            met.insert(record["bound"].as_str().unwrap().to_owned());
        }
    }
    let all = [
        "day.calls",
        "day.cost",
        "hour.cost",
        "month.cost",
        "run.calls",
        "run.cost",
    ];
    for limit in all {
        assert!(met.contains(limit), "{limit} is never met: {met:?}");
    }
}
