//! `tollgate runs extend`: another helping for a run, after asking.

use std::time::Duration;

use super::budget::{budget, name};
use super::out::Out;
use super::resume::halted;
use super::scope::run_id;
use super::{Trouble, ask, beside_the_point, person};
use crate::config::{parse_duration, show_duration};
use crate::control::{Alone, Budget, BudgetQuery, ExtendOrder, Extended, Question, Reply};
use crate::daemon::{Failure, FailureKind, Place};
use crate::domain::money::{MICROS, parse_money, show_money};
use crate::domain::{Amounts, Currency, Dimension, RunId};

/// Add to the limits of a run, or let its agent go on without a person
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without anything to add, the agent may go on without a person for as long as
usual. Only limits of the run itself are added to: those of an hour, a day and
a month stay as they are.")]
pub(super) struct Args {
    /// Which run
    #[arg(value_name = "RUN", value_parser = run_id)]
    run: RunId,

    /// So many turns
    #[arg(long, value_name = "N", value_parser = some())]
    steps: Option<u64>,

    /// So many calls
    #[arg(long, value_name = "N", value_parser = some())]
    calls: Option<u64>,

    /// So much time for tools to work: 60s, 10m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,

    /// So much time for the run to last: 10m, 1h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    elapsed: Option<Duration>,

    /// So much money for calls to cost: "1.00 USD"
    #[arg(long, value_name = "MONEY", value_parser = money)]
    cost: Option<(u64, Currency)>,

    /// So much money for calls to move: "500.00 USD"
    #[arg(long, value_name = "MONEY", value_parser = money)]
    amount: Option<(u64, Currency)>,

    /// So many things for calls to touch
    #[arg(long, value_name = "N", value_parser = some())]
    count: Option<u64>,

    /// So many tokens of the model
    #[arg(long, value_name = "N", value_parser = some())]
    tokens: Option<u64>,

    /// So many bytes of answers
    #[arg(long, value_name = "N", value_parser = some())]
    bytes: Option<u64>,

    /// Let the agent go on without a person for so long: 2h
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    alone: Option<Duration>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// More than any run can use.
const MOST: u64 = 1_000_000_000_000;

fn some() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=MOST)
}

fn money(text: &str) -> Result<(u64, Currency), String> {
    match parse_money(text)? {
        (0, _) => Err("this would add nothing".to_owned()),
        (micros, _) if micros / MICROS > MOST => {
            Err("this is more than any run can use".to_owned())
        }
        some => Ok(some),
    }
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let run = &args.run;
    let of_run = || BudgetQuery {
        run: Some(run.clone()),
        ..BudgetQuery::default()
    };
    let before = budget(place, of_run())?;
    let currency = args.currency(&before)?;
    let (added, vain) = limited(&before, &args.added());
    out.lines(vain.iter().map(|dimension| in_vain(run, *dimension)))?;
    if !vain.is_empty() && added.is_zero() && args.alone.is_none() {
        return Ok(out.line("nothing changed: nothing of this is limited")?);
    }
    let alone = match args.alone {
        Some(long) => Some(Alone::For(micros(long))),
        None => added.is_zero().then_some(Alone::AsUsual),
    };
    out.lines(asked(run, &before, &added, args.alone, currency))?;
    person::make_sure(args.yes, "add this?", "nothing is added", out)?;
    let order = ExtendOrder {
        run: run.clone(),
        added,
        alone,
        by: person::name(),
    };
    let Reply::Extended(extended) = ask(place, Question::Extend(order))? else {
        return Err(beside_the_point().into());
    };
    let after = budget(place, of_run())?;
    let went_on = alone.is_some();
    Ok(out.steps(told(run, &after, &added, &extended, went_on, currency))?)
}

