//! Runaways: loops, breakers, rates, hours, agents that work on alone. Each by itself,
//! in the words in which it is promised, on a clock that is set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

mod breakers;
mod loops;
#[path = "../limits/mod.rs"]
mod world;

use std::time::Duration;

use tollgate::clock::Clock as _;
use tollgate::domain::{Amounts, Dimension, HaltKind, RunId};
use tollgate::ports::{Helping, Store};
use world::{World, done, only};

const WRITES: &str = "[tools.send]\ntier = \"reversible\"\n";

fn code(asked: world::Asked) -> Result<(), &'static str> {
    asked.map(drop).map_err(|refusal| refusal.code.as_str())
}

// Rates.

#[test]
fn a_rate_lets_a_burst_pass_and_then_one_after_another() {
    let shop = "[tools.buy]\ntier = \"read\"\nrate = { per = \"60/min\", burst = 3 }\n";
    let mut world = World::new(world::NO_LIMITS, shop);
    for _ in 0..3 {
        world.again().unwrap();
    }
    let call = world.call();
    let refusal = world.ask(call).err().unwrap();
    assert_eq!(refusal.code.as_str(), "RATE_LIMITED");
    assert_eq!(
        refusal.retry_at.unwrap().as_microsecond(),
        world.now() + 1_000_000
    );
    let remedy = refusal.remedy.unwrap();
    assert!(
        remedy.starts_with("Wait, then call again, from 20"),
        "{remedy}"
    );
    assert!(remedy.ends_with(" UTC (in 1 s) on."), "{remedy}");
    // Another agent and another tool have their own.
    let eve = world.call_with("eve", "2", "buy", "{}");
    assert_eq!(world.makes(eve), Ok(()));
    let look = world.call_with("bot", "1", "look", "{}");
    assert_eq!(world.makes(look), Ok(()));
    world.wait(1);
    world.again().unwrap();
    assert_eq!(world.again(), Err("RATE_LIMITED"));
    world.wait(3);
    for _ in 0..3 {
        world.again().unwrap();
    }
    assert_eq!(world.again(), Err("RATE_LIMITED"));
}

#[test]
fn a_tier_has_a_rate_for_each_of_its_tools() {
    let main = format!("{}[tiers.reversible]\nrate = \"1/min\"\n", world::NO_LIMITS);
    let mut world = World::new(&main, WRITES);
    world.sends().unwrap();
    assert_eq!(world.sends(), Err("RATE_LIMITED"));
    world.again().unwrap();
    world.wait(60);
    world.sends().unwrap();
}

#[test]
fn an_agent_cannot_begin_runs_without_end() {
    let mut world = World::new(&only("runs = \"3/h\""), "");
    let begin = |world: &mut World, run: &str| {
        let call = world.call_with("bot", run, "look", &format!("{{\"run\":\"{run}\"}}"));
        world.makes(call)
    };
    for run in ["1", "2", "3"] {
        begin(&mut world, run).unwrap();
        world.wait(60);
    }
    assert_eq!(begin(&mut world, "4"), Err("RATE_LIMITED"));
    assert_eq!(begin(&mut world, "2"), Ok(()), "one that exists goes on");
    world.restart();
    world.wait(57 * 60 - 1);
    assert_eq!(begin(&mut world, "4"), Err("RATE_LIMITED"));
    world.wait(1);
    assert_eq!(begin(&mut world, "4"), Ok(()));
}

