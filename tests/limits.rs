//! Every limit by itself, in the words in which it is promised, on a clock that is set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

#[path = "limits/mod.rs"]
mod world;

use tollgate::domain::{Amounts, Dimension, HaltKind};
use tollgate::ports::{Helping, Questions, Settlement, Store};
use world::{World, done, only};

const DOLLAR: &str = "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n";
const MICROS: u64 = 1_000_000;

fn cost(micros: u64) -> Amounts {
    Amounts::ZERO
        .with(Dimension::Calls, 1)
        .with(Dimension::Cost, micros)
}

/// How many calls pass before one does not, and why that one does not.
fn pass(world: &mut World, most: usize) -> (usize, &'static str) {
    for nth in 0..most {
        if let Err(code) = world.again() {
            return (nth, code);
        }
    }
    (most, "")
}

// Without a line of configuration.

#[test]
fn the_26th_step_of_a_run_is_refused_and_a_call_within_the_25th_is_not() {
    let mut world = World::new("", "");
    for _ in 0..24 {
        world.again().unwrap();
    }
    // While one of the 25th step is under way, another belongs to it.
    let call = world.call();
    let first = world.ask(call).unwrap();
    world.again().unwrap();
    world.done(first);
    let call = world.call();
    let Err(refusal) = world.ask(call) else {
        panic!("the 26th step passed");
    };
    assert_eq!(refusal.code.as_str(), "BUDGET_RUN_STEPS");
    let bound = refusal.bound.unwrap();
    assert_eq!(bound.limit, "25 steps");
    assert_eq!(bound.used, "25 steps");
    assert_eq!(bound.requested, "1 step");
    let remedy = refusal.remedy.unwrap();
    assert!(
        remedy.contains("`tollgate runs extend r-1 --steps 25`"),
        "{remedy}"
    );
}

#[test]
fn the_51st_call_of_a_run_is_refused() {
    let mut world = World::new(&only("[budget]\nrun.steps = \"none\""), "");
    assert_eq!(pass(&mut world, 60), (50, "BUDGET_RUN_CALLS"));
    // Another run has its own fifty.
    let other = world.call_with("bot", "2", "buy", "{\"other\":1}");
    assert_eq!(world.makes(other), Ok(()));
}

#[test]
fn an_agent_that_reports_its_turns_is_counted_by_them() {
    let mut world = World::new(&only("[budget]\nrun = { steps = 2, calls = \"none\" }"), "");
    let turn = |world: &mut World, turn: u64| {
        let mut call = world.call();
        call.claim.turn = Some(turn);
        world.makes(call)
    };
    for _ in 0..5 {
        turn(&mut world, 1).unwrap();
    }
    turn(&mut world, 2).unwrap();
    assert_eq!(turn(&mut world, 3), Err("BUDGET_RUN_STEPS"));
    assert_eq!(turn(&mut world, 2), Ok(()));
}

#[test]
fn the_first_call_after_120_seconds_of_tool_time_is_refused() {
    let mut world = World::new("", "");
    for _ in 0..2 {
        let call = world.call();
        let flying = world.ask(call).unwrap();
        world.ends(
            flying,
            done(false),
            cost(0).with(Dimension::Time, 60_000_000),
        );
    }
    // At 120 s it is not over it.
    let call = world.call();
    let flying = world.ask(call).unwrap();
    world.ends(flying, done(false), cost(0).with(Dimension::Time, 1_000));
    assert_eq!(world.again(), Err("BUDGET_RUN_TIME"));
}

#[test]
fn tools_that_are_at_work_use_up_time_while_they_are() {
    let mut world = World::new("", "");
    let call = world.call();
    let _working = world.ask(call).unwrap();
    world.wait(121);
    assert_eq!(world.again(), Err("BUDGET_RUN_TIME"));
}

