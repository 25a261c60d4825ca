//! What a request says of itself in `_meta`, as far as limits look at it. It is the
//! agent's word, no proof: one that always reports the same turn is in one step, and one
//! that reports no tokens uses none. What tollgate measures itself does not depend on it.

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

/// Which round of a call it is: what its server keeps with the agent. What the agent answers
/// could be anything.
pub(super) fn round(params: &Raw) -> Option<u64> {
    let hash = blake3::hash(params.get("requestState")?.bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &str) -> Raw {
        Raw::parse(text.to_owned().into()).unwrap()
    }

    #[test]
    fn tokens_are_a_number_or_several_and_nonsense_is_none_at_all() {
        let read = |text: &str| tokens(&meta(text));
        assert_eq!(read(r#"{"tokens":12}"#), Some(12));
        assert_eq!(read(r#"{"tokens":1,"dev.tollgate/tokens":7}"#), Some(7));
        assert_eq!(read(r#"{"tokens":{"in":5,"out":7}}"#), Some(12));
        let most = format!(r#"{{"tokens":{{"in":{0},"out":{0}}}}}"#, u64::MAX);
        assert_eq!(read(&most), Some(u64::MAX));
        for nothing in ["-5", "1e400", "\"12\"", "null", "[1]", "{\"in\":-1}"] {
            assert_eq!(
                read(&format!(r#"{{"tokens":{nothing}}}"#)),
                Some(0),
                "{nothing}"
            );
        }
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn turns_differ_as_what_is_said_differs() {
        let read = |text: &str| turn(&meta(text));
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"step":1}"#), read(r#"{"dev.tollgate/step":1}"#));
        assert_ne!(read(r#"{"step":1}"#), read(r#"{"step":2}"#));
        assert!(read(r#"{"step":{"any":"thing"}}"#).is_some());
    }
}
