//! A tool server that asks something, and what else its agent does meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tollgate::broker::{Answer, Asked, Request};
use tollgate::domain::{AgentName, Era, Fingerprint, Subject, ToolFault};
use tollgate::ports::{Boxed, Job, Listing, Permit, Question, Reply, Seat, Spent};
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
