//! The answer no, in a form that a model can act on.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::{Dimension, Ends, Notice, Period, Place};

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
    /// Outside the hours in which it may be called.
    OutsideWindow,
    /// The agent has gone on too long without a person.
    ReauthRequired,
    /// The same again and again.
    Loop,
    /// Too many calls in too short a time.
    RateLimited,
    /// The tool or its server fails and is left alone for a while.
    CircuitOpen,
    /// A limit is used up, or the call would go beyond it.
    Budget(Period, Dimension),
    /// The run is over.
    RunKilled,
    /// The run waits for a person.
    RunPaused,
    /// Too much is under way.
    Busy,
    /// tollgate cannot read or write its state.
    StateUnavailable,
}

impl Code {
    /// Every code but those of budgets, of which there is one for each period
    /// and dimension.
    pub const ALL: [Code; 17] = [
        Code::Stopped,
        Code::AgentDenied,
        Code::ToolChanged,
        Code::ToolOff,
        Code::ArgsInvalid,
        Code::ArgsOutOfBounds,
        Code::OutsideWindow,
        Code::ReauthRequired,
        Code::Loop,
        Code::RateLimited,
        Code::CircuitOpen,
        Code::ApprovalUnavailable,
        Code::RunKilled,
        Code::RunPaused,
        Code::ServerUnavailable,
        Code::Busy,
        Code::StateUnavailable,
    ];

    /// Every code there is.
    pub fn all() -> impl Iterator<Item = Code> {
        let budgets = Period::ALL.into_iter().flat_map(|period| {
            let code = move |dimension| Code::Budget(period, dimension);
            Dimension::ALL.into_iter().map(code)
        });
        Self::ALL.into_iter().chain(budgets)
    }

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
            Code::OutsideWindow => "OUTSIDE_WINDOW",
            Code::ReauthRequired => "REAUTH_REQUIRED",
            Code::Loop => "LOOP",
            Code::RateLimited => "RATE_LIMITED",
            Code::CircuitOpen => "CIRCUIT_OPEN",
            Code::Budget(period, dimension) => budget(period, dimension),
            Code::RunKilled => "RUN_KILLED",
            Code::RunPaused => "RUN_PAUSED",
            Code::ApprovalUnavailable => "APPROVAL_UNAVAILABLE",
            Code::ServerUnavailable => "SERVER_UNAVAILABLE",
            Code::Busy => "BUSY",
            Code::StateUnavailable => "STATE_UNAVAILABLE",
        }
    }

    /// Whether it says nothing about what the agent does: it is kept back for a while.
    #[must_use]
    pub const fn keeps_back(self) -> bool {
        match self {
            Code::Stopped | Code::RunKilled | Code::RunPaused | Code::RateLimited => true,
            Code::AgentDenied
            | Code::ToolChanged
            | Code::ToolOff
            | Code::ArgsInvalid
            | Code::ArgsOutOfBounds
            | Code::ApprovalUnavailable
            | Code::ServerUnavailable
            | Code::OutsideWindow
            | Code::ReauthRequired
            | Code::Loop
            | Code::CircuitOpen
            | Code::Budget(..)
            | Code::Busy
            | Code::StateUnavailable => false,
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
                "The arguments do not fit the tool's own inputSchema. The agent can correct them and call again; if the refusal says that the schema is at fault, its server has to be mended."
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
            Code::OutsideWindow => {
                "The tool, its server or the agent has hours of operation (`window`), and it is not one of them. The refusal says when the next begins."
            }
            Code::ReauthRequired => {
                "The agent has worked on for as long as it may without a person (`autonomy`). `tollgate runs extend RUN` lets it go on; reading needs no extension."
            }
            Code::Loop => {
                "The agent makes the same call again and again, or two calls in turn, or nothing but failing calls (`[loops]`). Another call that makes progress ends it; going on ends the run."
            }
            Code::RateLimited => {
                "The agent calls faster than `rate` allows, or begins new runs faster than `runs` allows. The refusal says when to try again."
            }
            Code::CircuitOpen => {
                "The tool or its server failed several times in a short time (`breaker`), or asked to be left alone. After a while one call may try; if that works, all may again."
            }
            Code::Budget(..) => {
                "A limit of `[budget]`, of the agent, the server or the tool is used up, or this call would go beyond it. The name says which period and what is counted; `tollgate budget` shows all of them, `tollgate runs extend RUN --calls 10` adds to a run's."
            }
            Code::RunKilled => {
                "The run was ended, by a limit with `then = \"kill\"` or as a loop. It stays ended for the agent, whatever run it names, until that limit is free again or, if it is one of a run or a loop, for a day; or until `tollgate resume --agent NAME`."
            }
            Code::RunPaused => {
                "The agent spends much faster than it used to (`spend`). It waits for a person: `tollgate resume --agent NAME`."
            }
            Code::Busy => {
                "The call has arguments that take long to measure, and it took too long, calls of the same agent are being measured already, or it was cancelled before that was done. Wait for those to end, or call with less."
            }
            Code::StateUnavailable => {
                "tollgate cannot read or write its state, so it lets nothing pass. `tollgate` says why and what to do; while no daemon runs, what it last said is in its log."
            }
        }
    }
}

