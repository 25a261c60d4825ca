//! The same call again and again, two in turn, nothing but errors; and runaways.

use std::time::Duration;

use tollgate::domain::{Amounts, HaltKind, Outcome, RunId, ToolFault};
use tollgate::ports::{Helping, Settlement, Store};

use crate::WRITES;
use crate::world::{World, done, only};

#[test]
fn the_same_call_is_refused_the_10th_time_and_the_50th_ends_the_run() {
    let mut world = World::new(&only("loops = {}"), "");
    let same = |world: &mut World, run: &str| {
        let call = world.call_with("bot", run, "look", "{\"q\":1}");
        world.makes(call)
    };
    for nth in 1..=9 {
        assert_eq!(same(&mut world, "1"), Ok(()), "{nth}");
    }
    for nth in 10..=49 {
        // Neither a new run nor a restart nor a pause begins the count anew.
        match nth {
            20 => world.restart(),
            30 => world.wait(660),
            _ => {}
        }
        let run = if nth < 40 { "1" } else { "2" };
        assert_eq!(same(&mut world, run), Err("LOOP"), "{nth}");
    }
    assert_eq!(same(&mut world, "1"), Err("RUN_KILLED"));
    assert_eq!(world.again(), Err("RUN_KILLED"));
    let halts = world.store().halts();
    assert_eq!(halts[0].kind, HaltKind::Killed);
    assert!(
        halts[0].says.contains("50 times the same call in a row"),
        "{}",
        halts[0].says
    );
    assert_eq!(world.notices(), ["loop", "loop", "killed"]);
}

#[test]
fn another_call_ends_a_row() {
    let mut world = World::new(&only("loops = { repeated = \"none\" }"), "");
    for _ in 0..5 {
        for _ in 0..9 {
            let call = world.call_with("bot", "1", "look", "{\"q\":1}");
            world.makes(call).unwrap();
        }
        world.again().unwrap();
    }
}

#[test]
fn the_same_call_again_and_again_is_a_loop_with_others_in_between() {
    let main = only("loops = { repeated = { refuse = 5, kill = 8, window = \"10m\" } }");
    let mut world = World::new(&main, "");
    let same = |world: &mut World| {
        world.again().unwrap();
        world.again().unwrap();
        let call = world.call_with("bot", "1", "look", "{\"q\":1}");
        world.makes(call)
    };
    for _ in 0..4 {
        same(&mut world).unwrap();
    }
    assert_eq!(same(&mut world), Err("LOOP"));
    world.wait(601);
    assert_eq!(same(&mut world), Ok(()));
    for _ in 0..6 {
        let _ = same(&mut world);
    }
    let call = world.call_with("bot", "1", "look", "{\"q\":1}");
    assert_eq!(world.makes(call), Err("RUN_KILLED"));
}

/// The same call, in this round, and that it ends with a question.
fn is_asked(world: &mut World, round: Option<u64>) -> Result<(), &'static str> {
    let mut call = world.call_with("bot", "1", "look", "{}");
    call.claim.round = round;
    let flying = world.ask(call).map_err(|refusal| refusal.code.as_str())?;
    let ask = flying.call.claim.ask;
    world.ends(flying, Outcome::Asked, ask);
    Ok(())
}

#[test]
fn a_call_that_goes_on_with_the_answer_to_a_question_is_no_repetition() {
    let mut world = World::new(&only("loops = { same = { refuse = 2, kill = 9 } }"), "");
    assert_eq!(is_asked(&mut world, None), Ok(()));
    for round in 1..9 {
        assert_eq!(is_asked(&mut world, Some(round)), Ok(()));
    }
    // With the same answer once more it is, also by the record alone.
    world.rebuild();
    assert_eq!(is_asked(&mut world, Some(8)), Err("LOOP"));
}

#[test]
fn who_asks_again_and_answers_nothing_is_in_a_loop() {
    let mut world = World::new(&only("loops = { same = { refuse = 2, kill = 3 } }"), "");
    assert_eq!(is_asked(&mut world, None), Ok(()));
    assert_eq!(is_asked(&mut world, None), Err("LOOP"));
    assert_eq!(is_asked(&mut world, None), Err("RUN_KILLED"));
}

#[test]
fn what_a_person_allows_may_be_longer_than_a_day() {
    let mut world = World::new(&only("autonomy = \"2h\""), WRITES);
    world.sends().unwrap();
    let helping = Helping {
        added: Amounts::ZERO,
        alone: Some(Some(world.now() + 48 * 3_600_000_000)),
    };
    let run = RunId::from_tail("1");
    world.store().extend(&run, &helping, "ana").unwrap();
    for _ in 0..47 {
        world.wait(3600);
        world.sends().unwrap();
    }
    world.wait(3600);
    assert_eq!(world.sends(), Err("REAUTH_REQUIRED"));
}

#[test]
fn two_calls_in_turn_are_a_loop() {
    let main = only("loops = { pairs = { refuse = 4, kill = 6 }, repeated = \"none\" }");
    let mut world = World::new(&main, "");
    let turn = |world: &mut World, q: u32| {
        let call = world.call_with("bot", "1", "look", &format!("{{\"q\":{q}}}"));
        world.makes(call)
    };
    // A, B, A, B, A, B, A: the next B is the fourth pair.
    for nth in 0..7 {
        assert_eq!(turn(&mut world, nth % 2), Ok(()), "{nth}");
    }
    assert_eq!(turn(&mut world, 1), Err("LOOP"));
    for _ in 0..3 {
        let _ = turn(&mut world, 0);
        if turn(&mut world, 1) == Err("RUN_KILLED") {
            return;
        }
    }
    panic!("it was never killed");
}

