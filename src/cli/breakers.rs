//! `tollgate breakers`: what is left alone after failures, and an end to that.

use jiff::Timestamp;

use super::budget::{budget, left_alone};
use super::out::Out;
use super::{Trouble, ask, beside_the_point, person};
use crate::clock::{Clock, SystemClock};
use crate::control::{BreakerRow, BudgetQuery, CloseOrder, Question, Reply};
use crate::daemon::Place;
use crate::domain::ServerName;

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
        #[arg(value_name = "SERVER[.TOOL]", value_parser = Subject::parse)]
        subject: Subject,

        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// What has a breaker: a server, or a tool by the server's own name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    server: ServerName,
    tool: Option<String>,
}

impl Subject {
    fn parse(text: &str) -> Result<Self, String> {
        let (server, tool) = match text.split_once('.') {
            Some((_, "")) => return Err("the name of the tool is missing".to_owned()),
            Some((server, tool)) => (server, Some(tool.to_owned())),
            None => (text, None),
        };
        let server = ServerName::parse(server).map_err(|error| error.to_string())?;
        Ok(Self { server, tool })
    }

    /// As rows name it.
    fn scope(&self) -> String {
        match &self.tool {
            Some(tool) => format!("{}.{tool}", self.server),
            None => format!("server {}", self.server),
        }
    }
}

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let open = budget(place, BudgetQuery::default())?.breakers;
    let now = SystemClock::new().now();
    match &args.what {
        Some(What::Close { subject, yes }) => close(place, subject, *yes, &open, now, out),
        None if args.json => Ok(open.iter().try_for_each(|row| out.json(row))?),
        None => Ok(out.lines(listed(&open, now))?),
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
    subject: &Subject,
    yes: bool,
    open: &[BreakerRow],
    now: Timestamp,
    out: &mut Out,
) -> Result<(), Trouble> {
    let scope = subject.scope();
    let Some(row) = open.iter().find(|row| row.scope == scope) else {
        out.line(format_args!("nothing to close: {scope} is not left alone"))?;
        return Ok(out.lines(listed(open, now))?);
    };
    out.line(left_alone(row, now))?;
    if !person::is_sure(yes, "close this breaker?")? {
        return Ok(out.line("nothing changed: it is left alone until then")?);
    }
    let order = CloseOrder {
        server: subject.server.clone(),
        tool: subject.tool.clone(),
        by: person::name(),
    };
    match ask(place, Question::CloseBreaker(order))? {
        Reply::BreakerClosed { closed: true } => {
            Ok(out.line(format_args!("closed: calls to {scope} pass again"))?)
        }
        Reply::BreakerClosed { closed: false } => {
            Ok(out.line(format_args!("{scope} is not left alone any more"))?)
        }
        _ => Err(beside_the_point().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_is_a_servers_or_a_tools() {
        let scope = |text| Subject::parse(text).map(|subject| subject.scope());
        assert_eq!(scope("mail").unwrap(), "server mail");
        assert_eq!(scope("mail.send.now").unwrap(), "mail.send.now");
        assert!(scope("mail.").is_err() && scope("").is_err());
    }
}
