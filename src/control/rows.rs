//! What the answers of the control protocol list. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{AgentName, Became, CallId, Owner, Place, RunId, ServerName, Tier};

/// One connected agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its name.
    pub name: AgentName,
    /// Who answers for it.
    pub owner: Owner,
    /// Its run.
    pub run: String,
    /// The process of its shim.
    pub pid: u32,
    /// When it connected.
    pub since: Timestamp,
    /// Calls since then.
    pub calls: u64,
    /// Those of them that are under way.
    #[serde(default)]
    pub under_way: usize,
}

/// One tool server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRow {
    /// Its name.
    pub name: ServerName,
    /// Who answers for it.
    pub owner: Owner,
    /// One word: how it is.
    pub state: String,
    /// The protocol version it speaks, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// How many tools it offers.
    pub tools: usize,
    /// What it lists and agents do not see, and why; what its file says in vain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<String>,
    /// How many processes of it run.
    pub instances: usize,
    /// The last lines it wrote to its stderr, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr_tail: Vec<String>,
    /// The same of the one that ended, while another runs in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<String>,
    /// How it ended the last time it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolRow {
    /// The name that agents see.
    pub name: String,
    /// The server that has it.
    pub server: ServerName,
    /// The name that the server gave it.
    pub tool: String,
    /// Its tier.
    pub tier: Tier,
    /// Whether agents see it at all.
    pub offered: bool,
    /// What is worth knowing: unclassified, changed, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// What, in one line.
    pub what: String,
}

/// A call that a stop found under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StruckRow {
    /// Which.
    pub call: CallId,
    /// Of whom.
    pub agent: String,
    /// In which run.
    pub run: RunId,
    /// `server.tool`
    pub title: String,
    /// What became of it; none when it has not ended yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub became: Option<Became>,
}

/// What one gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRow {
    /// Its name.
    pub gate: String,
    /// What it says; none when the call does not reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Why it refuses; none when it lets pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What would change the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The line of the configuration that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Place>,
}

/// One tool whose definition was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// Whose it is.
    pub server: ServerName,
    /// The server's own name for it.
    pub tool: String,
    /// The fingerprint of what was accepted.
    pub accepted: String,
    /// Since when.
    pub since: String,
    /// Who accepted it; none when it was the first that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether the server offers something else now.
    pub changed: bool,
}