#[test]
fn a_tool_that_waits_for_an_answer_uses_up_no_time_meanwhile() {
    let mut world = World::new("", "");
    let call = world.call();
    let id = call.id.clone();
    let working = world.ask(call).unwrap();
    world.wait(60);
    for _ in 0..2 {
        world.store().asks(&id, true);
        world.wait(300);
    }
    world.again().unwrap();
    for _ in 0..2 {
        world.store().asks(&id, false);
        world.wait(30);
    }
    world.again().unwrap();
    world.wait(1);
    assert_eq!(world.again(), Err("BUDGET_RUN_TIME"));
    // It counts once, and nothing is left of the wait.
    world.ends(
        working,
        done(false),
        cost(0).with(Dimension::Time, 100_000_000),
    );
    let outcomes = world.records("call.outcome");
    assert_eq!(outcomes.last().unwrap()["budget_left"]["time_ms"], 20_000);
    world.again().unwrap();
    // Of what is no call under way nothing is kept.
    world.store().asks(&id, true);
    world.wait(300);
    world.again().unwrap();
    world.rebuild();
    world.again().unwrap();
}

#[test]
fn a_run_that_has_lasted_too_long_is_over() {
    let mut world = World::new(&only("[budget]\nrun.elapsed = \"10m\""), "");
    world.again().unwrap();
    world.wait(600);
    world.again().unwrap();
    world.wait(1);
    assert_eq!(world.again(), Err("BUDGET_RUN_ELAPSED"));
}

#[test]
fn a_run_that_began_while_the_clock_was_ahead_does_not_last_for_ever() {
    let mut world = World::new(&only("[budget]\nrun = { elapsed = \"10m\" }"), "");
    let right = tollgate::clock::Clock::now(&*world.clock);
    world.clock.jump_to("2037-01-01T00:00:00Z".parse().unwrap());
    world.again().unwrap();
    world.clock.jump_to(right);
    world.again().unwrap();
    world.rebuild();
    world.wait(600);
    assert_eq!(world.again(), Ok(()));
    world.wait(1);
    assert_eq!(world.again(), Err("BUDGET_RUN_ELAPSED"));
}

#[test]
fn a_call_at_one_dollar_used_is_refused_even_if_it_costs_nothing() {
    let shop = format!("{DOLLAR}[tools.look]\ntier = \"read\"\n");
    let mut world = World::new("", &shop);
    world.again().unwrap();
    assert_eq!(world.again(), Err("BUDGET_RUN_COST"));
    let free = world.call_with("bot", "1", "look", "{}");
    assert_eq!(world.makes(free), Err("BUDGET_RUN_COST"));
}

// Money over time.

#[test]
fn of_calls_of_a_dollar_ten_pass_in_an_hour_and_the_11th_does_not() {
    let mut world = World::new(
        &only(
            "[budget]\nhour = { cost = \"10.00 USD\" }\nrun = \"none\"\nday = \"none\"\nmonth = \"none\"\naction = \"none\"",
        ),
        DOLLAR,
    );
    for nth in 0..10 {
        assert_eq!(world.again(), Ok(()), "{nth}");
        world.wait(60);
    }
    let call = world.call();
    let Err(refusal) = world.ask(call) else {
        panic!("the 11th passed");
    };
    assert_eq!(refusal.code.as_str(), "BUDGET_HOUR_COST");
    assert_eq!(world.notices(), ["budget.stop"]);
    // Told once, however often it is met, and after a restart as before it.
    assert_eq!(world.again(), Err("BUDGET_HOUR_COST"));
    world.restart();
    assert_eq!(world.again(), Err("BUDGET_HOUR_COST"));
    world.rebuild();
    assert_eq!(world.again(), Err("BUDGET_HOUR_COST"));
    assert_eq!(world.notices(), ["budget.stop"]);
    // The first call was made an hour and a minute before this moment.
    let free_at = refusal.retry_at.unwrap().as_microsecond();
    assert_eq!(free_at, world.now() + 51 * 60_000_000);
    world.wait(51 * 60 - 1);
    assert_eq!(world.again(), Err("BUDGET_HOUR_COST"));
    world.wait(1);
    assert_eq!(world.again(), Ok(()));
    assert_eq!(world.again(), Err("BUDGET_HOUR_COST"));
}

