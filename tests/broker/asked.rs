//! A tool server that asks something, and what else its agent does meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tollgate::broker::{Answer, Asked, Request};
use tollgate::domain::{AgentName, Era, Fingerprint, Subject, ToolFault};
use tollgate::ports::{Boxed, Job, Listing, Permit, Query, Question, Reply, Seat, Spent, Store};
use tollgate::store::MemoryStore;

use super::world::{Agent, Double, NoShelf, Servers, broker_of, clock, listing, raw, server};

/// Asks before it answers for `a:asks`, and for all else answers at once.
#[derive(Clone)]
struct Asks;

impl Seat for Asks {
    fn era(&self) -> Era {
        Era::Legacy
    }

    fn definition(&self, _: &str) -> Option<Fingerprint> {
        None
    }

    fn run<'a>(&'a self, permit: Permit, job: Job) -> Boxed<'a, (Spent, Result<Reply, ToolFault>)> {
        Box::pin(async move {
            job.caller.leaves();
            if job.subject == Subject::Resource("a:asks".into()) {
                let question = Question {
                    server: server("alpha"),
                    method: "elicitation/create".into(),
                    params: None,
                };
                job.caller.ask(question).await;
            }
            (permit.spend(), Ok(Reply::Result(raw("{}"))))
        })
    }
}

impl Double for Asks {
    fn seat(&self) -> Option<Arc<dyn Seat>> {
        Some(Arc::new(self.clone()))
    }
}

#[tokio::test]
async fn what_one_server_keeps_with_its_agent_goes_to_no_other() {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let servers = [("alpha", ""), ("beta", "")];
    let broker = broker_of(&servers, clock.clone(), store.clone(), Arc::new(NoShelf));
    broker.connect(Arc::new(Servers(Arc::new(Asks))));
    broker.listed(Listing {
        capabilities: raw(r#"{"resources":{}}"#),
        ..listing("alpha", Vec::new())
    });
    broker.listed(listing("beta", Vec::new()));
    let session = broker.join(&AgentName::parse("bot").unwrap(), None);
    let session = session.unwrap();
    let goes_on = |of: &str| {
        let params = r#"{"uri":"a:1","requestState":"secret","inputResponses":{"k":{}}}"#;
        broker.call(Request {
            session: session.clone(),
            asked: Asked::Resource,
            params: Some(raw(params)),
            goes_on: Some(server(of)),
            caller: Arc::new(Agent::default()),
        })
    };
    let answer = goes_on("beta").await;
    assert!(matches!(answer, Answer::Wrong { .. }), "{answer:?}");
    let answer = goes_on("alpha").await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    // What is answered stands for itself, and what the server keeps is nobody else's.
    let found = store.page(&Query::default()).unwrap();
    let intent = found.lines.iter().find(|line| line.contains("call.intent"));
    let intent = intent.unwrap();
    assert!(intent.contains(r#""arguments":{"uri":"a:1"}"#), "{intent}");
    assert!(intent.contains(r#""answers":{"k":{}}"#), "{intent}");
    assert!(!intent.contains("secret"), "{intent}");
    // It is another round, for the search for loops: what anybody can add makes it none.
    assert!(intent.contains(r#""round":"#), "{intent}");
    let made_up = broker.call(Request {
        session: session.clone(),
        asked: Asked::Resource,
        params: Some(raw(
            r#"{"uri":"a:1","requestState":"x","inputResponses":{}}"#,
        )),
        goes_on: None,
        caller: Arc::new(Agent::default()),
    });
    made_up.await;
    let found = store.page(&Query::default()).unwrap();
    let rounds = found
        .lines
        .iter()
        .filter(|line| line.contains(r#""round":"#));
    assert_eq!(rounds.count(), 1, "{:?}", found.lines);
}

#[tokio::test]
async fn what_the_user_of_an_agent_takes_to_answer_keeps_back_no_other_call() {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let broker = broker_of(&[("alpha", "")], clock.clone(), store, Arc::new(NoShelf));
    broker.connect(Arc::new(Servers(Arc::new(Asks))));
    broker.listed(Listing {
        capabilities: raw(r#"{"resources":{}}"#),
        ..listing("alpha", Vec::new())
    });
    let session = broker.join(&AgentName::parse("bot").unwrap(), None);
    let session = session.unwrap();
    let read = |uri: &str| {
        broker.call(Request {
            session: session.clone(),
            asked: Asked::Resource,
            params: Some(raw(&format!(r#"{{"uri":"{uri}"}}"#))),
            goes_on: None,
            caller: Arc::new(Agent::default()),
        })
    };
    let mut asking = pin!(read("a:asks"));
    let looked = tokio::time::timeout(Duration::ZERO, asking.as_mut()).await;
    assert!(looked.is_err());
    // Longer than the tools of a run may work.
    clock.advance(Duration::from_secs(300));
    let answer = read("a:2").await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
}
