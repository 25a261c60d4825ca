//! The two eras of the protocol.

/// How a peer speaks: with a handshake, or with everything in each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize`, then a conversation.
    Legacy,
    /// 2026-07-28: each request stands alone.
    Modern,
}

impl std::fmt::Display for Era {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Era::Legacy => "legacy",
            Era::Modern => "modern",
        })
    }
}

/// What an agent's client can be asked in the middle of a call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Capabilities {
    /// Questions to the user as a form.
    pub form: bool,
    /// Questions to the user as a page to open.
    pub url: bool,
    /// Completions by the agent's own model.
    pub sampling: bool,
    /// Sampling may offer tools to the model.
    pub sampling_tools: bool,
    /// Sampling may ask for context of other servers.
    pub sampling_context: bool,
    /// The folders that the agent works in.
    pub roots: bool,
}

impl Capabilities {
    /// Whether all of it is part of the other.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        let pairs = self.each().into_iter().zip(other.each());
        pairs.into_iter().all(|(one, other)| other || !one)
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.each().into_iter().filter(|one| *one).count()
    }

    /// The same where the client's model must not be asked.
    #[must_use]
    pub fn without_sampling(self) -> Self {
        Self {
            sampling: false,
            sampling_tools: false,
            sampling_context: false,
            ..self
        }
    }

    fn each(self) -> [bool; 6] {
        let Self {
            form,
            url,
            sampling,
            sampling_tools,
            sampling_context,
            roots,
        } = self;
        [form, url, sampling, sampling_tools, sampling_context, roots]
    }
}

/// What a tool server gets to see of an agent. Servers may speak, offer and ask otherwise
/// before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Guise {
    /// How it speaks: a server that speaks both eras speaks this one.
    pub era: Era,
    /// What it can be asked.
    pub can: Capabilities,
}

/// That of an agent of whom nothing is known.
impl Default for Guise {
    fn default() -> Self {
        Self {
            era: Era::Modern,
            can: Capabilities::default(),
        }
    }
}
