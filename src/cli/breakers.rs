//! `tollgate breakers`: what is left alone after failures, and an end to that.

use jiff::Timestamp;

use super::budget::{budget, left_alone};
use super::out::Out;
use super::{Trouble, ask, beside_the_point, person};
use crate::clock::{Clock, SystemClock};
use crate::control::{BreakerRow, BudgetQuery, CloseOrder, Question, Reply};
use crate::daemon::Place;

/// List the tools and servers that are left alone after failures, close a breaker
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,

    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Let calls pass again before the time is over
    Close {
        /// The server or tool that is left alone
        #[arg(value_name = "SERVER[.TOOL]", allow_hyphen_values = true)]
        subject: String,

        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let open = budget(place, BudgetQuery::default())?.breakers;
    let now = SystemClock::new().now();
    match &args.what {
        Some(What::Close { subject, yes }) => close(place, subject, *yes, &open, now, out),
        None if args.json => Ok(open.iter().try_for_each(|row| out.json(row))?),
        None => Ok(out.steps(listed(&open, now))?),
    }
}

fn listed(open: &[BreakerRow], now: Timestamp) -> Vec<String> {
    if open.is_empty() {
        return vec!["nothing is left alone".to_owned()];
    }
    let mut lines: Vec<String> = open.iter().map(|row| left_alone(row, now)).collect();
    lines.push("let calls pass again: tollgate breakers close SERVER[.TOOL]".to_owned());
    lines
}

fn close(
    place: &Place,
    subject: &str,
    yes: bool,
    open: &[BreakerRow],
    now: Timestamp,
    out: &mut Out,
) -> Result<(), Trouble> {
    let Some(row) = named(open, subject) else {
        out.line(format_args!(
            "nothing to close: {subject} is not left alone"
        ))?;
        return Ok(out.steps(listed(open, now))?);
    };
    out.line(left_alone(row, now))?;
    let stays = "it is left alone until then";
    person::make_sure(yes, "close this breaker?", stays, out)?;
    let order = CloseOrder {
        scope: row.scope.clone(),
        by: person::name(),
    };
    let scope = &row.scope;
    match ask(place, Question::CloseBreaker(order))? {
        Reply::BreakerClosed { closed: true } => {
            out.line(format_args!("closed: {scope} is not left alone any more"))?;
            Ok(out.steps(beside(open, row, now))?)
        }
        Reply::BreakerClosed { closed: false } => {
            Ok(out.line(format_args!("{scope} is not left alone any more"))?)
        }
        _ => Err(beside_the_point().into()),
    }
}

/// What is left alone all the same of what was closed: its tools, or the server that it is of.
fn beside(open: &[BreakerRow], closed: &BreakerRow, now: Timestamp) -> Vec<String> {
    let server = |row: &BreakerRow| {
        row.scope
            .strip_prefix("server ")
            .map(|name| format!("{name}."))
    };
    let is_of = |tool: &BreakerRow, of: &BreakerRow| {
        server(of).is_some_and(|of| server(tool).is_none() && tool.scope.starts_with(&of))
    };
    let open = open
        .iter()
        .filter(|row| is_of(row, closed) || is_of(closed, row));
    open.flat_map(|row| {
        let name = row.scope.strip_prefix("server ").unwrap_or(&row.scope);
        [
            format!("still left alone: {}", left_alone(row, now)),
            format!("  close it with: tollgate breakers close {name}"),
        ]
    })
    .collect()
}

/// The one that a person names: a server, or a tool by the server's own name for it. The
/// names of both may hold dots, so it is told by what is open.
fn named<'a>(open: &'a [BreakerRow], subject: &str) -> Option<&'a BreakerRow> {
    let server = format!("server {subject}");
    let with = |scope: &str| open.iter().find(|row| row.scope == scope);
    with(&server).or_else(|| with(subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_is_a_servers_or_a_tools() {
        let row = |scope: &str| BreakerRow {
            scope: scope.to_owned(),
            until: Timestamp::UNIX_EPOCH,
            says: String::new(),
        };
        let open = ["mail.send", "server mail.send", "mail.send.now"].map(row);
        let scope = |subject| named(&open, subject).map(|row| row.scope.as_str());
        assert_eq!(scope("mail.send"), Some("server mail.send"));
        assert_eq!(scope("mail.send.now"), Some("mail.send.now"));
        assert_eq!(scope("mail"), None);
    }

    #[test]
    fn who_closes_one_breaker_is_told_what_is_left_alone_all_the_same() {
        let row = |scope: &str| BreakerRow {
            scope: scope.to_owned(),
            until: Timestamp::UNIX_EPOCH,
            says: "failed".to_owned(),
        };
        let open = ["server mail", "mail.send", "server mails", "mails.send"].map(row);
        let told = |closed: usize| beside(&open, &open[closed], Timestamp::UNIX_EPOCH).join("\n");
        assert_eq!(
            told(0),
            "still left alone: mail.send  the next call may try  failed\n  \
             close it with: tollgate breakers close mail.send"
        );
        assert_eq!(
            told(1),
            "still left alone: server mail  the next call may try  failed\n  \
             close it with: tollgate breakers close mail"
        );
    }
}
