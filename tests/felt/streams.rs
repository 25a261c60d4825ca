//! Streams of an agent of the stateless era, and servers that do not do their part.

use crate::limited;
use crate::support::agent::Agent;
use crate::support::home::Home;
use crate::support::raw::{dig, elements};
use crate::support::server::Server;

const ONE: &str = r#"{"notifications":{"resourceSubscriptions":["note://0"]}}"#;

/// A server of the handshake era with so many resources.
fn notes(count: usize, more: &str) -> String {
    let resources: Vec<String> = (0..count)
        .map(|n| format!("resource {{\"uri\":\"note://{n}\",\"name\":\"{n}\"}}\n"))
        .collect();
    format!(
        "era legacy\n{}{more}\ncall ready: text ready",
        resources.concat()
    )
}

fn ready(home: &Home) -> Agent {
    let mut agent = home.modern();
    agent.until_listed(&["alpha__ready"]);
    agent
}

/// Opens a stream for so many of them; how many are granted.
fn granted(agent: &mut Agent, count: usize) -> usize {
    let uris: Vec<String> = (0..count).map(|n| format!("\"note://{n}\"")).collect();
    let listen = format!(
        r#"{{"notifications":{{"resourceSubscriptions":[{}]}}}}"#,
        uris.join(",")
    );
    agent.request("subscriptions/listen", &listen);
    let ack = agent.gets("notifications/subscriptions/acknowledged");
    let granted = dig(&ack, "params.notifications.resourceSubscriptions");
    granted.map_or(0, |granted| elements(&granted).len())
}

#[test]
fn a_server_that_does_not_answer_the_end_of_a_subscription_holds_nobody_up() {
    let home = Home::new();
    let mut alpha = home.server("alpha", &notes(2, "on resources/unsubscribe: silence"));
    let mut agent = ready(&home);
    let id = agent.request("subscriptions/listen", ONE);
    agent.gets("notifications/subscriptions/acknowledged");
    agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    ));
    alpha.gets("resources/unsubscribe");
    // Others begin and end as before.
    assert_eq!(granted(&mut agent, 2), 2);
    agent.hang_up();
    agent.ends();
}

#[test]
fn resources_that_are_gone_do_not_keep_a_stream_from_the_others() {
    let bad = |n| {
        format!(
            "on resources/subscribe note://{n}: error {{\"code\":-32002,\"message\":\"gone\"}}\n"
        )
    };
    let bad: Vec<String> = [0, 1, 2, 9, 10, 20, 30, 31, 32].map(bad).into();
    let home = Home::new();
    let _alpha = home.server("alpha", &notes(40, &bad.concat()));
    let mut agent = ready(&home);
    assert_eq!(granted(&mut agent, 40), 31);
}

#[test]
fn what_is_refused_for_all_of_a_stream_is_asked_once() {
    let home = limited(
        "[budget]\nrun = { steps = \"none\", calls = 5, time = \"none\", cost = \"none\" }",
    );
    let mut alpha = home.server("alpha", &notes(40, ""));
    let mut agent = ready(&home);
    assert_eq!(granted(&mut agent, 40), 5);
    let told = home.tollgate().args(["audit", "--json"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.matches("\"call.refused\"").count(), 1, "{told}");
    assert_eq!(alpha.count("resources/subscribe"), 5);
}

#[test]
fn a_stream_is_one_step_however_much_it_watches() {
    let home = limited(
        "[budget]\nrun = { steps = 3, calls = \"none\", time = \"none\", cost = \"none\" }",
    );
    let _alpha = home.server("alpha", &notes(30, ""));
    let mut agent = ready(&home);
    assert_eq!(granted(&mut agent, 30), 30);
    for _ in 0..2 {
        let id = agent.call("alpha__ready", "{}");
        assert_eq!(agent.text(id), "ready");
    }
    let id = agent.call("alpha__ready", "{}");
    assert!(agent.failure(id).contains("BUDGET_RUN_STEPS"));
}

#[test]
fn a_stream_is_of_the_turn_that_it_reports_and_uses_its_tokens_once() {
    let home = limited(
        "[budget]\nrun = { steps = 2, calls = \"none\", time = \"none\", cost = \"none\", tokens = 20 }",
    );
    let _alpha = home.server("alpha", &notes(5, ""));
    let mut agent = ready(&home);
    let listen = r#"{"notifications":{"resourceSubscriptions":["note://0","note://1","note://2"]},"_meta":{"step":7,"tokens":9}}"#;
    agent.request("subscriptions/listen", listen);
    let ack = agent.gets("notifications/subscriptions/acknowledged");
    let granted = dig(&ack, "params.notifications.resourceSubscriptions").unwrap();
    assert_eq!(elements(&granted).len(), 3);
    let same = agent.request(
        "tools/call",
        r#"{"name":"alpha__ready","_meta":{"step":7,"tokens":9}}"#,
    );
    assert_eq!(agent.text(same), "ready");
    let next = agent.request(
        "tools/call",
        r#"{"name":"alpha__ready","_meta":{"step":8}}"#,
    );
    assert_eq!(agent.text(next), "ready");
    let beyond = agent.request(
        "tools/call",
        r#"{"name":"alpha__ready","_meta":{"step":9}}"#,
    );
    assert!(agent.failure(beyond).contains("BUDGET_RUN_STEPS"));
}

#[test]
fn a_subscription_that_was_cancelled_in_its_servers_hands_is_ended_there() {
    let home = Home::new();
    let script = notes(1, "on resources/subscribe: wait\nresult {}");
    let mut alpha = home.server("alpha", &script);
    let mut agent = ready(&home);
    let id = agent.request("subscriptions/listen", ONE);
    alpha.gets("resources/subscribe");
    agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    ));
    alpha.gets("notifications/cancelled");
    alpha.order("go");
    alpha.gets("resources/unsubscribe");
}

