//! Reading back the records of breakers, halts, extensions and notices.

use std::borrow::Cow;

use serde::Deserialize;

use super::change::{Change, Extension, agent, fields, need, run, server};
use super::circuits::Opened;
use crate::domain::{Amounts, Halt, HaltKind, NoticeKind, Scope};

#[derive(Deserialize)]
struct OfBreaker {
    server: String,
    tool: Option<String>,
    state: String,
    until_us: Option<i64>,
    reason: Option<String>,
}

pub(super) fn breaker(line: &str) -> Result<Change, String> {
    let said: OfBreaker = fields(line)?;
    let server = server(Some(&said.server))?;
    let scope = match said.tool {
        Some(tool) => Scope::Tool(server, tool.into()),
        None => Scope::Server(server),
    };
    match said.state.as_str() {
        "closed" => Ok(Change::BreakerClosed(scope)),
        "open" => {
            let opened = Opened {
                until: need("until_us", said.until_us)?,
                why: said.reason.unwrap_or_default(),
            };
            Ok(Change::BreakerOpened(scope, opened))
        }
        other => Err(format!("a breaker can't be `{other}`")),
    }
}

#[derive(Deserialize)]
struct OfHalt {
    halt: String,
    agent: String,
    run: String,
    at_us: i64,
    until_us: Option<i64>,
    reason: String,
}

pub(super) fn halt(line: &str) -> Result<Change, String> {
    let said: OfHalt = fields(line)?;
    let kinds = [HaltKind::Killed, HaltKind::Paused];
    let kind = kinds.into_iter().find(|kind| kind.word() == said.halt);
    Ok(Change::Halted(Halt {
        kind: need("halt", kind)?,
        agent: agent(Some(&said.agent))?,
        run: run(Some(&said.run))?,
        at: said.at_us,
        until: said.until_us,
        says: said.reason,
    }))
}

#[derive(Deserialize)]
struct OfAgent {
    agent: String,
}

pub(super) fn cleared(line: &str) -> Result<Change, String> {
    let said: OfAgent = fields(line)?;
    Ok(Change::Cleared(agent(Some(&said.agent))?))
}

#[derive(Deserialize)]
struct OfExtension {
    run: String,
    agent: String,
    added: Amounts,
    #[serde(default)]
    alone: bool,
    until_us: Option<i64>,
}

pub(super) fn extended(line: &str) -> Result<Change, String> {
    let said: OfExtension = fields(line)?;
    Ok(Change::Extended(Extension {
        run: run(Some(&said.run))?,
        agent: agent(Some(&said.agent))?,
        added: said.added,
        alone: said.alone.then_some(said.until_us),
    }))
}

#[derive(Deserialize)]
struct OfNotice<'a> {
    #[serde(borrow)]
    notice: Cow<'a, str>,
    #[serde(borrow)]
    about: Cow<'a, str>,
}

pub(super) fn noticed(line: &str) -> Result<Change, String> {
    let said: OfNotice<'_> = fields(line)?;
    let mut kinds = NoticeKind::ALL.into_iter();
    let forgotten = kinds.any(|kind| !kind.is_remembered() && kind.word() == said.notice);
    if forgotten {
        return Ok(Change::Nothing);
    }
    Ok(Change::Noticed(format!("{} {}", said.notice, said.about)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Notice;
    use crate::store::record_limits;

    #[test]
    fn notices_are_remembered_by_what_they_are_about_and_tries_of_others_are_not() {
        for kind in NoticeKind::ALL {
            let notice = Notice {
                kind,
                about: "run.cost".into(),
                says: "it is used up".into(),
            };
            let draft = record_limits::notice(&notice, None);
            let read = noticed(&format!("{{{}}}", draft.members)).unwrap();
            assert_eq!(read, draft.change);
            let expected = match kind {
                NoticeKind::Tripwire => Change::Nothing,
                other => Change::Noticed(format!("{} run.cost", other.word())),
            };
            assert_eq!(read, expected);
        }
    }
}
