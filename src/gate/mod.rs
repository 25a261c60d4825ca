//! The decision: a list of gates, each a pure function.
//!
//! No clock, no lock, no I/O: the same function serves the real call, `try`,
//! `why`, the replay of a record and the simulation. What a gate may look at is
//! in [`Call`] and [`Facts`], and nothing else.

mod agent;
mod arguments;
mod breaker;
mod budget;
mod halt;
mod loops;
mod measured;
mod moment;
mod rate;
mod stop;
mod tier;
mod tool;
mod window;

pub use halt::{refusal as halted, silenced};
pub use measured::NAME as MEASURED;
pub use stop::refusal as stopped;

use jiff::Timestamp;

use crate::domain::{
    Amounts, Call, CallId, Circuit, Code, Fingerprint, Halt, Level, Over, Refusal, Stop, Stops,
    Streaks,
};

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
    // A run that is over learns nothing more either.
    halt::GATE,
    // Before anything is said of the tool: an agent that may not see a server
    // must not learn what it offers.
    agent::GATE,
    // The tool as it is now, before anybody reads arguments against its schema.
    tool::GATE,
    // What is wrong with the arguments is worth more to the agent than what is
    // wrong with its timing.
    arguments::GATE,
    // Hours need no memory; what comes next does.
    window::GATE,
    // A loop is told that it is one before it hears of what it has used up.
    loops::GATE,
    rate::GATE,
    // A server that is left alone costs nothing.
    breaker::GATE,
    // Reserves: so only what will be asked about or run.
    budget::GATE,
    // Nothing passes unmeasured, and nobody is asked about it. Whom the gates before
    // refuse hears why, and nothing is measured for it.
    measured::GATE,
    // Last: nobody is asked about what would be refused anyway.
    tier::GATE,
];

/// What the world looks like at the moment of the decision.
///
/// Lists that belong to rules of the call are in the order of those rules.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When that is.
    pub now: Timestamp,
    /// The stops in force.
    pub stops: &'a Stops,
    /// The stop of another run of the agent, if the call would begin one: a stop is
    /// not to be got around by connecting again.
    pub follows: Option<&'a Stop>,
    /// The definition of the tool that was accepted, if one was.
    pub pinned: Option<Fingerprint>,
    /// The agent's halt.
    pub halt: Option<&'a Halt>,
    /// A person lifted a halt of the agent lately, and no call of the agent was let through
    /// since, in whichever run.
    pub resumed: bool,
    /// Since when the agent has worked without a person, in microseconds since 1970.
    pub alone_since: Option<i64>,
    /// Until when a person said that it may.
    pub alone_until: Option<i64>,
    /// What the agent has done lately.
    pub streaks: Streaks,
    /// When the agent may begin a run again, if the call begins one too many.
    pub new_run_at: Option<i64>,
    /// For each rate when the next call fits, if this one does not.
    pub rates: &'a [Option<i64>],
    /// How each breaker stands.
    pub circuits: &'a [Circuit],
    /// How each limit stands.
    pub levels: &'a [Level],
    /// Whether the call begins a step.
    pub begins_step: bool,
}

impl<'a> Facts<'a> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn calm(now: Timestamp, stops: &'a Stops, pinned: Option<Fingerprint>) -> Self {
        Self {
            now,
            stops,
            follows: None,
            pinned,
            halt: None,
            resumed: false,
            alone_since: None,
            alone_until: None,
            streaks: Streaks::default(),
            new_run_at: None,
            rates: &[],
            circuits: &[],
            levels: &[],
            begins_step: true,
        }
    }
}

/// Each rule of a call with how it stands; nothing where that is not known.
fn standing<R, F>(
    rules: impl Iterator<Item = R>,
    facts: &[F],
) -> impl Iterator<Item = (R, Option<&F>)> {
    let mut facts = facts.iter();
    rules.map(move |rule| (rule, facts.next()))
}

/// A rule of which nobody knows how it stands lets nothing pass.
fn unknown(gate: Gate, says: &str) -> Verdict {
    Verdict::Refuse(Refusal::new(Code::StateUnavailable, gate.name, says))
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
        Verdict::Pass(self.words(why))
    }

    fn words(self, why: impl FnOnce() -> String) -> String {
        match self {
            Tell::Why => why(),
            Tell::Nothing => String::new(),
        }
    }
}

/// What one gate says.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it; the text says why, where somebody asked.
    Pass(String),
    /// The same, and something happens with the call that passes.
    With(Effect, String),
    /// Not this call.
    Refuse(Refusal),
}

/// What happens with a call that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// So much is kept back for it.
    Reserve(Amounts),
    /// It tries whether these work again.
    Probe(Vec<Over>),
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
    effects: Vec<Effect>,
}

impl Cleared {
    /// The call that passed.
    #[must_use]
    pub fn call(&self) -> &CallId {
        &self.call
    }

    /// What happens with it.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }
}

/// Judges one call.
pub fn decide(call: &Call, facts: &Facts<'_>) -> Decision {
    let mut effects = Vec::new();
    for gate in GATES {
        match (gate.check)(call, facts, Tell::Nothing) {
            Verdict::Pass(_) => {}
            Verdict::With(effect, _) => effects.push(effect),
            Verdict::Refuse(refusal) => return Decision::Refuse(refusal),
        }
    }
    Decision::Clear(Cleared {
        call: call.id.clone(),
        effects,
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
