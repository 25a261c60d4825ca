//! The configuration as a person meets it: what wrong files are answered with,
//! and what right files become.
//!
//! The wrong ones are directories below `tests/config/`; their answers are
//! snapshots to be read like a page, because that is what they are for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::time::Duration;

use tollgate::config::{
    self, Agents, Code, EnvValue, Generation, SecretRef, Source, Sources, load,
};
use tollgate::domain::{AgentName, Offer, Tier};

/// The answer to one of the directories.
fn answer(case: &str) -> String {
    let dir = Path::new("tests/config").join(case);
    match config::load_dir(&dir) {
        Ok(_) => panic!("{case} was accepted"),
        Err(errors) => errors.render(false),
    }
}

macro_rules! answers {
    ($($test:ident: $case:literal;)*) => {
        $(#[test] fn $test() { insta::assert_snapshot!($case, answer($case)); })*

        #[test]
        fn every_case_has_a_test() {
            let mut cases: Vec<_> = std::fs::read_dir("tests/config")
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            cases.sort();
            let mut tested = vec![$($case),*];
            tested.sort();
            assert_eq!(cases, tested);
        }
    };
}

answers! {
    a_typo_in_a_key_suggests_the_key: "typo_in_key";
    a_typo_in_a_tier_suggests_the_tier: "typo_in_tier";
    everything_has_an_owner: "missing_owner";
    an_empty_file_starts_nothing: "nothing_to_start";
    a_url_is_answered_with_not_yet: "url";
    a_server_is_started_in_one_way: "both";
    several_errors_in_two_files_come_in_one_pass: "two_files";
    a_secret_is_named_not_written: "literal_secret";
    a_secret_is_not_printed_by_another_error: "secret_beside_another_error";
    a_duration_has_a_number_and_a_unit: "bad_duration";
    broken_toml_is_underlined_without_noise: "broken_toml";
    a_name_that_nothing_has_is_an_error: "unknown_server";
    a_wrong_type_says_what_is_wanted: "wrong_type";
    keys_of_later_versions_are_told_as_such: "later_keys";
    different_rights_need_tokens: "open_claim";
    without_a_table_of_agents_nobody_is_singled_out: "singled_out_without_agents";
    what_can_never_have_an_effect_is_an_error: "never_used";
    rules_for_arguments_are_checked: "argument_rules";
    names_stay_within_their_characters: "names";
    a_setting_below_tools_is_not_a_tool: "setting_below_tools";
    mistakes_in_limits_come_in_one_pass: "limits";
    one_currency_counts: "currencies";
    two_tools_of_one_name_are_an_error: "collisions";
    below_a_broken_header_no_key_is_unknown: "broken_header";
}

fn sources(main: Option<&str>, tools: &[(&str, &str)]) -> Sources {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.to_owned(),
    };
    Sources {
        dir: "/etc/tollgate".into(),
        main: main.map(|text| source("tollgate.toml", text)),
        tools: tools
            .iter()
            .map(|(name, text)| source(&format!("tools.d/{name}.toml"), text))
            .collect(),
    }
}

