//! What is tried again after a while: tool servers that run, and a clock that is set.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tollgate::domain::{Era, ServerName};
use tollgate::tools::child::Launch;
use tollgate::tools::{Listed, Listener, Pool, Registered};

use crate::support::home::{Home, double};
use crate::support::server::Server;

/// A pool with one server that all share, once it is listed.
async fn listed(server: &Server) -> Arc<Pool> {
    let (tell, mut told) = mpsc::unbounded_channel();
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
    let pool = Pool::start(vec![registered], keeper, &events, &listener);
    let listed = told.recv().await.unwrap();
    assert!(matches!(listed, Listed::Lists(_)), "{listed:?}");
    pool
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

#[tokio::test]
async fn a_server_that_ended_its_stream_is_asked_for_another_after_a_minute_and_listed() {
    let home = Home::new();
    let alpha = home.server("alpha", "era modern\ncall hi: text hello");
    let pool = listed(&alpha).await;
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
        (alpha, asked) = beside(alpha, |alpha| alpha.count("subscriptions/listen")).await;
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
