//! `budget` and a tool's `limit`: how much may be used, over which time.

use toml::de::DeValue;

use super::Units;
use super::quantity::{Fraction, quantity};
use crate::config::decode::{Field, Table, Vocabulary};
use crate::config::error::Code;
use crate::domain::{Dimension, Limit, Over, Period, Then, money::MICROS};

const DIMENSIONS: &[&str] = &[
    "amount", "bytes", "calls", "cost", "count", "elapsed", "steps", "time", "tokens",
];

pub(in crate::config) const BUDGET: Vocabulary = Vocabulary {
    keys: &["action", "day", "hour", "month", "run"],
    later: &[],
    elsewhere: &[(DIMENSIONS, "say over which time: run = { … }, day = { … }")],
};

/// Every dimension is known everywhere: where one can count nothing, it is
/// told why, and not called unknown.
const PLAIN_KEYS: &[&str] = &[
    "amount", "bytes", "calls", "cost", "count", "elapsed", "notify", "steps", "then", "time",
    "tokens", "warn",
];

pub(in crate::config) const ACTION: Vocabulary = Vocabulary {
    keys: PLAIN_KEYS,
    later: &[],
    elsewhere: &[(&["rolling"], "only a day or a month can be")],
};

pub(in crate::config) const HOUR: Vocabulary = Vocabulary {
    keys: PLAIN_KEYS,
    later: &[],
    elsewhere: &[(&["rolling"], "an hour always is")],
};

pub(in crate::config) const DAY: Vocabulary = Vocabulary {
    keys: &[
        "amount", "bytes", "calls", "cost", "count", "elapsed", "notify", "rolling", "steps",
        "then", "time", "tokens", "warn",
    ],
    later: &[],
    elsewhere: &[],
};

pub(in crate::config) const LIMIT: Vocabulary = Vocabulary {
    keys: &["at", "notify", "then", "warn"],
    later: &[],
    elsewhere: &[(&["rolling"], "belongs beside the limits of the period")],
};

/// What the author of one budget says.
#[derive(Debug, Default)]
pub(super) struct Budget<'a> {
    pub(super) limits: Vec<Limit>,
    /// Everything it names, whether with a limit or with "none".
    pub(super) named: Vec<(Period, Dimension)>,
    /// The keys of the limits.
    pub(super) keys: Vec<(Dimension, Field<'a>)>,
    settings: Vec<(Period, Settings)>,
}

/// What holds for all limits of a period.
#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    warn: Option<Fraction>,
    notify: Option<Fraction>,
    then: Option<Then>,
    rolling: bool,
}

/// A run that used up what it had may be doing well: a person can say so.
const fn usual_then(period: Period) -> Then {
    match period {
        Period::Run => Then::Ask,
        Period::Action | Period::Hour | Period::Day | Period::Month => Then::Refuse,
    }
}

impl<'a> Budget<'a> {
    /// Reads a `budget`.
    pub(super) fn read(&mut self, field: &Field<'a>, over: Over, units: &Units) {
        if field.is_none() {
            let lifted = Period::ALL
                .into_iter()
                .filter(|period| has_defaults(over, *period));
            let lifted: Vec<_> = lifted.collect();
            if lifted.is_empty() {
                nothing_to_lift(field, over);
            }
            for period in lifted {
                self.name_all(period);
            }
            return;
        }
        let wanted = "a table, for example { run = { calls = 100 } }, or \"none\"";
        let Some(table) = field.table(&BUDGET, wanted) else {
            return;
        };
        for period in Period::ALL {
            if let Some(field) = table.get(period.name()) {
                self.read_period(&field, over, period, units);
            }
        }
    }

