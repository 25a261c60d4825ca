//! What a server may ask an agent's client in the middle of a call, and what the client
//! has to declare for it. The methods are those of the handshake era; the stateless era
//! has the same names in its `inputRequests`.

use std::collections::BTreeMap;

use super::{Raw, rpc};
use crate::domain::Capabilities;

/// Asks the user.
pub const ELICITATION: &str = "elicitation/create";
/// Asks the client's model.
pub const SAMPLING: &str = "sampling/createMessage";
/// Asks for the folders that the agent works in.
pub const ROOTS: &str = "roots/list";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// That the user fills in a form.
    Form,
    /// That the user opens a page.
    Page,
    /// Something of the client's model.
    Model,
    /// The folders that the agent works in.
    Roots,
}

impl Ask {
    /// What a request asks; none if it is no question.
    #[must_use]
    pub fn of(method: &str, params: Option<&Raw>) -> Option<Self> {
        match method {
            ELICITATION => {
                let mode = params.and_then(|params| params.get("mode"));
                let mode = mode.as_ref().and_then(Raw::as_str);
                Some(match mode.as_deref() {
                    Some("url") => Ask::Page,
                    Some(_) | None => Ask::Form,
                })
            }
            SAMPLING => Some(Ask::Model),
            ROOTS => Some(Ask::Roots),
            _ => None,
        }
    }

    /// Whether a client that declared this can be asked it.
    #[must_use]
    pub const fn is_declared(self, can: Capabilities) -> bool {
        match self {
            Ask::Form => can.form,
            Ask::Page => can.url,
            Ask::Model => can.sampling,
            Ask::Roots => can.roots,
        }
    }

    /// What a client declares that can be asked it: a capability, and a part of it.
    const fn declaration(self) -> (&'static str, Option<&'static str>) {
        match self {
            Ask::Form => ("elicitation", Some("form")),
            Ask::Page => ("elicitation", Some("url")),
            Ask::Model => ("sampling", None),
            Ask::Roots => ("roots", None),
        }
    }
}

/// The error for a request of the stateless era that did not declare what it is asked: all
/// of that, and nothing of what is no question.
#[must_use]
pub fn not_declared(lacking: impl IntoIterator<Item = Option<Ask>>) -> Raw {
    let mut required: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, ()>>> = BTreeMap::new();
    for asks in lacking.into_iter().flatten() {
        let (capability, part) = asks.declaration();
        let parts = required.entry(capability).or_default();
        if let Some(part) = part {
            parts.entry(part).or_default();
        }
    }
    Raw::of(&serde_json::json!({
        "code": rpc::NOT_DECLARED,
        "message": "the tool server asks something that this request did not declare",
        "data": { "requiredCapabilities": required },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_lacking_is_named_once() {
        let lacking = [
            Some(Ask::Roots),
            Some(Ask::Form),
            None,
            Some(Ask::Page),
            Some(Ask::Roots),
        ];
        let error = not_declared(lacking);
        let required = error.get("data").unwrap();
        assert_eq!(
            required.text(),
            r#"{"requiredCapabilities":{"elicitation":{"form":{},"url":{}},"roots":{}}}"#
        );
        let nothing = not_declared([None]);
        assert!(nothing.text().contains(r#""requiredCapabilities":{}"#));
    }
}
