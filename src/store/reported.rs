//! What a client says of itself, in the `_meta` of a call, as it is recorded.

use super::{members::Members, redact};
use crate::wire::{self, Raw};

/// The most bytes of one key of it.
const REPORTED: usize = 256;

/// What the client says of itself, as it stands in `_meta`.
#[derive(Debug, Default)]
pub(super) struct Reported<'a> {
    /// A JSON string.
    pub(super) parent: Option<&'a str>,
    /// Under the names they have in a record.
    values: [Option<&'a str>; 3],
}

impl<'a> Reported<'a> {
    const NAMES: [&'static str; 3] = ["model", "tokens", "step"];

    pub(super) fn read(meta: &'a Raw) -> Self {
        let mut said = Self::default();
        for (key, value) in wire::members(meta.text()) {
            let key = key.trim_matches('"');
            if key == "traceparent" {
                said.parent = Some(value);
            }
            // Our own spelling counts more than the plain one.
            let ours = key.strip_prefix("dev.tollgate/");
            let name = ours.unwrap_or(key);
            for (known, place) in Self::NAMES.iter().zip(&mut said.values) {
                if name == *known && (ours.is_some() || place.is_none()) {
                    *place = Some(value);
                }
            }
        }
        said
    }
}

/// The trace id of a W3C `traceparent`.
pub(super) fn trace(parent: &str) -> Option<String> {
    let parent = wire::unquote(parent)?;
    let mut parts = parent.split('-');
    let (_, trace) = (parts.next()?, parts.next()?);
    let sound = trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit());
    sound.then(|| trace.to_ascii_lowercase())
}

impl Members {
    /// What the client says of itself, marked as its word.
    pub(super) fn reported(&mut self, said: &Reported<'_>) {
        let mut reported = Members::with(0);
        for (name, value) in Reported::NAMES.iter().zip(said.values) {
            if let Some(value) = value {
                reported.raw(name, &redact::value(value, REPORTED).json);
            }
        }
        if !reported.0.is_empty() {
            self.raw("reported", &format!("{{{}}}", reported.0));
        }
    }
}
