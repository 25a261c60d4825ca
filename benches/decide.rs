//! What one decision costs when there is much to look at.
//!
//! `cargo bench --bench decide`. The figure to hold stands beside the measured one.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and may fail by panicking"
)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tollgate::domain::{
    AgentName, Call, CallId, Claim, Findings, Fingerprint, Offer, Owner, Place, Principal, Reach,
    RunId, ServerName, Standing, Stop, StopScope, Subject, Tier,
};
use tollgate::gate::{Decision, Facts, decide};

/// Rules of each kind that a decision has to look through.
const RULES: usize = 1_000;

/// Decisions that are timed together.
const BATCH: u32 = 2_000;

fn main() {
    let servers: BTreeSet<ServerName> = (0..RULES).map(|n| server(&format!("s{n}"))).collect();
    let agents: BTreeSet<AgentName> = (0..RULES).map(|n| agent(&format!("a{n}"))).collect();
    let place = Place {
        file: "tollgate.toml".into(),
        line: 1,
    };
    let print = Fingerprint([3; 32]);
    let call = Call {
        id: CallId::from_tail("1"),
        run: RunId::from_tail("1"),
        by: Arc::new(Principal {
            agent: agent("a500"),
            owner: Owner::parse("ops").unwrap(),
            reach: Reach::Only {
                servers,
                place: place.clone(),
            },
        }),
        server: server("s500"),
        admits: Some((Arc::new(agents), place)),
        subject: Subject::Tool("read_file".into()),
        offer: Offer::At(Tier::Read),
        offer_place: None,
        tier: Tier::Read,
        standing: Standing::Defined(print),
        findings: Findings::default(),
        digest: print,
        claim: Claim::default(),
    };
    // None of them covers the call, so each is looked at.
    let stops: Vec<Stop> = (0..RULES)
        .map(|n| Stop {
            scope: StopScope::Agent(agent(&format!("b{n}"))),
            by: "ops".into(),
            text: None,
            at: "2026-11-20T00:00:00Z".into(),
        })
        .collect();
    for (name, stops) in [("no stop", &[][..]), ("1,000 stops", &stops[..])] {
        let facts = Facts::calm(jiff::Timestamp::UNIX_EPOCH, stops, Some(print));
        let mut batches: Vec<f64> = (0..50).map(|_| batch(&call, &facts)).collect();
        batches.sort_by(f64::total_cmp);
        let median = batches.get(batches.len() / 2).copied().unwrap_or_default();
        println!(
            "decide, {name}, 1,000 servers in reach, 1,000 agents admitted: {median:.2} us a decision (to hold: 5)"
        );
    }
}

/// The time of one decision in microseconds, over many.
fn batch(call: &Call, facts: &Facts<'_>) -> f64 {
    let begun = Instant::now();
    for _ in 0..BATCH {
        let decision = decide(black_box(call), black_box(facts));
        assert!(matches!(black_box(decision), Decision::Clear(_)));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn agent(name: &str) -> AgentName {
    AgentName::parse(name).unwrap()
}
