//! How a record is written: its members, one after another, as JSON.

use super::{change::PinKey, redact::Bounded};
use crate::{
    domain::{Amounts, Currency, Fingerprint, Left, Place, StopScope},
    wire,
};

/// The members of a record, one after another.
#[derive(Debug)]
pub(super) struct Members(pub(super) String);

impl Members {
    pub(super) fn with(capacity: usize) -> Self {
        Self(String::with_capacity(capacity))
    }

    pub(super) fn key(&mut self, key: &str) {
        self.0
            .push_str(if self.0.is_empty() { "\"" } else { ",\"" });
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// A value that is JSON.
    pub(super) fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// A value that may have been cut, and then how long it was.
    pub(super) fn bounded(&mut self, key: &str, bytes: &str, value: &Bounded) {
        if let Some(full) = value.cut_from {
            self.number(bytes, full);
        }
        self.raw(key, &value.json);
    }

    /// That something is so; nothing when it is not.
    pub(super) fn flag(&mut self, key: &str, is_so: bool) {
        if is_so {
            self.raw(key, "true");
        }
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        wire::quote_into(text, &mut self.0);
    }

    /// As its own `Display` writes it, only faster.
    pub(super) fn print(&mut self, key: &str, print: &Fingerprint) {
        self.text(key, &blake3::Hash::from_bytes(print.0).to_hex());
    }

    /// What stands in other members.
    pub(super) fn append(&mut self, other: &Members) {
        if !self.0.is_empty() && !other.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0);
    }

    /// Which of a server and its tool.
    pub(super) fn pair(&mut self, key: &str, (server, tool): (bool, bool)) {
        match (server, tool) {
            (false, false) => {}
            (true, false) => self.text(key, "server"),
            (false, true) => self.text(key, "tool"),
            (true, true) => self.text(key, "server, tool"),
        }
    }

    pub(super) fn amounts(&mut self, key: &str, amounts: &Amounts) {
        self.key(key);
        self.0.push('{');
        for (nth, (dimension, quantity)) in amounts.nonzero().enumerate() {
            self.0.push_str(if nth == 0 { "\"" } else { ",\"" });
            self.0.push_str(dimension.name());
            self.0.push_str("\":");
            self.0.push_str(itoa::Buffer::new().format(quantity));
        }
        self.0.push('}');
    }

    /// What is left of the limits.
    pub(super) fn left(&mut self, key: &str, left: &Left, currency: Currency) {
        self.key(key);
        left.write_json(currency, &mut self.0);
    }

    pub(super) fn number(&mut self, key: &str, number: impl itoa::Integer) {
        self.key(key);
        self.0.push_str(itoa::Buffer::new().format(number));
    }

    pub(super) fn milliseconds(&mut self, key: &str, time: std::time::Duration) {
        let micros = time.as_micros();
        self.number(key, micros / 1000);
        // Three digits: those of the rest behind a leading one.
        let mut digits = itoa::Buffer::new();
        let three = digits.format(1000 + micros % 1000).get(1..);
        self.0.push('.');
        self.0.push_str(three.unwrap_or_default());
    }

    /// Where a rule stands.
    pub(super) fn place(&mut self, key: &str, place: &Place) {
        let mut at = String::with_capacity(place.file.len() + 8);
        at.push_str(&place.file);
        at.push(':');
        at.push_str(itoa::Buffer::new().format(place.line));
        self.text(key, &at);
    }

    pub(super) fn scope(&mut self, scope: &StopScope) {
        match scope {
            StopScope::Everything => self.text("scope", "everything"),
            StopScope::Agent(agent) => {
                self.text("scope", "agent");
                self.text("agent", agent.as_str());
            }
            StopScope::Server(server) => {
                self.text("scope", "server");
                self.text("server", server.as_str());
            }
            StopScope::Run(run) => {
                self.text("scope", "run");
                self.text("run", run.as_str());
            }
        }
    }

    pub(super) fn pin(&mut self, key: &PinKey) {
        self.text("server", key.server.as_str());
        self.text("tool", &key.tool);
    }
}