#[test]
fn a_day_ends_at_midnight_in_its_zone_and_a_month_on_its_last_day() {
    for (budget, code) in [
        (
            "day = { cost = \"40.00 USD\" }\nmonth = \"none\"",
            "BUDGET_DAY_COST",
        ),
        (
            "month = { cost = \"40.00 USD\" }\nday = \"none\"",
            "BUDGET_MONTH_COST",
        ),
    ] {
        let main = format!(
            "timezone = \"Europe/Paris\"\n{}",
            only(&format!(
                "[budget]\nrun = \"none\"\nhour = \"none\"\n{budget}"
            ))
        );
        // The last evening of March; the clocks have gone forward on the 29th.
        let mut world = World::at("2026-03-31T20:00:00Z", &main, DOLLAR);
        assert_eq!(pass(&mut world, 50), (40, code));
        world.restart();
        world.wait(2 * 3600 - 1);
        assert_eq!(world.again(), Err(code));
        world.wait(1);
        assert_eq!(world.again(), Ok(()), "{code}");
        assert_eq!(
            world.level(if code.contains("DAY") {
                "day.cost"
            } else {
                "month.cost"
            }),
            (MICROS, 0)
        );
    }
}

#[test]
fn a_month_of_800_lets_800_dollars_pass() {
    let main = only("[budget]\nrun = \"none\"\nhour = \"none\"\nday = \"none\"\naction = \"none\"");
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"100.00 USD\"\n";
    let mut world = World::new(&main, shop);
    for _ in 0..8 {
        world.again().unwrap();
        world.wait(24 * 3600);
    }
    assert_eq!(world.again(), Err("BUDGET_MONTH_COST"));
}

