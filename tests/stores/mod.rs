//! Calls for tests of stores.

use std::sync::Arc;
use std::time::Duration;

use tollgate::domain::{
    AgentName, Amounts, Call, CallId, Claim, Fault, Findings, Fingerprint, Offer, Outcome, Owner,
    Principal, Reach, RunId, ServerName, Standing, Stop, StopScope, Subject, Tier,
};
use tollgate::ports::{Admission, Context, Permit, Settlement, Store};
use tollgate::wire::Raw;

pub fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned().into()).unwrap()
}

pub fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

pub fn call(id: &str, agent: &str, run: &str) -> Call {
    Call {
        id: CallId::from_tail(id),
        run: RunId::from_tail(run),
        by: Arc::new(Principal {
            agent: AgentName::parse(agent).unwrap(),
            owner: Owner::parse("ops").unwrap(),
            reach: Reach::Everything,
        }),
        server: server("files"),
        admits: None,
        subject: Subject::Resource("file:///a".into()),
        offer: Offer::At(Tier::Read),
        offer_place: None,
        tier: Tier::Read,
        durable: false,
        standing: Standing::Plain,
        findings: Findings::default(),
        digest: Fingerprint([7; 32]),
        claim: Claim::default(),
    }
}

pub fn tool(id: &str, name: &str, definition: Fingerprint) -> Call {
    Call {
        subject: Subject::Tool(name.into()),
        standing: Standing::Defined(definition),
        ..call(id, "bot", "1")
    }
}

pub fn context(arguments: &str) -> Context {
    Context {
        arguments: Some(raw(arguments)),
        meta: None,
        answers: None,
    }
}

pub fn permit(store: &dyn Store, call: &Call, context: &Context) -> Permit {
    match store.admit(call, context).unwrap() {
        Admission::Cleared(intent) => futures(intent.permit()).unwrap(),
        Admission::Refused(refusal) => panic!("refused: {}", refusal.says),
    }
}

pub fn refused(store: &dyn Store, call: &Call) -> &'static str {
    match store.admit(call, &Context::default()).unwrap() {
        Admission::Cleared(_) => panic!("cleared"),
        Admission::Refused(refusal) => refusal.code.as_str(),
    }
}

pub fn done(store: &dyn Store, permit: Permit) {
    settle(store, permit, &settlement("{}")).unwrap();
}

pub fn settle(store: &dyn Store, permit: Permit, end: &Settlement) -> Result<(), Fault> {
    let call = anonymous(permit.call());
    store.settle(permit.spend(), &call, end).map(drop)
}

/// A call that nothing limits, with this id.
pub fn anonymous(id: &CallId) -> Call {
    Call {
        id: id.clone(),
        ..call("0", "bot", "1")
    }
}

pub fn settlement(result: &str) -> Settlement {
    let outcome = Outcome::Done {
        error: false,
        bytes: result.len(),
    };
    Settlement {
        result: Some(raw(result)),
        wait: Some(Duration::from_micros(56)),
        ..Settlement::plain(outcome, Duration::from_micros(1234), Amounts::ZERO)
    }
}

pub fn stop(scope: StopScope) -> Stop {
    Stop {
        scope,
        by: "ann".to_owned(),
        text: Some("too \"many\" mails".to_owned()),
        at: "2026-01-01T00:00:00Z".to_owned(),
    }
}

pub fn print(text: &str) -> Fingerprint {
    Fingerprint(*blake3::hash(text.as_bytes()).as_bytes())
}

pub fn futures<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub fn lines(lines: &[String]) -> Vec<serde_json::Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
