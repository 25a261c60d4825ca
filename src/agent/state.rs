//! `requestState`: what an agent carries from one round of a call to the next.
//!
//! Sealed, so that it cannot be made up or changed, and bound to the agent and
//! to everything the call says: with other arguments it opens nothing. Most calls
//! never have one, so what it is bound to is read when it is first needed.

use std::time::Duration;

use rmcp::model::{RequestStateCodec, SealOptions};
use serde::{Deserialize, Serialize};

use super::connection::Connection;
use crate::{
    domain::{AgentName, ServerName},
    wire::{Node, Raw},
};

/// How long a state may take to come back.
pub(super) const KEEP: Duration = Duration::from_secs(600);

/// The seal of this state directory.
#[derive(Debug, Clone)]
pub struct Seal(RequestStateCodec);

/// What a state says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// A call that waits with us for answers.
    Parked(String),
    /// What a server keeps with the agent.
    Relay {
        /// The server: no other gets it.
        server: ServerName,
        /// As it wrote it.
        state: String,
    },
}

impl Seal {
    /// A seal with a key of its own.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(RequestStateCodec::new_unchecked(key))
    }

    /// Seals a state for a call.
    pub(super) fn seal(&self, state: &State, bound: &Bound) -> Option<String> {
        let options = SealOptions::new().associated_data(&bound.0).ttl(KEEP);
        self.0.seal_json_with(state, &options).ok()
    }

    /// Opens a state that a call brings back.
    pub(super) fn open(&self, sealed: &str, bound: &Bound) -> Option<State> {
        self.0.open_json_with(sealed, &bound.0).ok()
    }
}

/// What a state is bound to: a digest of the agent, the method and all parameters but
/// those that differ from round to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound([u8; 32]);

impl Bound {
    fn of(agent: &AgentName, method: &str, params: Option<&Raw>) -> Self {
        let mut said = format!("{agent}\n{method}\n");
        let node = params.and_then(|params| Node::parse(params.text()).ok());
        if let Some(Node::Object(members)) = node {
            let same: Vec<_> = members
                .into_iter()
                .filter(|(key, _)| {
                    !matches!(key.as_ref(), "_meta" | "requestState" | "inputResponses")
                })
                .collect();
            Node::Object(same).write_canonical(&mut said);
        }
        Self(*blake3::hash(said.as_bytes()).as_bytes())
    }

    /// Ties a name to it.
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What the states of one call are bound to, as soon as somebody asks.
#[derive(Debug)]
pub(super) enum Binding {
    /// Nobody has asked yet.
    Unread {
        /// What is called for.
        method: &'static str,
        /// With what.
        params: Option<Raw>,
    },
    /// It was read, and the parameters are not kept for it.
    Read(Bound),
}

impl Binding {
    /// Reads it, or what was read before; large parameters where nobody waits for it.
    /// Nothing when too much of the agent's is read already.
    pub(super) async fn read(&mut self, connection: &Connection) -> Option<Bound> {
        let (method, params) = match self {
            Self::Read(bound) => return Some(*bound),
            Self::Unread { method, params } => (*method, params.clone()),
        };
        let agent = connection.session.principal().agent.clone();
        let (of, whose) = (params.clone(), agent.clone());
        let read = move || Bound::of(&whose, method, of.as_ref());
        let read = connection.broker.look_into(&agent, params.as_ref(), read);
        let bound = Box::pin(read).await?;
        *self = Self::Read(bound);
        Some(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(params: &str) -> Bound {
        let raw = Raw::parse(params.to_owned().into()).unwrap();
        Bound::of(&AgentName::parse("a").unwrap(), "tools/call", Some(&raw))
    }

    #[test]
    fn a_state_opens_only_for_the_call_it_was_sealed_for() {
        let seal = Seal::new([7; 32]);
        let state = State::Parked("h".into());
        let sealed = seal
            .seal(&state, &bound(r#"{"name":"t","arguments":{"a":1,"b":2}}"#))
            .unwrap();
        let again = r#"{"arguments":{"b":2,"a":1},"name":"t","requestState":"x","_meta":{}}"#;
        assert_eq!(seal.open(&sealed, &bound(again)), Some(state));
        let other = r#"{"name":"t","arguments":{"a":2,"b":2}}"#;
        assert_eq!(seal.open(&sealed, &bound(other)), None);
        assert_eq!(seal.open(&format!("{sealed}x"), &bound(again)), None);
    }
}