    /// Reads what holds over one period.
    pub(super) fn read_period(
        &mut self,
        field: &Field<'a>,
        over: Over,
        period: Period,
        units: &Units,
    ) {
        if field.is_none() {
            if has_defaults(over, period) {
                self.name_all(period);
            } else {
                nothing_to_lift(field, over);
            }
            return;
        }
        let words = match period {
            Period::Action | Period::Run => &ACTION,
            Period::Hour => &HOUR,
            Period::Day | Period::Month => &DAY,
        };
        let wanted = "a table, for example { cost = \"5.00 USD\" }, or \"none\"";
        let Some(table) = field.table(words, wanted) else {
            return;
        };
        let settings = Settings::read(&table);
        self.settings.push((period, settings));
        let mut is_empty = true;
        for dimension in Dimension::ALL {
            let Some(field) = table.get(dimension.name()) else {
                continue;
            };
            is_empty = false;
            if !check_countable(&field, period, dimension) {
                continue;
            }
            if self.named.contains(&(period, dimension)) {
                field.file.report(
                    field
                        .key_problem(
                            Code::NeverMatches,
                            format!("{} of one action is limited twice", field.subject()),
                        )
                        .label("keep one: `limit` is the same as `budget.action`"),
                );
            }
            self.named.push((period, dimension));
            if field.is_none() {
                if !has_defaults(over, period) {
                    nothing_to_lift(&field, over);
                }
                continue;
            }
            if let Some(limit) = read_limit(&field, over, period, dimension, settings, units) {
                self.limits.push(limit);
            }
            self.keys.push((dimension, field));
        }
        if is_empty && over != Over::Everything {
            let message = format!("{} limits nothing", field.subject());
            field.file.report(
                field
                    .key_problem(Code::NeverMatches, message)
                    .label("say how much, for example calls = 100"),
            );
        }
    }

    fn name_all(&mut self, period: Period) {
        let all = Dimension::ALL.map(|dimension| (period, dimension));
        self.named.extend(all);
    }

    /// The limits of everything: those that are written, and where nothing is
    /// said those that hold without a line.
    pub(super) fn with_defaults(self) -> Vec<Limit> {
        let Budget {
            mut limits,
            named,
            settings,
            ..
        } = self;
        let silent = defaults().filter(|limit| !named.contains(&(limit.period, limit.dimension)));
        limits.extend(silent.map(|mut limit| {
            // A threshold that is written for a period holds for its defaults as well.
            if let Some((_, settings)) = settings.iter().find(|(of, _)| *of == limit.period) {
                settings.lay_over(&mut limit);
            }
            limit
        }));
        limits.sort_by_key(|limit| (limit.period, limit.dimension));
        limits
    }
}

impl Settings {
    fn read(table: &Table<'_>) -> Self {
        let fraction = |key: &str| {
            let field = table.get(key)?;
            Fraction::decode(&field)
        };
        Settings {
            warn: fraction("warn"),
            notify: fraction("notify"),
            then: table.get("then").and_then(|field| then(&field)),
            rolling: table
                .get("rolling")
                .and_then(|field| field.boolean())
                .unwrap_or_default(),
        }
    }

    fn lay_over(&self, limit: &mut Limit) {
        let part = |fraction: Option<Fraction>| fraction.map(|fraction| fraction.of(limit.at));
        (limit.warn, limit.notify) = (part(self.warn), part(self.notify));
        limit.then = self.then.unwrap_or(limit.then);
        limit.rolling |= self.rolling;
    }
}

/// What holds without a line.
fn defaults() -> impl Iterator<Item = Limit> {
    use Dimension::{Calls, Cost, Steps, Time};
    [
        (Period::Action, Cost, 5 * MICROS),
        (Period::Run, Steps, 25),
        (Period::Run, Calls, 50),
        (Period::Run, Time, 120_000_000),
        (Period::Run, Cost, MICROS),
        (Period::Hour, Cost, 10 * MICROS),
        (Period::Day, Cost, 40 * MICROS),
        (Period::Month, Cost, 800 * MICROS),
    ]
    .into_iter()
    .map(|(period, dimension, at)| Limit {
        over: Over::Everything,
        period,
        dimension,
        at,
        warn: None,
        notify: None,
        then: usual_then(period),
        rolling: period == Period::Hour,
        place: None,
    })
}

