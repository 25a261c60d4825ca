//! The language of limits: what the files say may be used, when, and how often.
//!
//! Each author says it for what is his: everything, an agent, a server, a tool.
//! Here it becomes [`Terms`]; which of them a call meets is decided elsewhere.

mod breaker;
mod budget;
mod functions;
mod hours;
mod loops;
mod prices;
mod quantity;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::decode::{Field, Table, Vocabulary};
use super::error::Code;
use crate::domain::{
    BreakerRule, Currency, Dimension, Limit, Loops, Over, Period, Place, Prices, Rate, Terms, Tier,
    Zone,
};
pub(super) use breaker::Breaker;
use budget::Budget;
use quantity::count;

/// The vocabularies, for the test beside the schemas.
#[cfg(test)]
pub(super) mod words {
    pub(in crate::config) use super::breaker::BREAKER;
    pub(in crate::config) use super::budget::{ACTION, BUDGET, DAY, HOUR, LIMIT};
    pub(in crate::config) use super::loops::{ERRORS, LOOPS, REPEATED, THRESHOLD, TIER};
    pub(in crate::config) use super::prices::{AMOUNT, COST, COST_PATH};
    pub(in crate::config) use super::rate::RATE;
    pub(in crate::config) use super::{TIER_RULES, TIERS};
}

pub(super) const TIERS: Vocabulary = Vocabulary {
    keys: &["consequential", "irreversible", "read", "reversible"],
    later: &[],
    elsewhere: &[],
};

pub(super) const TIER_RULES: Vocabulary = Vocabulary {
    keys: &["rate"],
    later: &["approval"],
    elsewhere: &[],
};

/// Long enough for a piece of work, short enough that somebody looks in between.
const AUTONOMY: Duration = Duration::from_secs(2 * 3600);
/// New runs are new budgets: an agent cannot begin them without end.
const RUNS: (u32, Duration) = (30, Duration::from_secs(3600));
/// So many times faster than usual is a fault, not a busy day.
const SPEND: u32 = 10;

/// What a file can say of something that holds without a line.
#[derive(Debug, Clone)]
pub(super) enum Said<T> {
    /// Nothing.
    Nothing,
    /// "none".
    None,
    /// This.
    This(T),
}

impl<T: Clone> Said<T> {
    /// What is said in the outer place counts where nothing is said here.
    fn or(self, outer: &Said<T>) -> Said<T> {
        match self {
            Said::Nothing => outer.clone(),
            Said::None | Said::This(_) => self,
        }
    }

    fn lay_over(&self, value: &mut Option<T>) {
        match self {
            Said::Nothing => {}
            Said::None => *value = None,
            Said::This(this) => *value = Some(this.clone()),
        }
    }
}

/// Reads a key that may be "none".
fn said<'a, T>(table: &Table<'a>, key: &str, read: impl Fn(&Field<'a>) -> Option<T>) -> Said<T> {
    match table.get(key) {
        None => Said::Nothing,
        Some(field) if field.is_none() => Said::None,
        Some(field) => read(&field).map_or(Said::Nothing, Said::This),
    }
}

/// In what is counted.
#[derive(Debug, Clone)]
pub(super) struct Units {
    /// None when it could not be read: then no other is wrong.
    currency: Option<Currency>,
    pub(super) zone: Zone,
}

impl Units {
    /// The currency for people, and for a generation that will load.
    pub(super) fn shown(&self) -> Currency {
        self.currency.unwrap_or(Currency::USD)
    }
}

/// What `tollgate.toml` says of everything.
#[derive(Debug)]
pub(super) struct Everything {
    pub(super) units: Units,
    pub(super) terms: Terms,
    pub(super) tier_rates: BTreeMap<Tier, Rate>,
    pub(super) breaker: Breaker,
    /// Some agent has a limit of its own for what a call may cost.
    agents_differ: bool,
}

