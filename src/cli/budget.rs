//! `tollgate budget`: how limits stand.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::out::Out;
use super::resume::halted;
use super::scope::run_id;
use super::{Trouble, ask, beside_the_point};
use crate::control::{BreakerRow, Budget, BudgetQuery, LimitRow, Quantity, Question, Reply};
use crate::daemon::{Failure, Place};
use crate::domain::{AgentName, Dimension, RunId};

/// Show every limit: what is used and left, when it resets, when it is full
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Times are UTC. RESETS says when the period ends; `from`, when the oldest use of
the last so many hours begins to be forgotten. FULL says when the limit is used
up at this pace, if that is before it resets.")]
pub(super) struct Args {
    /// Only the limits of this agent and of its runs
    #[arg(long, value_name = "AGENT", value_parser = AgentName::parse, allow_hyphen_values = true)]
    agent: Option<AgentName>,

    /// Only the limits of this run
    #[arg(long, value_name = "RUN", value_parser = run_id, conflicts_with_all = ["agent", "all"])]
    run: Option<RunId>,

    /// Also runs without a call in the last hour
    #[arg(long)]
    all: bool,

    /// One JSON object per limit, breaker and halt; quantities also exactly:
    /// money in millionths, times in microseconds
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let budget = budget(
        place,
        BudgetQuery {
            agent: args.agent.clone(),
            run: args.run.clone(),
            all: args.all,
        },
    )?;
    match args.json {
        true => json(&budget, out)?,
        false => out.steps(lines(&budget, args.agent.as_ref()))?,
    }
    Ok(())
}

/// How the limits stand that are asked for.
pub(super) fn budget(place: &Place, query: BudgetQuery) -> Result<Budget, Failure> {
    match ask(place, Question::Budget(query))? {
        Reply::Budget(budget) => Ok(budget),
        _ => Err(beside_the_point()),
    }
}

fn json(budget: &Budget, out: &mut Out) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        what: &'static str,
        #[serde(flatten)]
        row: &'a T,
    }
    let Budget {
        limits,
        breakers,
        halts,
        at: _,
        currency: _,
    } = budget;
    for row in limits {
        out.json(&Line { what: "limit", row })?;
    }
    for row in breakers {
        let what = "breaker";
        out.json(&Line { what, row })?;
    }
    for row in halts {
        out.json(&Line { what: "halt", row })?;
    }
    Ok(())
}

/// `agent` is whose limits were asked for, if not all.
fn lines(budget: &Budget, agent: Option<&AgentName>) -> Vec<String> {
    let Budget {
        at,
        limits,
        breakers,
        halts,
        currency: _,
    } = budget;
    let mut lines = table(limits, *at);
    if limits.is_empty() {
        lines.push(match agent {
            Some(agent) => format!("agent `{agent}` has no limits of its own, and no run to show"),
            None => "no limits are in force".to_owned(),
        });
        if agent.is_some() {
            lines.push("  what holds for everybody holds for it: tollgate budget".to_owned());
        }
    } else if limits.iter().all(|row| row.period == "action") {
        lines.push("no limit counts over a time".to_owned());
    } else if limits.iter().all(is_unused) {
        lines.push("nothing is used yet".to_owned());
    }
    if !breakers.is_empty() {
        lines.push("left alone".to_owned());
    }
    for breaker in breakers {
        lines.push(format!("  {}", left_alone(breaker, *at)));
    }
    if !halts.is_empty() {
        lines.push("halted".to_owned());
    }
    for halt in halts {
        lines.push(format!("  {}", halted(halt)));
        lines.push(format!(
            "    lift it with: tollgate resume --agent {}",
            halt.agent
        ));
    }
    lines
}

fn is_unused(row: &LimitRow) -> bool {
    row.used.exact == 0 && row.reserved.exact == 0
}

const HEAD: [&str; 7] = [
    "LIMIT",
    "ALLOWED",
    "USED",
    "RESERVED",
    "LEFT",
    "RESETS (UTC)",
    "FULL (UTC)",
];

