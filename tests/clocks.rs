//! A clock that is years ahead for a few calls and then right again. Nothing that an
//! agent is held to is looser for it, and nothing keeps the agent out until that time.
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

use tollgate::clock::Clock as _;
use tollgate::domain::{Amounts, Dimension, HaltKind, RunId};
use tollgate::ports::{Helping, Store};
use world::{World, done, only};

const HOUR: u64 = 3600;
const WRITES: &str = "[tools.send]\ntier = \"reversible\"\n";
const DOLLAR: &str = "[tools.buy]\ntier = \"read\"\ncost = \"1.00 USD\"\n";

/// Does something while the clock is ten years ahead.
fn ahead<T>(world: &mut World, act: impl FnOnce(&mut World) -> T) -> T {
    let right = world.clock.now();
    world.clock.jump_to("2037-01-01T00:00:00Z".parse().unwrap());
    let done = act(world);
    world.clock.jump_to(right);
    done
}

/// The same in memory, beside the journal and from the journal alone.
fn each_way(world: &mut World, holds: impl Fn(&mut World)) {
    holds(world);
    world.restart();
    holds(world);
    world.rebuild();
    holds(world);
    world.store().check().unwrap();
}

/// How many days with a call each it takes until it passes.
fn days_until(world: &mut World, mut passes: impl FnMut(&mut World) -> bool) -> u32 {
    let mut days = 0;
    while !passes(world) {
        days += 1;
        assert!(days < 5, "nobody is kept out for years");
        world.wait(25 * HOUR);
    }
    days
}

#[test]
fn what_a_run_has_used_is_used_when_the_clock_is_back() {
    let main = only("[budget]\nrun = { calls = 3, cost = \"9.00 USD\", elapsed = \"10m\" }");
    let mut world = World::new(&main, DOLLAR);
    for _ in 0..3 {
        world.again().unwrap();
    }
    assert_eq!(world.again(), Err("BUDGET_RUN_CALLS"));
    let right = world.clock.now();
    ahead(&mut world, |world| {
        world.again().unwrap();
        world.wait(900);
        world.restart();
        assert_eq!(
            world.level("run.calls").0,
            1,
            "by this clock it is another run"
        );
        let call = world.call();
        assert_eq!(world.makes(call), Err("BUDGET_RUN_ELAPSED"));
    });
    assert_eq!(world.clock.now(), right);
    // Before any record says that the clock is back, and after.
    assert_eq!(world.level("run.calls").0, 4);
    each_way(&mut world, |world| {
        assert_eq!(world.again(), Err("BUDGET_RUN_CALLS"));
        assert_eq!(world.level("run.calls").0, 4);
        assert_eq!(world.level("run.cost").0, 4_000_000);
    });
    days_until(&mut world, |world| world.again().is_ok());
    assert_eq!(world.level("run.calls").0, 1);
    each_way(&mut world, |_| {});
}

#[test]
fn a_call_that_is_under_way_while_the_clock_jumps_is_charged_once() {
    let main = only("[budget]\nrun = { calls = 5, cost = \"9.00 USD\" }");
    let mut world = World::new(&main, DOLLAR);
    world.again().unwrap();
    let flying = ahead(&mut world, |world| {
        let call = world.call();
        world.ask(call).unwrap()
    });
    assert_eq!(world.level("run.calls"), (1, 1));
    world.store().keep().unwrap();
    world.store().check().unwrap();
    let call = world.call();
    let other = world.ask(call).unwrap();
    assert_eq!(world.level("run.calls"), (1, 2));
    world.done(flying);
    world.done(other);
    each_way(&mut world, |world| {
        assert_eq!(world.level("run.calls"), (3, 0));
    });
}

#[test]
fn a_run_that_is_silent_for_a_day_stays_another_one_once_that_has_proved_right() {
    let mut world = World::new(&only("[budget]\nrun = { calls = 3 }"), "");
    for _ in 0..3 {
        world.again().unwrap();
    }
    world.wait(25 * HOUR);
    world.again().unwrap();
    // The clock is not right to the second, and goes back within the new run.
    world.wait(60);
    world
        .clock
        .jump_to(world.clock.now() - std::time::Duration::from_secs(30));
    each_way(&mut world, |world| {
        assert_eq!(world.level("run.calls").0, 1);
    });
    for _ in 0..2 {
        world.wait(23 * HOUR);
        world.again().unwrap();
    }
    each_way(&mut world, |world| {
        assert_eq!(world.level("run.calls").0, 3);
    });
}

