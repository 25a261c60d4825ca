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

impl Era {
    /// The one that it is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Era::Legacy => Era::Modern,
            Era::Modern => Era::Legacy,
        }
    }
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

/// In which era a tool server is met, by that of the agent: one that speaks both speaks the
/// agent's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Met {
    legacy: Option<Era>,
    modern: Option<Era>,
}

impl Met {
    /// It speaks this one and is asked for no other.
    #[must_use]
    pub const fn only(era: Era) -> Self {
        Self {
            legacy: Some(era),
            modern: Some(era),
        }
    }

    /// The one for agents of this era, if that is known.
    #[must_use]
    pub const fn of(&self, wanted: Era) -> Option<Era> {
        match wanted {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        }
    }

    /// It was met for an agent of one era, in that or the other.
    pub fn learns(&mut self, wanted: Era, era: Era) {
        let mut learns = |wanted| match wanted {
            Era::Legacy => self.legacy = Some(era),
            Era::Modern => self.modern = Some(era),
        };
        learns(wanted);
        // And where it does not speak the one, it speaks the other with everybody.
        learns(era);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_met_in_the_era_of_its_agent_unless_it_does_not_speak_that() {
        use Era::{Legacy, Modern};
        let after = |meetings: &[(Era, Era)]| {
            let mut met = Met::default();
            for (wanted, era) in meetings {
                met.learns(*wanted, *era);
            }
            [met.of(Legacy), met.of(Modern)]
        };
        assert_eq!(after(&[(Modern, Modern)]), [None, Some(Modern)]);
        assert_eq!(after(&[(Legacy, Legacy)]), [Some(Legacy), None]);
        assert_eq!(after(&[(Modern, Legacy)]), [Some(Legacy); 2]);
        assert_eq!(after(&[(Legacy, Modern)]), [Some(Modern); 2]);
        let both = [Some(Legacy), Some(Modern)];
        assert_eq!(after(&[(Modern, Modern), (Legacy, Legacy)]), both);
    }
}
