//! The decision: a list of gates, each a pure function.
//!
//! No clock, no lock, no I/O: the same function serves the real call, `try`,
//! `why`, the replay of a record and the simulation. What a gate may look at is
//! in [`Call`] and [`Facts`], and nothing else.

mod agent;
mod arguments;
mod stop;
mod tier;
mod tool;

pub use stop::refusal as stopped;

use crate::domain::{Call, CallId, Fingerprint, Refusal, Stop};

/// One gate.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Its name in records, refusals and explanations.
    pub name: &'static str,
    /// What it says of a call.
    pub check: fn(&Call, &Facts<'_>, Tell) -> Verdict,
}

/// The gates, in the order in which a call meets them.
pub const GATES: &[Gate] = &[
    // First: while the switch is on, nothing else about the call may leak.
    stop::GATE,
    // Before anything is said of the tool: an agent that may not see a server
    // must not learn what it offers.
    agent::GATE,
    // The tool as it is now, before anybody reads arguments against its schema.
    tool::GATE,
    // What is wrong with the arguments is worth more to the agent than what is
    // wrong with its timing.
    arguments::GATE,
    // Last: nobody is asked about what would be refused anyway.
    tier::GATE,
];

/// What the world looks like at the moment of the decision.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The stops in force.
    pub stops: &'a [Stop],
    /// The definition of the tool that was accepted, if one was.
    pub pinned: Option<Fingerprint>,
}

/// Whether a gate that passes says why: people who ask want to know, a call that
/// runs does not wait for the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// In words.
    Why,
    /// Only that it passes.
    Nothing,
}

impl Tell {
    fn pass(self, why: impl FnOnce() -> String) -> Verdict {
        Verdict::Pass(match self {
            Tell::Why => why(),
            Tell::Nothing => String::new(),
        })
    }
}

/// What one gate says.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it; the text says why, where somebody asked.
    Pass(String),
    /// Not this call.
    Refuse(Refusal),
}

/// What all of them together say.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// The call may go on.
    Clear(Cleared),
    /// It may not.
    Refuse(Refusal),
}

/// Proof that a call passed every gate. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Cleared {
    call: CallId,
}

impl Cleared {
    /// The call that passed.
    #[must_use]
    pub fn call(&self) -> &CallId {
        &self.call
    }
}

/// Judges one call.
pub fn decide(call: &Call, facts: &Facts<'_>) -> Decision {
    for gate in GATES {
        match (gate.check)(call, facts, Tell::Nothing) {
            Verdict::Pass(_) => {}
            Verdict::Refuse(refusal) => return Decision::Refuse(refusal),
        }
    }
    Decision::Clear(Cleared {
        call: call.id.clone(),
    })
}

/// What each gate says of a call, up to the first that refuses.
#[must_use]
pub fn explain(call: &Call, facts: &Facts<'_>) -> Vec<(&'static str, Verdict)> {
    let mut said = Vec::with_capacity(GATES.len());
    for gate in GATES {
        let verdict = (gate.check)(call, facts, Tell::Why);
        let refused = matches!(verdict, Verdict::Refuse(_));
        said.push((gate.name, verdict));
        if refused {
            break;
        }
    }
    said
}
