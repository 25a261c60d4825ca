//! The part of the store that keeps pins: under which definition each tool was accepted,
//! and what its server offers since.

use super::{
    change::{Definition, PinKey},
    ledger::Ledger,
    log::Log,
    record,
};
use crate::{
    domain::{Fault, Fingerprint, ServerName},
    ports::Pin,
    wire::Raw,
};

/// The most bytes of a definition that can be pinned.
const DEFINITION: usize = 512 << 10;
/// The most tools of one server that can be pinned, ever: a server may list half as
/// many, and give all of them another name once.
const PINS: usize = 40_000;
/// The most bytes of a tool's name.
const TOOL_NAME: usize = 512;

#[allow(
    private_bounds,
    reason = "what a log is stays inside: there are two of them, and both are here"
)]
impl<L: Log> Ledger<L> {
    /// A server offers this definition of a tool. Returns the one that is accepted: the
    /// first that was seen, or what a person accepted since.
    pub(super) fn offered(
        &self,
        server: &ServerName,
        tool: &str,
        definition: &Raw,
        fingerprint: Fingerprint,
    ) -> Result<Fingerprint, Fault> {
        let (placed, accepted) = {
            let mut section = self.section();
            let known = section.state.pinned(server, tool);
            let accepted = known.map(|pinned| pinned.accepted.print);
            let offered = known.and_then(|pinned| pinned.offered.as_ref());
            let offered = offered.map(|offered| offered.print);
            match accepted {
                Some(accepted) if accepted == fingerprint && offered.is_none() => {
                    return Ok(accepted);
                }
                Some(accepted) if offered == Some(fingerprint) => return Ok(accepted),
                Some(_) | None => {}
            }
            if accepted.is_none() && section.state.pin_count(server) >= PINS {
                return Err(Fault::new(format!(
                    "{PINS} tools of its server are known already, and none is forgotten; a server that is registered under another name begins anew"
                )));
            }
            let key = pin_key(server, tool)?;
            let draft = match accepted {
                None => record::pin(key, one_line(definition, fingerprint)?),
                Some(accepted) if accepted == fingerprint => record::pin_restored(key),
                Some(_) => record::pin_changed(key, one_line(definition, fingerprint)?),
            };
            let placed = self.commit(&mut section, draft, false)?;
            (placed, accepted.unwrap_or(fingerprint))
        };
        self.write(placed)?;
        Ok(accepted)
    }

    /// The definition that is accepted.
    pub(super) fn pin_text(&self, server: &ServerName, tool: &str) -> Option<Raw> {
        let section = self.section();
        let pinned = section.state.pinned(server, tool)?;
        Some(pinned.accepted.text.clone())
    }

    /// Every tool with a pin, by name.
    pub(super) fn pins_known(&self) -> Vec<Pin> {
        let section = self.section();
        let mut pins: Vec<Pin> = section
            .state
            .pins()
            .map(|(server, tool, pinned)| Pin {
                server: server.clone(),
                tool: tool.clone(),
                accepted: pinned.accepted.print,
                definition: pinned.accepted.text.clone(),
                since: pinned.since.clone(),
                by: pinned.by.clone(),
                offered: pinned.offered.as_ref().map(|offered| offered.text.clone()),
            })
            .collect();
        pins.sort_by(|a, b| (&a.server, &a.tool).cmp(&(&b.server, &b.tool)));
        pins
    }

    /// Accepts what a server offers, if it is still what the person has seen.
    pub(super) fn accepted(
        &self,
        server: &ServerName,
        tool: &str,
        seen: Fingerprint,
        by: &str,
    ) -> Result<bool, Fault> {
        let placed = {
            let mut section = self.section();
            let pinned = section.state.pinned(server, tool);
            let Some(offered) = pinned.and_then(|pinned| pinned.offered.as_ref()) else {
                return Ok(false);
            };
            if offered.print != seen {
                return Ok(false);
            }
            let draft = record::pin_accept(pin_key(server, tool)?, offered, by);
            self.commit(&mut section, draft, true)?
        };
        self.write(placed)?;
        self.log.sync()?;
        Ok(true)
    }
}

fn pin_key(server: &ServerName, tool: &str) -> Result<PinKey, Fault> {
    if tool.len() > TOOL_NAME {
        return Err(Fault::new(format!(
            "its name has more than {TOOL_NAME} bytes"
        )));
    }
    Ok(PinKey {
        server: server.clone(),
        tool: tool.to_owned(),
    })
}

/// A definition as it stands in a record: on one line, in memory of its own.
fn one_line(definition: &Raw, print: Fingerprint) -> Result<Definition, Fault> {
    let bytes = definition.bytes();
    if bytes.len() > DEFINITION {
        return Err(Fault::new(format!(
            "its definition has {} bytes, more than the {DEFINITION} allowed",
            bytes.len()
        )));
    }
    // In valid JSON a raw line break is only ever white space.
    let line = |byte: &u8| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    };
    let text: Vec<u8> = bytes.iter().map(line).collect();
    Ok(Definition {
        print,
        text: Raw::trusted(text.into()),
    })
}
