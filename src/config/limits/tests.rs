//! Each form of each key, and what holds where nothing is written.

mod conduct;
mod paths_and_prices;

use std::time::Duration;

use super::*;
use crate::config::{Agent, Agents, Generation, Server, Source, Sources, load};
use crate::domain::{AgentName, Limit, Path, Then, Threshold};

fn sources(main: &str, tools: &str) -> Sources {
    let source = |path: &str, text: String| Source {
        path: path.into(),
        text,
    };
    Sources {
        dir: "/etc/tollgate".into(),
        main: Some(source("tollgate.toml", main.to_owned())),
        tools: vec![source(
            "tools.d/pay.toml",
            format!("command = \"pay\"\nowner = \"ana\"\n{tools}"),
        )],
    }
}

#[track_caller]
fn generation(main: &str, tools: &str) -> Generation {
    load(&sources(main, tools)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn everything(main: &str) -> Generation {
    generation(main, "")
}

#[track_caller]
fn agent_of(generation: Generation) -> Agent {
    let Agents::Listed(mut agents) = generation.agents else {
        panic!("agents are listed");
    };
    agents.remove(&AgentName::parse("bot").unwrap()).unwrap()
}

#[track_caller]
fn bot(keys: &str) -> Agent {
    agent_of(generation(
        &format!("[agents.bot]\nowner = \"ana\"\n{keys}"),
        "",
    ))
}

#[track_caller]
fn server(tools: &str) -> Server {
    generation("", tools).servers.remove(0)
}

/// Loads a tool with these keys.
#[track_caller]
fn tool(keys: &str) -> crate::config::ToolRule {
    let text = format!("[tools.refund]\ntier = \"irreversible\"\n{keys}");
    server(&text).tools.remove("refund").unwrap()
}

/// Name, limit and what happens then.
fn shown(limits: &[Limit]) -> Vec<(String, u64, Then)> {
    limits
        .iter()
        .map(|limit| (limit.name(), limit.at, limit.then))
        .collect()
}

#[track_caller]
fn error(main: &str, tools: &str) -> String {
    load(&sources(main, tools)).unwrap_err().render(false)
}

fn line(place: Option<&Place>) -> u32 {
    place.unwrap().line
}

#[test]
fn without_a_line_careful_limits_hold() {
    let generation = everything("");
    assert_eq!(
        shown(&generation.terms.limits),
        [
            ("action.cost".to_owned(), 5_000_000, Then::Refuse),
            ("run.steps".to_owned(), 25, Then::Ask),
            ("run.calls".to_owned(), 50, Then::Ask),
            ("run.time".to_owned(), 120_000_000, Then::Ask),
            ("run.cost".to_owned(), 1_000_000, Then::Ask),
            ("hour.cost".to_owned(), 10_000_000, Then::Refuse),
            ("day.cost".to_owned(), 40_000_000, Then::Refuse),
            ("month.cost".to_owned(), 800_000_000, Then::Refuse),
        ]
    );
    let unwritten = |limit: &Limit| {
        limit.place.is_none() && limit.warn.is_none() && limit.over == Over::Everything
    };
    assert!(generation.terms.limits.iter().all(unwritten));
    assert_eq!(generation.currency, Currency::USD);
    assert_eq!(generation.zone, Zone::UTC);
    assert_eq!(generation.terms.loops.len(), 4);
    assert_eq!(*generation.terms.loops[&Tier::Read], Loops::USUAL);
    assert_eq!(
        generation.terms.autonomy,
        Some((Duration::from_secs(7200), None))
    );
    let runs = generation.terms.runs.unwrap();
    assert_eq!((runs.calls, runs.per.as_secs(), runs.burst), (30, 3600, 30));
    assert_eq!((runs.over, runs.place), (Over::Agent, None));
    assert_eq!(generation.terms.spend, Some((10, None)));
    assert!(generation.terms.windows.is_empty() && generation.tier_rates.is_empty());
    let server = &generation.servers[0];
    assert_eq!(server.terms.breakers, [BreakerRule::usual(Over::Server)]);
    assert_eq!(server.tool_breaker, Some(BreakerRule::usual(Over::Tool)));
    // Without any file the same.
    let nothing = Sources {
        dir: "/".into(),
        main: None,
        tools: Vec::new(),
    };
    assert_eq!(load(&nothing).unwrap().terms, everything("").terms);
}

#[test]
fn what_is_written_takes_the_place_of_what_holds_without_a_line() {
    let main = "[budget]\nrun = { calls = 100, time = \"none\" }\nhour = \"none\"\n\
                day = { cost = \"7.50 USD\", calls = 200 }\n";
    let generation = everything(main);
    let limits = generation.terms.limits;
    assert_eq!(
        shown(&limits),
        [
            ("action.cost".to_owned(), 5_000_000, Then::Refuse),
            ("run.steps".to_owned(), 25, Then::Ask),
            ("run.calls".to_owned(), 100, Then::Ask),
            ("run.cost".to_owned(), 1_000_000, Then::Ask),
            ("day.calls".to_owned(), 200, Then::Refuse),
            ("day.cost".to_owned(), 7_500_000, Then::Refuse),
            ("month.cost".to_owned(), 800_000_000, Then::Refuse),
        ]
    );
    assert_eq!(limits[1].place, None);
    assert_eq!(
        limits[2].place.as_ref().unwrap().to_string(),
        "tollgate.toml:2"
    );
    assert!(everything("budget = \"none\"").terms.limits.is_empty());
}

#[test]
fn every_dimension_has_its_quantity() {
    let main = "currency = \"EUR\"\n[budget]\nrun = { steps = 1, calls = 2, time = \"3s\", \
                elapsed = \"4m\", cost = \"5 EUR\", amount = \"0.000006 EUR\", count = 7, \
                bytes = \"8KiB\", tokens = 0x9 }\naction = \"none\"\nhour = { bytes = 10, cost = \"none\" }\n\
                day = \"none\"\nmonth = { cost = \"none\", bytes = \"2MiB\" }\n";
    let generation = everything(main);
    let found: Vec<(String, u64)> = generation
        .terms
        .limits
        .iter()
        .map(|limit| (limit.name(), limit.at))
        .collect();
    let limit = |name: &str, at| (name.to_owned(), at);
    assert_eq!(
        found,
        [
            limit("run.steps", 1),
            limit("run.calls", 2),
            limit("run.time", 3_000_000),
            limit("run.elapsed", 240_000_000),
            limit("run.cost", 5_000_000),
            limit("run.amount", 6),
            limit("run.count", 7),
            limit("run.bytes", 8192),
            limit("run.tokens", 9),
            limit("hour.bytes", 10),
            limit("month.bytes", 2 << 20),
        ]
    );
    let rolling = |limit: &&Limit| limit.rolling;
    assert_eq!(generation.terms.limits.iter().filter(rolling).count(), 1);
    assert_eq!(generation.currency.to_string(), "EUR");
}

#[test]
fn thresholds_are_fractions_or_quantities_and_never_above_the_limit() {
    let main = "[budget.run]\nwarn = 0.75\nthen = \"kill\"\ncalls = { at = 30, warn = 20, then = \"refuse\" }\n\
                cost = { at = \"1.00 USD\", notify = \"0.30 USD\", warn = 0.1 }\ntime = \"1ms\"\n\
                [budget.day]\nnotify = 1.0\nrolling = true\n";
    let limits = everything(main).terms.limits;
    let of = |name: &str| {
        let limit = limits.iter().find(|limit| limit.name() == name).unwrap();
        (limit.warn, limit.notify, limit.then, limit.rolling)
    };
    // Of the built-in limit as well.
    assert_eq!(of("run.steps"), (Some(18), None, Then::Kill, false));
    assert_eq!(of("run.calls"), (Some(20), None, Then::Refuse, false));
    assert_eq!(of("run.time"), (Some(750), None, Then::Kill, false));
    let cost = (Some(100_000), Some(300_000), Then::Kill, false);
    assert_eq!(of("run.cost"), cost);
    let day = (None, Some(40_000_000), Then::Refuse, true);
    assert_eq!(of("day.cost"), day);
    for (wrong, said) in [
        ("calls = { at = 30, warn = 31 }", "above the limit"),
        ("warn = 1.1", "at most 1.0"),
        ("warn = 0.0", "above 0"),
        ("warn = -0.5", "above 0"),
        ("warn = nan", "not a decimal number"),
        ("warn = 0.00000001", "finer than a millionth"),
        ("warn = 1", "write 1.0"),
        ("calls = { warn = 0.5 }", "has no limit"),
        ("calls = -1", "below zero"),
        ("calls = 99999999999999999999", "more than can be counted"),
        ("calls = 1.0", "must be a whole number"),
        ("bytes = \"1KB\"", "is not a size"),
        ("bytes = \"99999999999GiB\"", "is not a size"),
        ("cost = \"0.0000001 USD\"", "finer than a millionth"),
    ] {
        let error = error(&format!("[budget.run]\n{wrong}\n"), "");
        assert!(error.contains(said), "{wrong}: {error}");
        assert!(error.ends_with("1 error"), "{wrong}: {error}");
    }
}

#[test]
fn an_agents_budget_is_its_own_and_lifts_what_nobody_wrote() {
    let agent = bot("budget = { run = { calls = 20, cost = \"none\" }, day = { calls = 300 } }\n");
    assert_eq!(
        shown(&agent.terms.limits),
        [
            ("run.calls".to_owned(), 20, Then::Ask),
            ("day.calls".to_owned(), 300, Then::Refuse),
        ]
    );
    assert!(
        agent
            .terms
            .limits
            .iter()
            .all(|limit| limit.over == Over::Agent)
    );
    // A day is everybody's: the agent's own limit is one more.
    assert_eq!(
        agent.lifts,
        [
            (Period::Run, Dimension::Calls),
            (Period::Run, Dimension::Cost),
        ]
    );
    let free = bot("budget = \"none\"\n");
    assert_eq!(free.lifts.len(), 2 * Dimension::NUMBER);
    assert!(free.terms.limits.is_empty());
    assert!(
        error(
            "[agents.bot]\nowner = \"a\"\nbudget = { month = \"none\" }\n",
            ""
        )
        .contains("lifts nothing")
    );
    assert_eq!(bot("").terms, Terms::default());
}

#[test]
fn what_an_agent_says_of_itself_counts_and_none_lifts_it() {
    let all = everything("autonomy = \"1h\"\nruns = \"none\"\nspend = 3\n").terms;
    assert_eq!(line(all.autonomy.as_ref().unwrap().1.as_ref()), 1);
    assert_eq!((&all.runs, all.spend.as_ref().unwrap().0), (&None, 3));

    let silent = bot("");
    assert_eq!(silent.autonomy(&all), all.autonomy.as_ref());
    assert_eq!(silent.spend(&all).unwrap().0, 3);
    assert_eq!(silent.runs(&all), None);

    let own = bot("autonomy = \"30m\"\nruns = \"5/h\"\nspend = 20\n");
    assert_eq!(own.autonomy(&all).unwrap().0, Duration::from_secs(1800));
    let runs = own.runs(&all).unwrap();
    assert_eq!((runs.calls, runs.over), (5, Over::Agent));
    assert_eq!(own.spend(&all).unwrap().0, 20);
    assert_eq!(own.lifted, Lifted::default());

    let free = bot("autonomy = \"none\"\nruns = \"none\"\nspend = \"none\"\n");
    assert_eq!(
        (free.autonomy(&all), free.runs(&all), free.spend(&all)),
        (None, None, None)
    );
}
