//! What a request says of itself in `_meta`, as far as limits look at it. It is the
//! agent's word: it can use up more by it, never less than it does use.

use crate::wire::{self, Raw};

/// The value under our own name, or under the plain one.
fn said(meta: &Raw, name: &str) -> Option<Raw> {
    meta.get(&format!("dev.tollgate/{name}"))
        .or_else(|| meta.get(name))
}

/// The turn of the agent: a hash of what it says.
pub(super) fn turn(meta: &Raw) -> Option<u64> {
    let said = said(meta, "step")?;
    let hash = blake3::hash(said.bytes());
    let head = hash.as_bytes().first_chunk::<8>()?;
    Some(u64::from_be_bytes(*head))
}

/// How many tokens it took the agent to come to this call: one number, or several
/// that are added up.
pub(super) fn tokens(meta: &Raw) -> Option<u64> {
    let said = said(meta, "tokens")?;
    if let Ok(tokens) = said.text().parse() {
        return Some(tokens);
    }
    let parts = wire::members(said.text()).filter_map(|(_, value)| value.parse::<u64>().ok());
    Some(parts.fold(0, u64::saturating_add))
}

/// The run that the call belongs to.
pub(super) fn run(meta: &Raw) -> Option<String> {
    let named = meta.get("dev.tollgate/run")?;
    Some(named.as_str().unwrap_or_default().into_owned())
}
