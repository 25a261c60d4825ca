//! Reading the records of calls back.
//!
//! A start reads these by the million: they are read up to the last key that is
//! wanted, which stands before the arguments, and without building anything.

use std::borrow::Cow;

use super::{
    change::{Attempt, Change, Closing, OpenCall, agent, need, run, server},
    conduct,
};
use crate::{
    domain::{Amounts, CallId, Dimension, Fingerprint},
    wire,
};

/// What a record of a call says, as far as it matters.
#[derive(Default)]
struct Said<'a> {
    call: Option<Cow<'a, str>>,
    run: Option<Cow<'a, str>>,
    agent: Option<Cow<'a, str>>,
    server: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    is_tool: bool,
    digest: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    outcome: Option<Cow<'a, str>>,
    probe: Option<Cow<'a, str>>,
    charge: Option<&'a str>,
    step: Option<u64>,
    turn: Option<u64>,
    round: Option<u64>,
    trouble: Option<Cow<'a, str>>,
    cancelled: bool,
}

impl<'a> Said<'a> {
    fn read(line: &'a str) -> Self {
        let mut said = Self::default();
        for (key, value) in wire::members(line) {
            let text = match key {
                r#""call""# => &mut said.call,
                r#""run""# => &mut said.run,
                r#""agent""# => &mut said.agent,
                r#""server""# => &mut said.server,
                r#""digest""# => &mut said.digest,
                r#""code""# => &mut said.code,
                r#""outcome""# => &mut said.outcome,
                r#""probe""# => &mut said.probe,
                r#""trouble""# => &mut said.trouble,
                r#""charge""# | r#""charged""# => {
                    said.charge = Some(value);
                    continue;
                }
                r#""cancelled""# => {
                    said.cancelled = value == "true";
                    continue;
                }
                r#""step""# => {
                    said.step = value.parse().ok();
                    continue;
                }
                r#""turn""# => {
                    said.turn = value.parse().ok();
                    continue;
                }
                r#""round""# => {
                    said.round = value.parse().ok();
                    continue;
                }
                // The last that is wanted: arguments and results come behind.
                r#""tool""# | r#""name""# => {
                    said.is_tool = key == r#""tool""#;
                    said.name = wire::unquote(value);
                    break;
                }
                r#""result""# | r#""asks""# => break,
                _ => continue,
            };
            *text = wire::unquote(value);
        }
        said
    }

    fn call(&self) -> Result<CallId, String> {
        need("call", self.call.as_deref().and_then(CallId::parse))
    }

    fn attempt(&self) -> u64 {
        let digest = self.digest.as_deref().and_then(Fingerprint::parse);
        digest.map_or(0, |digest| conduct::attempt(&digest, self.round))
    }

    fn amounts(&self) -> Result<Option<Amounts>, String> {
        let Some(text) = self.charge else {
            return Ok(None);
        };
        let mut amounts = Amounts::ZERO;
        for (name, quantity) in wire::members(text) {
            let known = Dimension::parse(name.trim_matches('"'));
            let dimension = known.ok_or_else(|| format!("{name} is nothing that is counted"))?;
            amounts.set(dimension, need("charge", quantity.parse().ok())?);
        }
        Ok(Some(amounts))
    }
}

pub(super) fn opened(line: &str) -> Result<Change, String> {
    let said = Said::read(line);
    let open = OpenCall {
        run: run(said.run.as_deref())?,
        agent: agent(said.agent.as_deref())?,
        server: server(said.server.as_deref())?,
        name: need("tool", said.name.as_deref())?.into(),
        tool: said.is_tool,
        at: 0,
        charge: said.amounts()?.unwrap_or_default(),
        step: said.step.unwrap_or(0),
        turn: said.turn,
        attempt: said.attempt(),
        probes: pair(said.probe.as_deref()),
    };
    Ok(Change::Opened(said.call()?, open))
}

pub(super) fn asked(line: &str) -> Result<Change, String> {
    let said = Said::read(line);
    let more = said.amounts()?.unwrap_or_default();
    Ok(Change::Asked(said.call()?, run(said.run.as_deref())?, more))
}

pub(super) fn answered(line: &str) -> Result<Change, String> {
    let said = Said::read(line);
    Ok(Change::Answered(said.call()?, run(said.run.as_deref())?))
}

/// Which of the two a word names.
fn pair(said: Option<&str>) -> (bool, bool) {
    let said = said.unwrap_or_default();
    (said.contains("server"), said.contains("tool"))
}

pub(super) fn refused(line: &str) -> Result<Change, String> {
    let said = Said::read(line);
    // What an operator keeps back is not the agent's doing.
    let code = said.code.as_deref().unwrap_or_default();
    let attempt = (!super::record::is_kept_back(code)).then(|| said.attempt());
    let refused = Attempt {
        run: run(said.run.as_deref())?,
        agent: agent(said.agent.as_deref())?,
        attempt,
        cancelled: said.cancelled,
    };
    Ok(Change::Refused(said.call()?, refused))
}

pub(super) fn closed(line: &str) -> Result<Change, String> {
    let said = Said::read(line);
    let closing = Closing {
        charged: said.amounts()?,
        failed: match said.outcome.as_deref() {
            Some("done") => Some(false),
            Some("failed" | "unknown") => Some(true),
            Some(_) | None => None,
        },
        cancelled: said.cancelled,
        trouble: pair(said.trouble.as_deref()),
    };
    Ok(Change::Closed(said.call()?, closing))
}