fn loaded(main: Option<&str>, tools: &[(&str, &str)]) -> Generation {
    load(&sources(main, tools)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn servers_share_a_prefix_as_long_as_no_names_collide() {
    let none = |tools: &str| format!("prefix = \"\"\n{FILES}[tools]\n{tools}\n");
    let files = [
        ("a", none("read = \"read\"\necho = \"off\"")),
        ("b", none("write = \"read\"\necho = \"read\"")),
        ("c", FILES.to_owned()),
        ("c__d", format!("{FILES}[tools]\nx = \"read\"\n")),
    ];
    let files: Vec<_> = files.iter().map(|(n, text)| (*n, text.as_str())).collect();
    assert_eq!(loaded(None, &files).servers.len(), 4);
}

const FILES: &str = "command = \"files\"\nowner = \"ana\"\n";

#[test]
fn the_demo_of_this_repository_loads() {
    let generation = config::read(Path::new(env!("CARGO_MANIFEST_DIR")))
        .and_then(|sources| load(&sources))
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(generation.agents, Agents::Anyone);
    let [demo] = generation.servers.as_slice() else {
        panic!("one server was expected: {:?}", generation.servers);
    };
    assert_eq!(demo.name.as_str(), "demo");
    assert_eq!(demo.launch.program, Path::new("tollgate"));
    let offer = |tool: &str| demo.tools[tool].offer;
    assert_eq!(offer("read_mail"), Offer::At(Tier::Read));
    assert_eq!(offer("draft_mail"), Offer::At(Tier::Reversible));
    assert_eq!(offer("send_mail"), Offer::At(Tier::Consequential));
    assert_eq!(offer("refund"), Offer::At(Tier::Irreversible));
    assert_eq!(demo.tools.len(), 14);
}

/// What the page on limits shows is what is read.
#[test]
fn the_example_of_limits_loads() {
    let page = std::fs::read_to_string("docs/limits.md").unwrap();
    let mut main = None;
    let mut tools = Vec::new();
    for block in page.split("```toml\n# ").skip(1) {
        let block = block.split("```").next().unwrap();
        let (name, text) = block.split_once('\n').unwrap();
        match name.strip_prefix("tools.d/") {
            Some(file) => tools.push((file.strip_suffix(".toml").unwrap(), text)),
            None => main = Some(text),
        }
    }
    let generation = loaded(main, &tools);
    let server = &generation.servers[0];
    assert_eq!(server.terms.limits.len(), 2);
    let refund = &server.tools["create_refund"];
    assert_eq!(refund.terms.limits.len(), 2);
    assert_eq!(refund.prices.call, 300_000);
    let Agents::Listed(agents) = &generation.agents else {
        panic!("agents are listed");
    };
    let bot = &agents[&AgentName::parse("billing-bot").unwrap()];
    assert_eq!((bot.terms.limits.len(), bot.lifts.len()), (2, 2));
    let named = |name: &str| generation.terms.limits.iter().any(|l| l.name() == name);
    assert!(named("run.elapsed") && named("run.time") && named("action.cost"));
}

#[test]
fn without_any_file_anyone_may_connect_to_nothing() {
    let generation = loaded(None, &[]);
    assert_eq!(generation.agents, Agents::Anyone);
    assert_eq!(generation.servers, []);
    assert_eq!(generation.idle_exit, Some(Duration::from_secs(600)));
}

#[test]
fn an_empty_table_of_agents_lets_nobody_in() {
    let generation = loaded(
        Some("idle_exit = \"never\"\n[agents]\n"),
        &[("files", FILES)],
    );
    assert_eq!(generation.agents, Agents::Listed([].into()));
    assert_eq!(generation.idle_exit, None);
}

#[test]
fn records_are_kept_for_ninety_days_unless_something_else_is_said() {
    let keep = |main: &str| loaded(Some(main), &[("files", FILES)]).keep;
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
    assert_eq!(loaded(None, &[]).keep, days(90));
    assert_eq!(keep("[audit]\n"), days(90));
    assert_eq!(keep("[audit]\nkeep = \"400d\"\n"), days(400));
    assert_eq!(keep("audit.keep = \"none\"\n"), None);
    for bad in ["keep = 90", "keep = \"forever\"", "keeps = \"90d\""] {
        let main = format!("[audit]\n{bad}\n");
        assert!(load(&sources(Some(&main), &[])).is_err(), "{bad}");
    }
}

#[test]
fn agents_with_a_token_each_may_have_different_rights() {
    let main = "[agents.a]\nowner = \"ana\"\nservers = [\"files\"]\ntoken = \"env:A\"\n\
                [agents.b]\nowner = \"ana\"\ntoken = \"file:/run/b\"\n";
    let generation = loaded(Some(main), &[("files", FILES), ("mail", FILES)]);
    let Agents::Listed(agents) = &generation.agents else {
        panic!("agents are listed");
    };
    let agent = |name: &str| &agents[&AgentName::parse(name).unwrap()];
    assert_eq!(agent("a").token, Some(SecretRef::Env("A".into())));
    assert_eq!(agent("a").servers.as_ref().unwrap()[0].as_str(), "files");
    assert_eq!(agent("b").servers, None);
    assert_eq!(agent("b").place.to_string(), "tollgate.toml:5");
}

#[test]
fn agents_with_the_same_rights_need_no_token() {
    // `b` names every server, which is what `a` has without naming any.
    let main = "[agents.a]\nowner = \"ana\"\n[agents.b]\nowner = \"bo\"\nservers = [\"files\"]\n";
    loaded(Some(main), &[("files", FILES)]);
}

#[test]
fn a_server_that_admits_some_agents_gives_different_rights() {
    let main = "[agents.a]\nowner = \"ana\"\n[agents.b]\nowner = \"bo\"\n";
    let picky = format!("{FILES}agents = [\"a\"]\n");
    let errors = load(&sources(Some(main), &[("files", &picky)])).unwrap_err();
    let codes: Vec<_> = errors.as_slice().iter().map(|error| error.code).collect();
    assert_eq!(codes, [Code::OpenClaim, Code::OpenClaim]);
}

#[test]
fn a_launch_keeps_what_was_written_and_resolves_it() {
    let generation = loaded(
        None,
        &[(
            "x",
            "command = \"./bin/x\"\ncwd = \"work\"\nowner = \"me\"\n[env]\nA = \"1\"\nB = \"env:B\"\n",
        )],
    );
    let launch = &generation.servers[0].launch;
    assert_eq!(launch.command, "./bin/x");
    assert_eq!(launch.program, Path::new("/etc/tollgate/bin/x"));
    assert_eq!(launch.cwd.as_deref(), Some(Path::new("/etc/tollgate/work")));
    assert_eq!(launch.env["A"], EnvValue::Literal("1".into()));
    assert_eq!(
        launch.env["B"],
        EnvValue::Secret(SecretRef::Env("B".into()))
    );
}

#[test]
fn every_keyword_of_a_rule_reaches_its_schema() {
    let keywords = "type = [\"string\", \"null\"]\nconst = \"x\"\nenum = [1, 2.5, true]\n\
        minimum = 1\nmaximum = 0x10\nexclusiveMinimum = 0.5\nexclusiveMaximum = 17\n\
        multipleOf = 0.5\nminLength = 0\nmaxLength = 9\npattern = \"^x\"\nformat = \"email\"\n\
        minItems = 1\nmaxItems = 2\nuniqueItems = true\nitems = { type = \"integer\" }\n\
        contains = { const = 1 }\nproperties = { a = { type = \"null\" } }\nrequired = [\"a\"]\n\
        additionalProperties = false\nminProperties = 1\nmaxProperties = 2\n\
        allOf = [{ minimum = 1 }]\nanyOf = [{ minimum = 1 }]\noneOf = [{ minimum = 1 }]\n\
        not = { const = 3 }\n";
    let text = format!(
        "{FILES}[tools.t]\ntier = \"read\"\n[tools.t.args.x]\nunder = \"/srv\"\n\
         host = [\"*.Acme.example\", \"my_b.example\"]\n{keywords}[tools.t.args.y]\nabsent = true\n"
    );
    let generation = loaded(None, &[("s", &text)]);
    let server = &generation.servers[0];
    let [x, y] = server.tools["t"].args.as_slice() else {
        panic!("two rules");
    };
    assert_eq!(x.under.as_deref(), Some(Path::new("/srv")));
    assert_eq!(x.host, ["*.acme.example", "my_b.example"]);
    assert!(!x.absent && y.absent);
    assert_eq!(x.schema["maximum"], 16);
    assert_eq!(x.schema["enum"], serde_json::json!([1, 2.5, true]));
    assert_eq!(
        x.schema.as_object().unwrap().len(),
        keywords.lines().count(),
        "{:#}",
        x.schema
    );
    assert_eq!(
        y.place.line,
        server.places.get("tools.t.args.y").unwrap().line
    );
    // And the schema knows exactly these and our own three.
    let form = &config::tools_schema()["definitions"]["ArgForm"]["properties"];
    assert_eq!(
        form.as_object().unwrap().len(),
        keywords.lines().count() + 3
    );
}

#[test]
fn a_format_that_nobody_checks_is_no_rule() {
    for (format, meant) in [("emial", Some("email")), ("idn-hostname", None)] {
        let text = format!(
            "{FILES}[tools.t]\ntier = \"read\"\n\
             args.x = {{ items = {{ format = \"{format}\" }} }}\n"
        );
        let errors = load(&sources(None, &[("s", &text)])).unwrap_err();
        let said = serde_json::to_string(&errors).unwrap();
        assert!(said.contains("is not a format that is checked"), "{said}");
        if let Some(meant) = meant {
            assert!(said.contains(&format!("did you mean `{meant}`?")), "{said}");
        }
    }
}

#[test]
fn an_editor_knows_the_formats_that_are_checked_and_no_other() {
    let form = &config::tools_schema()["definitions"]["ArgForm"]["properties"]["format"];
    let known: Vec<&str> = form["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(known, config::FORMATS);
}

#[test]
fn the_digest_follows_the_texts_and_not_the_directory() {
    let one = loaded(None, &[("files", FILES)]).digest;
    assert_eq!(one.to_string().len(), 64);
    let mut elsewhere = sources(None, &[("files", FILES)]);
    elsewhere.dir = "/srv".into();
    elsewhere.tools[0].path = "/srv/tools.d/files.toml".into();
    assert_eq!(load(&elsewhere).unwrap().digest, one);
    let commented = format!("{FILES}# x\n");
    assert_ne!(loaded(None, &[("files", &commented)]).digest, one);
    assert_ne!(loaded(None, &[("other", FILES)]).digest, one);
}

#[test]
fn errors_are_also_for_machines() {
    let errors = load(&sources(
        None,
        &[("x", "command = \"x\"\nowner = \"a\"\ntimout = 1\n")],
    ));
    let json = serde_json::to_value(errors.unwrap_err()).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "code": "E012",
            "message": "unknown key `timout`",
            "path": "tools.d/x.toml",
            "line": 3, "column": 1, "end_line": 3, "end_column": 7,
            "label": "did you mean `timeout`?",
        }])
    );
}

