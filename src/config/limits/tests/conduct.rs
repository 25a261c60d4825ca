//! Breakers, loops, rates and windows.

use super::*;

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
fn a_breaker_that_wants_more_failures_than_are_remembered_is_an_error() {
    for (breaker, says) in [
        ("failures = 65", "the last 64 failures are remembered"),
        ("within = \"25h\"", "failures are remembered for 24 hours"),
    ] {
        let error = error(&format!("[breaker]\n{breaker}\n"), "");
        assert!(error.contains(says), "{error}");
        assert!(error.ends_with("1 error"), "{error}");
    }
    everything("[breaker]\nfailures = 64\nwithin = \"24h\"\n");
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
    assert_eq!(server.terms.windows[0].0.text, "daily 08:00-18:00");
    assert_eq!(server.tools["refund"].terms.windows.len(), 1);
    assert_eq!(generation.zone.name(), "Asia/Kolkata");
    let bot = bot("window = \"Sun 01:00-02:00\"\n");
    assert_eq!(bot.terms.windows.len(), 1);
}
