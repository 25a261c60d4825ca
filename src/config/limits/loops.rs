//! `loops`: from which repetition on a call is refused, and the run ended.
//!
//! Each table is laid over what held before: what holds without a line, then
//! `[loops]`, then `[loops.TIER]`, then the same of an agent.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Said;
use super::quantity::count;
use crate::config::decode::{Field, Table, Vocabulary};
use crate::config::error::Code;
use crate::domain::{Loops, Place, Threshold, Tier};

pub(in crate::config) const LOOPS: Vocabulary = Vocabulary {
    keys: &[
        "consequential",
        "errors",
        "irreversible",
        "pairs",
        "read",
        "repeated",
        "reversible",
        "same",
    ],
    later: &[],
    elsewhere: &[(&["window", "pause"], WHERE)],
};

pub(in crate::config) const TIER: Vocabulary = Vocabulary {
    keys: &["errors", "pairs", "repeated", "same"],
    later: &[],
    elsewhere: &[(&["window", "pause"], WHERE)],
};

const WHERE: &str = "`window` belongs to `repeated`, `pause` to `errors`";

pub(in crate::config) const THRESHOLD: Vocabulary = Vocabulary {
    keys: &["kill", "refuse"],
    later: &[],
    elsewhere: &[(&["window", "pause"], WHERE)],
};

pub(in crate::config) const REPEATED: Vocabulary = Vocabulary {
    keys: &["kill", "refuse", "window"],
    later: &[],
    elsewhere: &[(&["pause"], WHERE)],
};

pub(in crate::config) const ERRORS: Vocabulary = Vocabulary {
    keys: &["kill", "pause", "refuse"],
    later: &[],
    elsewhere: &[(&["window"], WHERE)],
};

/// The loops of every tier.
pub(super) type ByTier = BTreeMap<Tier, Arc<Loops>>;

/// The same for every tier.
pub(super) fn everywhere(loops: Loops) -> ByTier {
    let loops = Arc::new(loops);
    Tier::ALL.map(|tier| (tier, loops.clone())).into()
}

/// Reads `loops` and lays it over `outer`.
pub(super) fn decode(field: &Field<'_>, outer: &ByTier) -> ByTier {
    let none = |place: Place| Loops {
        place: Some(place),
        ..Loops::NONE
    };
    if field.is_none() {
        return everywhere(none(field.at()));
    }
    let wanted = "a table, for example { same = { refuse = 5 } }, or \"none\"";
    let Some(table) = field.table(&LOOPS, wanted) else {
        return outer.clone();
    };
    let general = Patch::read(&table);
    let mut all = ByTier::new();
    for tier in Tier::ALL {
        let mut loops = outer
            .get(&tier)
            .map_or(Loops::USUAL, |outer| (**outer).clone());
        general.lay_over(&mut loops, field.at());
        let mut patches = vec![&general];
        let own = table.get(tier.name());
        let own_patch = match &own {
            Some(own) if own.is_none() => {
                loops = none(own.at());
                None
            }
            Some(own) => own
                .table(&TIER, "a table like [loops], or \"none\"")
                .map(|table| (Patch::read(&table), own.at())),
            None => None,
        };
        if let Some((patch, place)) = &own_patch {
            patch.lay_over(&mut loops, place.clone());
            patches.insert(0, patch);
        }
        check_order(&loops, &patches);
        // Tiers of which the same is said share it.
        let shared = all.values().find(|other| ***other == loops).cloned();
        all.insert(tier, shared.unwrap_or_else(|| Arc::new(loops)));
    }
    all
}

/// What one table says.
#[derive(Debug)]
struct Patch<'a> {
    same: Option<Rule<'a>>,
    repeated: Option<Rule<'a>>,
    pairs: Option<Rule<'a>>,
    errors: Option<Rule<'a>>,
}

/// What it says of one kind of loop.
#[derive(Debug)]
struct Rule<'a> {
    field: Field<'a>,
    refuse: Said<u32>,
    kill: Said<u32>,
    /// The window or the pause.
    time: Option<Duration>,
    /// Whether it was said that this cannot be reached: once is enough.
    is_reported: Cell<bool>,
}

