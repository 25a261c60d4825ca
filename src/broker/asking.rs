//! What a request asks for: its parameters, read once.
//!
//! The gate and the server must read the same bytes the same way, so what two
//! readers could understand differently is not read further.

use std::borrow::Cow;

use super::{Answer, Broker, door::wrong};
use crate::{
    domain::AgentName,
    measure,
    wire::{Node, Raw, is_other_spelling, rpc},
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `tools/call`
    Tool,
    /// `prompts/get`
    Prompt,
    /// `resources/read`
    Resource,
    /// `completion/complete`
    Completion,
    /// `resources/subscribe`
    Subscribe,
    /// `resources/unsubscribe`
    Unsubscribe,
}

impl Asked {
    /// What a method asks for, if it is one that reaches a tool server.
    #[must_use]
    pub fn by(method: &str) -> Option<Self> {
        Some(match method {
            "tools/call" => Asked::Tool,
            "prompts/get" => Asked::Prompt,
            "resources/read" => Asked::Resource,
            "completion/complete" => Asked::Completion,
            "resources/subscribe" => Asked::Subscribe,
            "resources/unsubscribe" => Asked::Unsubscribe,
            _ => return None,
        })
    }

    /// The parameter that says what is called; none where that takes more than one.
    fn called(self) -> Option<&'static str> {
        match self {
            Asked::Tool | Asked::Prompt => Some("name"),
            Asked::Resource | Asked::Subscribe | Asked::Unsubscribe => Some("uri"),
            Asked::Completion => None,
        }
    }

    /// The parameters that say with what. A completion has one `argument`, and each of its
    /// letters is another call; so is what was chosen for the others.
    fn said(self) -> &'static [&'static str] {
        match self {
            Asked::Completion => &["argument", "context"],
            Asked::Tool
            | Asked::Prompt
            | Asked::Resource
            | Asked::Subscribe
            | Asked::Unsubscribe => &["arguments"],
        }
    }

    /// The parameters that say what is called with what.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Asked::Tool => &["name", "arguments", "task"],
            Asked::Prompt => &["name", "arguments"],
            Asked::Resource | Asked::Subscribe | Asked::Unsubscribe => &["uri"],
            Asked::Completion => &["ref", "argument", "context"],
        }
    }

    /// The parameter that a server which does not look at case reads where we read none.
    fn misread(self, key: &str) -> Option<&'static str> {
        other_spelling(key, self.parameters()).or_else(|| other_spelling(key, &OF_ALL))
    }
}

/// What any of them may carry from us, or from one round to the next.
const OF_ALL: [&str; 3] = ["_meta", "requestState", "inputResponses"];

/// Which of these names `key` is for who does not look at case.
pub(super) fn other_spelling(key: &str, of: &[&'static str]) -> Option<&'static str> {
    let mut of = of.iter().copied();
    of.find(|meant| is_other_spelling(key, meant))
}

/// The parameters of a request, as far as the door looks at them.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) asked: Asked,
    pub(super) params: &'a Raw,
    /// The name or URI of what is called; empty where there is more to it.
    pub(super) called: Cow<'a, str>,
    pub(super) has_arguments: bool,
    /// With what it is called, in its canonical form.
    pub(super) said: [Option<String>; 2],
}

/// What was read of them.
struct Read<'a> {
    called: Cow<'a, str>,
    has_arguments: bool,
    said: [Option<String>; 2],
}

impl<'a> Read<'a> {
    /// Reads the parameters, or says what is wrong with them.
    fn of(asked: Asked, params: &'a Raw) -> Result<Self, String> {
        let node = Node::parse(params.text()).map_err(|flaw| flaw.to_string())?;
        let Node::Object(members) = node else {
            return Err("the parameters are not an object".to_owned());
        };
        if let Some(key) = members.iter().find_map(|(key, _)| asked.misread(key)) {
            return Err(format!("`{key}` is spelt otherwise"));
        }
        let (mut called, mut has_arguments, mut said) = (None, false, [None, None]);
        for (key, value) in members {
            if key == "arguments" {
                has_arguments = matches!(value, Node::Object(_));
                if !has_arguments {
                    return Err("`arguments` is not an object".to_owned());
                }
            }
            for (said, of) in said.iter_mut().zip(asked.said()) {
                if key == *of {
                    *said = Some(value.canonical());
                }
            }
            if asked.called() == Some(&*key) {
                let Node::String(text) = value else {
                    return Err(format!("`{key}` is not a string"));
                };
                called = Some(text);
            }
        }
        let called = match (called, asked.called()) {
            (Some(called), _) => called,
            (None, None) => Cow::Borrowed(""),
            (None, Some(key)) => return Err(format!("`{key}` is missing")),
        };
        Ok(Self {
            called,
            has_arguments,
            said,
        })
    }

    fn into_owned(self) -> Read<'static> {
        Read {
            called: Cow::Owned(self.called.into_owned()),
            has_arguments: self.has_arguments,
            said: self.said,
        }
    }
}

impl Broker {
    /// Reads the parameters of a request; beside the runtime where others would wait
    /// for it.
    pub(super) async fn read<'a>(
        &self,
        agent: &AgentName,
        asked: Asked,
        params: Option<&'a Raw>,
    ) -> Result<Asking<'a>, Answer> {
        let Some(params) = params else {
            return Err(wrong("the request has no parameters"));
        };
        let read = match measure::is_large(Some(params)) {
            false => Read::of(asked, params),
            true => Box::pin(self.read_beside(agent, asked, params.clone())).await?,
        };
        let Read {
            called,
            has_arguments,
            said,
        } = read.map_err(wrong)?;
        Ok(Asking {
            asked,
            params,
            called,
            has_arguments,
            said,
        })
    }

    /// Looks into parameters: beside the runtime where others would wait for it, which is
    /// one at a time for each agent. Nothing when that takes too long.
    pub async fn look_into<T: Send + 'static>(
        &self,
        agent: &AgentName,
        params: Option<&Raw>,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match measure::is_large(params) {
            false => Some(look()),
            true => self.offload.done(agent, look).await,
        }
    }

    async fn read_beside(
        &self,
        agent: &AgentName,
        asked: Asked,
        params: Raw,
    ) -> Result<Result<Read<'static>, String>, Answer> {
        let read = move || Read::of(asked, &params).map(Read::into_owned);
        let read = self.offload.done(agent, read).await;
        read.ok_or_else(|| Answer::Wrong {
            code: rpc::INTERNAL,
            says: READ_ALREADY.to_owned(),
        })
    }
}

/// What an agent hears of whose requests more are read than are read at a time.
pub const READ_ALREADY: &str =
    "large requests of this agent are being read already: wait for their answers";