/// Reads the limits of everything; without a file those that hold without a line.
pub(super) fn everything(root: Option<&Table<'_>>) -> Everything {
    let mut everything = Everything {
        units: Units {
            currency: Some(Currency::USD),
            zone: Zone::UTC,
        },
        terms: Terms {
            loops: loops::everywhere(Loops::USUAL),
            autonomy: Some((AUTONOMY, None)),
            runs: Some(Rate {
                over: Over::Agent,
                calls: RUNS.0,
                per: RUNS.1,
                burst: RUNS.0,
                place: None,
            }),
            spend: Some((SPEND, None)),
            ..Terms::default()
        },
        tier_rates: BTreeMap::new(),
        breaker: Said::Nothing,
        agents_differ: false,
    };
    let mut budget = Budget::default();
    if let Some(root) = root {
        read_everything(root, &mut everything, &mut budget);
    }
    everything.terms.limits = budget.with_defaults();
    everything
}

fn read_everything<'a>(root: &Table<'a>, into: &mut Everything, budget: &mut Budget<'a>) {
    into.units.currency = match root.get("currency") {
        Some(field) => prices::currency(&field),
        // A line that TOML could not read may be the one that says it.
        None => root.file.is_whole().then_some(Currency::USD),
    };
    if let Some(field) = root.get("timezone") {
        into.units.zone = hours::zone(&field).unwrap_or(Zone::UTC);
    }
    let units = &into.units;
    if let Some(field) = root.get("budget") {
        budget.read(&field, Over::Everything, units);
    }
    let terms = &mut into.terms;
    terms.no_sampling = no_sampling(root);
    terms.windows.extend(window(root, &units.zone));
    if let Some(field) = root.get("loops") {
        terms.loops = loops::decode(&field, &terms.loops);
    }
    let standing = Standing::read(root);
    standing.autonomy.lay_over(&mut terms.autonomy);
    standing.runs.lay_over(&mut terms.runs);
    standing.spend.lay_over(&mut terms.spend);
    into.breaker = breaker(root);
    into.tier_rates = tier_rates(root);
    into.agents_differ = match root.get("agents").as_ref().map(Field::value) {
        Some(DeValue::Table(agents)) => agents.iter().any(|(_, agent)| {
            let budget = agent.get_ref().get("budget").map(toml::Spanned::get_ref);
            budget.is_some_and(|budget| budget.is_str() || budget.get("action").is_some())
        }),
        Some(_) | None => false,
    };
}

fn tier_rates(root: &Table<'_>) -> BTreeMap<Tier, Rate> {
    let wanted = "a table, for example { read = { rate = \"120/min\" } }";
    let tiers = root.get("tiers");
    let Some(tiers) = tiers.and_then(|field| field.table(&TIERS, wanted)) else {
        return BTreeMap::new();
    };
    let rate = |tier: Tier| {
        let field = tiers.get(tier.name())?;
        let table = field.table(&TIER_RULES, "a table, for example { rate = \"120/min\" }")?;
        Some((tier, rate::decode(&table.get("rate")?, Over::Tool)?))
    };
    Tier::ALL.into_iter().filter_map(rate).collect()
}

/// Where a table says that no server may ask the client's model.
fn no_sampling(table: &Table<'_>) -> Option<Place> {
    let field = table.get("sampling")?;
    (field.boolean() == Some(false)).then(|| field.at())
}

/// What is said of how an agent goes on.
struct Standing {
    autonomy: Said<(Duration, Option<Place>)>,
    runs: Said<Rate>,
    spend: Said<(u32, Option<Place>)>,
}

impl Standing {
    fn read(table: &Table<'_>) -> Self {
        Standing {
            autonomy: said(table, "autonomy", autonomy),
            runs: said(table, "runs", rate::runs),
            spend: said(table, "spend", |field| {
                Some((count(field, 2)?, Some(field.at())))
            }),
        }
    }
}

