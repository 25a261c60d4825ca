//! How much a tool can break.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The risk tier of a tool, ordered from harmless to final.
///
/// There is no fifth variant for "not offered": such a tool never becomes a
/// call, see [`Offer`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Tier 0: looks, changes nothing.
    Read,
    /// Tier 1: changes something that can be put back.
    Reversible,
    /// Tier 2: touches others or costs; putting it back takes work.
    Consequential,
    /// Tier 3: cannot be put back.
    Irreversible,
}

impl Tier {
    /// Every tier, in order.
    pub const ALL: [Tier; 4] = [
        Tier::Read,
        Tier::Reversible,
        Tier::Consequential,
        Tier::Irreversible,
    ];

    /// 0 to 3.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Tier::Read => 0,
            Tier::Reversible => 1,
            Tier::Consequential => 2,
            Tier::Irreversible => 3,
        }
    }

    /// The word used in files, lists and refusals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Read => "read",
            Tier::Reversible => "reversible",
            Tier::Consequential => "consequential",
            Tier::Irreversible => "irreversible",
        }
    }

    /// Whether the record of a call must be on disk before the call leaves.
    #[must_use]
    pub const fn is_durable(self) -> bool {
        match self {
            Tier::Read | Tier::Reversible => false,
            Tier::Consequential | Tier::Irreversible => true,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the operator says of one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offer {
    /// Offered, at this tier.
    At(Tier),
    /// Offered, but nobody has classified it: it counts as irreversible.
    Unclassified,
    /// Not offered at all.
    Off,
}