#[test]
fn an_agent_that_spends_much_faster_than_it_used_to_waits_for_a_person() {
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"0.10 USD\"\n";
    let mut world = World::new(&only("spend = 5"), shop);
    for _ in 0..10 {
        world.again().unwrap();
        world.wait(900);
    }
    for _ in 0..5 {
        world.again().unwrap();
    }
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let halt = world.done(flying).unwrap();
    assert_eq!(halt.kind, HaltKind::Paused);
    assert_eq!(world.again(), Err("RUN_PAUSED"));
    world.wait(3 * 24 * 3600);
    assert_eq!(world.again(), Err("RUN_PAUSED"), "only a person resumes it");
    let bot = tollgate::domain::AgentName::parse("bot").unwrap();
    world.store().clear(&bot, "ana").unwrap();
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn a_pause_is_a_persons_to_lift_when_a_limit_ends_the_run_as_well() {
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"0.10 USD\"\n";
    let hour = "[budget]\nrun = \"none\"\nhour = { cost = { at = \"0.70 USD\", then = \"kill\" } }";
    let mut world = World::new(&only(&format!("spend = 5\n{hour}")), shop);
    for _ in 0..10 {
        world.again().unwrap();
        world.wait(1800);
    }
    world.wait(3600);
    let flying: Vec<_> = (0..7)
        .map(|_| {
            let call = world.call();
            world.ask(call).unwrap()
        })
        .collect();
    let halts: Vec<_> = flying
        .into_iter()
        .filter_map(|call| world.done(call))
        .collect();
    let kinds: Vec<_> = halts.iter().map(|halt| (halt.kind, halt.until)).collect();
    assert_eq!(kinds, [(HaltKind::Paused, None), (HaltKind::Killed, None)]);
    world.wait(3 * 24 * 3600);
    assert_eq!(world.again(), Err("RUN_KILLED"), "only a person lifts it");
    world.restart();
    assert_eq!(world.again(), Err("RUN_KILLED"));
    let bot = tollgate::domain::AgentName::parse("bot").unwrap();
    world.store().clear(&bot, "ana").unwrap();
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn what_ends_meanwhile_does_not_shorten_the_end_of_a_loop() {
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"0.10 USD\"\n";
    let hour = "[budget]\nrun = \"none\"\nhour = { cost = { at = \"0.20 USD\", then = \"kill\" } }";
    let loops = "[loops.read]\nsame = { refuse = 2, kill = 3 }";
    let mut world = World::new(&only(&format!("{hour}\n{loops}")), shop);
    let call = world.call();
    let flying = world.ask(call).unwrap();
    for code in [Ok(()), Err("LOOP"), Err("RUN_KILLED")] {
        let call = world.call_with("bot", "1", "look", "{}");
        assert_eq!(world.makes(call), code);
    }
    let dear = Amounts::ZERO.with(Dimension::Cost, 200_000);
    assert_eq!(world.ends(flying, done(false), dear), None);
    let halts = world.store().halts();
    assert!(halts[0].says.contains("in a row"), "{}", halts[0].says);
    world.wait(2 * 3600);
    assert_eq!(world.again(), Err("RUN_KILLED"), "an hour is no day");
    world.wait(22 * 3600);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn an_hours_limit_that_one_call_uses_up_ends_the_agent_for_that_hour() {
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n";
    let hour = "[budget]\nrun = \"none\"\nhour = { cost = { at = \"1.00 USD\", then = \"kill\" } }";
    let mut world = World::new(&only(hour), shop);
    assert_eq!(world.again(), Ok(()));
    assert_eq!(world.again(), Err("RUN_KILLED"));
    world.wait(3600);
    assert_eq!(world.again(), Err("RUN_KILLED"), "it counts by the minute");
    world.wait(60);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn a_clock_that_jumps_ahead_and_back_forgets_nothing_that_was_used() {
    let main = only("[budget]\nrun = \"none\"\nday = { cost = \"3.00 USD\" }");
    let shop = "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n";
    let mut world = World::new(&main, shop);
    world.again().unwrap();
    world.again().unwrap();
    let right = world.clock.now();
    world.clock.jump_to("2037-01-01T00:00:00Z".parse().unwrap());
    for _ in 0..3 {
        world.again().unwrap();
        world.wait(900);
    }
    world.restart();
    world.clock.jump_to(right);
    // What was used in a day to come counts as well: rather too much than too little.
    assert_eq!(world.again(), Err("BUDGET_DAY_COST"));
    assert_eq!(world.level("day.cost").0, 5_000_000);
    world.rebuild();
    assert_eq!(world.level("day.cost").0, 5_000_000);
    world.store().check().unwrap();
}

// Hours, and agents that work on alone.

#[test]
fn outside_its_hours_a_tool_is_closed_and_says_when_it_opens() {
    let shop = "[tools.buy]\ntier = \"read\"\nwindow = \"Mon-Fri 08:00-18:00 Europe/Paris\"\n";
    // Friday evening before the clocks go forward.
    let mut world = World::at("2026-03-27T16:59:59.999999Z", world::NO_LIMITS, shop);
    assert_eq!(world.again(), Ok(()));
    world.clock.advance(Duration::from_micros(1));
    let call = world.call();
    let refusal = world.ask(call).err().unwrap();
    assert_eq!(refusal.code.as_str(), "OUTSIDE_WINDOW");
    assert_eq!(
        refusal.says,
        "it may be called Mon-Fri 08:00-18:00 Europe/Paris; it opens 2026-03-30 06:00:00 UTC (in 3 days)"
    );
    // Monday at eight is an hour earlier now.
    assert_eq!(
        refusal.retry_at.unwrap().to_string(),
        "2026-03-30T06:00:00Z"
    );
    assert_eq!(refusal.rule.unwrap().to_string(), "tools.d/shop.toml:6");
    world.clock.jump_to("2026-03-30T05:59:59Z".parse().unwrap());
    assert_eq!(world.again(), Err("OUTSIDE_WINDOW"));
    world.wait(1);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn hours_across_midnight_on_the_night_in_which_the_clocks_go_back() {
    let shop = "window = \"Sat 22:00-06:00 America/New_York\"\n";
    let mut world = World::at("2026-11-01T01:59:59Z", world::NO_LIMITS, shop);
    assert_eq!(world.again(), Err("OUTSIDE_WINDOW"));
    world.wait(1);
    assert_eq!(world.again(), Ok(()));
    // Eight hours by the clock on the wall are nine.
    world.wait(9 * 3600 - 1);
    assert_eq!(world.again(), Ok(()));
    world.wait(1);
    assert_eq!(world.again(), Err("OUTSIDE_WINDOW"));
}

#[test]
fn after_two_hours_the_next_call_that_changes_something_needs_a_person() {
    let mut world = World::new(&only("autonomy = \"2h\""), WRITES);
    let send = |world: &mut World, run: &str| {
        let n = world.now();
        let call = world.call_with("bot", run, "send", &format!("{{\"n\":{n}}}"));
        world.makes(call)
    };
    send(&mut world, "1").unwrap();
    world.wait(7_199);
    send(&mut world, "1").unwrap();
    world.wait(1);
    assert_eq!(send(&mut world, "1"), Err("REAUTH_REQUIRED"));
    assert_eq!(world.again(), Ok(()), "reading needs nobody");
    assert_eq!(
        send(&mut world, "2"),
        Err("REAUTH_REQUIRED"),
        "another run is no other agent"
    );
    world.wait(1_200);
    world.restart();
    assert_eq!(send(&mut world, "3"), Err("REAUTH_REQUIRED"));
    let run = RunId::from_tail("1");
    let helping = |alone| Helping {
        added: Amounts::ZERO,
        alone: Some(alone),
    };
    world.store().extend(&run, &helping(None), "ana").unwrap();
    world.wait(7_199);
    assert_eq!(send(&mut world, "1"), Ok(()));
    world.wait(1);
    assert_eq!(send(&mut world, "1"), Err("REAUTH_REQUIRED"));
    let until = world.now() + 60_000_000;
    world
        .store()
        .extend(&run, &helping(Some(until)), "ana")
        .unwrap();
    world.wait(59);
    assert_eq!(send(&mut world, "1"), Ok(()));
    world.wait(1);
    assert_eq!(send(&mut world, "1"), Err("REAUTH_REQUIRED"));
    world.wait(24 * 3600);
    assert_eq!(send(&mut world, "1"), Ok(()), "a new day");
}

#[test]
fn a_clock_that_was_ahead_lets_no_agent_go_on_alone_for_longer() {
    let mut world = World::new(&only("autonomy = \"2h\""), WRITES);
    let right = world.clock.now();
    world.clock.jump_to("2037-01-01T00:00:00Z".parse().unwrap());
    world.sends().unwrap();
    world.clock.jump_to(right);
    world.sends().unwrap();
    world.rebuild();
    world.wait(7_199);
    assert_eq!(world.sends(), Ok(()));
    world.wait(1);
    assert_eq!(world.sends(), Err("REAUTH_REQUIRED"));
}

#[test]
fn a_clock_that_was_days_ahead_for_a_while_lifts_no_halt() {
    let mut world = World::new(&only("loops = {}"), "");
    let same = |world: &mut World| {
        let call = world.call_with("bot", "1", "look", "{\"q\":1}");
        world.makes(call)
    };
    while same(&mut world) != Err("RUN_KILLED") {}
    let right = world.clock.now();
    world.clock.jump_to("2037-01-01T00:00:00Z".parse().unwrap());
    same(&mut world).unwrap();
    world.clock.jump_to(right);
    assert_eq!(same(&mut world), Err("RUN_KILLED"));
    world.rebuild();
    assert_eq!(same(&mut world), Err("RUN_KILLED"));
    // What led to it is known for a day longer: when the last of it was is not.
    world.wait(24 * 3600);
    assert_eq!(same(&mut world), Err("RUN_KILLED"));
    world.wait(24 * 3600);
    assert_eq!(same(&mut world), Ok(()));
    world.store().check().unwrap();
}

#[test]
fn the_first_use_of_a_tool_by_an_agent_is_told_and_no_later_one() {
    let mut world = World::new(world::NO_LIMITS, "");
    for (agent, tool) in [
        ("bot", "buy"),
        ("bot", "look"),
        ("eve", "buy"),
        ("bot", "buy"),
    ] {
        let call = world.call_with(agent, agent, tool, "{}");
        world.makes(call).unwrap();
        world.wait(24 * 3600);
    }
    world.restart();
    let call = world.call_with("bot", "bot", "buy", "{}");
    world.makes(call).unwrap();
    let told: Vec<String> = world
        .records("notice")
        .iter()
        .map(|record| record["about"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, ["bot shop.buy", "bot shop.look", "eve shop.buy"]);
}

#[test]
fn an_agent_that_uses_nothing_for_a_month_is_not_remembered_for_ever() {
    let mut world = World::new(world::NO_LIMITS, "");
    let first_uses = |world: &World| {
        let notices = world.records("notice");
        notices
            .iter()
            .filter(|record| record["about"] == "once shop.look")
            .count()
    };
    let once = |world: &mut World| {
        let call = world.call_with("once", "once", "look", "{}");
        world.makes(call).unwrap();
    };
    once(&mut world);
    for _ in 0..36 {
        world.wait(24 * 3600);
        world.again().unwrap();
    }
    assert_eq!(first_uses(&world), 1);
    world.restart();
    once(&mut world);
    assert_eq!(first_uses(&world), 2, "it is met like a new one");
    once(&mut world);
    assert_eq!(first_uses(&world), 2);
    world.restart();
    world.rebuild();
    world.store().check().unwrap();
}

#[test]
fn an_old_state_is_swept_and_stays_what_follows_from_the_journal() {
    let mut world = World::new(
        &only("[budget]\nrun = \"none\"\nday = { cost = \"90.00 USD\" }"),
        "",
    );
    for day in 0..40 {
        for run in 0..3 {
            let run = format!("{day}-{run}");
            let call = world.call_with("bot", &run, "look", &format!("{{\"day\":\"{run}\"}}"));
            let flying = world.ask(call).unwrap();
            let used = Amounts::ZERO.with(Dimension::Cost, 1);
            world.ends(flying, done(false), used);
            world.wait(8 * 3600);
        }
        if day % 7 == 0 {
            world.restart();
        }
    }
    // Of 120 runs those of the last three days: a time must have proved right for a day.
    assert!(
        world.store().runs().len() <= 9,
        "{}",
        world.store().runs().len()
    );
    world.restart();
    world.rebuild();
    world.store().check().unwrap();
}

#[test]
fn a_halt_survives_a_start_also_beside_an_agent_whose_name_begins_like_this_one() {
    let mut world = World::new(&only("loops = {}"), "");
    while {
        let call = world.call_with("bot-2", "1", "look", "{}");
        world.makes(call) != Err("RUN_KILLED")
    } {}
    // First everything is kept, then what has changed: in the end only `bot`.
    for _ in 0..3 {
        world.again().unwrap();
        world.store().keep().unwrap();
    }
    world.restart();
    let call = world.call_with("bot-2", "2", "look", "{\"other\":1}");
    assert_eq!(world.makes(call), Err("RUN_KILLED"));
}

#[test]
fn the_rates_of_a_tool_and_of_its_tier_do_not_add_up_and_a_clock_set_back_lets_go() {
    let tier = "[tiers.reversible]\nrate = { per = \"60/min\", burst = 1 }\n";
    let main = format!("{}{tier}", world::NO_LIMITS);
    let shop = "[tools.send]\ntier = \"reversible\"\nrate = { per = \"30/min\", burst = 1 }\n";
    let mut world = World::new(&main, shop);
    let mut made = 0;
    for second in 0..20 {
        let call = world.call_with("bot", "1", "send", &format!("{{\"n\":{second}}}"));
        made += u32::from(world.makes(call).is_ok());
        world.wait(1);
    }
    // As the stricter of the two has it, not both together.
    assert_eq!(made, 10);
    let hour_ago = tollgate::clock::Clock::now(&*world.clock) - Duration::from_secs(3600);
    world.clock.jump_to(hour_ago);
    // As after a burst: what was taken in the hour to come is taken now.
    let again = |world: &mut World| {
        let call = world.call_with("bot", "1", "send", "{\"n\":\"again\"}");
        world.makes(call)
    };
    assert_eq!(again(&mut world), Err("RATE_LIMITED"));
    world.wait(2);
    assert_eq!(again(&mut world), Ok(()));
}

#[test]
fn a_person_who_lifts_a_halt_forgives_what_led_to_it() {
    let mut world = World::new(&only("loops = {}"), "");
    let same = |world: &mut World| {
        let call = world.call_with("bot", "1", "look", "{\"q\":1}");
        world.makes(call)
    };
    while same(&mut world) != Err("RUN_KILLED") {}
    let bot = tollgate::domain::AgentName::parse("bot").unwrap();
    assert!(world.store().clear(&bot, "ana").unwrap());
    for nth in 1..=9 {
        assert_eq!(same(&mut world), Ok(()), "{nth}");
    }
    assert_eq!(same(&mut world), Err("LOOP"));
}
