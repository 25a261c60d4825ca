//! What is tried again after a while: tool servers that run, and a clock that is set.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{broadcast, mpsc, watch};
use tollgate::domain::{Era, ServerName, Stop, StopScope, Stops};
use tollgate::tools::child::Launch;
use tollgate::tools::{InForce, Listed, Listener, Pool, Registered};

use crate::support::home::{Home, double};
use crate::support::server::Server;

/// A pool with one server that all share, and what it tells.
fn started(server: &Server, stops: &InForce) -> (Arc<Pool>, UnboundedReceiver<Listed>) {
    let (tell, told) = mpsc::unbounded_channel();
    let listener: Listener = Arc::new(move |listed| drop(tell.send(listed)));
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let registered = Registered {
        name: ServerName::parse("alpha").unwrap(),
        launch: Launch {
            command: double().into(),
            args: vec![path(&server.script), path(&server.socket)],
            env: Vec::new(),
            cwd: None,
            mark: "retries".to_owned(),
            open_files: None,
        },
        shared: true,
        missing: None,
        era: Some(Era::Modern),
        known: None,
        start: Duration::from_secs(10),
    };
    let keeper = env!("CARGO_BIN_EXE_tollgate").as_ref();
    let events = broadcast::Sender::new(16);
    let pool = Pool::start(vec![registered], keeper, &events, &listener, stops);
    (pool, told)
}

/// The same, once it is listed.
async fn listed(server: &Server, stops: &InForce) -> (Arc<Pool>, UnboundedReceiver<Listed>) {
    let (pool, mut told) = started(server, stops);
    is_listed(&mut told).await;
    (pool, told)
}

async fn is_listed(told: &mut UnboundedReceiver<Listed>) {
    let listed = told.recv().await.unwrap();
    assert!(matches!(listed, Listed::Lists(_)), "{listed:?}");
}

async fn is_not_listed(told: &mut UnboundedReceiver<Listed>) {
    let not = told.recv().await.unwrap();
    assert!(matches!(not, Listed::Not(_)), "{not:?}");
}

/// A stop of the server.
fn stopped() -> Stops {
    Stops::of([Stop {
        scope: StopScope::Server(ServerName::parse("alpha").unwrap()),
        by: "ada".to_owned(),
        text: None,
        at: "2026-11-20T10:00:00Z".to_owned(),
    }])
}

/// Looks at the server beside the runtime: no time passes meanwhile.
async fn beside<T: Send + 'static>(
    mut server: Server,
    look: impl FnOnce(&mut Server) -> T + Send + 'static,
) -> (Server, T) {
    let looked = tokio::task::spawn_blocking(move || {
        let seen = look(&mut server);
        (server, seen)
    });
    looked.await.unwrap()
}

/// Returns when the pool has read what the server said until now, and the server what the
/// pool had to say until then.
fn catch_up(server: &mut Server, id: u64) {
    let ping = json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    server.order(&format!("say {ping}"));
    server.is_answered(&id.to_string());
}