impl<'a> Patch<'a> {
    fn read(table: &Table<'a>) -> Self {
        let most = u32::try_from(Loops::REMEMBERED).unwrap_or(u32::MAX);
        // One call is no repetition; one error is an error.
        let rule = |key: &str, words, range, time: Option<&str>| {
            let field = table.get(key)?;
            Rule::read(field, words, range, time)
        };
        Patch {
            same: rule("same", &THRESHOLD, (2, u32::MAX), None),
            repeated: rule("repeated", &REPEATED, (2, most), Some("window")),
            pairs: rule("pairs", &THRESHOLD, (2, u32::MAX), None),
            errors: rule("errors", &ERRORS, (1, u32::MAX), Some("pause")),
        }
    }

    fn lay_over(&self, loops: &mut Loops, place: Place) {
        let lay = |rule: &Option<Rule<'_>>, threshold: &mut Threshold| {
            if let Some(rule) = rule {
                rule.refuse.lay_over(&mut threshold.refuse);
                rule.kill.lay_over(&mut threshold.kill);
            }
        };
        lay(&self.same, &mut loops.same);
        lay(&self.repeated, &mut loops.repeated);
        lay(&self.pairs, &mut loops.pairs);
        lay(&self.errors, &mut loops.errors);
        let time = |rule: &Option<Rule<'_>>| rule.as_ref().and_then(|rule| rule.time);
        loops.window = time(&self.repeated).unwrap_or(loops.window);
        loops.pause = time(&self.errors).unwrap_or(loops.pause);
        loops.place = Some(place);
    }
}

impl<'a> Rule<'a> {
    fn read(
        field: Field<'a>,
        words: &'static Vocabulary,
        (least, most): (u32, u32),
        time: Option<&str>,
    ) -> Option<Self> {
        let is_reported = Cell::new(false);
        if field.is_none() {
            return Some(Rule {
                field,
                refuse: Said::None,
                kill: Said::None,
                time: None,
                is_reported,
            });
        }
        let wanted = "a table, for example { refuse = 10, kill = 50 }, or \"none\"";
        let table = field.table(words, wanted)?;
        let number = |key: &str| match table.get(key) {
            None => Said::Nothing,
            Some(field) if field.is_none() => Said::None,
            Some(field) => count(&field, least)
                .filter(|number| check_remembered(&field, *number, most))
                .map_or(Said::Nothing, Said::This),
        };
        let (refuse, kill) = (number("refuse"), number("kill"));
        let time = time.and_then(|key| table.get(key)?.duration());
        Some(Rule {
            field,
            refuse,
            kill,
            time,
            is_reported,
        })
    }
}

fn check_remembered(field: &Field<'_>, number: u32, most: u32) -> bool {
    if number > most {
        let message = format!("{} of {number} can never be reached", field.subject());
        field.file.report(
            field
                .problem(Code::NeverMatches, message)
                .label(format!("the last {most} calls are remembered")),
        );
    }
    number <= most
}

/// A run that is killed before a call of it is refused is never refused one.
fn check_order(loops: &Loops, patches: &[&Patch<'_>]) {
    type Kind = for<'p, 'a> fn(&'p Patch<'a>) -> &'p Option<Rule<'a>>;
    let kinds: [(Threshold, Kind); 4] = [
        (loops.same, |patch| &patch.same),
        (loops.repeated, |patch| &patch.repeated),
        (loops.pairs, |patch| &patch.pairs),
        (loops.errors, |patch| &patch.errors),
    ];
    for (threshold, kind) in kinds {
        let (Some(refuse), Some(kill)) = (threshold.refuse, threshold.kill) else {
            continue;
        };
        let rule = patches.iter().find_map(|patch| kind(patch).as_ref());
        if let Some(rule) = rule.filter(|rule| kill < refuse && !rule.is_reported.get()) {
            rule.is_reported.set(true);
            let message = format!(
                "{} refuses from {refuse} on, but the run is killed at {kill}",
                rule.field.subject()
            );
            rule.field.file.report(
                rule.field
                    .key_problem(Code::NeverMatches, message)
                    .label("nothing is ever refused")
                    .hint("write both `refuse` and `kill`, or \"none\" for one of them"),
            );
        }
    }
}
