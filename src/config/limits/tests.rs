//! Each form of each key, and what holds where nothing is written.

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

#[test]
fn breakers_are_the_nearest_that_is_written() {
    let top = "breaker = { failures = 5, within = \"2m\" }\n";
    let of = |main: &str, file: &str| {
        let mut server = generation(main, file).servers.remove(0);
        let tool = server.tools.remove("refund").unwrap().terms.breakers;
        let shown = |rule: &BreakerRule| {
            (
                rule.over,
                rule.failures,
                rule.cooldown.as_secs(),
                rule.errors,
            )
        };
        (
            server.terms.breakers.iter().map(shown).collect::<Vec<_>>(),
            tool.iter().map(shown).collect::<Vec<_>>(),
            server.tool_breaker.as_ref().map(shown),
        )
    };
    let short = "[tools]\nrefund = \"read\"\n";
    let usual = |over| (over, 3, 60, false);
    assert_eq!(
        of("", short),
        (
            vec![usual(Over::Server)],
            vec![usual(Over::Tool)],
            Some(usual(Over::Tool))
        )
    );
    let five = |over| (over, 5, 60, false);
    assert_eq!(
        of(top, short),
        (
            vec![five(Over::Server)],
            vec![five(Over::Tool)],
            Some(five(Over::Tool))
        )
    );
    let servers = format!("breaker = {{ cooldown = \"5m\", errors = true }}\n{short}");
    let nearest = |over| (over, 3, 300, true);
    assert_eq!(
        of(top, &servers),
        (
            vec![nearest(Over::Server)],
            vec![nearest(Over::Tool)],
            Some(nearest(Over::Tool))
        )
    );
    let tools = "breaker = \"none\"\n[tools.refund]\ntier = \"read\"\nbreaker = { failures = 1 }\n";
    assert_eq!(
        of(top, tools),
        (vec![], vec![(Over::Tool, 1, 60, false)], None)
    );
    let none = "[tools.refund]\ntier = \"read\"\nbreaker = \"none\"\n";
    let (server, tool, unlisted) = of(top, none);
    assert_eq!((server, tool), (vec![five(Over::Server)], vec![]));
    assert_eq!(unlisted, Some(five(Over::Tool)));
}

#[test]
fn loops_are_laid_over_each_other() {
    let main = "[loops]\nsame = { refuse = 5 }\n\
                repeated = { refuse = \"none\", window = \"1h\" }\npairs = \"none\"\n\
                [loops.consequential]\nsame = { refuse = 2, kill = 4 }\n\
                errors = { pause = \"5m\" }\n[loops.irreversible]\nsame = \"none\"\n";
    let loops = everything(main).terms.loops;
    let at = |refuse, kill| Threshold { refuse, kill };
    let read = &loops[&Tier::Read];
    assert_eq!(read.same, at(Some(5), Some(50)));
    assert_eq!(read.repeated, at(None, Some(90)));
    assert_eq!(read.window, Duration::from_secs(3600));
    assert_eq!(read.pairs, Threshold::NONE);
    assert_eq!(read.errors, Loops::USUAL.errors);
    assert_eq!(line(read.place.as_ref()), 1);
    assert!(std::sync::Arc::ptr_eq(read, &loops[&Tier::Reversible]));
    let consequential = &loops[&Tier::Consequential];
    assert_eq!(consequential.same, at(Some(2), Some(4)));
    assert_eq!(consequential.pause, Duration::from_secs(300));
    assert_eq!(consequential.window, Duration::from_secs(3600));
    assert_eq!(line(consequential.place.as_ref()), 5);
    assert_eq!(loops[&Tier::Irreversible].same, Threshold::NONE);

    let none = everything("loops = \"none\"\n").terms.loops;
    assert!(none.values().all(|loops| loops.same == Threshold::NONE));
    assert_eq!(line(none[&Tier::Read].place.as_ref()), 1);
    let one = everything("[loops]\nread = \"none\"\n").terms.loops;
    assert_eq!(one[&Tier::Read].errors, Threshold::NONE);
    assert_eq!(one[&Tier::Reversible].same, Loops::USUAL.same);

    // An agent's are laid over those of everybody.
    let main =
        format!("{main}[agents.bot]\nowner = \"ana\"\nloops = {{ same = {{ kill = 6 }} }}\n");
    let bot = agent_of(generation(&main, "")).terms.loops;
    assert_eq!(bot[&Tier::Read].same, at(Some(5), Some(6)));
    assert_eq!(bot[&Tier::Read].pairs, Threshold::NONE);
    assert_eq!(bot[&Tier::Consequential].same, at(Some(2), Some(6)));
    assert_eq!(bot.len(), 4);
}