#[tokio::test]
async fn a_server_that_ended_its_stream_is_asked_for_another_after_a_minute_and_listed() {
    let home = Home::new();
    let alpha = home.server("alpha", "era modern\ncall hi: text hello");
    let (pool, _told) = listed(&alpha, &watch::channel(Stops::default()).1).await;
    tokio::time::pause();
    let (mut alpha, ()) = beside(alpha, |alpha| {
        for _ in 0..alpha.count("tools/list") {
            alpha.gets("tools/list");
        }
        assert_eq!(alpha.count("subscriptions/listen"), 1);
        alpha.order(r#"say {"jsonrpc":"2.0","id":$sub,"result":{"resultType":"complete"}}"#);
    })
    .await;
    let mut waited = 0;
    loop {
        let asked;
        (alpha, asked) = beside(alpha, move |alpha| {
            catch_up(alpha, waited);
            alpha.count("subscriptions/listen")
        })
        .await;
        if asked > 1 {
            break;
        }
        assert!(waited < 120, "it is not asked again");
        tokio::time::advance(Duration::from_secs(10)).await;
        waited += 10;
    }
    assert!(waited >= 60, "it is asked again after {waited} s");
    // Changes within a moment are one change.
    tokio::time::advance(Duration::from_secs(1)).await;
    let (_alpha, ()) = beside(alpha, |alpha| drop(alpha.gets("tools/list"))).await;
    tokio::time::resume();
    pool.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_stopped_server_is_neither_listed_nor_started_until_that_is_lifted() {
    let home = Home::new();
    let alpha = home.server("alpha", "era modern\ncall hi: text hello");
    let switch = watch::Sender::new(Stops::default());
    let (pool, mut told) = listed(&alpha, &switch.subscribe()).await;

    switch.send_replace(stopped());
    tokio::time::pause();
    let (alpha, lists) = beside(alpha, move |alpha| {
        let lists = alpha.count("tools/list");
        alpha.order(
            r#"say {"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":$sub}}}"#,
        );
        catch_up(alpha, 1);
        lists
    })
    .await;
    tokio::time::advance(Duration::from_secs(100)).await;
    let (alpha, ()) = beside(alpha, move |alpha| {
        catch_up(alpha, 2);
        assert_eq!(alpha.count("tools/list"), lists);
    })
    .await;
    switch.send_replace(Stops::default());
    let (alpha, ()) = beside(alpha, move |alpha| {
        alpha.gets("tools/list");
        assert_eq!(alpha.count("tools/list"), lists + 1);
    })
    .await;
    // What it is asked now may take a while, which must not be made shorter.
    tokio::time::resume();
    is_not_listed(&mut told).await;
    is_listed(&mut told).await;
    tokio::time::pause();

    switch.send_replace(stopped());
    let (alpha, ()) = beside(alpha, |alpha| alpha.order("exit 0")).await;
    is_not_listed(&mut told).await;
    assert_eq!(pool.health(0)[0].state, "stopped");
    tokio::time::advance(Duration::from_secs(100)).await;
    let (mut alpha, ()) = beside(alpha, |alpha| assert_eq!(alpha.count_starts(), 1)).await;
    tokio::time::resume();
    switch.send_replace(Stops::default());
    is_listed(&mut told).await;
    assert_eq!(alpha.count_starts(), 2);
    pool.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_list_breaks_it_off_and_it_is_asked_for_anew() {
    let home = Home::new();
    let script = "era modern\ncapabilities {\"tools\":{},\"prompts\":{}}\non tools/list: wait\nresult {\"tools\":[]}";
    let alpha = home.server("alpha", script);
    let switch = watch::Sender::new(Stops::default());
    let (pool, mut told) = started(&alpha, &switch.subscribe());
    let asked = |alpha| beside(alpha, |alpha| drop(alpha.gets("tools/list")));
    let goes = |alpha| {
        beside(alpha, |alpha| {
            alpha.gets("tools/list");
            alpha.order("go");
        })
    };

    // Before anybody knows of it: it is ended, and has not failed.
    let (alpha, ()) = asked(alpha).await;
    switch.send_replace(stopped());
    let (alpha, ()) = beside(alpha, Server::ends).await;
    is_not_listed(&mut told).await;
    let health = &pool.health(0)[0];
    assert_eq!((health.state, &health.trouble), ("stopped", &None));
    switch.send_replace(Stops::default());

    // It is asked for its tools before it takes calls, and then for all its lists.
    let (alpha, ()) = goes(alpha).await;
    let (alpha, ()) = asked(alpha).await;
    switch.send_replace(stopped());
    let (alpha, ()) = beside(alpha, |alpha| {
        alpha.gets("notifications/cancelled");
        // What was cancelled answers all the same.
        alpha.order("go");
        catch_up(alpha, 1);
        assert_eq!(alpha.count("prompts/list"), 0);
    })
    .await;
    switch.send_replace(Stops::default());
    let (mut alpha, ()) = goes(alpha).await;
    while let Listed::Not(_) = told.recv().await.unwrap() {}
    assert_eq!(alpha.count("prompts/list"), 1);
    assert_eq!(alpha.count_starts(), 2);
    pool.close(Duration::from_secs(5)).await;
}
