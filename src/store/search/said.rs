//! What a record says, as far as questions ask about it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{domain::Fault, store::section::Seen, wire};

/// See the module.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) call: Option<Cow<'a, str>>,
    pub(super) run: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) server: Option<String>,
    pub(super) tool: Option<String>,
    pub(super) name: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) trace: Option<String>,
}

impl<'a> Said<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// When it says nothing at all: left out, it would be missing from an answer that looks
    /// whole.
    pub(super) fn of(seen: &Seen<'a>) -> Result<Self, Fault> {
        match serde_json::from_str(seen.line) {
            Ok(said) => Ok(said),
            Err(why) => Self::beside_what_cannot_be_read(seen.line).ok_or_else(|| {
                let seq = seen.placed.seq.get();
                Fault::new(format!("record {seq} is unreadable: {why}"))
            }),
        }
    }

    /// Member by member. What an agent or a server wrote into one of them must not hide the
    /// others: there were versions that left there what is no JSON.
    fn beside_what_cannot_be_read(line: &'a str) -> Option<Self> {
        let mut said = None;
        for (key, value) in wire::members(line) {
            let said: &mut Self = said.get_or_insert_default();
            let text = wire::unquote(value);
            // The first counts: what tollgate wrote stands before what others did.
            let Some(key) = wire::unquote(key) else {
                continue;
            };
            let place = match key.as_ref() {
                "call" => {
                    said.call = said.call.take().or(text);
                    continue;
                }
                "run" => &mut said.run,
                "agent" => &mut said.agent,
                "server" => &mut said.server,
                "tool" => &mut said.tool,
                "name" => &mut said.name,
                "tier" => &mut said.tier,
                "outcome" => &mut said.outcome,
                "trace" => &mut said.trace,
                _ => continue,
            };
            *place = place.take().or_else(|| text.map(Cow::into_owned));
        }
        said
    }
}