#[test]
fn a_loop_that_kills_before_it_refuses_is_said_once() {
    let error = error("[loops]\nsame = { refuse = 60 }\n", "");
    assert!(error.contains("killed at 50"), "{error}");
    assert!(error.ends_with("1 error"), "{error}");
    everything("[loops]\nsame = { refuse = 60, kill = \"none\" }\n");
    everything("[loops]\nsame = { refuse = 2, kill = 2 }\n");
}

#[test]
fn rates_are_for_agents_tiers_servers_and_tools() {
    let generation = generation(
        "[tiers.read]\nrate = \"120/min\"\n[tiers.irreversible]\nrate = { per = \"1/h\", burst = 3 }\n",
        "rate = \"10/s\"\n[tools.refund]\ntier = \"read\"\nrate = \"5/d\"\n",
    );
    let shown = |rate: &Rate| (rate.over, rate.calls, rate.per.as_secs(), rate.burst);
    let tiers: Vec<_> = generation.tier_rates.values().map(shown).collect();
    assert_eq!(
        tiers,
        [(Over::Tool, 120, 60, 120), (Over::Tool, 1, 3600, 3)]
    );
    let server = &generation.servers[0];
    assert_eq!(shown(&server.terms.rates[0]), (Over::Server, 10, 1, 10));
    let tool = &server.tools["refund"].terms.rates[0];
    assert_eq!(shown(tool), (Over::Tool, 5, 86_400, 5));
    assert_eq!(line(tool.place.as_ref()), 6);
    let bot = bot("rate = \"1/s\"\n");
    assert_eq!(shown(&bot.terms.rates[0]), (Over::Agent, 1, 1, 1));
}

#[test]
fn windows_are_one_or_any_of_several_in_the_configured_zone() {
    let generation = generation(
        "timezone = \"Asia/Kolkata\"\nwindow = [\"Mon 09:00-10:00\", \"Tue 09:00-10:00 UTC\"]\n",
        "window = \"daily 08:00-18:00\"\n[tools.refund]\ntier = \"read\"\nwindow = \"Mon 00:00-24:00\"\n",
    );
    let [(window, place)] = generation.terms.windows.as_slice() else {
        panic!("one window: {:?}", generation.terms.windows);
    };
    assert_eq!(place.to_string(), "tollgate.toml:2");
    assert!(window.is_open("2027-01-04T03:30:00Z".parse().unwrap()));
    assert!(window.is_open("2027-01-05T09:30:00Z".parse().unwrap()));
    assert!(!window.is_open("2027-01-04T09:30:00Z".parse().unwrap()));
    let server = &generation.servers[0];
    assert_eq!(server.terms.windows[0].0.to_string(), "daily 08:00-18:00");
    assert_eq!(server.tools["refund"].terms.windows.len(), 1);
    assert_eq!(generation.zone.name(), "Asia/Kolkata");
    let bot = bot("window = \"Sun 01:00-02:00\"\n");
    assert_eq!(bot.terms.windows.len(), 1);
}

