//! The catalogue follows what servers list, at a price that they cannot raise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tollgate::broker::Broker;
use tollgate::clock::SetClock;
use tollgate::domain::{AgentName, Fault, Fingerprint, ServerName, Stop, StopScope};
use tollgate::ports::{Listing, Shelf, Store};
use tollgate::store::MemoryStore;
use tollgate::wire::Raw;

use super::world::{Double, NoShelf, Servers, broker_of, clock, listing, raw, server};

fn broker() -> Arc<Broker> {
    broker_at(clock())
}

fn broker_at(clock: Arc<SetClock>) -> Arc<Broker> {
    let store = Arc::new(MemoryStore::new(clock.clone()));
    broker_of(
        &[("alpha", ""), ("beta", "")],
        clock,
        store,
        Arc::new(NoShelf),
    )
}

fn tool(name: &str, says: &str) -> Raw {
    raw(&format!(
        r#"{{"name":"{name}","description":"{says}","inputSchema":{{"type":"object"}}}}"#
    ))
}

#[test]
fn a_listing_that_is_the_same_changes_nothing_and_tells_nobody() {
    let broker = broker();
    let same = || listing("alpha", vec![tool("one", "1"), tool("two", "2")]);
    broker.listed(same());
    let (before, mut news) = (broker.catalog(), broker.watch_lists());
    broker.listed(same());
    assert!(Arc::ptr_eq(&before, &broker.catalog()));
    assert!(news.try_recv().is_err());
}

#[test]
fn only_what_is_listed_differently_is_read_again() {
    let broker = broker();
    broker.listed(listing("alpha", vec![tool("one", "1"), tool("two", "2")]));
    broker.listed(listing("beta", vec![tool("three", "3")]));
    let before = broker.catalog();
    broker.listed(listing(
        "alpha",
        vec![tool("one", "1"), tool("two", "changed")],
    ));
    let after = broker.catalog();
    let same = |name: &str| Arc::ptr_eq(before.tool(name).unwrap(), after.tool(name).unwrap());
    assert!(same("alpha__one"));
    assert!(same("beta__three"));
    assert!(!same("alpha__two"));
    assert!(after.tool("alpha__two").unwrap().changed);
}

#[tokio::test]
async fn what_a_person_accepts_is_read_again() {
    let broker = broker();
    broker.listed(listing("alpha", vec![tool("one", "1"), tool("two", "2")]));
    broker.listed(listing(
        "alpha",
        vec![tool("one", "1"), tool("two", "changed")],
    ));
    let changed = broker.catalog().tool("alpha__two").unwrap().clone();
    let accepted = broker.accept(server("alpha"), "two".into(), changed.offered, "ana".into());
    assert!(accepted.await.unwrap());
    let now = broker.catalog().tool("alpha__two").unwrap().clone();
    assert!(!now.changed);
    assert_eq!(now.accepted, changed.offered);
}

