//! What every store promises, asked of each of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

#[path = "stores/mod.rs"]
mod stores;

use std::sync::Arc;
use std::time::Duration;

use stores::{
    call, context, done, lines, permit, print, raw, refused, server, settlement, stop, tool,
};
use tollgate::clock::{Clock, SetClock};
use tollgate::domain::{AgentName, Amounts, Call, Outcome, RunId, StopScope, Tier, ToolFault};
use tollgate::ports::{Admission, Context, Query, Settlement, Store};
use tollgate::store::{LocalStore, MemoryStore, Setup};

type Again = Box<dyn Fn(Box<dyn Store>) -> Box<dyn Store>>;

struct World {
    store: Box<dyn Store>,
    clock: Arc<SetClock>,
    /// Ends and starts again, where that means something.
    again: Again,
}

fn memory() -> World {
    let clock = Arc::new(SetClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    World {
        store: Box::new(MemoryStore::new(clock.clone())),
        clock,
        again: Box::new(|store| store),
    }
}

fn local() -> World {
    let clock = Arc::new(SetClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let open = {
        let clock = clock.clone();
        move || -> Box<dyn Store> {
            let usual = Setup::new(dir.path(), clock.clone());
            // Kept when it ends: no record comes between those of a test.
            let keep_every = Some(Duration::from_secs(3600));
            Box::new(
                LocalStore::open(Setup {
                    keep_every,
                    ..usual
                })
                .unwrap(),
            )
        }
    };
    World {
        store: open(),
        clock,
        again: Box::new(move |store| {
            store.close();
            drop(store);
            let store = open();
            store.check().unwrap();
            store
        }),
    }
}

/// One promise, asked of both.
macro_rules! promise {
    ($name:ident, $check:expr) => {
        #[test]
        fn $name() {
            let check: fn(World) = $check;
            check(memory());
            check(local());
        }
    };
}

fn find(store: &dyn Store, query: &Query) -> Vec<serde_json::Value> {
    lines(&store.query(query).unwrap())
}

promise!(a_call_is_an_intent_and_an_outcome_under_one_id, |world| {
    let store = &*world.store;
    let one = call("1", "bot", "7");
    let context = Context {
        arguments: Some(raw("{\"path\":\"/a\",\n\"password\":\"x\"}")),
        meta: Some(raw(
            r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","dev.tollgate/model":"m-1"}"#,
        )),
        answers: None,
    };
    let permit = permit(store, &one, &context);
    assert_eq!(store.in_flight()[0].title, "files.file:///a");
    stores::settle(store, permit, &settlement(r#"{"content":[]}"#)).unwrap();
    assert!(store.in_flight().is_empty());
    let records = lines(&store.records_of(&one.id).unwrap());
    assert_eq!(records.len(), 2);
    let intent = &records[0];
    assert_eq!(intent["kind"], "call.intent");
    assert_eq!(intent["at"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(intent["run"], "r-7");
    assert_eq!(intent["agent"], "bot");
    assert_eq!(intent["owner"], "ops");
    assert_eq!(intent["method"], "resources/read");
    assert_eq!(intent["tier"], "read");
    assert_eq!(intent["decision"], "pass");
    assert_eq!(intent["trace"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(intent["reported"]["model"], "m-1");
    assert_eq!(intent["arguments"]["path"], "/a");
    assert_eq!(intent["arguments"]["password"], "[REDACTED]");
    assert_eq!(intent.get("reviewer"), None, "absent is left out");
    let outcome = &records[1];
    assert_eq!(outcome["kind"], "call.outcome");
    assert_eq!(outcome["call"], intent["call"]);
    assert_eq!(outcome["outcome"], "done");
    assert_eq!(outcome["result_bytes"], 14);
    assert_eq!(outcome["duration_ms"], 1.234);
    assert_eq!(outcome["wait_ms"], 0.056);
});

promise!(a_refused_call_is_one_record_that_says_why, |world| {
    let store = &*world.store;
    let one = tool("1", "rm", print("x"));
    assert_eq!(refused(store, &one), "TOOL_CHANGED");
    let records = lines(&store.records_of(&one.id).unwrap());
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["kind"], "call.refused");
    assert_eq!(records[0]["gate"], "tool");
    assert_eq!(records[0]["code"], "TOOL_CHANGED");
    assert!(store.in_flight().is_empty());
    assert!(store.judge(&one).len() > 1, "and judging records nothing");
    assert_eq!(store.records_of(&one.id).unwrap().len(), 1);
});

promise!(
    a_stop_holds_until_it_is_lifted_and_through_a_restart,
    |world| {
        let scopes = [
            StopScope::Everything,
            StopScope::Agent(AgentName::parse("bot").unwrap()),
            StopScope::Server(server("files")),
            StopScope::Run(RunId::from_tail("7")),
        ];
        let mut store = world.store;
        for scope in scopes {
            store.stop(stop(scope.clone())).unwrap();
            store.stop(stop(scope.clone())).unwrap();
            assert_eq!(refused(&*store, &call("1", "bot", "7")), "STOPPED");
            store = (world.again)(store);
            assert_eq!(store.stops().all(), [stop(scope.clone())]);
            assert_eq!(refused(&*store, &call("2", "bot", "7")), "STOPPED");
            let mut shown = stop(scope.clone());
            shown.at = "2025-12-31T00:00:00Z".to_owned();
            let older = store.resume_shown(&scope, Some(&shown), "bob");
            assert!(!older.unwrap(), "who said yes to another has not seen it");
            assert_eq!(refused(&*store, &call("2", "bot", "7")), "STOPPED");
            let shown = stop(scope.clone());
            assert!(store.resume_shown(&scope, Some(&shown), "bob").unwrap());
            assert!(!store.resume(&scope, "bob").unwrap());
            store = (world.again)(store);
            assert!(store.stops().all().is_empty());
            done(
                &*store,
                permit(&*store, &call("3", "bot", "7"), &Context::default()),
            );
        }
        store
            .stop(stop(StopScope::Agent(AgentName::parse("other").unwrap())))
            .unwrap();
        done(
            &*store,
            permit(&*store, &call("4", "bot", "7"), &Context::default()),
        );
    }
);

promise!(
    an_agent_whose_run_was_stopped_begins_no_other_until_that_is_lifted,
    |world| {
        let mut store = world.store;
        let ends = |store: &dyn Store, call: &Call| {
            done(store, permit(store, call, &Context::default()));
        };
        let names = |store: &dyn Store, run: &str| {
            let bot = AgentName::parse("bot").unwrap();
            let stop = store.stop_of(&bot, &RunId::from_tail(run));
            stop.map(|stop| stop.scope)
        };
        ends(&*store, &call("1", "bot", "7"));
        ends(&*store, &call("2", "bot", "8"));
        let stopped = StopScope::Run(RunId::from_tail("7"));
        store.stop(stop(stopped.clone())).unwrap();
        for again in ["3", "4"] {
            // Also at the second try: what is kept back begins no run.
            assert_eq!(refused(&*store, &call(again, "bot", "9")), "STOPPED");
            assert_eq!(names(&*store, "9"), Some(stopped.clone()));
            store = (world.again)(store);
        }
        let Admission::Refused(refusal) = store
            .admit(&call("5", "bot", "9"), &Context::default())
            .unwrap()
        else {
            panic!("cleared");
        };
        assert_eq!(
            refusal.says,
            "an operator stopped run `r-7`: too \"many\" mails; its agent begins no other meanwhile"
        );
        // What it had begun before goes on, and others have nothing to do with it.
        assert_eq!(names(&*store, "8"), None);
        ends(&*store, &call("6", "bot", "8"));
        ends(&*store, &call("7", "ann", "9"));
        store.resume(&stopped, "bob").unwrap();
        ends(&*store, &call("8", "bot", "10"));
        // A stop of a run that nobody knows any more says nothing of other runs.
        let whose = store.run_of(&RunId::from_tail("7"));
        assert_eq!(whose, AgentName::parse("bot").ok());
        store.stop(stop(stopped)).unwrap();
        assert_eq!(refused(&*store, &call("9", "bot", "11")), "STOPPED");
        let day = Duration::from_secs(86_400);
        world.clock.jump_to(world.clock.now() + day);
        assert_eq!(store.run_of(&RunId::from_tail("7")), None);
        ends(&*store, &call("10", "bot", "11"));
        assert_eq!(refused(&*store, &call("11", "bot", "7")), "STOPPED");
    }
);

promise!(
    a_definition_is_accepted_once_and_a_change_only_by_a_person,
    |world| {
        let (first, second) = (
            raw("{\n\"name\":\"rm\",\"v\":1}"),
            raw(r#"{"name":"rm","v":2}"#),
        );
        let files = server("files");
        let mut store = world.store;
        let kinds = |store: &dyn Store| -> Vec<String> {
            let all = find(
                store,
                &Query {
                    tool: Some("files.rm".into()),
                    ..Query::default()
                },
            );
            all.iter()
                .map(|record| record["kind"].as_str().unwrap().to_owned())
                .collect()
        };
        for _ in 0..2 {
            assert_eq!(
                store.pin(&files, "rm", &first, print("1")).unwrap(),
                print("1")
            );
        }
        for _ in 0..3 {
            assert_eq!(
                store.pin(&files, "rm", &second, print("2")).unwrap(),
                print("1")
            );
            store = (world.again)(store);
        }
        assert_eq!(kinds(&*store), ["pin", "pin.changed"]);
        assert_eq!(
            refused(&*store, &tool("1", "rm", print("2"))),
            "TOOL_CHANGED"
        );
        done(
            &*store,
            permit(&*store, &tool("2", "rm", print("1")), &Context::default()),
        );
        let pins = store.pins();
        assert_eq!(pins[0].definition, raw("{ \"name\":\"rm\",\"v\":1}"));
        assert_eq!(pins[0].offered, Some(second.clone()));
        assert_eq!(
            (pins[0].by.as_deref(), pins[0].since.as_str()),
            (None, "2026-01-01T00:00:00.000000Z")
        );

        world.clock.advance(Duration::from_secs(60));
        // Only what the person saw.
        assert!(!store.accept(&files, "rm", print("3"), "ann").unwrap());
        assert!(store.accept(&files, "rm", print("2"), "ann").unwrap());
        assert!(!store.accept(&files, "rm", print("2"), "ann").unwrap());
        store = (world.again)(store);
        let pins = store.pins();
        assert_eq!(
            (pins[0].accepted, pins[0].offered.clone()),
            (print("2"), None)
        );
        assert_eq!(
            (pins[0].by.as_deref(), pins[0].since.as_str()),
            (Some("ann"), "2026-01-01T00:01:00.000000Z")
        );
        assert_eq!(store.pinned(&files, "rm"), Some(second));
        done(
            &*store,
            permit(&*store, &tool("3", "rm", print("2")), &Context::default()),
        );

        store.pin(&files, "rm", &first, print("1")).unwrap();
        store
            .pin(&files, "rm", &raw(r#"{"name":"rm","v":2}"#), print("2"))
            .unwrap();
        assert_eq!(store.pins()[0].offered, None, "back to what was accepted");
        assert!(!store.accept(&files, "rm", print("1"), "ann").unwrap());
    }
);

promise!(what_cannot_be_pinned_is_said, |world| {
    let long = "x".repeat(600);
    assert!(
        world
            .store
            .pin(&server("files"), &long, &raw("{}"), print("1"))
            .is_err()
    );
    let huge = raw(&format!("\"{}\"", "x".repeat(600 << 10)));
    assert!(
        world
            .store
            .pin(&server("files"), "a", &huge, print("1"))
            .is_err()
    );
    let large = raw(&format!("\"{}\"", "é".repeat(100 << 10)));
    world
        .store
        .pin(&server("files"), "a", &large, print("1"))
        .unwrap();
    let store = (world.again)(world.store);
    assert_eq!(store.pinned(&server("files"), "a"), Some(large));
});

promise!(large_and_secret_things_do_not_reach_the_record, |world| {
    let store = &*world.store;
    let big = format!(
        r#"{{"token":"hunter-2","text":"{}"}}"#,
        "x".repeat(10 << 20)
    );
    let permit = permit(store, &call("1", "bot", "7"), &context(&big));
    stores::settle(
        store,
        permit,
        &settlement(&format!(
            r#"["ghp_{}","{}"]"#,
            "a".repeat(36),
            "y".repeat(5000)
        )),
    )
    .unwrap();
    let texts = store.records_of(&call("1", "bot", "7").id).unwrap();
    assert!(texts.iter().all(|line| line.len() < 6000));
    assert!(!texts.concat().contains("ghp_") && !texts.concat().contains("hunter"));
    let records = lines(&texts);
    assert_eq!(records[0]["arguments_bytes"], big.len());
    assert!(
        records[0]["arguments"]
            .as_str()
            .unwrap()
            .ends_with("bytes in all]")
    );
});

promise!(records_are_found_by_what_they_and_their_call_say, |world| {
    let store = &*world.store;
    let long = permit(store, &call("long", "carl", "C"), &Context::default());
    for n in 0..900 {
        let (agent, run) = if n % 3 == 0 {
            ("ann", "A")
        } else {
            ("bob", "B")
        };
        let permit = permit(
            store,
            &call(&format!("{n}"), agent, run),
            &Context::default(),
        );
        world.clock.advance(Duration::from_secs(1));
        let outcome = if n % 10 == 0 {
            Outcome::Failed(ToolFault::Exited("code 1".into()))
        } else {
            Outcome::Done {
                error: false,
                bytes: 0,
            }
        };
        let settlement = Settlement::plain(outcome, Duration::ZERO, Amounts::ZERO);
        stores::settle(store, permit, &settlement).unwrap();
    }
    done(store, long);
    world.clock.advance(Duration::from_secs(1));
    done(
        store,
        permit(store, &call("900", "bob", "B"), &Context::default()),
    );
    done(
        store,
        permit(store, &call("901", "bob", "B"), &Context::default()),
    );
    let count = |query: Query| {
        find(
            store,
            &Query {
                limit: Some(10_000),
                ..query
            },
        )
        .len()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        count(Query {
            agent: some("ann"),
            ..Query::default()
        }),
        600
    );
    assert_eq!(
        count(Query {
            run: some("r-A"),
            ..Query::default()
        }),
        600
    );
    assert_eq!(
        count(Query {
            outcome: some("failed"),
            ..Query::default()
        }),
        180
    );
    assert_eq!(
        count(Query {
            run: some("r-A"),
            outcome: some("failed"),
            ..Query::default()
        }),
        60
    );
    assert_eq!(
        count(Query {
            tool: some("files"),
            tier: some("read"),
            ..Query::default()
        }),
        1806
    );
    assert_eq!(
        count(Query {
            tool: some("files.file:///a"),
            ..Query::default()
        }),
        1806
    );
    assert_eq!(
        count(Query {
            tool: some("files.x"),
            ..Query::default()
        }),
        0
    );
    assert_eq!(
        count(Query {
            trace: some("x"),
            ..Query::default()
        }),
        0
    );
    for outcome in [None, some("done")] {
        let run = count(Query {
            run: some("r-C"),
            outcome: outcome.clone(),
            ..Query::default()
        });
        let agent = count(Query {
            agent: some("carl"),
            outcome,
            ..Query::default()
        });
        assert_eq!((run, agent), (2, 2), "far apart");
    }
    let since = world.clock.now() - jiff::SignedDuration::from_secs(10);
    assert_eq!(
        count(Query {
            since: Some(since),
            agent: some("ann"),
            ..Query::default()
        }),
        6
    );

    let newest = find(
        store,
        &Query {
            limit: Some(4),
            ..Query::default()
        },
    );
    let calls: Vec<_> = newest
        .iter()
        .map(|record| record["call"].as_str().unwrap())
        .collect();
    assert_eq!(calls, ["c-900", "c-900", "c-901", "c-901"]);
    let all = find(store, &Query::default());
    assert_eq!(
        all.len() as u64,
        store.verify().unwrap().last,
        "all of them"
    );
    let after = newest[1]["seq"].as_u64();
    let behind = find(
        store,
        &Query {
            after,
            ..Query::default()
        },
    );
    assert_eq!(behind, newest[2..]);
    let half = newest[2]["seq"].as_u64();
    let outcome = find(
        store,
        &Query {
            after: half,
            agent: some("bob"),
            ..Query::default()
        },
    );
    assert_eq!(outcome, newest[3..], "an outcome is found by its intent");
    assert_eq!(
        lines(&store.records_of(&call("450", "x", "x").id).unwrap()).len(),
        2
    );
});

promise!(
    a_call_is_found_by_what_is_called_whatever_people_are_told_of_it,
    |world| {
        let store = &*world.store;
        let definition = raw(r#"{"name":"rm"}"#);
        let pinned = store.pin(&server("files"), "rm", &definition, print("1"));
        assert_eq!(pinned.unwrap(), print("1"));
        for id in ["1", "2"] {
            let call = tool(id, "rm", print("1"));
            done(store, permit(store, &call, &Context::default()));
        }
        let told = find(store, &Query::default());
        let told = told.iter().filter(|record| record["kind"] == "notice");
        assert_eq!(told.count(), 1, "the first use");
        let some = |text: &str| Some(text.to_owned());
        let tool = Query {
            tool: some("files.rm"),
            ..Query::default()
        };
        let tier = Query {
            tier: some("read"),
            outcome: some("done"),
            ..Query::default()
        };
        // How it ended is said of the call, and of nothing that people are told beside it.
        let all = ["c-1", "c-1", "c-1", "c-2", "c-2"];
        let ended = ["c-1", "c-1", "c-2", "c-2"];
        for (query, expected) in [(tool, &all[..]), (tier, &ended[..])] {
            for limit in [None, Some(100)] {
                let query = Query {
                    limit,
                    ..query.clone()
                };
                let found = find(store, &query);
                let calls: Vec<_> = found
                    .iter()
                    .filter_map(|record| record["call"].as_str())
                    .collect();
                assert_eq!(calls, expected);
            }
        }
    }
);

/// Pages of a search, each a follower's or a searcher's next question.
fn pages(store: &dyn Store, mut query: Query) -> Vec<Vec<serde_json::Value>> {
    let mut pages = Vec::new();
    loop {
        let page = store.page(&query).unwrap();
        pages.push(lines(&page.lines));
        if !page.more {
            return pages;
        }
        query.go_on(page.upto, page.sought);
    }
}

promise!(more_than_a_page_comes_page_by_page_and_whole, |world| {
    let store = &*world.store;
    let long = context(&format!(r#"{{"text":"{}"}}"#, "x".repeat(7000)));
    let open = permit(store, &call("0", "ann", "A"), &Context::default());
    for n in 1..=1200_u32 {
        let call = call(&n.to_string(), "bob", "B");
        let permit = permit(store, &call, &long);
        if n % 40 > 0 {
            done(store, permit);
        }
    }
    done(store, open);
    let numbers = |pages: &[Vec<serde_json::Value>]| -> Vec<u64> {
        let records = pages.iter().flatten();
        records
            .map(|record| record["seq"].as_u64().unwrap())
            .collect()
    };
    let last = store.verify().unwrap().last;
    let all = pages(store, Query::default());
    assert!(all.len() > 1, "{}", all.len());
    assert!(numbers(&all).into_iter().eq(1..=last));
    let bytes = |page: &Vec<serde_json::Value>| -> usize {
        page.iter().map(|record| record.to_string().len()).sum()
    };
    assert!(all.iter().all(|page| bytes(page) <= 5 << 20));

    // The newest, without a hole, and no more than was asked for.
    let newest = pages(
        store,
        Query {
            limit: Some(1900),
            ..Query::default()
        },
    );
    assert!(newest.len() > 1);
    assert!(numbers(&newest).into_iter().eq(last - 1899..=last));

    // A call is whole although its records are on different pages.
    let some = |text: &str| Some(text.to_owned());
    let query = Query {
        agent: some("ann"),
        outcome: some("done"),
        ..Query::default()
    };
    assert_eq!(numbers(&pages(store, query)).len(), 2);
    let query = Query {
        outcome: some("done"),
        ..Query::default()
    };
    assert_eq!(numbers(&pages(store, query)).len(), 2 * 1171);
});

promise!(records_are_in_order_and_followed, |world| {
    let store = &*world.store;
    let news = store.follow();
    let before = *news.borrow();
    done(
        store,
        permit(store, &call("1", "bot", "7"), &Context::default()),
    );
    assert_eq!(*news.borrow(), before + 2);
    let verified = store.verify().unwrap();
    assert_eq!((verified.last, verified.broken), (before + 2, None));
    assert_eq!(verified.records, before + 2);
    let check = store.check().unwrap();
    assert!(check.contains("the state is what follows"), "{check}");
});

promise!(nothing_is_admitted_once_it_is_closed, |world| {
    let mut late = call("1", "bot", "7");
    late.tier = Tier::Read;
    let open = permit(&*world.store, &call("0", "bot", "7"), &Context::default());
    world.store.close();
    assert!(world.store.admit(&late, &Context::default()).is_err());
    done(&*world.store, open);
});

#[test]
fn the_newest_for_people_is_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let store = LocalStore::open(Setup::new(dir.path(), clock)).unwrap();
    let one = call("1", "bot", "7");
    done(&store, permit(&store, &one, &Context::default()));
    store.keep().unwrap();
    let newest = |no_checkpoints| {
        let query = Query {
            no_checkpoints,
            limit: Some(1),
            ..Query::default()
        };
        let found = find(&store, &query);
        assert_eq!(found.len(), 1);
        found[0]["kind"].as_str().unwrap().to_owned()
    };
    assert_eq!(newest(false), "checkpoint");
    assert_eq!(newest(true), "call.outcome");
}