impl Args {
    fn added(&self) -> Amounts {
        let of = |money: &Option<(u64, Currency)>| money.map(|(micros, _)| micros);
        let mut added = Amounts::ZERO;
        for (dimension, quantity) in [
            (Dimension::Steps, self.steps),
            (Dimension::Calls, self.calls),
            (Dimension::Time, self.time.map(micros)),
            (Dimension::Elapsed, self.elapsed.map(micros)),
            (Dimension::Cost, of(&self.cost)),
            (Dimension::Amount, of(&self.amount)),
            (Dimension::Count, self.count),
            (Dimension::Bytes, self.bytes),
            (Dimension::Tokens, self.tokens),
        ] {
            added.set(dimension, quantity.unwrap_or_default());
        }
        added
    }

    /// The currency that counts; money in another one cannot be added.
    fn currency(&self, budget: &Budget) -> Result<Currency, Failure> {
        let counts = Currency::parse(&budget.currency).ok_or_else(beside_the_point)?;
        for (micros, given) in [self.cost, self.amount].into_iter().flatten() {
            if given != counts {
                return Err(Failure::new(
                    FailureKind::Usage,
                    format!(
                        "{} is in {given}, but {counts} counts here",
                        show_money(micros, given)
                    ),
                )
                .hint(
                    "one currency counts, and nothing is converted: `currency` in tollgate.toml",
                ));
            }
        }
        Ok(counts)
    }
}

fn micros(long: Duration) -> u64 {
    u64::try_from(long.as_micros()).unwrap_or(u64::MAX)
}

/// Of what is to be added that which counts towards a limit of the run, and the rest.
fn limited(before: &Budget, added: &Amounts) -> (Amounts, Vec<Dimension>) {
    let (mut some, mut vain) = (Amounts::ZERO, Vec::new());
    for (dimension, quantity) in added.nonzero() {
        match before
            .limits
            .iter()
            .any(|row| row.dimension == dimension.name())
        {
            true => some.set(dimension, quantity),
            false => vain.push(dimension),
        }
    }
    (some, vain)
}

fn in_vain(run: &RunId, dimension: Dimension) -> String {
    format!(
        "run.{} of run {run} is not limited: there is nothing to add to",
        dimension.name()
    )
}

/// What will be added, and to what.
fn asked(
    run: &RunId,
    before: &Budget,
    added: &Amounts,
    alone: Option<Duration>,
    currency: Currency,
) -> Vec<String> {
    let mut lines = vec![match added.is_zero() {
        true => format!("run {run}"),
        false => format!("run {run}: to add {}", shown(added, currency)),
    }];
    lines.extend(standing(before, added));
    match alone {
        Some(long) => lines.push(format!(
            "  its agent may go on without a person for {} from now on",
            show_duration(long)
        )),
        None if added.is_zero() => {
            lines.push("  its agent may go on without a person for as long as usual".to_owned());
        }
        None => {}
    }
    lines
}

/// What was added, and what is left now.
fn told(
    run: &RunId,
    after: &Budget,
    added: &Amounts,
    extended: &Extended,
    went_on: bool,
    currency: Currency,
) -> Vec<String> {
    let agent = &extended.agent;
    let mut lines = Vec::new();
    if !added.is_zero() {
        lines.push(format!(
            "added to run {run} of agent {agent}: {}",
            shown(added, currency)
        ));
        lines.extend(standing(after, added));
    }
    match extended.alone_until {
        Some(until) => lines.push(format!(
            "agent {agent} may go on without a person until {until:.0}"
        )),
        None if went_on => lines.push(format!(
            "nothing limits how long agent {agent} goes on without a person"
        )),
        None => {}
    }
    for halt in &after.halts {
        lines.push(format!("still halted: {}", halted(halt)));
        lines.push(format!(
            "  lift it with: tollgate resume --agent {}",
            halt.agent
        ));
    }
    lines
}

