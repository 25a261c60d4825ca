//! A storm of news: what an agent missed of it is put right.

use std::collections::BTreeSet;
use std::io::{Write, pipe};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tollgate::agent::{self, Ending, Seal};
use tollgate::broker::Broker;
use tollgate::domain::{AgentName, Era, Fingerprint, Subject, ToolFault};
use tollgate::ports::{Boxed, Event, Job, Listing, Permit, Reply, Seat, Spent};
use tollgate::store::MemoryStore;

use super::world::{Double, NoShelf, Servers, broker_of, clock, listing, raw, server};

/// Grants every subscription; what is watched.
#[derive(Clone, Default)]
struct Grants(Arc<Mutex<BTreeSet<String>>>);

impl Seat for Grants {
    fn era(&self) -> Era {
        Era::Modern
    }

    fn definition(&self, _: &str) -> Option<Fingerprint> {
        None
    }

    fn run<'a>(&'a self, permit: Permit, job: Job) -> Boxed<'a, (Spent, Result<Reply, ToolFault>)> {
        Box::pin(async move {
            if let Subject::Subscribe(uri) = &job.subject {
                self.0.lock().unwrap().insert(uri.to_string());
            }
            (permit.spend(), Ok(Reply::Result(raw("{}"))))
        })
    }
}

impl Double for Grants {
    fn seat(&self) -> Option<Arc<dyn Seat>> {
        Some(Arc::new(self.clone()))
    }

    fn watched(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A broker of one server that has resources.
fn broker() -> Arc<Broker> {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let broker = broker_of(&[("alpha", "")], clock, store, Arc::new(NoShelf));
    broker.listed(Listing {
        era: Era::Modern,
        capabilities: raw(r#"{"resources":{"subscribe":true}}"#),
        ..listing("alpha", Vec::new())
    });
    broker
}

/// Waits for the next line that has all of this in it.
async fn says(lines: &mut Lines<BufReader<Receiver>>, parts: &[&str]) -> String {
    let said = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if parts.iter().all(|part| line.contains(part)) {
                return Some(line);
            }
        }
        None
    };
    let said = tokio::time::timeout(Duration::from_secs(60), said).await;
    said.ok()
        .flatten()
        .unwrap_or_else(|| panic!("nothing says {parts:?}"))
}

#[tokio::test]
async fn what_was_lost_in_a_storm_is_over_and_what_was_not_may_have_changed() {
    let (broker, grants) = (broker(), Grants::default());
    broker.connect(Arc::new(Servers(Arc::new(grants.clone()))));
    let session = broker.join(&AgentName::parse("bot").unwrap(), None);
    let (input, mut agent) = pipe().unwrap();
    let (told, output) = pipe().unwrap();
    let mut lines = BufReader::new(Receiver::from_owned_fd(told.into()).unwrap()).lines();
    let (_stop, stop) = watch::channel(Ending::Not);
    let seal = Arc::new(Seal::new([7; 32]));
    let served = agent::serve(
        broker.clone(),
        session.unwrap(),
        seal,
        input.into(),
        output.into(),
        stop,
    );
    let served = tokio::spawn(served);
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a:1"}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:2"}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a:3"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a:4"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    ] {
        writeln!(agent, "{line}").unwrap();
    }
    says(&mut lines, &[r#""id":3"#, "result"]).await;
    for _ in 0..2 {
        says(&mut lines, &["subscriptions/acknowledged"]).await;
    }
    // Nobody waits for the moment after which it is looked what was missed.
    tokio::time::pause();
    for uri in ["a:2", "a:4"] {
        assert!(grants.0.lock().unwrap().remove(uri));
    }
    let lost = [("a:2", vec![1]), ("a:4", vec![1])];
    let lost = lost.map(|(uri, by)| (uri.to_owned(), by));
    let _ = broker.events().send(Event::Unwatched {
        lost: Arc::new(lost.into()),
    });
    for _ in 0..1_000 {
        let _ = broker.events().send(Event::Log {
            server: server("alpha"),
            run: None,
            params: raw(r#"{"level":"debug"}"#),
        });
    }
    says(&mut lines, &["resources/updated", "a:2"]).await;
    says(&mut lines, &["resources/updated", "a:1"]).await;
    let told = says(&mut lines, &["resources/updated", "a:3"]).await;
    assert!(told.contains("subscriptionId"), "{told}");
    says(&mut lines, &[r#""id":5"#, "complete"]).await;
    drop(agent);
    served.await.unwrap().unwrap();
}