#[test]
fn a_rolling_day_is_the_last_24_hours() {
    let main = only(
        "[budget]\nrun = \"none\"\nhour = \"none\"\nmonth = \"none\"\nday = { cost = \"2.00 USD\", rolling = true }",
    );
    let mut world = World::at("2026-03-02T23:00:00Z", &main, DOLLAR);
    world.again().unwrap();
    world.wait(7200);
    world.again().unwrap();
    assert_eq!(world.again(), Err("BUDGET_DAY_COST"));
    world.wait(22 * 3600 + 900);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn what_was_used_before_a_limit_was_written_counts() {
    let mut world = World::new(world::NO_LIMITS, DOLLAR);
    for _ in 0..5 {
        world.again().unwrap();
    }
    world.store.take().unwrap().close();
    let main = only("[budget]\nrun = \"none\"\nhour = \"none\"\nday = { cost = \"5.00 USD\" }");
    world.reconfigure(&main, DOLLAR);
    assert_eq!(world.again(), Err("BUDGET_DAY_COST"));
}

#[test]
fn one_action_of_5_01_is_refused_and_one_of_5_00_is_not() {
    let shop = "[tools.buy]\ntier = \"read\"\ncost = { estimate = \"$.price\" }\n";
    let main = only("[budget]\nrun = \"none\"");
    let mut world = World::new(&main, shop);
    let mut buy = |price: &str| {
        let call = world.call_with("bot", "1", "buy", &format!("{{\"price\":{price}}}"));
        world.makes(call)
    };
    assert_eq!(buy("5.01"), Err("BUDGET_ACTION_COST"));
    assert_eq!(buy("5.00"), Ok(()));
    assert_eq!(buy("\"free\""), Err("ARGS_OUT_OF_BOUNDS"));
    assert_eq!(buy("-1"), Err("ARGS_OUT_OF_BOUNDS"));
}

#[test]
fn a_day_at_98_of_100_refuses_3_and_spends_nothing_on_it() {
    let shop = "[tools.buy]\ntier = \"read\"\ncost = { estimate = \"$.price\" }\n";
    let main = only(
        "[budget]\nrun = \"none\"\nhour = \"none\"\nmonth = \"none\"\naction = \"none\"\nday = { cost = \"100.00 USD\" }",
    );
    let mut world = World::new(&main, shop);
    let buy = |world: &mut World, price: u64| {
        let call = world.call_with("bot", "1", "buy", &format!("{{\"price\":{price}}}"));
        world.makes(call)
    };
    buy(&mut world, 98).unwrap();
    assert_eq!(buy(&mut world, 3), Err("BUDGET_DAY_COST"));
    assert_eq!(world.level("day.cost"), (98 * MICROS, 0));
    assert_eq!(buy(&mut world, 2), Ok(()));
}

#[test]
fn what_costs_more_than_estimated_is_charged_and_told_once_beyond_110_percent() {
    let main = only(
        "[budget]\nrun = \"none\"\nhour = \"none\"\nmonth = \"none\"\naction = \"none\"\nday = { cost = \"100.00 USD\" }",
    );
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"90.00 USD\"\n";
    let mut world = World::new(&main, shop);
    let call = world.call();
    let flying = world.ask(call).unwrap();
    world.ends(flying, done(false), cost(110 * MICROS));
    assert_eq!(world.level("day.cost"), (110 * MICROS, 0));
    assert_eq!(world.notices(), [""; 0]);

    let mut world = World::new(&main, shop);
    let one = world.call();
    let one = world.ask(one).unwrap();
    world.ends(one, done(false), cost(111 * MICROS));
    assert_eq!(world.notices(), ["budget.overrun"]);
    assert_eq!(world.again(), Err("BUDGET_DAY_COST"));
    assert_eq!(world.notices(), ["budget.overrun", "budget.stop"]);
    let outcome = &world.records("call.outcome")[0];
    assert_eq!(outcome["cost"], "111.00 USD");
    assert_eq!(
        world.records("call.intent")[0]["estimated_cost"],
        "90.00 USD"
    );
}

#[test]
fn a_price_that_is_missing_from_the_answer_is_the_estimate_and_told() {
    let mut world = World::new(world::NO_LIMITS, DOLLAR);
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let settlement = Settlement {
        unpriced: Some("the price at `$._meta.cost` cannot be read: it matches nothing".into()),
        ..Settlement::plain(done(false), std::time::Duration::ZERO, cost(MICROS))
    };
    world.settles(flying, &settlement);
    assert_eq!(world.notices(), ["price.unknown"]);
    let notices = world.records("notice");
    let told = notices
        .iter()
        .rfind(|notice| notice["notice"] == "price.unknown");
    assert_eq!(
        told.unwrap()["says"],
        "in the answer of shop.buy, the price at `$._meta.cost` cannot be read: it matches nothing; 1.00 USD was charged"
    );
}

#[test]
fn a_call_that_is_charged_nothing_gives_back_what_was_kept_and_is_a_call_all_the_same() {
    let main = only("[budget]\nrun = { calls = 2, steps = \"none\" }");
    let mut world = World::new(&main, DOLLAR);
    let call = world.call();
    let flying = world.ask(call).unwrap();
    assert_eq!(world.level("run.cost"), (0, MICROS));
    world.ends(flying, done(true), cost(0));
    assert_eq!(world.level("run.cost"), (0, 0));
    assert_eq!(world.level("run.calls"), (1, 0));
}

#[test]
fn what_was_under_way_at_a_crash_keeps_its_charge() {
    let main = only("[budget]\nrun = \"none\"\nhour = \"none\"");
    let mut world = World::new(&main, DOLLAR);
    let call = world.call();
    let _flying = world.ask(call).unwrap();
    assert_eq!(world.level("day.cost"), (0, MICROS));
    world.restart();
    assert_eq!(world.level("day.cost"), (MICROS, 0));
}

#[test]
fn amounts_and_counts_have_limits_of_their_own() {
    let shop = "budget = { day = { amount = \"100.00 USD\" } }\n[tools.buy]\ntier = \"read\"\n\
                count = \"$.ids[*]\"\namount = { path = \"$.minor\", minor = true }\n\
                limit = { count = 3, amount = \"60.00 USD\" }\n";
    let mut world = World::new(world::NO_LIMITS, shop);
    let mut buy = |ids: &str, minor: u64| {
        let text = format!("{{\"ids\":{ids},\"minor\":{minor}}}");
        let call = world.call_with("bot", "1", "buy", &text);
        world.makes(call)
    };
    assert_eq!(buy("[1,2,3,4]", 100), Err("BUDGET_ACTION_COUNT"));
    assert_eq!(buy("[]", 100), Err("ARGS_OUT_OF_BOUNDS"));
    assert_eq!(buy("[1]", 6001), Err("BUDGET_ACTION_AMOUNT"));
    assert_eq!(buy("[1]", 6000), Ok(()));
    assert_eq!(buy("[2]", 4001), Err("BUDGET_DAY_AMOUNT"));
    assert_eq!(buy("[2]", 4000), Ok(()));
}

#[test]
fn bytes_and_tokens_are_counted_and_stop_what_comes_next() {
    let main = only(
        "[budget]\nrun = { steps = \"none\", calls = \"none\", bytes = \"1KiB\", tokens = 100 }",
    );
    let mut world = World::new(&main, "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    world.ends(flying, done(false), cost(0).with(Dimension::Bytes, 1024));
    assert_eq!(world.again(), Err("BUDGET_RUN_BYTES"));

    let mut world = World::new(&main, "");
    let mut call = world.call();
    call.claim.ask.set(Dimension::Tokens, 101);
    assert_eq!(world.makes(call), Err("BUDGET_RUN_TOKENS"));
    let mut call = world.call();
    call.claim.ask.set(Dimension::Tokens, 100);
    assert_eq!(world.makes(call), Ok(()));
    assert_eq!(world.again(), Err("BUDGET_RUN_TOKENS"));
}

#[test]
fn an_agent_a_server_and_a_tool_have_budgets_of_their_own() {
    let main = format!(
        "{}\n[agents.bot]\nowner = \"ana\"\nbudget = {{ day = {{ calls = 3 }} }}\n[agents.eve]\nowner = \"ana\"\n",
        world::NO_LIMITS
    );
    let shop = "budget = { day = { calls = 5 } }\n[tools.look]\ntier = \"read\"\nbudget = { run = { calls = 1 } }\n";
    let mut world = World::new(&main, shop);
    assert_eq!(pass(&mut world, 9), (3, "BUDGET_DAY_CALLS"));
    let mut eve = |tool: &str, run: &str, n: u32| {
        let call = world.call_with("eve", run, tool, &format!("{{\"n\":{n}}}"));
        world.makes(call)
    };
    assert_eq!(eve("look", "7", 1), Ok(()));
    assert_eq!(eve("look", "7", 2), Err("BUDGET_RUN_CALLS"));
    assert_eq!(eve("look", "8", 3), Ok(()));
    assert_eq!(eve("buy", "7", 4), Err("BUDGET_DAY_CALLS"));
}

// Thresholds.

#[test]
fn thirty_cents_warn_once_and_fifty_end_the_run() {
    let main = only(
        "[budget]\nrun = { steps = \"none\", calls = \"none\", time = \"none\", cost = { at = \"0.50 USD\", warn = \"0.30 USD\", then = \"kill\" } }",
    );
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"0.10 USD\"\n";
    let mut world = World::new(&main, shop);
    for _ in 0..2 {
        world.again().unwrap();
    }
    assert_eq!(world.notices(), [""; 0]);
    for _ in 0..2 {
        world.again().unwrap();
    }
    assert_eq!(world.notices(), ["budget.warn"]);
    let notices = world.records("notice");
    let told = notices
        .iter()
        .rfind(|notice| notice["notice"] == "budget.warn");
    assert_eq!(
        told.unwrap()["says"],
        "run r-1: 0.30 USD of 0.50 USD used (run.cost)"
    );
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let halt = world.done(flying).unwrap();
    assert_eq!(halt.kind, HaltKind::Killed);
    assert_eq!(world.notices(), ["budget.warn", "killed"]);
    assert_eq!(world.again(), Err("RUN_KILLED"));
    // What an agent could try to shake it off.
    for run in ["2", "3"] {
        let other = world.call_with("bot", run, "buy", "{\"x\":1}");
        assert_eq!(world.makes(other), Err("RUN_KILLED"));
    }
    world.wait(600);
    world.restart();
    assert_eq!(world.again(), Err("RUN_KILLED"));
    let eve = world.call_with("eve", "9", "buy", "{\"x\":1}");
    assert_eq!(world.makes(eve), Ok(()));
    // A person can, and a day.
    let bot = tollgate::domain::AgentName::parse("bot").unwrap();
    let shown = world.store().halts()[0].at;
    let older = world.store().clear_shown(&bot, Some(shown - 1), "ana");
    assert!(!older.unwrap(), "who said yes to another has not seen it");
    let lifted = world.store().clear_shown(&bot, Some(shown), "ana");
    assert!(lifted.unwrap());
    assert!(!world.store().clear(&bot, "ana").unwrap());
    let fresh = world.call_with("bot", "2", "buy", "{\"x\":2}");
    assert_eq!(world.makes(fresh), Ok(()));
}

#[test]
fn an_agent_that_was_resumed_is_not_ended_again_in_its_next_runs_until_a_call_passes() {
    let main = only("[budget]\nday = { calls = { at = 2, then = \"kill\" } }");
    let mut world = World::new(&main, "[tools.buy]\ntier = \"reversible\"\n");
    assert_eq!(world.again(), Ok(()));
    let _ = world.again();
    assert_eq!(world.again(), Err("RUN_KILLED"));
    let bot = tollgate::domain::AgentName::parse("bot").unwrap();
    world.wait(1);
    assert!(world.store().clear(&bot, "ana").unwrap());
    for run in ["1", "2", "2", "3", "2"] {
        let call = world.call_with("bot", run, "buy", "{\"x\":1}");
        assert_eq!(world.makes(call), Err("BUDGET_DAY_CALLS"), "{run}");
        world.wait(1);
        world.restart();
    }
    // The next day it goes on, and a limit ends its run like any other's.
    world.wait(23 * 3600);
    for run in ["4", "5"] {
        let call = world.call_with("bot", run, "buy", "{\"x\":1}");
        let flying = world.ask(call).unwrap();
        let _ = world.done(flying);
    }
    let call = world.call_with("bot", "5", "buy", "{\"x\":1}");
    assert_eq!(world.makes(call), Err("RUN_KILLED"));
}

#[test]
fn a_run_that_was_resumed_with_nothing_left_is_refused_and_killed_again_only_once_it_went_on() {
    let main = only(
        "[budget]\nrun = { steps = \"none\", calls = \"none\", time = \"none\", cost = { at = \"1.00 USD\", then = \"kill\" } }",
    );
    let mut world = World::new(&main, &format!("{DOLLAR}[tools.look]\ntier = \"read\"\n"));
    let free = |world: &mut World| world.call_with("bot", "1", "look", "{\"q\":1}");
    world.again().unwrap();
    assert_eq!(world.again(), Err("RUN_KILLED"));
    let bot = tollgate::domain::AgentName::parse("bot").unwrap();
    world.wait(1);
    assert!(world.store().clear(&bot, "ana").unwrap());
    world.restart();
    let call = free(&mut world);
    assert_eq!(world.makes(call), Err("BUDGET_RUN_COST"));
    let call = world.call();
    let Err(refusal) = world.ask(call) else {
        panic!("nothing was left");
    };
    assert_eq!(refusal.code.as_str(), "BUDGET_RUN_COST");
    assert!(refusal.ends.is_none());
    let remedy = refusal.remedy.unwrap();
    assert!(
        remedy.contains("`tollgate runs extend r-1 --cost \"1.00 USD\"`"),
        "{remedy}"
    );
    // What that command does.
    let run = tollgate::domain::RunId::from_tail("1");
    let helping = Helping {
        added: Amounts::ZERO.with(Dimension::Cost, MICROS),
        alone: None,
    };
    world.store().extend(&run, &helping, "ana").unwrap();
    world.wait(1);
    let call = free(&mut world);
    assert_eq!(world.makes(call), Ok(()));
    assert_eq!(world.again(), Ok(()));
    assert_eq!(world.again(), Err("RUN_KILLED"));
    assert_eq!(world.notices(), ["killed", "budget.stop", "killed"]);
}

#[test]
fn when_it_is_free_again_is_when_every_limit_is() {
    let main = only(
        "[budget]\nrun = \"none\"\nhour = { calls = 1 }\nday = { calls = 1 }\nmonth = { calls = 1 }",
    );
    let mut world = World::at("2026-03-02T22:00:00Z", &main, "");
    world.again().unwrap();
    let call = world.call();
    let Err(refusal) = world.ask(call) else {
        panic!("it passed");
    };
    assert_eq!(refusal.code.as_str(), "BUDGET_HOUR_CALLS");
    assert_eq!(refusal.again_at().unwrap(), "2026-04-01T00:00:00Z");
    let sentence = refusal.sentence("shop.buy");
    assert!(
        sentence.ends_with("Free again at 2026-04-01 00:00:00 UTC (in 30 days)."),
        "{sentence}"
    );
}

#[test]
fn a_kill_is_over_after_a_day() {
    let main = only("[budget]\nrun = { calls = { at = 1, then = \"kill\" } }");
    let mut world = World::new(&main, "");
    world.again().unwrap();
    world.wait(24 * 3600 - 1);
    let other = world.call_with("bot", "2", "buy", "{\"x\":1}");
    assert_eq!(world.makes(other), Err("RUN_KILLED"));
    world.wait(1);
    let other = world.call_with("bot", "3", "buy", "{\"x\":2}");
    assert_eq!(world.makes(other), Ok(()));
}

#[test]
fn a_day_notifies_at_30_and_at_40_ends_every_run_until_it_is_over() {
    let main = only(
        "[budget]\nrun = \"none\"\nhour = \"none\"\nday = { cost = { at = \"40.00 USD\", notify = \"30.00 USD\", then = \"kill\" } }",
    );
    let mut world = World::at("2026-03-02T22:00:00Z", &main, DOLLAR);
    assert_eq!(pass(&mut world, 29), (29, ""));
    assert_eq!(world.notices(), [""; 0]);
    world.again().unwrap();
    assert_eq!(world.notices(), ["budget.notify"]);
    assert_eq!(pass(&mut world, 50), (10, "RUN_KILLED"));
    assert_eq!(world.notices(), ["budget.notify", "killed"]);
    let other = world.call_with("bot", "2", "buy", "{\"x\":1}");
    assert_eq!(world.makes(other), Err("RUN_KILLED"));
    world.wait(2 * 3600);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn a_person_adds_to_a_run_and_it_is_recorded_who_did() {
    let main = only("[budget]\nrun = { calls = 2, steps = \"none\" }");
    let mut world = World::new(&main, "");
    assert_eq!(pass(&mut world, 9), (2, "BUDGET_RUN_CALLS"));
    let run = tollgate::domain::RunId::from_tail("1");
    let helping = Helping {
        added: Amounts::ZERO.with(Dimension::Calls, 3),
        alone: None,
    };
    let agent = world.store().extend(&run, &helping, "ana").unwrap();
    assert_eq!(agent.unwrap().as_str(), "bot");
    world.restart();
    assert_eq!(pass(&mut world, 9), (3, "BUDGET_RUN_CALLS"));
    let record = &world.records("extend")[0];
    assert_eq!(record["by"], "ana");
    assert_eq!(record["added"]["calls"], 3);
    let nobody = tollgate::domain::RunId::from_tail("404");
    assert_eq!(
        world.store().extend(&nobody, &helping, "ana").unwrap(),
        None
    );
}

#[test]
fn a_run_whose_every_call_was_refused_can_be_added_to() {
    let main = only("[budget]\nrun = \"none\"\nday = { calls = 1 }");
    let mut world = World::new(&main, "");
    world.again().unwrap();
    let other = world.call_with("bot", "2", "buy", "{}");
    assert_eq!(world.makes(other), Err("BUDGET_DAY_CALLS"));
    let run = tollgate::domain::RunId::from_tail("2");
    let known = world
        .store()
        .extend(&run, &Helping::default(), "ana")
        .unwrap();
    assert_eq!(known.unwrap().as_str(), "bot");
    world.restart();
    world.rebuild();
}

#[test]
fn the_time_of_a_call_that_has_ended_counts_once_in_what_is_left_and_in_what_people_are_told() {
    let mut world = World::new(
        &only("[budget]\nrun = { time = { at = \"100s\", warn = \"50s\" } }"),
        "",
    );
    let flying = {
        let call = world.call();
        world.ask(call).unwrap()
    };
    world.wait(40);
    let took = Amounts::ZERO.with(Dimension::Time, 40_000_000);
    world.ends(flying, done(false), took);
    let outcome = &world.records("call.outcome")[0];
    assert_eq!(outcome["budget_left"]["time_ms"], 60_000);
    assert_eq!(world.notices(), [""; 0]);
}

#[test]
fn what_is_left_stands_in_every_record() {
    let mut world = World::new("", DOLLAR);
    world.again().unwrap();
    let intent = &world.records("call.intent")[0];
    let left = serde_json::json!({"steps":24,"calls":49,"time_ms":120_000,"cost":"0.00 USD"});
    assert_eq!(intent["budget_left"], left);
    assert_eq!(intent["step"], 1);
    let outcome = &world.records("call.outcome")[0];
    assert_eq!(outcome["budget_left"]["cost"], "0.00 USD");
    assert_eq!(outcome["charged"]["cost"], 1_000_000);
    world.again().unwrap_err();
    let refused = &world.records("call.refused")[0];
    assert_eq!(refused["bound"], "run.cost");
    assert_eq!(refused["limit"], "1.00 USD");
    assert_eq!(refused["used"], "1.00 USD");
    assert_eq!(refused["requested"], "1.00 USD");
}

#[test]
fn what_was_under_way_when_tollgate_ended_has_worked_until_then_or_as_long_as_it_may() {
    let place = tempfile::tempdir().unwrap();
    let now = "2026-03-02T12:00:00Z".parse().unwrap();
    let clock = std::sync::Arc::new(tollgate::clock::SetClock::at(now));
    let tune = |setup: tollgate::store::Setup| tollgate::store::Setup {
        totals: [(world::shop(), std::time::Duration::from_secs(30))].into(),
        ..setup
    };
    let main = only("[budget]\nrun = { time = \"60s\" }");
    let mut world = World::tuned(place.path(), clock, &main, "", Box::new(tune));
    for (seconds, used) in [(20, 20), (3_000, 50)] {
        let call = world.call();
        world.ask(call).unwrap();
        world.wait(seconds);
        world.restart();
        assert_eq!(world.level("run.time"), (used * 1_000_000, 0));
    }
    world.rebuild();
    assert_eq!(world.level("run.time"), (50_000_000, 0));
    // A clock that went back meanwhile gives nothing back.
    let call = world.call();
    world.ask(call).unwrap();
    world.clock.jump_to(now);
    world.restart();
    assert_eq!(world.level("run.time"), (50_000_000, 0));
    world.store().check().unwrap();
}