/// The stable word of a budget's code.
const fn budget(period: Period, dimension: Dimension) -> &'static str {
    macro_rules! of {
        ($period:literal) => {
            match dimension {
                Dimension::Steps => concat!("BUDGET_", $period, "_STEPS"),
                Dimension::Calls => concat!("BUDGET_", $period, "_CALLS"),
                Dimension::Time => concat!("BUDGET_", $period, "_TIME"),
                Dimension::Elapsed => concat!("BUDGET_", $period, "_ELAPSED"),
                Dimension::Cost => concat!("BUDGET_", $period, "_COST"),
                Dimension::Amount => concat!("BUDGET_", $period, "_AMOUNT"),
                Dimension::Count => concat!("BUDGET_", $period, "_COUNT"),
                Dimension::Bytes => concat!("BUDGET_", $period, "_BYTES"),
                Dimension::Tokens => concat!("BUDGET_", $period, "_TOKENS"),
            }
        };
    }
    match period {
        Period::Action => of!("ACTION"),
        Period::Run => of!("RUN"),
        Period::Hour => of!("HOUR"),
        Period::Day => of!("DAY"),
        Period::Month => of!("MONTH"),
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
    /// The limit in numbers, where it is one.
    pub bound: Option<Box<Bound>>,
    /// When the same call may be made again.
    pub retry_at: Option<Timestamp>,
    /// The run ends with it.
    pub ends: Option<Ends>,
    /// What people are told, once a period.
    pub notice: Option<Box<Notice>>,
}

/// A limit that a call met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Which: `run.calls`.
    pub name: String,
    /// How much is allowed.
    pub limit: String,
    /// How much is used and kept back.
    pub used: String,
    /// How much the call asks for.
    pub requested: String,
}

impl Refusal {
    /// A refusal that is no more than that.
    #[must_use]
    pub fn new(code: Code, gate: &'static str, says: impl Into<String>) -> Self {
        Self {
            code,
            gate,
            says: says.into(),
            remedy: None,
            rule: None,
            bound: None,
            retry_at: None,
            ends: None,
            notice: None,
        }
    }

    /// When the same call may be made again, to the second that is not before it: who
    /// comes back then is not early.
    #[must_use]
    pub fn again_at(&self) -> Option<String> {
        let up = TimestampRound::new()
            .smallest(Unit::Second)
            .mode(RoundMode::Ceil);
        let at = self.retry_at?;
        Some(format!("{:.0}", at.round(up).unwrap_or(at)))
    }

    /// With what would change the answer.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// By this line of the configuration.
    #[must_use]
    pub fn rule(mut self, rule: Option<Place>) -> Self {
        self.rule = rule;
        self
    }

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
