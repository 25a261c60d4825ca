//! What a tool server asks the model of an agent's client is one more call of the call in
//! which it asks: at that moment, and whatever happens afterwards.

use tollgate::ports::Store;
use tollgate::wire::Raw;

use crate::world::World;

const THREE: &str = "[budget]\nrun = { calls = 3, steps = \"none\", time = \"none\" }\n";

#[test]
fn asking_the_model_is_kept_back_at_once_and_charged_with_its_call() {
    let mut world = World::new(THREE, "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    assert_eq!(world.level("run.calls"), (0, 1));
    assert_eq!(world.asks_the_model(&flying.call), None);
    assert_eq!(world.level("run.calls"), (0, 2));
    assert_eq!(world.asks_the_model(&flying.call), None);
    // None is left: neither for another question nor for another call.
    let no = world.asks_the_model(&flying.call).unwrap();
    assert_eq!(
        no,
        "asking the client's model counts as a call, and 3 of 3 are used (run.calls)"
    );
    assert_eq!(world.again(), Err("BUDGET_RUN_CALLS"));
    world.done(flying);
    assert_eq!(world.level("run.calls"), (3, 0));
    assert_eq!(world.again(), Err("BUDGET_RUN_CALLS"));
}

#[test]
fn it_is_charged_as_well_when_tollgate_ends_in_between() {
    let mut world = World::new(THREE, "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    assert_eq!(world.asks_the_model(&flying.call), None);
    world.store().keep().unwrap();
    world.store().check().unwrap();
    world.restart();
    assert_eq!(world.level("run.calls"), (2, 0));
    world.rebuild();
    assert_eq!(world.level("run.calls"), (2, 0));
    assert_eq!(world.again(), Ok(()));
    assert_eq!(world.again(), Err("BUDGET_RUN_CALLS"));
}

#[test]
fn between_calls_there_is_nothing_that_it_could_count_for() {
    let mut world = World::new(THREE, "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let over = flying.call.clone();
    world.done(flying);
    let no = world.asks_the_model(&over).unwrap();
    assert!(no.starts_with("no call is under way"), "{no}");
    assert_eq!(world.level("run.calls"), (1, 0));
    let questions = world.records("question");
    assert_eq!(questions[0]["decision"], "refuse");
}

#[test]
fn what_a_person_reads_is_recorded_however_much_stands_before_it() {
    let mut world = World::new(THREE, "");
    let call = world.call();
    let flying = world.ask(call).unwrap();
    let long = "x".repeat(10_000);
    let form = format!(
        r#"{{"requestedSchema":{{"title":"{long}"}},"message":"[shop] \ud800 The key is sk-abcdefghijklmnopqrstuvwx?"}}"#
    );
    let bytes = form.len();
    let form = Raw::parse(form.into()).unwrap();
    let no = world.puts(&flying.call, "elicitation/create", Some(form));
    assert_eq!(no, None);
    let question = &world.records("question")[0];
    assert_eq!(
        question["message"],
        "[shop] \u{fffd} The key is [REDACTED]?"
    );
    assert_eq!(question["asks_bytes"], bytes);
}