#[test]
fn errors_in_a_row_demand_a_pause_and_then_end_the_run() {
    let main = only("loops = { errors = { refuse = 5, kill = 8, pause = \"60s\" } }");
    let mut world = World::new(&main, "");
    let fails = |world: &mut World| {
        let call = world.call();
        world.ask(call).map(|flying| {
            let ask = flying.call.claim.ask;
            world.ends(flying, done(true), ask);
        })
    };
    for _ in 0..5 {
        fails(&mut world).unwrap();
    }
    let refusal = fails(&mut world).unwrap_err();
    assert_eq!(refusal.code.as_str(), "LOOP");
    assert_eq!(refusal.says, "5 calls in a row that failed or were refused");
    assert_eq!(
        refusal.retry_at.unwrap().as_microsecond(),
        world.now() + 60_000_000
    );
    let remedy = refusal.remedy.unwrap();
    assert!(remedy.contains(" UTC (in 60 s), then try"), "{remedy}");
    world.wait(60);
    // One that succeeds ends the row.
    world.again().unwrap();
    for _ in 0..5 {
        fails(&mut world).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(fails(&mut world).unwrap_err().code.as_str(), "LOOP");
    }
    assert_eq!(fails(&mut world).unwrap_err().code.as_str(), "RUN_KILLED");
}

#[test]
fn what_is_cancelled_is_no_error_and_ends_no_row_of_them() {
    let main = only("loops = { errors = { refuse = 5, kill = 8, pause = \"60s\" } }");
    let mut world = World::new(&main, "");
    let ends = |world: &mut World, outcome: Outcome| {
        let call = world.call();
        let flying = world.ask(call).map_err(|refusal| refusal.code.as_str())?;
        let ask = flying.call.claim.ask;
        world.settles(flying, &Settlement::plain(outcome, Duration::ZERO, ask));
        Ok(())
    };
    let cancelled = || ToolFault::Cancelled("the agent cancelled it".into());
    for nth in 1..=20 {
        let outcome = match nth % 2 {
            0 => Outcome::Failed(cancelled()),
            _ => Outcome::Unknown(cancelled()),
        };
        assert_eq!(ends(&mut world, outcome), Ok(()), "{nth}");
    }
    // A start reads the same out of the records.
    world.rebuild();
    world.again().unwrap();
    for nth in 1..=5 {
        assert_eq!(ends(&mut world, done(true)), Ok(()), "{nth}");
        if nth < 5 {
            assert_eq!(ends(&mut world, Outcome::Failed(cancelled())), Ok(()));
        }
    }
    assert_eq!(ends(&mut world, done(true)), Err("LOOP"));
    world.restart();
    assert_eq!(ends(&mut world, done(true)), Err("LOOP"));
}

#[test]
fn thresholds_are_those_of_the_tier() {
    let main = only(
        "[loops]\nsame = { refuse = 20, kill = 50 }\n[loops.reversible]\nsame = { refuse = 2, kill = 3 }",
    );
    let mut world = World::new(&main, WRITES);
    let same = |world: &mut World, tool: &str| {
        let call = world.call_with("bot", "1", tool, "{}");
        world.makes(call)
    };
    for _ in 0..19 {
        same(&mut world, "look").unwrap();
    }
    assert_eq!(same(&mut world, "look"), Err("LOOP"));
    assert_eq!(same(&mut world, "send"), Ok(()));
    assert_eq!(same(&mut world, "send"), Err("LOOP"));
    assert_eq!(same(&mut world, "send"), Err("RUN_KILLED"));
}

#[test]
fn what_an_operator_keeps_back_is_no_loop() {
    let mut world = World::new(&only("loops = {}"), "");
    let stop = tollgate::domain::Stop {
        scope: tollgate::domain::StopScope::Everything,
        by: "ana".into(),
        text: None,
        at: "2026-03-02T12:00:00Z".into(),
    };
    world.store().stop(stop.clone()).unwrap();
    for _ in 0..60 {
        let call = world.call_with("bot", "1", "look", "{}");
        assert_eq!(world.makes(call), Err("STOPPED"));
    }
    world.store().resume(&stop.scope, "ana").unwrap();
    let call = world.call_with("bot", "1", "look", "{}");
    assert_eq!(world.makes(call), Ok(()));
}

#[test]
fn a_looper_stops_at_its_cap_to_the_call() {
    let mut world = World::new(
        &only("[budget]\nrun.steps = \"none\""),
        "[tools.buy]\ntier = \"read\"\ncost = \"0.01 USD\"\n",
    );
    let passed = (0..3_800).filter(|_| world.again().is_ok()).count();
    assert_eq!(passed, 50);
    assert_eq!(world.level("run.cost").0, 500_000);
}

#[test]
fn of_64_at_once_none_goes_beyond_the_cap() {
    let mut world = World::new(&only("[budget]\nrun.steps = \"none\""), "");
    let mut flying = Vec::new();
    let mut refused = 0;
    for _ in 0..10 {
        for _ in 0..64 {
            let call = world.call();
            match world.ask(call) {
                Ok(call) => flying.push(call),
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!((flying.len(), refused), (50, 590));
    for call in flying {
        world.done(call);
    }
    assert_eq!(world.again(), Err("BUDGET_RUN_CALLS"));
}