/// Whether nobody has to wait for the first list of a server.
async fn all_met(broker: &Broker) -> bool {
    let session = broker.join(&AgentName::parse("bot").unwrap(), None);
    let session = session.unwrap();
    tokio::select! {
        biased;
        () = broker.ready(&session) => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn a_server_that_was_never_listed_is_waited_for_when_the_last_stop_of_it_is_lifted() {
    let broker = broker();
    broker.listed(listing("beta", Vec::new()));
    assert!(!all_met(&broker).await);
    let scopes = [StopScope::Everything, StopScope::Server(server("alpha"))];
    for scope in scopes.clone() {
        let stop = Stop {
            scope,
            by: "ada".to_owned(),
            text: None,
            at: "2026-11-20T10:00:00Z".to_owned(),
        };
        broker.stop(stop).await.unwrap();
    }
    // As who would start it says.
    broker.meet(&server("alpha"));
    let [everything, alpha] = scopes;
    broker
        .resume(everything, None, "ada".to_owned())
        .await
        .unwrap();
    assert!(all_met(&broker).await);
    broker.resume(alpha, None, "ada".to_owned()).await.unwrap();
    assert!(!all_met(&broker).await);
    broker.listed(listing("alpha", Vec::new()));
    assert!(all_met(&broker).await);
}

#[test]
fn a_server_that_lists_other_tools_each_time_has_the_rest_hidden() {
    let clock = clock();
    let broker = broker_at(clock.clone());
    // What is no tool costs as much to look at.
    let nonsense = (1..25_000).map(|n| raw(&n.to_string())).collect();
    broker.listed(listing("alpha", nonsense));
    broker.listed(listing("alpha", vec![tool("one", "1"), tool("two", "2")]));
    let catalog = broker.catalog();
    assert!(catalog.tool("alpha__one").is_some());
    assert!(catalog.tool("alpha__two").is_none());
    let (_, why) = catalog.warnings().first().unwrap();
    assert!(why.contains("too many new ones today"), "{why}");
    // Another server has its own share, and there is another day.
    broker.listed(listing("beta", vec![tool("one", "1")]));
    assert!(broker.catalog().tool("beta__one").is_some());
    assert!(broker.catalog().tool("alpha__two").is_none());
    clock.advance(Duration::from_secs(24 * 60 * 60));
    broker.listed(listing("beta", vec![tool("one", "2")]));
    assert!(broker.catalog().tool("alpha__two").is_some());
}

#[test]
fn a_server_can_have_so_many_names_pinned_and_no_more() {
    let store = MemoryStore::default();
    let pin = |server: &ServerName, name: &str| {
        let definition = raw(&format!(r#"{{"name":"{name}"}}"#));
        store.pin(server, name, &definition, Fingerprint([1; 32]))
    };
    let (alpha, beta) = (server("alpha"), server("beta"));
    for n in 0..40_000 {
        pin(&alpha, &format!("t{n}")).unwrap();
    }
    let why = pin(&alpha, "another").unwrap_err().says;
    assert!(why.contains("40000"), "{why}");
    assert!(store.pinned(&alpha, "another").is_none());
    // What is known stays known, and other servers have their own.
    pin(&alpha, "t0").unwrap();
    pin(&beta, "another").unwrap();
}

/// Instances that run and define every tool like this.
#[derive(Default)]
struct Running(Mutex<Vec<Fingerprint>>);

impl Double for Running {
    fn definitions(&self) -> Vec<Fingerprint> {
        self.0.lock().unwrap().clone()
    }
}

fn offered(broker: &Broker) -> Option<String> {
    let pins = broker.store().pins();
    let offered = pins.first().unwrap().offered.as_ref();
    offered.map(|offered| offered.text().to_owned())
}

#[tokio::test]
async fn what_an_instance_of_a_run_offers_otherwise_is_shown_and_can_be_accepted() {
    let broker = broker();
    let (alpha, other) = (server("alpha"), tool("one", "other"));
    broker.listed(listing("alpha", vec![tool("one", "1")]));
    // A tool that nobody can call is not pinned by the way.
    broker.listed_beside(&alpha, &[other.clone(), tool("two", "2")]);
    assert_eq!(broker.store().pins().len(), 1);
    assert_eq!(offered(&broker).as_deref(), Some(other.text()));
    let listed = broker.catalog().tool("alpha__one").unwrap().clone();
    let seen = broker.offered_last(&listed);
    assert!(seen != listed.accepted && !listed.changed);
    let accepted = broker.accept(alpha.clone(), "one".into(), seen, "ana".into());
    assert!(accepted.await.unwrap());
    let listed = broker.catalog().tool("alpha__one").unwrap().clone();
    assert_eq!(listed.accepted, seen);
    // The catalogue's instance is of before, until it is started anew.
    assert!(listed.changed && offered(&broker).is_some());
    broker.listed(listing("alpha", vec![other]));
    assert_eq!(offered(&broker), None);
}

#[test]
fn what_an_instance_offered_is_taken_back_when_none_does_and_a_new_one_does_not() {
    let broker = broker();
    let running = Arc::new(Running::default());
    broker.connect(Arc::new(Servers(running.clone())));
    let (alpha, first, other) = (server("alpha"), tool("one", "1"), tool("one", "other"));
    broker.listed(listing("alpha", vec![first.clone()]));
    broker.listed_beside(&alpha, &[other]);
    let listed = broker.catalog().tool("alpha__one").unwrap().clone();
    let both = vec![listed.accepted, broker.offered_last(&listed)];
    *running.0.lock().unwrap() = both;
    broker.listed_beside(&alpha, std::slice::from_ref(&first));
    broker.listed(listing("alpha", vec![first.clone()]));
    assert!(offered(&broker).is_some());
    // It has ended. That alone says nothing of the next.
    *running.0.lock().unwrap() = vec![listed.accepted];
    assert!(offered(&broker).is_some());
    broker.listed_beside(&alpha, &[first]);
    assert_eq!(offered(&broker), None);
    assert_eq!(broker.offered_last(&listed), listed.accepted);
}

#[test]
fn instances_of_two_programs_in_turn_do_not_fill_the_record() {
    let broker = broker();
    let (alpha, other) = (server("alpha"), tool("one", "other"));
    let running = Arc::new(Running::default());
    broker.connect(Arc::new(Servers(running.clone())));
    broker.listed(listing("alpha", vec![tool("one", "1")]));
    let records = broker.store().follow();
    let before = *records.borrow();
    for _ in 0..100 {
        broker.listed_beside(&alpha, std::slice::from_ref(&other));
        let listed = broker.catalog().tool("alpha__one").unwrap().clone();
        *running.0.lock().unwrap() = vec![broker.offered_last(&listed)];
        broker.listed_beside(&alpha, &[tool("one", "1")]);
    }
    assert_eq!(*records.borrow(), before + 1);
    // Nor do those that define it anew each time, beyond a share of a day. The
    // catalogue has its own.
    for n in 0..30_000 {
        broker.listed_beside(&alpha, &[tool("one", &format!("{n} times"))]);
    }
    assert_eq!(*records.borrow(), before + 25_000);
    broker.listed(listing("alpha", vec![tool("one", "changed")]));
    assert!(broker.catalog().tool("alpha__one").unwrap().changed);
}

/// What is kept until the next start.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<ServerName, Arc<Listing>>>);

impl Shelf for Kept {
    fn listings(&self) -> BTreeMap<ServerName, Arc<Listing>> {
        self.0.lock().unwrap().clone()
    }

    fn keep(&self, listing: &Listing) -> Result<(), Fault> {
        let listing = Arc::new(listing.clone());
        self.0
            .lock()
            .unwrap()
            .insert(listing.server.clone(), listing);
        Ok(())
    }
}

/// One tollgate that can be started again.
struct Place {
    files: Vec<(&'static str, &'static str)>,
    clock: Arc<SetClock>,
    store: Arc<dyn Store>,
    shelf: Arc<Kept>,
}

impl Place {
    fn of(files: &[(&'static str, &'static str)]) -> Place {
        let clock = clock();
        Place {
            files: files.to_vec(),
            store: Arc::new(MemoryStore::new(clock.clone())),
            clock,
            shelf: Arc::default(),
        }
    }

    fn start(&self) -> Arc<Broker> {
        let Place {
            files,
            clock,
            store,
            shelf,
        } = self;
        broker_of(files, clock.clone(), store.clone(), shelf.clone())
    }
}

/// Whose tool it is that agents see under this name.
fn owner(broker: &Broker, exposed: &str) -> Option<String> {
    let catalog = broker.catalog();
    catalog.tool(exposed).map(|tool| tool.server.to_string())
}

fn hidden(broker: &Broker, name: &str) -> String {
    broker.catalog().hidden(&server(name)).join("\n")
}

#[test]
fn what_a_file_says_of_tools_and_arguments_that_are_not_there_is_told() {
    let settings = r#"
        [tools]
        lok = "off"
        [tools.look]
        tier = "read"
        args.pth = { under = "/srv" }
        args.path = { maxLength = 9 }
        args.force = { absent = true }
        [tools.open]
        tier = "read"
        args.any = { maxLength = 9 }
        [tools.wide]
        tier = "read"
        args.pth = { under = "/srv" }
    "#;
    let broker = Place::of(&[("a", settings)]).start();
    // Nobody knows what it will list.
    assert_eq!(hidden(&broker, "a"), "");
    // A pattern takes its time to be compiled, and is not needed for this.
    let look = r#"{"name":"look","inputSchema":{"type":"object","properties":{"path":{"type":"string","pattern":"^/"}}}}"#;
    let wide = r#"{"name":"wide","inputSchema":{"type":"object","properties":{"path":{}},"additionalProperties":true}}"#;
    broker.listed(listing("a", vec![raw(look), tool("open", "1"), raw(wide)]));
    let told = hidden(&broker, "a");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(
        told,
        [
            "its file speaks of a tool `lok` that it does not list: nothing holds by that; did you mean `look`?",
            "its file has a rule for an argument `pth` of tool `look`, whose schema does not name one: its calls are refused; did you mean `path`?",
            "its file has a rule for an argument `pth` of tool `wide`, whose schema does not name one: the rule holds only where it is given; did you mean `path`?",
        ]
    );
    // A list that has it now ends that.
    let plain = r#"{"name":"lok","inputSchema":{"type":"object"}}"#;
    let all = [plain, look, wide].map(raw).into_iter();
    broker.listed(listing("a", all.chain([tool("open", "1")]).collect()));
    assert_eq!(hidden(&broker, "a").lines().collect::<Vec<_>>(), told[1..]);
}

#[test]
fn a_tool_whose_name_begins_with_another_servers_prefix_is_hidden() {
    let place = Place::of(&[
        ("a", ""),
        ("a__b", ""),
        ("none", "prefix = \"\""),
        ("q", ""),
    ]);
    let broker = place.start();
    // Whoever lists first, and before the other lists anything.
    broker.listed(listing("a", vec![tool("b__echo", "1"), tool("fine", "2")]));
    broker.listed(listing(
        "none",
        vec![tool("q__echo", "1"), tool("echo", "2")],
    ));
    assert_eq!(owner(&broker, "a__b__echo"), None);
    assert_eq!(owner(&broker, "q__echo"), None);
    assert!(hidden(&broker, "a").contains("`a__b__` belong to server `a__b`"));
    assert!(hidden(&broker, "none").contains("`q__` belong to server `q`"));
    assert!(place.store.pinned(&server("none"), "q__echo").is_none());
    broker.listed(listing("a__b", vec![tool("echo", "1")]));
    broker.listed(listing("q", vec![tool("echo", "1")]));
    for broker in [&broker, &place.start()] {
        assert_eq!(owner(broker, "a__b__echo").unwrap(), "a__b");
        assert_eq!(owner(broker, "q__echo").unwrap(), "q");
        assert_eq!(owner(broker, "a__fine").unwrap(), "a");
        assert_eq!(owner(broker, "echo").unwrap(), "none");
    }
}

#[test]
fn of_two_servers_without_a_prefix_the_one_that_was_there_first_keeps_the_name() {
    let place = Place::of(&[("a", "prefix = \"\""), ("z", "prefix = \"\"")]);
    let broker = place.start();
    broker.listed(listing("z", vec![tool("echo", "1"), tool("gone", "1")]));
    broker.listed(listing(
        "a",
        vec![tool("echo", "2"), tool("gone", "2"), tool("own", "3")],
    ));
    // What it does not list for a while is still its own.
    broker.listed(listing("z", vec![tool("echo", "1")]));
    for broker in [&broker, &place.start()] {
        assert_eq!(owner(broker, "echo").unwrap(), "z");
        assert_eq!(owner(broker, "gone"), None);
        assert_eq!(owner(broker, "own").unwrap(), "a");
        let why = hidden(broker, "a");
        assert!(
            why.contains("`echo` already belongs to server `z`"),
            "{why}"
        );
    }
}

#[test]
fn no_server_has_a_tool_or_a_prompt_that_differs_from_anothers_only_in_capitals() {
    let none = "prefix = \"\"";
    let place = Place::of(&[("a", none), ("files", ""), ("z", none)]);
    let broker = place.start();
    let offers = |name: &str, names: &[&str]| Listing {
        prompts: names.iter().map(|name| tool(name, "")).collect(),
        ..listing(name, names.iter().map(|name| tool(name, "")).collect())
    };
    broker.listed(offers("z", &["echo", "Files__read", "FILES__write"]));
    broker.listed(offers("files", &["read", "Read"]));
    broker.listed(offers("a", &["Echo", "own"]));
    for broker in [&broker, &place.start()] {
        for name in ["Echo", "Files__read", "FILES__write"] {
            assert_eq!(owner(broker, name), None, "{name}");
        }
        assert_eq!(owner(broker, "echo").unwrap(), "z");
        assert_eq!(owner(broker, "own").unwrap(), "a");
        // A server's own names are its own affair.
        assert_eq!(owner(broker, "files__read").unwrap(), "files");
        assert_eq!(owner(broker, "files__Read").unwrap(), "files");
        let agent = AgentName::parse("test").unwrap();
        let view = broker.view(&broker.join(&agent, None).unwrap());
        let prompt = |name: &str| {
            let catalog = broker.catalog();
            let prompt = catalog.prompt(name, &view);
            prompt.map(|prompt| prompt.server.to_string())
        };
        assert_eq!(prompt("echo").unwrap(), "z");
        assert_eq!(prompt("files__Read").unwrap(), "files");
        assert_eq!((prompt("Echo"), prompt("Files__read")), (None, None));
    }
}

#[test]
fn what_is_hidden_is_told_in_few_words_however_long_its_name() {
    let place = Place::of(&[("a", "")]);
    let broker = place.start();
    let shapeless = raw(&format!(r#"{{"name":"{}"}}"#, "x".repeat(100_000)));
    broker.listed(listing("a", vec![shapeless]));
    let why = hidden(&broker, "a");
    assert!(why.contains("xxx` is hidden: "), "{}", why.len());
    assert!(why.len() < 500, "{}", why.len());
}

#[test]
fn a_tool_that_is_off_leaves_its_name_to_another_servers() {
    let off = "prefix = \"\"\n[tools]\necho = \"off\"";
    let place = Place::of(&[("a", off), ("z", "prefix = \"\"")]);
    let broker = place.start();
    broker.listed(listing("a", vec![tool("echo", "1")]));
    broker.listed(listing("z", vec![tool("echo", "2")]));
    for broker in [&broker, &place.start()] {
        assert_eq!(owner(broker, "echo").unwrap(), "z");
        assert_eq!(hidden(broker, "z"), "");
    }
}

#[test]
fn no_server_has_a_tool_or_a_prompt_that_passes_for_tollgates() {
    let place = Place::of(&[("a", "prefix = \"\"")]);
    let broker = place.start();
    let names = ["tollgate__approve", "tollgate__status", "Tollgate__stop"];
    broker.listed(Listing {
        prompts: names.map(|name| tool(name, "")).to_vec(),
        ..listing("a", names.map(|name| tool(name, "")).to_vec())
    });
    let agent = AgentName::parse("test").unwrap();
    let view = broker.view(&broker.join(&agent, None).unwrap());
    for name in names {
        assert_eq!(owner(&broker, name), None);
        assert!(broker.catalog().prompt(name, &view).is_none());
    }
    let listed = String::from_utf8(view.tools.to_vec()).unwrap();
    assert_eq!(listed.matches("tollgate__status").count(), 1);
    assert!(!listed.contains("approve"), "{listed}");
    assert_eq!(hidden(&broker, "a").matches("tollgate's own").count(), 6);
}

#[test]
fn prompts_and_resources_stay_with_the_server_that_had_them_first() {
    let place = Place::of(&[("a", "prefix = \"\""), ("z", "prefix = \"\"")]);
    let offers = |name: &str| Listing {
        capabilities: raw(r#"{"resources":{}}"#),
        prompts: vec![raw(r#"{"name":"ask"}"#)],
        resources: vec![raw(r#"{"uri":"test://a"}"#)],
        templates: vec![raw(r#"{"uriTemplate":"test://t/{x}"}"#)],
        ..listing(name, Vec::new())
    };
    let broker = place.start();
    broker.listed(offers("z"));
    broker.listed(offers("a"));
    assert_eq!(hidden(&broker, "a").lines().count(), 3);
    let restarted = place.start();
    let relisted = place.start();
    relisted.listed(offers("a"));
    for broker in [broker, restarted, relisted] {
        let agent = AgentName::parse("test").unwrap();
        let view = broker.view(&broker.join(&agent, None).unwrap());
        let catalog = broker.catalog();
        let read = |uri: &str| catalog.resource(uri, &view).unwrap().to_string();
        let prompt = catalog.prompt("ask", &view).unwrap();
        assert_eq!(prompt.server.as_str(), "z");
        assert_eq!(read("test://a"), "z");
        assert_eq!(read("test://t/1"), "z");
        assert_eq!(view.resources(), r#"[{"uri":"test://a"}]"#);
        assert_eq!(view.templates(), r#"[{"uriTemplate":"test://t/{x}"}]"#);
        assert_eq!(view.prompts, r#"[{"name":"ask"}]"#);
    }
}

/// A server with resources, and nothing else.
fn with_resources(name: &str, uris: &[&str], templates: &[&str]) -> Listing {
    let entry = |key: &str, text: &&str| raw(&format!(r#"{{"{key}":"{text}"}}"#));
    Listing {
        capabilities: raw(r#"{"resources":{}}"#),
        resources: uris.iter().map(|uri| entry("uri", uri)).collect(),
        templates: templates.iter().map(|t| entry("uriTemplate", t)).collect(),
        ..listing(name, Vec::new())
    }
}

/// Whose a resource is.
fn whose(broker: &Broker, uri: &str) -> String {
    let agent = AgentName::parse("test").unwrap();
    let view = broker.view(&broker.join(&agent, None).unwrap());
    let owner = broker.catalog().resource(uri, &view);
    owner.map_or_else(|| "nobody's".to_owned(), |server| server.to_string())
}

#[test]
fn a_resource_stays_with_the_server_whose_template_was_there_first() {
    let place = Place::of(&[("a", ""), ("z", "")]);
    let z = || with_resources("z", &[], &["repo://{owner}/{repo}{/path*}"]);
    let listed = ["repo://corp/secret"];
    let a = || with_resources("a", &listed, &["{+x}", "re{+x}", "repo://{+x}"]);
    let broker = place.start();
    broker.listed(z());
    broker.listed(a());
    let started = place.start();
    let relisted = place.start();
    relisted.listed(a());
    for broker in [broker, started, relisted] {
        assert_eq!(whose(&broker, "repo://corp/secret"), "z");
        assert_eq!(whose(&broker, "repo://corp/secret/x"), "z");
        // What nobody has is not for who would take anything.
        assert_eq!(whose(&broker, "other://x"), "nobody's");
    }
}

#[test]
fn a_resource_that_was_listed_first_is_not_taken_by_a_template() {
    let place = Place::of(&[("a", ""), ("z", "")]);
    let a = || with_resources("a", &[], &["repo://corp/{x}"]);
    let broker = place.start();
    broker.listed(with_resources("z", &["repo://corp/secret"], &[]));
    broker.listed(a());
    let started = place.start();
    started.listed(a());
    for broker in [broker, started] {
        assert_eq!(whose(&broker, "repo://corp/secret"), "z");
        assert_eq!(whose(&broker, "repo://corp/other"), "a");
    }
}

#[test]
fn of_two_templates_the_one_that_says_more_counts_whoever_came_first() {
    let all = || with_resources("a", &[], &["file:///{+path}"]);
    let logs = || with_resources("z", &[], &["file:///logs/{name}"]);
    for order in [[all(), logs()], [logs(), all()]] {
        let place = Place::of(&[("a", ""), ("z", "")]);
        let broker = place.start();
        order.into_iter().for_each(|listing| broker.listed(listing));
        for broker in [broker, place.start()] {
            assert_eq!(whose(&broker, "file:///logs/today"), "z");
            assert_eq!(whose(&broker, "file:///etc/motd"), "a");
        }
    }
}

#[test]
fn what_nobody_lists_is_for_the_first_that_had_its_scheme() {
    let place = Place::of(&[("a", ""), ("z", "")]);
    let broker = place.start();
    broker.listed(with_resources("z", &["test://z"], &[]));
    broker.listed(with_resources("a", &["test://a", "own://a"], &[]));
    assert_eq!(whose(&broker, "test://other"), "z");
    assert_eq!(whose(&broker, "own://other"), "a");
    // Who was first is forgotten, and a name decides nothing.
    let broker = place.start();
    assert_eq!(whose(&broker, "test://other"), "nobody's");
    assert_eq!(whose(&broker, "own://other"), "a");
}

#[test]
fn templates_of_one_server_do_not_make_the_resources_of_another_slow() {
    let place = Place::of(&[("a", ""), ("z", "")]);
    let broker = place.start();
    let many: Vec<String> = (0..10_000)
        .map(|n| format!("file:{{+x{n}{}}}", "x".repeat(1_000)))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    broker.listed(with_resources("a", &[], &many));
    let began = std::time::Instant::now();
    for n in 0..200 {
        let uri = format!("test://{n}");
        broker.listed(with_resources("z", &["test://z", &uri], &[]));
        for _ in 0..5 {
            assert_eq!(whose(&broker, "test://z"), "z");
        }
        assert_eq!(whose(&broker, "test://other"), "z");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(whose(&broker, "file:x"), "a");
}

#[test]
fn templates_beyond_very_many_and_very_long_ones_do_not_count() {
    let place = Place::of(&[("a", ""), ("z", "")]);
    let broker = place.start();
    let mut many: Vec<String> = (0..=1_000).map(|n| format!("x://{n}/{{id}}")).collect();
    many.insert(0, format!("x://long/{{{}}}", "x".repeat(2_048)));
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    broker.listed(with_resources("a", &[], &many));
    assert!(hidden(&broker, "a").contains("2 of its resource templates do not count"));
    broker.listed(with_resources("z", &[], &["x://{+rest}"]));
    assert_eq!(whose(&broker, "x://999/1"), "a");
    assert_eq!(whose(&broker, "x://1000/1"), "z");
    assert_eq!(whose(&broker, "x://long/1"), "z");
}

#[test]
fn a_tool_whose_name_is_listed_twice_in_two_spellings_is_one() {
    let broker = broker();
    let other = r#"{"name":"\u0065cho","description":"2","inputSchema":{"type":"object"}}"#;
    broker.listed(listing("alpha", vec![tool("echo", "1"), raw(other)]));
    let catalog = broker.catalog();
    assert!(!catalog.tool("alpha__echo").unwrap().changed);
    assert!(hidden(&broker, "alpha").contains("its name is listed twice"));
}

#[test]
fn who_may_not_see_the_owner_of_a_prompts_name_sees_the_other_servers() {
    let place = Place::of(&[("a", "prefix = \"\""), ("z", "prefix = \"\"")]);
    let broker = place.start();
    let ask = |says: &str| raw(&format!(r#"{{"name":"ask","description":"{says}"}}"#));
    for name in ["z", "a"] {
        broker.listed(Listing {
            prompts: vec![ask(name), ask("twice")],
            ..listing(name, Vec::new())
        });
    }
    let catalog = broker.catalog();
    for (seen, owner) in [(&["a", "z"][..], "z"), (&["a"], "a"), (&["z"], "z")] {
        let seen: Vec<ServerName> = seen.iter().map(|name| server(name)).collect();
        let view = catalog.view(&seen);
        assert_eq!(catalog.prompt("ask", &view).unwrap().server.as_str(), owner);
        let listed = format!(r#"[{{"name":"ask","description":"{owner}"}}]"#);
        assert_eq!(view.prompts, listed);
    }
}
