//! What fails is left alone for a while, and what asks to be.

use std::time::Duration;

use tollgate::domain::Amounts;
use tollgate::ports::{Settlement, Store};

use crate::code;
use crate::world::{NO_LIMITS, World, done, only};

#[test]
fn three_failures_open_a_breaker_and_after_60_seconds_one_call_tries() {
    let shop = "breaker = \"none\"\n[tools.buy]\ntier = \"read\"\nbreaker = { failures = 3 }\n";
    let mut world = World::new(NO_LIMITS, shop);
    for _ in 0..3 {
        let call = world.call();
        let flying = world.ask(call).unwrap();
        world.fails(flying);
        world.wait(5);
    }
    let call = world.call();
    let refusal = world.ask(call).err().unwrap();
    assert_eq!(refusal.code.as_str(), "CIRCUIT_OPEN");
    assert_eq!(world.notices(), ["breaker.open"]);
    // Other tools are fine.
    let other = world.call_with("bot", "1", "look", "{}");
    assert_eq!(world.makes(other), Ok(()));
    // It opened with the third failure, five seconds ago, and stays open over a start.
    assert_eq!(
        refusal.retry_at.unwrap().as_microsecond(),
        world.now() + 55_000_000
    );
    world.restart();
    world.wait(54);
    assert_eq!(world.again(), Err("CIRCUIT_OPEN"));
    world.wait(1);
    let call = world.call();
    let probe = world.ask(call).unwrap();
    assert_eq!(
        world.again(),
        Err("CIRCUIT_OPEN"),
        "one tries, the others wait"
    );
    world.fails(probe);
    assert_eq!(
        world.again(),
        Err("CIRCUIT_OPEN"),
        "the failure opens it again"
    );
    world.rebuild();
    world.wait(60);
    let call = world.call();
    let probe = world.ask(call).unwrap();
    world.done(probe);
    assert_eq!(world.again(), Ok(()), "the success closes it");
    let told = ["breaker.open", "breaker.open", "breaker.closed"];
    assert_eq!(world.notices(), told);
}

#[test]
fn of_a_breaker_that_has_closed_nothing_is_known_after_a_start_nor_before_it() {
    let mut world = World::new(&only("breaker = { failures = 1 }"), "");
    let fails = |world: &mut World| {
        let call = world.call();
        let flying = world.ask(call).unwrap();
        world.fails(flying);
    };
    fails(&mut world);
    world.wait(60);
    world.again().unwrap();
    world.restart();
    fails(&mut world);
    world.store().check().unwrap();
}

#[test]
fn failures_that_are_far_apart_do_not_open_a_breaker() {
    let mut world = World::new(&only("breaker = {}"), "");
    for _ in 0..6 {
        let call = world.call();
        let flying = world.ask(call).unwrap();
        world.fails(flying);
        world.wait(31);
    }
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn a_probe_that_a_crash_ends_is_tried_again() {
    let mut world = World::new(&only("breaker = {}"), "");
    for _ in 0..3 {
        let call = world.call();
        let flying = world.ask(call).unwrap();
        world.fails(flying);
    }
    world.wait(60);
    let call = world.call();
    let _probe = world.ask(call).unwrap();
    world.restart();
    let call = world.call();
    let probe = world.ask(call).unwrap();
    world.done(probe);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn a_breaker_of_a_server_keeps_all_its_tools() {
    let mut world = World::new(&only("breaker = {}"), "");
    for tool in ["buy", "look", "send"] {
        let call = world.call_with("bot", "1", tool, "{}");
        let flying = world.ask(call).unwrap();
        world.fails(flying);
    }
    assert_eq!(world.again(), Err("CIRCUIT_OPEN"));
    let other = world.call_with("eve", "2", "send", "{}");
    assert_eq!(world.makes(other), Err("CIRCUIT_OPEN"));
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_for_all_agents() {
    let mut world = World::new(&only("breaker = {}"), "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let settlement = Settlement {
        leave_alone: Some(Duration::from_secs(90)),
        ..Settlement::plain(done(true), Duration::ZERO, Amounts::ZERO)
    };
    world.settles(flying, &settlement);
    world.wait(89);
    for agent in ["bot", "eve"] {
        let call = world.call_with(agent, agent, "look", "{}");
        assert_eq!(code(world.ask(call)), Err("CIRCUIT_OPEN"));
    }
    world.wait(1);
    assert_eq!(world.again(), Ok(()));
}

#[test]
fn a_server_that_asks_for_a_moment_shortens_no_rest_that_it_has_earned() {
    let mut world = World::new(&only("breaker = { failures = 3, cooldown = \"5m\" }"), "");
    let call = world.call();
    let late = world.ask(call).unwrap();
    for _ in 0..3 {
        let call = world.call();
        let flying = world.ask(call).unwrap();
        world.fails(flying);
    }
    let look = |world: &mut World| {
        let call = world.call_with("bot", "1", "look", "{}");
        world.makes(call)
    };
    assert_eq!(look(&mut world), Err("CIRCUIT_OPEN"));
    let settlement = Settlement {
        leave_alone: Some(Duration::from_secs(1)),
        ..Settlement::plain(done(true), Duration::ZERO, Amounts::ZERO)
    };
    world.settles(late, &settlement);
    world.wait(299);
    assert_eq!(look(&mut world), Err("CIRCUIT_OPEN"));
    world.wait(1);
    assert_eq!(look(&mut world), Ok(()));
}

#[test]
fn a_server_is_left_alone_for_an_hour_at_most_however_long_it_asks_for() {
    let mut world = World::new(&only("breaker = {}"), "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let settlement = Settlement {
        leave_alone: Some(Duration::from_secs(u64::MAX)),
        ..Settlement::plain(done(true), Duration::ZERO, Amounts::ZERO)
    };
    world.settles(flying, &settlement);
    world.wait(3599);
    assert_eq!(world.again(), Err("CIRCUIT_OPEN"));
    world.wait(1);
    assert_eq!(world.again(), Ok(()));
}
