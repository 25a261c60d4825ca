//! How what becomes of limits is written down: breakers, halts, extensions, notices.

use super::{
    change::{Change, Extension},
    circuits::Opened,
    members::Members,
    record::{Draft, NAME, REASON},
    redact,
};
use crate::domain::{AgentName, Call, Halt, Notice, Scope};

/// A breaker has opened.
pub(super) fn breaker_opened(scope: &Scope, mut opened: Opened) -> Option<Draft> {
    opened.why = redact::words(&opened.why, REASON).into_owned();
    let mut members = of_scope(scope)?;
    members.text("state", "open");
    members.text("until", &moment(opened.until));
    members.number("until_us", opened.until);
    members.text("reason", &opened.why);
    Some(Draft {
        kind: "breaker",
        members: members.0,
        change: Change::BreakerOpened(scope.clone(), opened),
    })
}

/// It has closed again, by itself or by a person.
pub(super) fn breaker_closed(scope: &Scope, by: Option<&str>) -> Option<Draft> {
    let mut members = of_scope(scope)?;
    members.text("state", "closed");
    if let Some(by) = by {
        members.text("by", &redact::words(by, NAME));
    }
    Some(Draft {
        kind: "breaker",
        members: members.0,
        change: Change::BreakerClosed(scope.clone()),
    })
}

/// Only servers and tools have breakers.
fn of_scope(scope: &Scope) -> Option<Members> {
    let mut members = Members::with(256);
    match scope {
        Scope::Server(server) => members.text("server", server.as_str()),
        Scope::Tool(server, tool) => {
            members.text("server", server.as_str());
            members.text("tool", tool);
        }
        Scope::Everything | Scope::Agent(_) => return None,
    }
    Some(members)
}

/// A run was ended or paused.
pub(super) fn halt(mut halt: Halt) -> Draft {
    halt.says = redact::words(&halt.says, REASON).into_owned();
    let mut members = Members::with(256);
    members.text("halt", halt.kind.word());
    members.text("agent", halt.agent.as_str());
    members.text("run", halt.run.as_str());
    members.number("at_us", halt.at);
    if let Some(until) = halt.until {
        members.text("until", &moment(until));
        members.number("until_us", until);
    }
    members.text("reason", &halt.says);
    Draft {
        kind: "halt",
        members: members.0,
        change: Change::Halted(halt),
    }
}

/// A person cleared what was held against an agent.
pub(super) fn cleared(agent: &AgentName, by: &str) -> Draft {
    let mut members = Members::with(128);
    members.text("agent", agent.as_str());
    members.text("by", &redact::words(by, NAME));
    Draft {
        kind: "clear",
        members: members.0,
        change: Change::Cleared(agent.clone()),
    }
}

/// A person added to a run's limits.
pub(super) fn extended(extension: Extension, by: &str) -> Draft {
    let mut members = Members::with(192);
    members.text("run", extension.run.as_str());
    members.text("agent", extension.agent.as_str());
    members.text("by", &redact::words(by, NAME));
    members.amounts("added", &extension.added);
    if let Some(until) = extension.alone {
        members.raw("alone", "true");
        if let Some(until) = until {
            members.text("until", &moment(until));
            members.number("until_us", until);
        }
    }
    Draft {
        kind: "extend",
        members: members.0,
        change: Change::Extended(extension),
    }
}

/// People are told of something, which follows from a call or from none.
pub(super) fn notice(notice: &Notice, call: Option<&Call>) -> Draft {
    let about = redact::words(&notice.about, NAME).into_owned();
    let mut members = Members::with(256);
    members.text("notice", notice.kind.word());
    members.text("severity", notice.kind.severity());
    members.text("about", &about);
    members.text("says", &redact::words(&notice.says, REASON));
    if let Some(call) = call {
        members.text("call", call.id.as_str());
        members.text("run", call.run.as_str());
        members.text("agent", call.by.agent.as_str());
    }
    Draft {
        kind: "notice",
        members: members.0,
        change: if notice.kind.is_remembered() {
            Change::Noticed(notice_key(notice))
        } else {
            Change::Nothing
        },
    }
}

/// What a notice is remembered by.
pub(super) fn notice_key(notice: &Notice) -> String {
    format!(
        "{} {}",
        notice.kind.word(),
        redact::words(&notice.about, NAME)
    )
}

/// A moment, for people.
fn moment(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}