/// The limits in aligned columns, below what they are limits of.
fn table(limits: &[LimitRow], now: Timestamp) -> Vec<String> {
    let head = HEAD.map(str::to_owned);
    let rows: Vec<(String, [String; 7])> = limits
        .iter()
        .map(|row| (subject(row), cells(row, now)))
        .collect();
    let all = || std::iter::once(&head).chain(rows.iter().map(|(_, cells)| cells));
    // A column that says nothing takes no room.
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            let mut cells = all().skip(1).filter_map(|cells| cells.get(column));
            match cells.any(|cell| !cell.is_empty()) {
                true => {
                    let cells = all().filter_map(|cells| cells.get(column));
                    let widths = cells.map(|cell| cell.chars().count());
                    widths.max().unwrap_or(0)
                }
                false => 0,
            }
        })
        .collect();
    let line = |cells: &[String; 7]| {
        let cells = cells.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        format!("  {}", line.trim_end())
    };
    let mut lines = Vec::new();
    let mut above: Option<&str> = None;
    for (subject, cells) in &rows {
        if above.is_none() {
            lines.push(line(&head));
        }
        if above != Some(subject.as_str()) {
            lines.push(subject.clone());
            above = Some(subject.as_str());
        }
        lines.push(line(cells));
    }
    lines
}

/// What a limit is a limit of.
fn subject(row: &LimitRow) -> String {
    let Some(run) = &row.run else {
        return row.scope.clone();
    };
    let agent = row.agent.as_ref();
    let agent = agent.map(|agent| format!(" of agent {agent}"));
    let part = part(row).map(|part| format!(", {part}"));
    format!(
        "run {run}{}{}",
        agent.unwrap_or_default(),
        part.unwrap_or_default()
    )
}

/// The server or tool whose calls alone a limit of a run counts.
fn part(row: &LimitRow) -> Option<&str> {
    let whole = row.run.is_none() || row.scope == "everything" || row.scope.starts_with("agent ");
    (!whole).then_some(row.scope.as_str())
}

/// The name of a limit, with the part of the run that it counts.
pub(super) fn name(row: &LimitRow) -> String {
    match part(row) {
        None => row.limit.clone(),
        Some(part) => format!("{} of {part}", row.limit),
    }
}

/// A quantity below the name of its limit, which says what is counted.
fn short(row: &LimitRow, quantity: &Quantity) -> String {
    match Dimension::parse(&row.dimension) {
        Some(
            Dimension::Steps
            | Dimension::Calls
            | Dimension::Count
            | Dimension::Bytes
            | Dimension::Tokens,
        ) => quantity.exact.to_string(),
        Some(Dimension::Time | Dimension::Elapsed | Dimension::Cost | Dimension::Amount) | None => {
            quantity.text.clone()
        }
    }
}

fn cells(row: &LimitRow, now: Timestamp) -> [String; 7] {
    let empty = String::new;
    let allowed = match row.added.exact {
        0 => short(row, &row.allowed),
        _ => format!("{} (+{})", short(row, &row.allowed), short(row, &row.added)),
    };
    // One call is measured by itself: nothing of it is used.
    if row.period == "action" {
        let resets = "each call".to_owned();
        return [
            row.limit.clone(),
            allowed,
            empty(),
            empty(),
            empty(),
            resets,
            empty(),
        ];
    }
    let resets = row.resets.map(|at| match row.rolling {
        true => format!("from {}", clock(at, now)),
        false => clock(at, now),
    });
    [
        row.limit.clone(),
        allowed,
        short(row, &row.used),
        match row.reserved.exact {
            0 => empty(),
            _ => short(row, &row.reserved),
        },
        match row.left.exact {
            0 => "NOTHING".to_owned(),
            _ => short(row, &row.left),
        },
        resets.unwrap_or_default(),
        row.full.map(|at| clock(at, now)).unwrap_or_default(),
    ]
}

/// A moment as a clock shows it; on another day with the day.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let time = format!("{:02}:{:02}", at.hour(), at.minute());
    match at.date() == now.date() {
        true => time,
        false => format!("{:02}-{:02} {time}", at.month(), at.day()),
    }
}