/// An agent that has worked alone for a day begins anew in any case.
const LONGEST_ALONE: Duration = Duration::from_secs(24 * 3600);

fn autonomy(field: &Field<'_>) -> Option<(Duration, Option<Place>)> {
    let alone = field.duration()?;
    if alone >= LONGEST_ALONE {
        field.file.report(
            field
                .problem(Code::NeverMatches, "this time can never be reached")
                .label("after a day an agent begins anew")
                .hint("write less than `1d`, or `\"none\"`"),
        );
        return None;
    }
    Some((alone, Some(field.at())))
}

/// What `"none"` lifts for one agent of what holds for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifted {
    /// It may go on without a person.
    pub autonomy: bool,
    /// It may begin as many runs as it likes.
    pub runs: bool,
    /// It may spend as fast as it likes.
    pub spend: bool,
}

/// What `[agents.NAME]` says.
#[derive(Debug)]
pub(super) struct OfAgent {
    pub(super) terms: Terms,
    pub(super) lifts: Vec<(Period, Dimension)>,
    pub(super) lifted: Lifted,
}

pub(super) fn agent(table: &Table<'_>, everything: &Everything) -> OfAgent {
    let mut terms = Terms::default();
    let mut budget = Budget::default();
    if let Some(field) = table.get("budget") {
        budget.read(&field, Over::Agent, &everything.units);
    }
    terms.limits = budget.limits;
    terms.no_sampling = no_sampling(table);
    terms.windows.extend(window(table, &everything.units.zone));
    terms.rates.extend(rate_of(table, Over::Agent));
    if let Some(field) = table.get("loops") {
        terms.loops = loops::decode(&field, &everything.terms.loops);
    }
    let standing = Standing::read(table);
    let lifted = Lifted {
        autonomy: matches!(standing.autonomy, Said::None),
        runs: matches!(standing.runs, Said::None),
        spend: matches!(standing.spend, Said::None),
    };
    standing.autonomy.lay_over(&mut terms.autonomy);
    standing.runs.lay_over(&mut terms.runs);
    standing.spend.lay_over(&mut terms.spend);
    // A purse that all share is not one agent's to open.
    let mut lifts = budget.named;
    lifts.retain(|(period, _)| matches!(period, Period::Action | Period::Run));
    OfAgent {
        terms,
        lifts,
        lifted,
    }
}

/// What a file in `tools.d/` says of its server.
#[derive(Debug)]
pub(super) struct OfServer {
    pub(super) terms: Terms,
    /// For its tools.
    pub(super) breaker: Breaker,
}

impl OfServer {
    /// The breaker of a tool that the file does not name.
    pub(super) fn tool_breaker(&self) -> Option<BreakerRule> {
        self.breaker.rule(Over::Tool)
    }
}

pub(super) fn server(root: &Table<'_>, everything: &Everything) -> OfServer {
    let mut terms = Terms::default();
    let mut budget = Budget::default();
    if let Some(field) = root.get("budget") {
        budget.read(&field, Over::Server, &everything.units);
    }
    let tools = root.get("tools");
    check_measured(&budget, |key| match tools.as_ref().map(Field::value) {
        Some(DeValue::Table(tools)) => tools
            .iter()
            .any(|(_, tool)| tool.get_ref().get(key).is_some()),
        Some(_) | None => false,
    });
    terms.limits = budget.limits;
    terms.no_sampling = no_sampling(root);
    terms.windows.extend(window(root, &everything.units.zone));
    terms.rates.extend(rate_of(root, Over::Server));
    let breaker = breaker(root).or(&everything.breaker);
    terms.breakers.extend(breaker.rule(Over::Server));
    OfServer { terms, breaker }
}

