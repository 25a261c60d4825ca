//! `requestState`: what an agent carries from one round of a call to the next.
//!
//! Sealed, so that it cannot be made up or changed, and bound to the agent and
//! to everything the call says: with other arguments it opens nothing.

use std::time::Duration;

use rmcp::model::{RequestStateCodec, SealOptions};
use serde::{Deserialize, Serialize};

use crate::{
    domain::AgentName,
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
    /// A server's own state, as it wrote it.
    Relay(String),
}

impl Seal {
    /// A seal with a key of its own.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(RequestStateCodec::new_unchecked(key))
    }

    /// Seals a state for a call.
    pub(super) fn seal(&self, state: &State, binding: &str) -> Option<String> {
        let options = SealOptions::new()
            .associated_data(binding.as_bytes())
            .ttl(KEEP);
        self.0.seal_json_with(state, &options).ok()
    }

    /// Opens a state that a call brings back.
    pub(super) fn open(&self, sealed: &str, binding: &str) -> Option<State> {
        self.0.open_json_with(sealed, binding.as_bytes()).ok()
    }
}

/// What a state is bound to: the agent, the method and all parameters but those
/// that differ from round to round.
pub(super) fn binding(agent: &AgentName, method: &str, params: Option<&Raw>) -> String {
    let mut out = format!("{agent}\n{method}\n");
    let node = params.and_then(|params| Node::parse(params.text()).ok());
    if let Some(Node::Object(members)) = node {
        let same: Vec<_> = members
            .into_iter()
            .filter(|(key, _)| !matches!(key.as_ref(), "_meta" | "requestState" | "inputResponses"))
            .collect();
        Node::Object(same).write_canonical(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(params: &str) -> String {
        let raw = Raw::parse(params.to_owned().into()).unwrap();
        binding(&AgentName::parse("a").unwrap(), "tools/call", Some(&raw))
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