/// Two agents of the handshake era, at a server that they share.
fn sharing(script: &str) -> (Home, Server, [Agent; 2]) {
    let home = Home::new();
    let alpha = home.server_with("alpha", script, "instances = \"shared\"");
    let agents = ["one", "two"].map(|name| {
        let mut agent = home.beside(name);
        agent.until_listed(&["alpha__ready"]);
        agent
    });
    (home, alpha, agents)
}

fn subscribe(agent: &mut Agent, uri: &str) -> u64 {
    agent.request("resources/subscribe", &format!("{{\"uri\":\"{uri}\"}}"))
}

/// Returns once everything that an agent has sent has been read.
fn is_read(agent: &mut Agent) {
    let id = agent.request("ping", "{}");
    agent.result(id);
}

/// The next stream that a server is asked for with a resource.
fn next_stream(alpha: &mut Server) -> String {
    loop {
        let listen = alpha.gets("subscriptions/listen");
        if listen.contains("note://") {
            return listen;
        }
    }
}

fn acknowledge(alpha: &mut Server, uris: &str) {
    alpha.order(&format!(
        r#"say {{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":$sub}},"notifications":{{"resourceSubscriptions":[{uris}]}}}}}}"#
    ));
}

#[test]
fn who_asks_for_much_does_not_stand_in_line_before_others() {
    let script = notes(3, "on subscriptions/listen: silence").replace("legacy", "modern");
    let (_home, mut alpha, [mut one, mut two]) = sharing(&script);
    let first = subscribe(&mut one, "note://0");
    assert!(next_stream(&mut alpha).contains("note://0"));
    let third = subscribe(&mut one, "note://2");
    is_read(&mut one);
    let second = subscribe(&mut two, "note://1");
    is_read(&mut two);
    acknowledge(&mut alpha, r#""note://0""#);
    one.result(first);
    let next = next_stream(&mut alpha);
    assert!(
        next.contains("note://1") && !next.contains("note://2"),
        "{next}"
    );
    acknowledge(&mut alpha, r#""note://0","note://1""#);
    two.result(second);
    assert!(next_stream(&mut alpha).contains("note://2"));
    acknowledge(&mut alpha, r#""note://0","note://1","note://2""#);
    one.result(third);
}

#[test]
fn a_stream_that_is_refused_is_refused_to_who_asked_for_it_and_to_no_other() {
    let script = notes(2, "on subscriptions/listen: silence").replace("legacy", "modern");
    let (_home, mut alpha, [mut one, mut two]) = sharing(&script);
    let bad = subscribe(&mut one, "note://0");
    assert!(next_stream(&mut alpha).contains("note://0"));
    let good = subscribe(&mut two, "note://1");
    is_read(&mut two);
    alpha.order(r#"say {"jsonrpc":"2.0","id":$sub,"error":{"code":-32002,"message":"gone"}}"#);
    assert_eq!(one.error(bad).0, -32002);
    let next = next_stream(&mut alpha);
    assert!(
        next.contains("note://1") && !next.contains("note://0"),
        "{next}"
    );
    acknowledge(&mut alpha, r#""note://1""#);
    two.result(good);
}

fn id_of(line: &str) -> String {
    dig(line, "id").unwrap()
}

/// One agent watches a resource at a server that answers when it is told to, and another
/// has asked for one more: the streams that the server was asked for.
fn replacing() -> (Home, Server, [Agent; 2], [String; 2]) {
    let script = notes(3, "on subscriptions/listen: silence").replace("legacy", "modern");
    let (home, mut alpha, [mut one, mut two]) = sharing(&script);
    let id = subscribe(&mut one, "note://0");
    let first = next_stream(&mut alpha);
    acknowledge(&mut alpha, r#""note://0""#);
    one.result(id);
    subscribe(&mut two, "note://1");
    let second = next_stream(&mut alpha);
    (home, alpha, [one, two], [id_of(&first), id_of(&second)])
}

#[test]
fn a_stream_goes_on_until_the_one_that_takes_its_place_is_acknowledged() {
    let (_home, mut alpha, [mut one, _two], [first, _]) = replacing();
    is_read(&mut one);
    let said = format!("\"requestId\":{first},");
    let told = alpha.count_lines(|line| line.contains(&said));
    assert_eq!(told, 0, "it was told to end the stream");
    acknowledge(&mut alpha, r#""note://0","note://1""#);
    while !alpha.gets("notifications/cancelled").contains(&said) {}
}

#[test]
fn what_may_have_changed_while_a_server_told_of_nothing_is_told_when_it_does_again() {
    let (_home, mut alpha, [mut one, _two], [first, _]) = replacing();
    alpha.order(&format!(
        r#"say {{"jsonrpc":"2.0","id":{first},"result":{{"resultType":"complete"}}}}"#
    ));
    acknowledge(&mut alpha, r#""note://0","note://1""#);
    let told = one.gets("notifications/resources/updated");
    assert_eq!(dig(&told, "params.uri").unwrap(), "\"note://0\"");
    // What was listed before may have changed as well.
    alpha.gets("tools/list");
}

#[test]
fn a_list_of_which_a_server_tells_again_is_listed_anew() {
    let (_home, mut alpha, [_one, _two], [_, second]) = replacing();
    alpha.order(&format!(
        r#"say {{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{second}}},"notifications":{{"toolsListChanged":true,"resourceSubscriptions":["note://0","note://1"]}}}}}}"#
    ));
    alpha.gets("tools/list");
}

#[test]
fn what_a_server_does_not_name_any_more_is_told_to_who_watches_it() {
    let (home, mut alpha, [mut one, mut two], _) = replacing();
    acknowledge(&mut alpha, r#""note://1""#);
    one.gets("notifications/resources/updated");
    let shown = home.tollgate().args(["servers", "alpha"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let lost = "tells no more of resources that are watched: 1";
    assert!(shown.contains(lost), "{shown}");
    assert!(
        shown.contains("does not tell when its tools change"),
        "{shown}"
    );
    // It is watched by nobody, and so the server is asked.
    two.speak_modern("{}");
    let stream = two.request("subscriptions/listen", ONE);
    next_stream(&mut alpha);
    acknowledge(&mut alpha, r#""note://0","note://1""#);
    two.gets("notifications/subscriptions/acknowledged");
    subscribe(&mut one, "note://0");
    is_read(&mut one);
    two.request("subscriptions/listen", &ONE.replace('0', "2"));
    next_stream(&mut alpha);
    acknowledge(&mut alpha, r#""note://1","note://2""#);
    two.result(stream);
}

#[test]
fn a_subscription_that_is_not_answered_holds_up_those_of_no_other_resource() {
    let script = notes(2, "on resources/subscribe note://0: silence");
    let (_home, mut alpha, [mut one, mut two]) = sharing(&script);
    subscribe(&mut one, "note://0");
    alpha.gets("resources/subscribe");
    let second = subscribe(&mut two, "note://1");
    two.result(second);
}

#[test]
fn what_an_agent_watches_is_bounded_however_many_it_asks_for_at_once() {
    let home = Home::new();
    let script = notes(1, "on resources/subscribe: wait\nresult {}");
    let mut alpha = home.server("alpha", &script);
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready"]);
    let long = |n: usize| format!("note://{n}/{}", "x".repeat(600_000));
    let first = subscribe(&mut agent, &long(1));
    alpha.gets("resources/subscribe");
    let second = subscribe(&mut agent, &long(2));
    assert_eq!(agent.error(second).0, -32602);
    alpha.order("go");
    agent.result(first);
}

#[test]
fn a_stream_ends_with_the_server_that_it_was_granted_by() {
    let home = Home::new();
    let mut alpha = home.server("alpha", &notes(1, ""));
    let mut agent = ready(&home);
    let id = agent.request("subscriptions/listen", ONE);
    agent.gets("notifications/subscriptions/acknowledged");
    alpha.latest();
    alpha.order("exit 1");
    agent.result(id);
    // One that is opened anew is granted by the next.
    alpha.starts();
    assert_eq!(granted(&mut agent, 1), 1);
}

#[test]
fn who_cannot_be_told_that_it_hears_no_more_is_told_that_all_may_have_changed() {
    let home = Home::new();
    let mut alpha = home.server("alpha", &notes(1, ""));
    let mut agent = home.legacy();
    agent.until_listed(&["alpha__ready"]);
    let id = subscribe(&mut agent, "note://0");
    agent.result(id);
    alpha.order("exit 1");
    let told = agent.gets("notifications/resources/updated");
    assert_eq!(dig(&told, "params.uri").unwrap(), "\"note://0\"");
}

#[test]
fn a_server_that_ends_its_stream_is_asked_for_another_and_what_it_told_of_is_over() {
    let script = notes(2, "").replace("legacy", "modern");
    let (_home, mut alpha, [mut one, mut two]) = sharing(&script);
    one.speak_modern("{}");
    let id = one.request("subscriptions/listen", ONE);
    one.gets("notifications/subscriptions/acknowledged");
    alpha.order(r#"say {"jsonrpc":"2.0","id":$sub,"result":{"resultType":"complete"}}"#);
    one.result(id);
    let before = alpha.count("subscriptions/listen");
    // It is watched by nobody, and so the server is asked.
    let again = subscribe(&mut two, "note://0");
    two.result(again);
    assert_eq!(alpha.count("subscriptions/listen"), before + 1);
}

#[test]
fn what_one_stream_leaves_to_another_that_is_not_granted_it_is_ended() {
    let home = limited(
        "[budget]\nrun = { steps = \"none\", calls = 2, time = \"none\", cost = \"none\" }",
    );
    let script = notes(2, "on resources/subscribe note://1: wait\nresult {}");
    let mut alpha = home.server("alpha", &script);
    let mut agent = ready(&home);
    let one = agent.request("subscriptions/listen", ONE);
    agent.gets("notifications/subscriptions/acknowledged");
    agent.request(
        "subscriptions/listen",
        r#"{"notifications":{"resourceSubscriptions":["note://1","note://0"]}}"#,
    );
    while !alpha.gets("resources/subscribe").contains("note://1") {}
    agent.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{one}}}}}"#
    ));
    agent.until_listed(&["alpha__ready"]);
    assert_eq!(alpha.count("resources/unsubscribe"), 0);
    alpha.order("go");
    let ack = agent.gets("notifications/subscriptions/acknowledged");
    let granted = dig(&ack, "params.notifications.resourceSubscriptions");
    assert_eq!(granted.unwrap(), r#"["note://1"]"#);
    let end = alpha.gets("resources/unsubscribe");
    assert!(end.contains("note://0"), "{end}");
}

#[test]
fn short_addresses_count_for_the_room_that_they_take() {
    let home = Home::new();
    let _alpha = home.server("alpha", "call ready: text ready");
    let mut agent = ready(&home);
    let uris: Vec<String> = (0..1_000).map(|n| format!("\"{n}\"")).collect();
    let listen = format!(
        r#"{{"notifications":{{"resourceSubscriptions":[{}]}}}}"#,
        uris.join(",")
    );
    for _ in 0..15 {
        agent.request("subscriptions/listen", &listen);
        agent.gets("notifications/subscriptions/acknowledged");
    }
    let beyond = agent.request("subscriptions/listen", &listen);
    assert_eq!(agent.error(beyond).0, -32602);
}

#[test]
fn what_was_lost_before_a_stream_asked_for_it_is_granted_to_it_all_the_same() {
    let home = Home::new();
    let mut alpha = home.server("alpha", &notes(1, ""));
    let other = r#"resource {"uri":"mail://0","name":"0"}"#;
    let other = format!(
        "era legacy\n{other}\non resources/subscribe: wait\nresult {{}}\ncall sent: text sent"
    );
    let mut beta = home.server("beta", &other);
    let mut agent = ready(&home);
    agent.until_listed(&["beta__sent"]);
    let one = agent.request("subscriptions/listen", ONE);
    agent.gets("notifications/subscriptions/acknowledged");
    agent.request(
        "subscriptions/listen",
        r#"{"notifications":{"resourceSubscriptions":["mail://0","note://0"]}}"#,
    );
    beta.gets("resources/subscribe");
    alpha.latest();
    alpha.order("exit 1");
    agent.result(one);
    // The next one is there.
    alpha.starts();
    beta.order("go");
    let ack = agent.gets("notifications/subscriptions/acknowledged");
    let granted = dig(&ack, "params.notifications.resourceSubscriptions");
    assert_eq!(granted.unwrap(), r#"["mail://0","note://0"]"#);
}