#[test]
fn prices_say_what_a_call_costs_touches_and_moves() {
    assert_eq!(tool("").prices, Prices::free(Currency::USD));
    let plain = tool("cost = \"0.30 USD\"\namount = \"$.amount\"\n").prices;
    assert_eq!((plain.call, plain.each, plain.kib), (300_000, 0, 0));
    assert_eq!(plain.amount.unwrap().text, "$.amount");
    assert_eq!(line(plain.places.amount.as_ref()), 6);

    let prices = tool(
        "count = \"$.payment_ids[*]\"\namount = { path = \"$.amount_minor\", currency = \"USD\", minor = true }\n\
         cost = { call = \"0 USD\", each = \"0.002 USD\", kib = \"0.001 USD\", \
         estimate = { path = \"$['x y']\", minor = true }, actual = \"$._meta.cost\" }\n",
    )
    .prices;
    assert_eq!((prices.call, prices.each, prices.kib), (0, 2_000, 1_000));
    let path = |path: Option<Path>| {
        path.map(|path| (path.text, path.minor, path.place.line))
            .unwrap()
    };
    assert_eq!(
        path(prices.count),
        ("$.payment_ids[*]".to_owned(), false, 5)
    );
    assert_eq!(path(prices.amount), ("$.amount_minor".to_owned(), true, 6));
    assert_eq!(path(prices.estimate), ("$['x y']".to_owned(), true, 7));
    assert_eq!(path(prices.actual), ("$._meta.cost".to_owned(), false, 7));
}

#[test]
fn a_tools_limit_is_its_budget_for_one_action() {
    let measured = "cost = \"1 USD\"\ncount = \"$.a[*]\"\namount = \"$.b\"\n";
    let short = tool(&format!(
        "{measured}limit = {{ count = 20, cost = \"3 USD\", amount = \"500.00 USD\" }}\n"
    ));
    let long = tool(&format!(
        "{measured}budget = {{ action = {{ count = 20, cost = \"3 USD\", amount = \"500.00 USD\" }} }}\n"
    ));
    assert_eq!(short.terms, long.terms);
    assert_eq!(short.terms.limits.len(), 3);
    assert!(
        short
            .terms
            .limits
            .iter()
            .all(|limit| limit.over == Over::Tool)
    );
}

#[test]
fn a_limit_of_what_nothing_measures_is_an_error() {
    let server = "budget = { day = { amount = \"5 USD\" } }\n[tools.refund]\ntier = \"read\"\n";
    assert!(error("", server).contains("this limit of `amount` can never be reached"));
    generation("", &format!("{server}amount = \"$.amount\"\n"));
    let tool = "[tools.refund]\ntier = \"read\"\nlimit = { cost = \"5 USD\" }\n";
    assert!(error("", tool).contains("this limit of `cost` can never be reached"));
    generation("", &format!("{tool}cost = \"1 USD\"\n"));
}

#[test]
fn a_path_that_would_take_for_ever_to_read_is_refused_at_once() {
    let depth = 60;
    let nested = format!(
        "$[?{}@.a{} == 1]",
        "length(".repeat(depth),
        ")".repeat(depth)
    );
    for path in [
        nested.as_str(),
        "$[?((((((((@.a))))))))]",
        "$..[?@.a",
        "@.a",
        "",
        "$.a b",
        "$.a[*].b c",
    ] {
        let error = error(
            "",
            &format!("[tools.x]\ntier = \"read\"\ncount = '{path}'\n"),
        );
        assert!(error.contains("is not a JSONPath"), "{path}: {error}");
    }
    // Whatever becomes of these, it is soon.
    for (open, close) in [
        ("[?@", "]"),
        ("[?!@", "]"),
        ("[?1==", "]"),
        ("[", "]"),
        ("[?$..", "]"),
    ] {
        let path = format!("${}{}", open.repeat(40), close.repeat(40));
        let _ = prices::check_path(&path);
    }
    assert!(prices::check_path("$[?!(!(!(!(@.a))))]").is_ok());
    assert!(prices::check_path("$[?length(length(length(length(@.a))))==1]").is_ok());
    tool("count = \"$.a[?@.b > 3 && (@.c || length(@.d) == 2)].e\"\n");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_path_breaks_its_parser(parts in proptest::collection::vec(proptest::sample::select(&[
        "$", "@", ".", "..", "a", "é", "[", "]", "(", ")", "?", "*", ":", ",", "'", "\"", "\\", "\\u",
        "d800", "dc00", "0", "-", "9007199254740992", "1e400", "==", "!", "&&", "||", "length(", " ",
    ][..]), 0..24)) {
        let text = format!("${}", parts.concat());
        let _ = prices::check_path(&text);
    }
}
