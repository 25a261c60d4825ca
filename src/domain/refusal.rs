//! The answer no, in a form that a model can act on.

use super::Place;

/// Why, as a stable word. `tollgate explain CODE` tells more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// An operator stopped everything, the agent, the server or the run.
    Stopped,
    /// This agent may not use this server.
    AgentDenied,
    /// The tool is not what was accepted.
    ToolChanged,
    /// The operator does not offer the tool.
    ToolOff,
    /// The arguments do not fit the tool's own schema.
    ArgsInvalid,
    /// The arguments fit the schema, but not the operator's rules.
    ArgsOutOfBounds,
    /// A person would have to say yes, and nobody can be asked.
    ApprovalUnavailable,
    /// The server cannot be reached.
    ServerUnavailable,
    /// Too much is under way.
    Busy,
    /// tollgate cannot read or write its state.
    StateUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 10] = [
        Code::Stopped,
        Code::AgentDenied,
        Code::ToolChanged,
        Code::ToolOff,
        Code::ArgsInvalid,
        Code::ArgsOutOfBounds,
        Code::ApprovalUnavailable,
        Code::ServerUnavailable,
        Code::Busy,
        Code::StateUnavailable,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::Stopped => "STOPPED",
            Code::AgentDenied => "AGENT_DENIED",
            Code::ToolChanged => "TOOL_CHANGED",
            Code::ToolOff => "TOOL_OFF",
            Code::ArgsInvalid => "ARGS_INVALID",
            Code::ArgsOutOfBounds => "ARGS_OUT_OF_BOUNDS",
            Code::ApprovalUnavailable => "APPROVAL_UNAVAILABLE",
            Code::ServerUnavailable => "SERVER_UNAVAILABLE",
            Code::Busy => "BUSY",
            Code::StateUnavailable => "STATE_UNAVAILABLE",
        }
    }

    /// What it means and what to do, for `tollgate explain`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Code::Stopped => {
                "An operator pulled the stop switch for everything, this agent, this server or this run. Nothing leaves until `tollgate resume`."
            }
            Code::AgentDenied => {
                "The configuration does not let this agent use this server: see `[agents.NAME] servers` in tollgate.toml and `agents` in the server's file."
            }
            Code::ToolChanged => {
                "The tool's definition is not the one that was accepted. `tollgate pins diff` shows what changed; `tollgate pins accept` accepts it."
            }
            Code::ToolOff => {
                "The tool is switched off in the server's file, or the server no longer offers it."
            }
            Code::ArgsInvalid => {
                "The arguments do not fit the tool's own inputSchema. The agent can correct them and call again."
            }
            Code::ArgsOutOfBounds => {
                "The arguments break a rule that the operator wrote in the server's file."
            }
            Code::ApprovalUnavailable => {
                "The tool's tier needs a person's yes, and this version cannot ask one: tools of tier consequential and irreversible, and tools that nobody classified, are refused."
            }
            Code::ServerUnavailable => {
                "The tool server is not running or did not complete its start. `tollgate servers NAME` shows its last words."
            }
            Code::Busy => "Too many calls are under way. Wait for one to end.",
            Code::StateUnavailable => {
                "tollgate cannot read or write its state, so it lets nothing pass. The daemon's log says why."
            }
        }
    }
}

/// An answer to the agent: not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable word.
    pub code: Code,
    /// The gate that refused.
    pub gate: &'static str,
    /// What is the matter, as a fragment.
    pub says: String,
    /// What would change the answer.
    pub remedy: Option<String>,
    /// The line of the configuration that decided.
    pub rule: Option<Place>,
}

impl Refusal {
    /// The sentence that the model reads.
    #[must_use]
    pub fn sentence(&self, title: &str) -> String {
        let mut text = format!(
            "{} by tollgate, not run: {title}: {}.",
            self.code.as_str(),
            self.says
        );
        self.advise(&mut text);
        text
    }

    /// The sentence for a call that had left when it was refused after all.
    #[must_use]
    pub fn cut_short(&self, title: &str) -> String {
        let mut text = format!(
            "{} by tollgate while it ran: {title}: {}. It may have acted.",
            self.code.as_str(),
            self.says
        );
        self.advise(&mut text);
        text
    }

    fn advise(&self, text: &mut String) {
        if let Some(remedy) = &self.remedy {
            text.push(' ');
            text.push_str(remedy);
        }
    }
}
