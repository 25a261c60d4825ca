//! A run that was ended or paused by tollgate itself.

use super::{AgentName, RunId};

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HaltKind {
    /// Over: a limit that kills, or a loop.
    Killed,
    /// Waiting for a person: it spends much faster than it used to.
    Paused,
}

impl HaltKind {
    /// The word in records and lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            HaltKind::Killed => "killed",
            HaltKind::Paused => "paused",
        }
    }
}

/// A halt in force. It is the agent's, whatever run it names next, until a person
/// lifts it or its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Which.
    pub kind: HaltKind,
    /// Whose.
    pub agent: AgentName,
    /// In which run it happened.
    pub run: RunId,
    /// When: microseconds since 1970.
    pub at: i64,
    /// Until when it holds by itself.
    pub until: Option<i64>,
    /// Why, as a fragment.
    pub says: String,
}

impl Halt {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// What holds when this comes on top of one that holds already: the stricter kind, with
    /// its reason, for as long as either of them. None if that is what holds already.
    #[must_use]
    pub fn on_top_of(self, held: &Halt) -> Option<Halt> {
        let at = self.at;
        let held_longer = held.lasts_as_long_as(&self);
        let until = if held_longer { held.until } else { self.until };
        let stricter = match (self.kind, held.kind) {
            (HaltKind::Killed, HaltKind::Paused) => self,
            (HaltKind::Paused, HaltKind::Killed) => held.clone(),
            (HaltKind::Killed, HaltKind::Killed) | (HaltKind::Paused, HaltKind::Paused) => {
                match held_longer {
                    true => held.clone(),
                    false => self,
                }
            }
        };
        let both = Halt {
            at,
            until,
            ..stricter
        };
        let is_new = both.kind != held.kind || both.until != held.until;
        is_new.then_some(both)
    }

    fn lasts_as_long_as(&self, other: &Halt) -> bool {
        match (self.until, other.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => own >= others,
        }
    }
}

/// What a refusal does to the run beside refusing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Killed or paused.
    pub kind: HaltKind,
    /// Why, as a fragment.
    pub says: String,
    /// Until when by itself: microseconds since 1970; none for a day.
    pub until: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halt(kind: HaltKind, until: Option<i64>, says: &str) -> Halt {
        Halt {
            kind,
            agent: AgentName::parse("dev").unwrap(),
            run: RunId::from_tail("1"),
            at: 10,
            until,
            says: says.to_owned(),
        }
    }

    /// Its kind, its end and its reason.
    fn joined(held: (HaltKind, Option<i64>), new: (HaltKind, Option<i64>)) -> Option<Halt> {
        halt(new.0, new.1, "new").on_top_of(&halt(held.0, held.1, "held"))
    }

    #[test]
    fn of_two_halts_the_stricter_holds_for_as_long_as_either() {
        use HaltKind::{Killed, Paused};
        let cases = [
            // A pause is a person's to lift, and stays so.
            ((Paused, None), (Killed, Some(60)), (Killed, None, "new")),
            ((Killed, Some(60)), (Paused, None), (Killed, None, "held")),
            (
                (Killed, Some(60)),
                (Killed, Some(90)),
                (Killed, Some(90), "new"),
            ),
        ];
        for (held, new, (kind, until, says)) in cases {
            assert_eq!(joined(held, new), Some(halt(kind, until, says)), "{held:?}");
        }
        for (held, new) in [
            ((Killed, Some(90)), (Killed, Some(60))),
            ((Killed, Some(60)), (Killed, Some(60))),
            ((Killed, None), (Paused, None)),
            ((Paused, None), (Paused, None)),
        ] {
            assert_eq!(joined(held, new), None, "{held:?}");
        }
    }
}