fn shown(added: &Amounts, currency: Currency) -> String {
    let parts: Vec<String> = added
        .nonzero()
        .map(|(dimension, quantity)| match dimension {
            Dimension::Cost => format!("{} of cost", dimension.show(quantity, currency)),
            Dimension::Amount => format!("{} of amount", dimension.show(quantity, currency)),
            Dimension::Time => format!("{} of time", dimension.show(quantity, currency)),
            Dimension::Elapsed => format!("{} until it ends", dimension.show(quantity, currency)),
            Dimension::Steps
            | Dimension::Calls
            | Dimension::Count
            | Dimension::Bytes
            | Dimension::Tokens => dimension.show(quantity, currency),
        })
        .collect();
    parts.join(", ")
}

/// The limits that are added to.
fn standing(budget: &Budget, added: &Amounts) -> Vec<String> {
    let touched = |dimension: &str| {
        Dimension::parse(dimension).is_some_and(|dimension| added.get(dimension) > 0)
    };
    budget
        .limits
        .iter()
        .filter(|row| touched(&row.dimension))
        .map(|row| {
            format!(
                "  {}  {} of {} used, {} left",
                name(row),
                row.used.text,
                row.allowed.text,
                row.left.text
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::budget::tests::{halt, of_run, row};
    use crate::domain::{AgentName, Period};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &[&str]) -> Result<Args, clap::Error> {
        let words = ["extend", "r-7q2k"].iter().chain(line);
        <Line as clap::Parser>::try_parse_from(words).map(|line| line.args)
    }

    fn budget(allowed: u64) -> Budget {
        let calls = (Period::Run, Dimension::Calls);
        Budget {
            at: "2026-11-20T16:06:00Z".parse().unwrap(),
            currency: "USD".into(),
            limits: vec![of_run(row("everything", calls, [allowed, 50, 0]))],
            breakers: vec![],
            halts: vec![],
        }
    }

    #[test]
    fn a_helping_is_told_before_and_after() {
        let args = args(&["--calls", "10", "--tokens", "5", "--for", "2h"]).unwrap();
        let (before, mut after) = (budget(50), budget(60));
        let currency = args.currency(&before).unwrap();
        let (added, vain) = limited(&before, &args.added());
        assert_eq!(added, Amounts::ZERO.with(Dimension::Calls, 10));
        assert_eq!(vain, [Dimension::Tokens]);
        let vain = vain.iter().map(|dimension| in_vain(&args.run, *dimension));
        let mut lines: Vec<String> = vain.collect();
        lines.extend(asked(&args.run, &before, &added, args.alone, currency));
        after.halts.push(halt());
        let extended = Extended {
            agent: AgentName::parse("dev").unwrap(),
            alone_until: Some("2026-11-20T18:06:00.5Z".parse().unwrap()),
        };
        lines.extend(told(&args.run, &after, &added, &extended, true, currency));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn without_anything_to_add_the_agent_goes_on() {
        let args = args(&[]).unwrap();
        let lines = asked(
            &args.run,
            &budget(50),
            &args.added(),
            args.alone,
            Currency::USD,
        );
        assert_eq!(
            lines,
            [
                "run r-7Q2K",
                "  its agent may go on without a person for as long as usual"
            ]
        );
    }

    #[test]
    fn only_the_money_that_counts_can_be_added() {
        let args = args(&["--cost", "1.00 EUR"]).unwrap();
        let refused = args.currency(&budget(50)).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Usage);
        assert_eq!(refused.message, "1.00 EUR is in EUR, but USD counts here");
    }

    #[test]
    fn neither_nothing_nor_everything_can_be_added() {
        for line in [
            ["--calls", "0"],
            ["--calls", "-1"],
            ["--cost", "0.00 USD"],
            ["--cost", "1"],
            ["--time", "0s"],
            ["--for", "soon"],
            ["--calls", "18446744073709551615"],
            ["--cost", "18446744073709.00 USD"],
        ] {
            assert!(args(&line).is_err(), "{line:?}");
        }
    }
}