/// What is said of a tool; without a table what holds for it all the same.
pub(super) fn tool(
    table: Option<&Table<'_>>,
    server: &OfServer,
    everything: &Everything,
) -> (Terms, Prices) {
    let (breaker_of_server, units) = (&server.breaker, &everything.units);
    let mut terms = Terms::default();
    let Some(table) = table else {
        terms.breakers.extend(breaker_of_server.rule(Over::Tool));
        return (terms, Prices::free(units.shown()));
    };
    let mut budget = Budget::default();
    if let Some(field) = table.get("budget") {
        budget.read(&field, Over::Tool, units);
    }
    if let Some(field) = table.get("limit") {
        budget.read_period(&field, Over::Tool, Period::Action, units);
    }
    check_measured(&budget, |key| table.get(key).is_some());
    terms.limits = budget.limits;
    terms.windows.extend(window(table, &units.zone));
    terms.rates.extend(rate_of(table, Over::Tool));
    let breaker = breaker(table).or(breaker_of_server);
    terms.breakers.extend(breaker.rule(Over::Tool));
    let prices = prices::decode(table, units);
    let shared = everything.terms.limits.iter();
    // An agent can be freed of what holds without a line, and of nothing else.
    let shared = shared.filter(|limit| limit.place.is_some() || !everything.agents_differ);
    let limits = shared.chain(&server.terms.limits).chain(&terms.limits);
    check_affordable(table, &prices, limits);
    (terms, prices)
}

/// A tool whose every call costs more than any may is never called.
fn check_affordable<'a>(
    table: &Table<'_>,
    prices: &Prices,
    limits: impl Iterator<Item = &'a Limit>,
) {
    let of_a_call =
        |limit: &&Limit| limit.period == Period::Action && limit.dimension == Dimension::Cost;
    let least = prices.call.saturating_add(prices.keep);
    let tightest = limits.filter(of_a_call).min_by_key(|limit| limit.at);
    let (Some(limit), Some(field)) = (tightest, table.get("cost")) else {
        return;
    };
    if least <= limit.at {
        return;
    }
    let show = |quantity| Dimension::Cost.show(quantity, prices.currency);
    let most = show(limit.at);
    let hint = match &limit.place {
        Some(place) => format!("{place} says how much a call may cost"),
        None => format!(
            "{most} is what holds without a line; in tollgate.toml: [budget] action = {{ cost = \"{}\" }}",
            show(least)
        ),
    };
    field.file.report(
        field
            .key_problem(
                Code::NeverMatches,
                "at this price the tool can never be called",
            )
            .label(format!(
                "a call keeps back {}, and may cost {most}",
                show(least)
            ))
            .hint(hint),
    );
}

/// A limit of what nothing measures never ends anything.
fn check_measured(budget: &Budget<'_>, is_written: impl Fn(&str) -> bool) {
    for (dimension, field) in &budget.keys {
        let (key, hint) = match dimension {
            Dimension::Cost => ("cost", "add `cost`, the price of a call, to a tool"),
            Dimension::Amount => (
                "amount",
                "add `amount` to a tool, where its arguments say it: amount = \"$.amount\"",
            ),
            Dimension::Count => (
                "count",
                "add `count` to a tool, where its arguments hold them: count = \"$.ids[*]\"",
            ),
            Dimension::Steps
            | Dimension::Calls
            | Dimension::Time
            | Dimension::Elapsed
            | Dimension::Bytes
            | Dimension::Tokens => continue,
        };
        if !is_written(key) {
            let message = format!("this limit of {} can never be reached", field.subject());
            field.file.report(
                field
                    .key_problem(Code::NeverMatches, message)
                    .label("nothing says how much a call makes")
                    .hint(hint),
            );
        }
    }
}

fn window(table: &Table<'_>, zone: &Zone) -> Option<(crate::domain::Window, Place)> {
    hours::decode(&table.get("window")?, zone)
}

fn rate_of(table: &Table<'_>, over: Over) -> Option<Rate> {
    rate::decode(&table.get("rate")?, over)
}

fn breaker(table: &Table<'_>) -> Breaker {
    table
        .get("breaker")
        .map_or(Said::Nothing, |field| breaker::decode(&field))
}
