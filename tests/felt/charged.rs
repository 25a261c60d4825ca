//! What a tool server says and does counts: the price in its answer, that it is called
//! too often, that it gives way. With real processes and pipes.

use crate::limited;
use crate::support::raw::{dig, member, unquote};
use jiff::Timestamp;

/// What a refusal says under this name.
fn refusal(answer: &str, key: &str) -> String {
    let meta = dig(answer, "result._meta").unwrap_or_else(|| panic!("not a result: {answer}"));
    let refusal = member(&meta, "dev.tollgate/refusal");
    let refusal = refusal.unwrap_or_else(|| panic!("not refused: {answer}"));
    unquote(&member(&refusal, key).unwrap()).unwrap()
}

#[test]
fn a_price_in_the_answer_is_charged_in_place_of_the_estimate() {
    let run = "[budget]\nrun = { steps = \"none\", calls = \"none\", time = \"none\", cost = \"1.00 USD\" }";
    let home = limited(run);
    let script = "call buy: result {\"content\":[],\"_meta\":{\"price\":\"0.90\"}}";
    let buy = "[tools.buy]\ntier = \"read\"\ncost = { estimate = \"$.price\", actual = \"$._meta.price\" }";
    let mut shop = home.server_with("shop", script, buy);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__buy"]);
    let mut buys = |price: &str| {
        let call = agent.call("shop__buy", &format!("{{\"price\":{price}}}"));
        agent.answer(call)
    };
    let first = buys("0.10");
    let told = dig(&first, "result._meta").and_then(|meta| member(&meta, "dev.tollgate/call"));
    assert!(told.unwrap().contains("0.90 USD"), "{first}");
    // By the estimates both would fit.
    let second = buys("0.20");
    assert_eq!(refusal(&second, "code"), "BUDGET_RUN_COST");
    assert_eq!(refusal(&second, "used"), "0.90 USD");
    assert_eq!(shop.count("tools/call"), 1);
    // What is left is enough for one that is expected to cost no more.
    assert!(buys("0.10").contains("\"price\":\"0.90\""));
    assert_eq!(refusal(&buys("0.01"), "used"), "1.80 USD");
}

#[test]
fn calls_at_the_same_time_do_not_spend_what_is_kept_back_for_another() {
    let run = "[budget]\nrun = { steps = \"none\", calls = \"none\", time = \"none\", cost = \"1.00 USD\" }";
    let home = limited(run);
    let script =
        "call buy: wait\nresult {\"content\":[],\"_meta\":{\"price\":0.30000000000000004}}";
    let buy =
        "[tools.buy]\ntier = \"read\"\ncost = { actual = \"$._meta.price\", keep = \"0.50 USD\" }";
    let mut shop = home.server_with("shop", script, buy);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__buy"]);
    let first = agent.call("shop__buy", "{\"nth\":1}");
    let second = agent.call("shop__buy", "{\"nth\":2}");
    shop.gets("tools/call");
    shop.gets("tools/call");
    let third = agent.call("shop__buy", "{\"nth\":3}");
    assert_eq!(refusal(&agent.answer(third), "code"), "BUDGET_RUN_COST");
    shop.order("go");
    shop.order("go");
    for call in [first, second] {
        let answer = agent.answer(call);
        let told = dig(&answer, "result._meta").and_then(|meta| member(&meta, "dev.tollgate/call"));
        assert!(told.unwrap().contains("0.300001 USD"), "{answer}");
    }
    assert_eq!(shop.count("tools/call"), 2);
}

#[test]
fn a_call_that_fails_says_what_it_cost_all_the_same() {
    let home = limited("[budget]\nrun = { cost = \"1.00 USD\" }");
    let buy = "[tools.buy]\ntier = \"read\"\ncost = \"0.30 USD\"";
    let _shop = home.server_with("shop", "call buy: exit 3", buy);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__buy"]);
    let call = agent.call("shop__buy", "{}");
    let answer = agent.answer(call);
    let told = dig(&answer, "result._meta").and_then(|meta| member(&meta, "dev.tollgate/call"));
    let told = told.unwrap();
    assert_eq!(
        member(&told, "cost").as_deref(),
        Some("\"0.30 USD\""),
        "{told}"
    );
    let left = member(&told, "budget_left").unwrap();
    assert_eq!(
        member(&left, "cost").as_deref(),
        Some("\"0.70 USD\""),
        "{left}"
    );
}

#[test]
fn an_agent_can_ask_for_the_limits_of_the_servers_and_tools_that_it_sees() {
    let home = limited("budget = \"none\"");
    let buy = "budget = { hour = { calls = 9 } }\n[tools]\nhi = \"off\"\n[tools.buy]\ntier = \"read\"\nbudget = { run = { calls = 2 } }";
    let _shop = home.server_with("shop", "call buy: text done", buy);
    let mut agent = home.legacy();
    agent.until_listed(&["shop__buy"]);
    let call = agent.call("shop__buy", "{}");
    agent.answer(call);
    let status = agent.call("tollgate__status", "{}");
    let status = agent.result(status);
    assert!(
        status.contains("hour.calls of server shop: 8 calls left of 9 calls"),
        "{status}"
    );
    assert!(
        status.contains("run.calls of shop.buy: 1 call left of 2 calls"),
        "{status}"
    );
}

#[test]
fn a_server_that_is_called_too_often_is_left_alone_for_as_long_as_it_says() {
    let ways = [
        r#"error {"code":-32000,"message":"slow down","data":{"status":429,"Retry-After":"120"}}"#,
        r#"result {"content":[],"isError":true,"_meta":{"status":429,"retryAfter":120}}"#,
    ];
    for says in ways {
        let home = limited("breaker = {}");
        let script = format!("call often: {says}\ncall quick: text done");
        let mut shop = home.server("shop", &script);
        let mut agent = home.legacy();
        agent.until_listed(&["shop__often", "shop__quick"]);
        let before = Timestamp::now();
        let often = agent.call("shop__often", "{}");
        agent.answer(often);
        let after = Timestamp::now();
        // The server asked for it, so no tool of it is called.
        for tool in ["shop__often", "shop__quick"] {
            let call = agent.call(tool, "{\"again\":1}");
            let answer = agent.answer(call);
            assert_eq!(refusal(&answer, "code"), "CIRCUIT_OPEN");
            let until: Timestamp = refusal(&answer, "retry_at").parse().unwrap();
            let wait = jiff::SignedDuration::from_secs(120);
            assert!(
                until >= before + wait && until.as_second() <= (after + wait).as_second() + 1,
                "{until}, not two minutes after {before}"
            );
        }
        assert_eq!(shop.count("tools/call"), 1);
    }
}

#[test]
fn a_server_that_exits_three_times_within_calls_is_not_started_for_a_fourth() {
    let home = limited("breaker = {}");
    let mut shop = home.server("shop", "call bad: exit 3");
    let mut agent = home.legacy();
    agent.until_listed(&["shop__bad"]);
    shop.latest();
    for nth in 0..3 {
        let bad = agent.call("shop__bad", &format!("{{\"nth\":{nth}}}"));
        let why = agent.failure(bad);
        assert!(why.contains("exited"), "{why}");
        shop.gets("tools/call");
        shop.ends();
        // It is started again all the same, to be listed.
        shop.starts();
    }
    let starts = shop.count_starts();
    let fourth = agent.call("shop__bad", "{\"nth\":3}");
    let answer = agent.answer(fourth);
    assert_eq!(refusal(&answer, "code"), "CIRCUIT_OPEN");
    assert_eq!((shop.count("tools/call"), shop.count_starts()), (3, starts));
}
