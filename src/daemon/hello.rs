//! What a shim and the daemon say to each other. Plain data, one JSON line each:
//! the shim's hello, the daemon's answer, and in the end a goodbye. Between the
//! last two the shim sends one empty line: it has let go of the descriptors.

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::control::Refused;
use crate::control::proto::{PROTOCOL, VERSION};
use crate::domain::AgentName;

/// Who connects; travels with the agent's descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol that the shim speaks.
    pub hello: u32,
    /// The shim's version.
    pub version: String,
    /// The agent, as its client's configuration names it.
    pub agent: AgentName,
    /// The run that it wants to join.
    pub run: Option<String>,
    /// The configuration that it means.
    pub config: String,
    /// What proves that it is this agent, where the configuration asks for it.
    pub token: Option<String>,
}

impl Hello {
    /// The hello of this process.
    #[must_use]
    pub fn of(place: &Place, agent: AgentName, token: Option<String>) -> Self {
        Self {
            hello: PROTOCOL,
            version: VERSION.to_owned(),
            agent,
            run: place.joins.clone(),
            config: place.config_text(),
            token,
        }
    }
}

/// What the daemon says to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Welcome {
    /// The descriptors are the daemon's now.
    Taken,
    /// Not served.
    Refused(Refused),
}

/// The shim's second and last word: its own copies of the descriptors are closed.
pub(crate) const LET_GO: u8 = b'\n';

/// The daemon's last line. A connection that ends without it was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why it is over.
    pub bye: Bye,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bye {
    /// The agent closed its end.
    AgentLeft,
    /// The daemon stops in order.
    DaemonStops,
}

/// The part of a hello that every version can read in every other's.
#[derive(Debug, Deserialize)]
pub(crate) struct Speaker {
    pub(crate) hello: u32,
    pub(crate) version: String,
}