#[test]
fn a_key_that_is_misspelt_is_not_missing_as_well() {
    let codes = |text: &str| {
        let errors = load(&sources(None, &[("x", text)])).unwrap_err();
        let codes: Vec<_> = errors.as_slice().iter().map(|error| error.code).collect();
        codes
    };
    let misspelt = [Code::UnknownKey];
    assert_eq!(codes("comand = \"x\"\nowner = \"a\"\n"), misspelt);
    assert_eq!(codes("command = \"x\"\nownr = \"a\"\n"), misspelt);
    assert_eq!(codes("title = \"x\"\n"), [Code::NoLaunch, Code::NoOwner]);
}

#[test]
fn colour_adds_only_colour() {
    let errors = load(&sources(None, &[("x", "command = 1\n")])).unwrap_err();
    let (plain, coloured) = (errors.render(false), errors.render(true));
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains('\u{1b}'));
    assert!(coloured.contains("E011"));
}

#[test]
fn a_large_or_deep_file_is_answered_in_time() {
    let keys: String = (0..3_000)
        .map(|n| format!("unknown_key_{n} = {n}\n"))
        .collect();
    let errors = load(&sources(None, &[("x", &keys)])).unwrap_err();
    assert!(
        errors
            .render(false)
            .ends_with("errors, the first 100 shown")
    );
    let deep = format!("args = {}", "[".repeat(100_000));
    let errors = load(&sources(None, &[("x", &deep)])).unwrap_err();
    assert_eq!(errors.as_slice()[0].code, Code::Syntax);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read() {
    let text = "\u{feff}command = \"x\"\r\nowner = \"ana\"\r\ntimout = \"1s\"\r\n";
    let errors = load(&sources(None, &[("x", text)])).unwrap_err();
    let excerpt = errors.as_slice()[0].excerpt.clone().unwrap();
    assert_eq!((excerpt.start.line, excerpt.start.column), (3, 1));
    assert_eq!(errors.as_slice().len(), 1);
}

/// Pieces that configurations are made of, to be put together in any order.
const PIECES: [&str; 60] = [
    "command",
    "owner",
    "args",
    "env",
    "tools",
    "agents",
    "token",
    "tier",
    "timeout",
    "x",
    "minimum",
    "host",
    "idle_exit",
    "servers",
    "é",
    "\u{feff}",
    "=",
    "=",
    "=",
    ".",
    ",",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    " ",
    "\"read\"",
    "\"env:A\"",
    "\"sk-EXAMPLEexample0000\"",
    "3",
    "-1e400",
    "2027-02-01",
    "budget",
    "run",
    "day",
    "calls",
    "cost",
    "warn",
    "rolling",
    "breaker",
    "loops",
    "same",
    "rate",
    "window",
    "currency",
    "amount",
    "limit",
    "0.75",
    "\"none\"",
    "\"1.00 USD\"",
    "\"Mon 08:00-18:00\"",
    "\"$.a[?(@.b)]\"",
];

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_breaks_the_decoder_or_its_messages(
        main in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40),
        tools in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40),
    ) {
        if let Err(errors) = load(&sources(Some(&main.concat()), &[("x", &tools.concat())])) {
            assert!(!errors.as_slice().is_empty());
            assert!(!errors.render(true).contains("sk-EXAMPLEexample0000"));
            assert!(!serde_json::to_string(&errors).unwrap().contains("sk-EXAMPLEexample0000"));
        }
    }
}
