//! The words of the control protocol about limits: how they stand, and what people do
//! about them. Plain data.
//!
//! A quantity comes exactly, for programs, and as text, for people: money in
//! millionths, times in microseconds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{AgentName, Amounts, Place, RunId};

/// Which limits are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetQuery {
    /// Those of this agent and of its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Those of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Also those of runs that have been silent for long.
    #[serde(default)]
    pub all: bool,
}

/// How limits stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// When that was so.
    pub at: Timestamp,
    /// In what money is counted.
    pub currency: String,
    /// Everything's, then those of agents, servers, tools and runs.
    pub limits: Vec<LimitRow>,
    /// What is left alone for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerRow>,
    /// The halts in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halts: Vec<HaltRow>,
}

/// So much.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// Exactly.
    pub exact: u64,
    /// For people.
    pub text: String,
}

/// How one limit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRow {
    /// What is counted together: `everything`, `agent dev`, `server mail`, `mail.send`.
    pub scope: String,
    /// In which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Whose run or limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Its name: `day.cost`.
    pub limit: String,
    /// What is counted: `cost`.
    pub dimension: String,
    /// Over which time: `day`.
    pub period: String,
    /// What happens at it: `refuse`, `ask` or `kill`.
    pub then: String,
    /// How much, with what people have added.
    pub allowed: Quantity,
    /// What people have added.
    pub added: Quantity,
    /// Charged.
    pub used: Quantity,
    /// Kept back for calls that are under way.
    pub reserved: Quantity,
    /// What is left.
    pub left: Quantity,
    /// It counts up to now: at `resets` only the oldest use is forgotten.
    #[serde(default)]
    pub rolling: bool,
    /// When the period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets: Option<Timestamp>,
    /// When it is used up at this pace, if that is before it resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Timestamp>,
    /// Where it is written; none for what holds without a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Place>,
}

/// What is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRow {
    /// `server mail` or `mail.send`.
    pub scope: String,
    /// Until then nothing passes; afterwards one call may try.
    pub until: Timestamp,
    /// Why.
    pub says: String,
}

/// A run that was ended or paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltRow {
    /// `killed` or `paused`.
    pub halt: String,
    /// Whose: none of its calls pass, in whatever run.
    pub agent: AgentName,
    /// In which run it happened.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// Until when by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, as a fragment.
    pub says: String,
}

/// Add to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendOrder {
    /// Which.
    pub run: RunId,
    /// To its limits; money in the currency that counts.
    pub added: Amounts,
    /// Its agent may go on without a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Alone>,
    /// Who adds it.
    pub by: String,
}

/// Close a breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseOrder {
    /// Whose it is, as [`BreakerRow::scope`] names it.
    pub scope: String,
    /// Who closes it.
    pub by: String,
}

/// How long an agent may go on without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alone {
    /// As long as the configuration says, from now on.
    AsUsual,
    /// So many microseconds from now on.
    For(u64),
}

/// What was done about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// Whose it is.
    pub agent: AgentName,
    /// Until when the agent may go on without a person, if that was asked for and
    /// anything limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone_until: Option<Timestamp>,
}