/// One open breaker in one line.
pub(super) fn left_alone(row: &BreakerRow, now: Timestamp) -> String {
    let until = match row.until > now {
        true => format!("until {}", clock(row.until, now)),
        false => "the next call may try".to_owned(),
    };
    format!("{}  {until}  {}", row.scope, row.says)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::HaltRow;
    use crate::domain::{Currency, Period};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(in crate::cli) fn row(
        scope: &str,
        (period, dimension): (Period, Dimension),
        [allowed, used, reserved]: [u64; 3],
    ) -> LimitRow {
        let quantity = |exact| Quantity {
            exact,
            text: dimension.show(exact, Currency::USD),
        };
        LimitRow {
            scope: scope.into(),
            run: None,
            agent: None,
            limit: format!("{}.{}", period.name(), dimension.name()),
            dimension: dimension.name().into(),
            period: period.name().into(),
            then: "refuse".into(),
            allowed: quantity(allowed),
            added: quantity(0),
            used: quantity(used),
            reserved: quantity(reserved),
            left: quantity(allowed.saturating_sub(used + reserved)),
            rolling: false,
            resets: None,
            full: None,
            rule: None,
        }
    }

    pub(in crate::cli) fn of_run(mut row: LimitRow) -> LimitRow {
        row.run = RunId::parse("r-7Q2K");
        row.agent = AgentName::parse("dev").ok();
        row
    }

    pub(in crate::cli) fn halt() -> HaltRow {
        HaltRow {
            halt: "killed".into(),
            agent: AgentName::parse("dev").unwrap(),
            run: RunId::parse("r-7Q2K").unwrap(),
            at: at("2026-11-20T16:05:10Z"),
            until: Some(at("2026-11-21T16:05:10Z")),
            says: "the run is ended as a loop: 50 times the same call in a row".into(),
        }
    }

    fn afternoon() -> Budget {
        use Dimension::{Amount, Calls, Cost, Steps, Time};
        let mut hour = row("everything", (Period::Hour, Cost), [10_000_000, 300_000, 0]);
        hour.rolling = true;
        hour.resets = Some(at("2026-11-20T17:02:00Z"));
        let mut day = row(
            "everything",
            (Period::Day, Cost),
            [40_000_000, 32_000_000, 300_000],
        );
        day.resets = Some(at("2026-11-21T00:00:00Z"));
        day.full = Some(at("2026-11-20T19:54:11Z"));
        let mut calls = of_run(row("everything", (Period::Run, Calls), [60, 60, 0]));
        calls.added.exact = 10;
        calls.added.text = "10 calls".into();
        Budget {
            at: at("2026-11-20T16:06:00Z"),
            currency: "USD".into(),
            limits: vec![
                row("everything", (Period::Action, Cost), [5_000_000, 0, 0]),
                hour,
                day,
                row(
                    "payments.create_refund",
                    (Period::Month, Amount),
                    [500_000_000, 0, 48_100_000],
                ),
                of_run(row("everything", (Period::Run, Steps), [25, 4, 0])),
                calls,
                of_run(row(
                    "everything",
                    (Period::Run, Time),
                    [120_000_000, 1_250_000, 0],
                )),
                of_run(row("server payments", (Period::Run, Calls), [5, 1, 0])),
            ],
            breakers: vec![
                BreakerRow {
                    scope: "payments.refund".into(),
                    until: at("2026-11-20T16:07:03Z"),
                    says: "it failed 3 times within 60 s".into(),
                },
                BreakerRow {
                    scope: "server mail".into(),
                    until: at("2026-11-20T16:05:03Z"),
                    says: "the server asked to be left alone".into(),
                },
            ],
            halts: vec![halt()],
        }
    }

    #[test]
    fn an_afternoon_of_limits() {
        insta::assert_snapshot!(lines(&afternoon(), None).join("\n"));
    }

    #[test]
    fn before_the_first_call_nothing_is_used() {
        let mut budget = afternoon();
        budget.limits.truncate(1);
        budget.breakers.clear();
        budget.halts.clear();
        assert!(lines(&budget, None).ends_with(&["no limit counts over a time".to_owned()]));
        budget.limits = vec![row(
            "everything",
            (Period::Day, Dimension::Calls),
            [9, 0, 0],
        )];
        insta::assert_snapshot!(lines(&budget, None).join("\n"));
        budget.limits.clear();
        assert_eq!(lines(&budget, None), ["no limits are in force"]);
        // That holds for everybody, not for the one that was asked for.
        let dev = AgentName::parse("dev").unwrap();
        assert_eq!(
            lines(&budget, Some(&dev)),
            [
                "agent `dev` has no limits of its own, and no run to show",
                "  what holds for everybody holds for it: tollgate budget"
            ]
        );
    }
}