#[test]
fn a_loop_is_one_when_the_clock_is_back() {
    let mut world = World::new(&only("loops = {}"), "");
    let same = |world: &mut World| {
        let call = world.call_with("bot", "1", "look", "{\"q\":1}");
        world.makes(call)
    };
    for _ in 0..20 {
        same(&mut world).ok();
    }
    ahead(&mut world, |world| same(world).unwrap());
    // The 22nd of them, and all the way to where it ends the run.
    for nth in 22..=49 {
        assert_eq!(same(&mut world), Err("LOOP"), "{nth}");
        match nth {
            30 => world.restart(),
            40 => world.rebuild(),
            _ => {}
        }
    }
    assert_eq!(same(&mut world), Err("RUN_KILLED"));
    world.store().check().unwrap();
}

#[test]
fn errors_of_a_time_to_come_demand_a_pause_from_now_on() {
    let mut world = World::new(&only("loops = {}"), "");
    let fails = |world: &mut World| {
        let call = world.call();
        match world.ask(call) {
            Ok(flying) => {
                world.fails(flying);
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    };
    for _ in 0..19 {
        fails(&mut world).unwrap();
    }
    ahead(&mut world, |world| fails(world).unwrap());
    let refusal = fails(&mut world).err().unwrap();
    assert_eq!(refusal.code.as_str(), "LOOP");
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(refusal.retry_at, Some(world.clock.now() + minute));
    world.wait(60);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn an_agent_that_has_worked_alone_for_too_long_has_so_when_the_clock_is_back() {
    for by in [22 * HOUR, 90_000 * HOUR] {
        let mut world = World::new(&only("autonomy = \"2h\""), WRITES);
        world.sends().unwrap();
        world.wait(2 * HOUR);
        world.again().unwrap();
        assert_eq!(world.sends(), Err("REAUTH_REQUIRED"));
        let right = world.clock.now();
        world.wait(by);
        world.sends().unwrap();
        world.clock.jump_to(right);
        each_way(&mut world, |world| {
            assert_eq!(world.sends(), Err("REAUTH_REQUIRED"), "{by}");
            world.again().unwrap();
        });
        days_until(&mut world, |world| world.sends().is_ok());
    }
}

#[test]
fn what_a_person_allows_while_the_clock_is_ahead_is_as_long_as_they_said() {
    let mut world = World::new(&only("autonomy = \"2h\""), WRITES);
    world.sends().unwrap();
    ahead(&mut world, |world| {
        world.sends().unwrap();
        let four_hours = world.now() + 4 * 3_600_000_000;
        let helping = Helping {
            added: Amounts::ZERO,
            alone: Some(Some(four_hours)),
        };
        let run = RunId::from_tail("1");
        world.store().extend(&run, &helping, "ana").unwrap();
    });
    world.sends().unwrap();
    world.rebuild();
    world.wait(4 * HOUR - 1);
    assert_eq!(world.sends(), Ok(()));
    world.wait(1);
    assert_eq!(world.sends(), Err("REAUTH_REQUIRED"));
}

#[test]
fn a_rate_that_is_used_up_is_so_when_the_clock_is_back() {
    let shop = "[tools.send]\ntier = \"reversible\"\nrate = { per = \"6/min\", burst = 5 }\n";
    let mut world = World::new(world::NO_LIMITS, shop);
    for _ in 0..5 {
        world.sends().unwrap();
    }
    assert_eq!(world.sends(), Err("RATE_LIMITED"));
    ahead(&mut world, |world| world.sends().unwrap());
    assert_eq!(world.sends(), Err("RATE_LIMITED"));
    world.wait(10);
    assert_eq!(world.sends(), Ok(()));
    assert_eq!(world.sends(), Err("RATE_LIMITED"));
}

#[test]
fn runs_that_an_agent_began_are_begun_when_the_clock_is_back() {
    let mut world = World::new(&only("runs = \"40/h\""), "");
    let mut made = 0;
    let mut begin = |world: &mut World| {
        made += 1;
        let call = world.call_with(
            "bot",
            &made.to_string(),
            "look",
            &format!("{{\"n\":{made}}}"),
        );
        world.makes(call)
    };
    for _ in 0..40 {
        begin(&mut world).unwrap();
    }
    let right = world.clock.now();
    // More of them than are remembered, in a day that is not over and in one that is.
    for by in [5 * HOUR, 90_000 * HOUR] {
        world.wait(by);
        while begin(&mut world).is_ok() {}
        world.clock.jump_to(right);
        assert_eq!(begin(&mut world), Err("RATE_LIMITED"), "{by}");
    }
    world.restart();
    assert_eq!(begin(&mut world), Err("RATE_LIMITED"));
    world.rebuild();
    assert_eq!(begin(&mut world), Err("RATE_LIMITED"));
    days_until(&mut world, |world| begin(world).is_ok());
    each_way(&mut world, |_| {});
}

#[test]
fn a_breaker_that_opened_in_a_time_to_come_is_tried_long_before() {
    let mut world = World::new(&only("breaker = { failures = 2, cooldown = \"1m\" }"), "");
    ahead(&mut world, |world| {
        for _ in 0..2 {
            let call = world.call();
            let flying = world.ask(call).unwrap();
            world.fails(flying);
        }
        assert_eq!(world.again(), Err("CIRCUIT_OPEN"));
    });
    each_way(&mut world, |world| {
        assert_eq!(world.again(), Err("CIRCUIT_OPEN"));
    });
    let days = days_until(&mut world, |world| world.again().is_ok());
    assert!(days <= 2, "{days}");
    // Nor do the failures of that time count for ever.
    let call = world.call();
    let flying = world.ask(call).unwrap();
    world.fails(flying);
    each_way(&mut world, |world| assert_eq!(world.again(), Ok(())));
}

#[test]
fn a_halt_of_a_time_to_come_ends_long_before() {
    let mut world = World::new(&only("loops = {}"), "");
    let same = |world: &mut World| {
        let call = world.call_with("bot", "1", "look", "{\"q\":1}");
        world.makes(call)
    };
    ahead(
        &mut world,
        |world| while same(world) != Err("RUN_KILLED") {},
    );
    assert_eq!(world.store().halts()[0].kind, HaltKind::Killed);
    each_way(&mut world, |world| {
        assert_eq!(world.again(), Err("RUN_KILLED"));
    });
    let days = days_until(&mut world, |world| world.again().is_ok());
    assert!(days <= 2, "{days}");
    each_way(&mut world, |_| {});
}

#[test]
fn what_was_used_in_a_time_to_come_counts_until_its_day_is_over() {
    let main = only(
        "[budget]\nrun = \"none\"\nday = { cost = \"3.00 USD\" }\nmonth = { cost = \"9.00 USD\" }",
    );
    let mut world = World::new(&main, DOLLAR);
    let told = |world: &World| {
        let notices = world.notices();
        let stops = notices.iter().filter(|notice| *notice == "budget.stop");
        stops.count()
    };
    ahead(&mut world, |world| {
        for _ in 0..3 {
            world.again().unwrap();
        }
        assert_eq!(world.again(), Err("BUDGET_DAY_COST"));
    });
    each_way(&mut world, |world| {
        assert_eq!(world.again(), Err("BUDGET_DAY_COST"));
    });
    assert_eq!(told(&world), 1);
    let days = days_until(&mut world, |world| world.again().is_ok());
    assert!(days <= 2, "{days}");
    each_way(&mut world, |world| {
        assert_eq!(world.level("day.cost").0, 1_000_000);
        assert_eq!(world.level("month.cost").0, 4_000_000);
    });
    // People are told again, although they were told in a time to come.
    assert_eq!(told(&world), 2);
}

#[test]
fn the_time_of_a_call_that_began_in_a_time_to_come_hides_no_other() {
    let main = only("[budget]\nrun = \"none\"\nday = { time = \"60s\" }");
    let mut world = World::new(&main, "");
    let first = ahead(&mut world, |world| {
        let call = world.call();
        world.ask(call).unwrap()
    });
    let call = world.call();
    let second = world.ask(call).unwrap();
    assert_eq!(world.level("day.time").1, 0);
    world.wait(40);
    assert_eq!(world.level("day.time").1, 80_000_000);
    let used = Amounts::ZERO.with(Dimension::Time, 1);
    world.ends(first, done(false), used);
    world.ends(second, done(false), used);
    each_way(&mut world, |_| {});
}
