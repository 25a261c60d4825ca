//! Whether what a record says is what a question asks for.

use super::said::Said;
use crate::ports::Query;

pub(super) fn unfiltered(query: &Query) -> bool {
    query.run.is_none()
        && query.agent.is_none()
        && query.tool.is_none()
        && query.tier.is_none()
        && query.trace.is_none()
}

pub(super) fn fits(query: &Query, said: &Said<'_>) -> bool {
    let is = |wanted: &Option<String>, said: &Option<String>| match (wanted, said) {
        (None, _) => true,
        (Some(wanted), Some(said)) => wanted == said,
        (Some(_), None) => false,
    };
    let tool = query.tool.as_deref().is_none_or(|wanted| {
        let server = said.server.as_deref().unwrap_or_default();
        let name = said
            .tool
            .as_deref()
            .or(said.name.as_deref())
            .unwrap_or_default();
        // A server's name may hold a dot itself.
        wanted == server
            || wanted
                .strip_prefix(server)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| !server.is_empty() && rest == name)
    });
    tool && is(&query.run, &said.run)
        && is(&query.agent, &said.agent)
        && is(&query.tier, &said.tier)
        && is(&query.trace, &said.trace)
}

pub(super) fn time_fits(query: &Query, at: &str) -> bool {
    if query.since.is_none() && query.until.is_none() {
        return true;
    }
    let Ok(at) = at.parse::<jiff::Timestamp>() else {
        return false;
    };
    query.since.is_none_or(|since| at >= since) && query.until.is_none_or(|until| at <= until)
}