/// Whether something holds over the period without a line that this author can
/// lift. What everybody shares, no single agent can; servers and tools have none.
fn has_defaults(over: Over, period: Period) -> bool {
    match (over, period) {
        (Over::Everything, _) | (Over::Agent, Period::Action | Period::Run) => true,
        (Over::Agent, Period::Hour | Period::Day | Period::Month)
        | (Over::Server | Over::Tool, _) => false,
    }
}

fn nothing_to_lift(field: &Field<'_>, over: Over) {
    let whose = match over {
        Over::Everything => "everything",
        Over::Agent => "one agent over an hour, a day or a month",
        Over::Server => "a single server",
        Over::Tool => "a single tool",
    };
    field.file.report(
        field
            .problem(Code::NeverMatches, "\"none\" lifts nothing here")
            .label(format!("without a line nothing limits {whose}"))
            .hint("what everybody shares is lifted in [budget] of tollgate.toml"),
    );
}

/// Reports a dimension that cannot be counted over the period.
fn check_countable(field: &Field<'_>, period: Period, dimension: Dimension) -> bool {
    use Dimension::{Amount, Cost, Count, Elapsed};
    let label = match (period, dimension) {
        (Period::Action, Cost | Amount | Count) | (Period::Run, _) => return true,
        (Period::Action, _) => "an action is one call: limit its cost, amount or count",
        (_, Elapsed) => "only a run begins and ends: put it into `run`",
        (Period::Hour | Period::Day | Period::Month, _) => return true,
    };
    let message = format!(
        "{} cannot be limited over {}",
        field.subject(),
        match period {
            Period::Action => "an action",
            Period::Run => "a run",
            Period::Hour => "an hour",
            Period::Day => "a day",
            Period::Month => "a month",
        }
    );
    field
        .file
        .report(field.key_problem(Code::NeverMatches, message).label(label));
    false
}

fn read_limit(
    field: &Field<'_>,
    over: Over,
    period: Period,
    dimension: Dimension,
    settings: Settings,
    units: &Units,
) -> Option<Limit> {
    let limit = |at: u64| {
        let mut limit = Limit {
            over,
            period,
            dimension,
            at,
            warn: None,
            notify: None,
            then: usual_then(period),
            rolling: period == Period::Hour,
            place: Some(field.at()),
        };
        settings.lay_over(&mut limit);
        limit
    };
    if !matches!(field.value(), DeValue::Table(_)) {
        return quantity(field, dimension, units).map(limit);
    }
    let table = field.table(&LIMIT, "a limit or a table")?;
    let at = match table.get("at") {
        Some(at) => quantity(&at, dimension, units),
        None => {
            field.file.report(
                field
                    .key_problem(
                        Code::MissingKey,
                        format!("{} has no limit", field.subject()),
                    )
                    .hint("add `at`, the limit itself"),
            );
            None
        }
    };
    let threshold = |key: &str| {
        let field = table.get(key)?;
        threshold(&field, dimension, at, units)
    };
    let (warn, notify) = (threshold("warn"), threshold("notify"));
    let then = table.get("then").and_then(|field| then(&field));
    let mut limit = limit(at?);
    limit.warn = warn.or(limit.warn);
    limit.notify = notify.or(limit.notify);
    limit.then = then.unwrap_or(limit.then);
    Some(limit)
}

/// A fraction of the limit, or as much as is written.
fn threshold(
    field: &Field<'_>,
    dimension: Dimension,
    at: Option<u64>,
    units: &Units,
) -> Option<u64> {
    if matches!(field.value(), DeValue::Float(_)) {
        let fraction = Fraction::decode(field)?;
        return at.map(|at| fraction.of(at));
    }
    let found = quantity(field, dimension, units)?;
    if at.is_some_and(|at| found > at) {
        let message = format!("{} is above the limit", field.subject());
        field.file.report(
            field
                .problem(Code::NeverMatches, message)
                .label("the limit is reached before"),
        );
        return None;
    }
    Some(found)
}

fn then(field: &Field<'_>) -> Option<Then> {
    field.word(&[
        ("refuse", Then::Refuse),
        ("ask", Then::Ask),
        ("kill", Then::Kill),
    ])
}
