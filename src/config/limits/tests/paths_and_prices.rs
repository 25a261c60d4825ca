//! What calls cost, touch and move, and where that stands in their arguments.

use super::*;

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
         keep = \"0.25 USD\", estimate = { path = \"$['x y']\", minor = true }, actual = \"$._meta.cost\" }\n",
    )
    .prices;
    assert_eq!((prices.call, prices.each, prices.kib), (0, 2_000, 1_000));
    assert_eq!(prices.keep, 250_000);
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
fn a_price_that_only_the_answer_tells_needs_something_to_keep_back() {
    let cost = |cost: &str| {
        let counted = "[tools.refund]\ntier = \"read\"\ncount = \"$.ids[*]\"\n";
        format!("{counted}cost = {{ {cost} }}\n")
    };
    for (of, key) in [
        ("actual = \"$._meta.cost\"", "actual"),
        ("actual = \"$._meta.cost\", call = \"0 USD\"", "actual"),
        ("actual = \"$._meta.cost\", keep = \"0 USD\"", "actual"),
        ("kib = \"0.01 USD\"", "kib"),
        ("kib = \"0.01 USD\", call = \"0.01 USD\"", "kib"),
        ("kib = \"0.01 USD\", estimate = \"$.price\"", "kib"),
    ] {
        let error = error("currency = \"USD\"", &cost(of));
        let needs = format!("`{key}` needs `keep`");
        assert!(error.contains(&needs), "{of}: {error}");
        assert!(error.contains("keep = \"0.50 USD\""), "{error}");
    }
    for of in [
        "actual = \"$._meta.cost\", call = \"0.01 USD\"",
        "actual = \"$._meta.cost\", each = \"0.01 USD\"",
        "actual = \"$._meta.cost\", estimate = \"$.price\"",
        "actual = \"$._meta.cost\", keep = \"0.05 USD\"",
        "kib = \"0.01 USD\", keep = \"0.05 USD\"",
    ] {
        generation("", &cost(of));
    }
    let known = error("", &cost("call = \"1 USD\", keep = \"1 USD\""));
    assert!(known.contains("`keep` has no effect"), "{known}");
}

#[test]
fn a_price_that_no_call_may_cost_is_an_error() {
    let yen = "currency = \"JPY\"\n";
    let tool = "[tools.refund]\ntier = \"read\"\ncost = \"100 JPY\"\n";
    let told = error(yen, tool);
    assert!(
        told.contains("at this price the tool can never be called"),
        "{told}"
    );
    assert!(
        told.contains("[budget] action = { cost = \"100.00 JPY\" }"),
        "{told}"
    );
    let written = format!("{tool}limit = {{ cost = \"99 JPY\" }}\n");
    assert!(error(&format!("{yen}budget = \"none\""), &written).contains("pay.toml:"));
    // Whoever may, in whatever way.
    for main in [
        "budget = \"none\"\n",
        "[budget]\naction = { cost = \"100 JPY\" }\n",
        "[agents.bot]\nowner = \"ana\"\nbudget = { action = \"none\" }\n",
        "[agents.bot]\nowner = \"ana\"\nbudget = \"none\"\n",
    ] {
        generation(&format!("{yen}{main}"), tool);
    }
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
    for other in [
        "$.a[?in(@.b, $.c)]",
        "$.a[?nin(@.b, $.c)]",
        "$.a[?none_of(@.b, $.c)]",
        "$.a[?!any_of(@.b, $.c)]",
        "$.a[?@.x && (subset_of(@.b, $.c) || @.y)]",
        "$.a[*]['x', ?in(@.b, $.c)].d",
        "$..[?in(@.b, $.c)]",
        "$.a[?@.b[?in(@.b, $.c)]]",
        "$.a[?$.b[?in(@.b, $.c)]]",
        "$.a[?count(@.b[?in(@.b, $.c)]) > 1]",
        "$.a[?length(in(@.b, $.c)) > 1]",
        "$.a[?match(@.b, @.c)]",
        "$.a[?search(@.b, $.c)]",
    ] {
        assert!(prices::check_path(other).is_err(), "{other}");
    }
    for ours in [
        "$.a[?length(@.b) > 3]",
        "$.a[?count(@.b[*]) > 3]",
        "$.a[?match(@.b, 'in(a|b)')]",
        "$.a[?search(@.b, \"x\")]",
        "$.a[?value(@..b) == 1]",
        "$['in(a)'][*]",
    ] {
        assert!(prices::check_path(ours).is_ok(), "{ours}");
    }
    let says = error(
        "",
        "[tools.x]\ntier = \"read\"\ncount = '$.a[?in(@.b, $.c)]'\n",
    );
    assert!(
        says.contains("`length`, `count`, `match`, `search` and `value`"),
        "{says}"
    );
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
