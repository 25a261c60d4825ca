//! `[audit]` in `tollgate.toml`: the record of everything.

use std::time::Duration;

use super::decode::{Table, Vocabulary};

pub(super) const AUDIT: Vocabulary = Vocabulary {
    keys: &["keep"],
    later: &["export"],
    elsewhere: &[],
};

/// A quarter of a year: what somebody asks about has usually come up by then.
pub(super) const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long records are kept; none for ever.
pub(super) fn decode(root: &Table<'_>) -> Option<Duration> {
    let Some(audit) = root.get("audit") else {
        return Some(KEEP);
    };
    let audit = audit.table(&AUDIT, "a table: [audit]")?;
    match audit.get("keep") {
        Some(field) if field.value().as_str() == Some("none") => None,
        Some(field) => field.duration(),
        None => Some(KEEP),
    }
}
