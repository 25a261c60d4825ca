//! The part of the store that hears what tool servers ask: their questions and what came
//! of them are records, and what is asked of a client's model counts.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    change::Change,
    ledger::{Ledger, Log, closed},
    members::Members,
    record::{Draft, NAME, REASON},
    redact::{self, Bounded},
    section::Section,
};
use crate::{
    domain::{Amounts, CallId, Code, Dimension, Fault, Place},
    ports::{Answer, Posed, Questions},
    wire::Raw,
};

impl<L: Log> Questions for Ledger<L> {
    fn asks(&self, call: &CallId, waits: bool) {
        let now = self.clock.now().as_microsecond();
        self.section().state.asks(call, waits, now);
    }

    fn posed(&self, posed: &Posed<'_>) -> Result<Option<String>, Fault> {
        // Redaction takes its time: only this caller's.
        let members = head(posed);
        let params = posed.question.params.as_ref();
        let asks = params.map(|params| redact::raw(params, redact::ARGUMENTS));
        let (placed, no) = {
            let mut section = self.section();
            if section.closed {
                return Err(closed());
            }
            let no = against(&mut section, posed, self.clock.now());
            let draft = question(posed, members, asks.as_ref(), no.as_ref());
            (self.commit(&mut section, draft, false)?, no)
        };
        self.write(placed)?;
        Ok(no.map(|no| no.says))
    }

    fn answered(&self, posed: &Posed<'_>, answer: &Answer, after: Duration) -> Result<(), Fault> {
        self.note(given(posed, answer, after), false)
    }
}

/// Why a question is not put.
struct No<'a> {
    says: String,
    code: Option<Code>,
    rule: Option<&'a Place>,
}

/// What speaks against putting it.
fn against<'a>(section: &mut Section, posed: &Posed<'a>, now: Timestamp) -> Option<No<'a>> {
    if !posed.question.asks_the_model() {
        return None;
    }
    let no = |says: String| No {
        says,
        code: None,
        rule: None,
    };
    if let Some(place) = posed.no_sampling {
        return Some(No {
            rule: Some(place),
            ..no("asking the client's model is turned off".into())
        });
    }
    let Section {
        state, calendar, ..
    } = section;
    state.clock_is(now.as_microsecond());
    // Else nobody knows whom to charge.
    if !state.open().contains_key(posed.call) {
        let says = "no call is under way that asking the client's model could count for";
        return Some(no(says.into()));
    }
    posed.limits_of_calls().find_map(|(scope, limit)| {
        let usage = &mut state.usage;
        let level = usage.level_of(scope, Some(posed.run), limit, 1, now, calendar);
        let allowed = level.allowed(limit);
        let exceeds = limit.dimension.exceeds(level.total(), 1, allowed);
        exceeds.then(|| No {
            code: Some(Code::Budget(limit.period, limit.dimension)),
            rule: limit.place.as_ref(),
            ..no(format!(
                "asking the client's model counts as a call, and {} of {allowed} are used ({})",
                level.total(),
                limit.name()
            ))
        })
    })
}

/// Who asks whom.
fn head(posed: &Posed<'_>) -> Members {
    let mut members = Members::with(512);
    members.text("call", posed.call.as_str());
    members.text("run", posed.run.as_str());
    members.text("agent", posed.agent.as_str());
    members.text("server", posed.question.server.as_str());
    members.text("method", &redact::words(&posed.question.method, NAME));
    members
}

fn question(
    posed: &Posed<'_>,
    mut members: Members,
    asks: Option<&Bounded>,
    no: Option<&No<'_>>,
) -> Draft {
    let mut more = Amounts::ZERO;
    match no {
        None => {
            members.text("decision", "pass");
            if posed.question.asks_the_model() {
                more.set(Dimension::Calls, 1);
                members.amounts("charge", &more);
            }
        }
        Some(no) => {
            members.text("decision", "refuse");
            if let Some(code) = no.code {
                members.text("code", code.as_str());
            }
            if let Some(place) = no.rule {
                members.place("rule", place);
            }
            members.text("reason", &redact::words(&no.says, REASON));
        }
    }
    if let Some(asks) = asks {
        if let Some(bytes) = asks.cut_from {
            members.number("asks_bytes", bytes);
        }
        members.raw("asks", &asks.json);
    }
    Draft {
        kind: "question",
        members: members.0,
        change: Change::Asked(posed.call.clone(), posed.run.clone(), more),
    }
}

fn given(posed: &Posed<'_>, answer: &Answer, after: Duration) -> Draft {
    let (word, body) = match answer {
        Answer::Result(body) => (action(body).unwrap_or("answered"), Some(body)),
        Answer::Error(body) => ("error", Some(body)),
        Answer::Gone | Answer::Refused(_) => ("none", None),
    };
    let mut members = head(posed);
    members.text("answer", word);
    members.milliseconds("wait_ms", after);
    if let Some(body) = body {
        let bounded = redact::raw(body, redact::ARGUMENTS);
        if let Some(bytes) = bounded.cut_from {
            members.number("result_bytes", bytes);
        }
        members.raw("result", &bounded.json);
    }
    Draft {
        kind: "answer",
        members: members.0,
        change: Change::Answered(posed.call.clone(), posed.run.clone()),
    }
}

/// What a person did with a form.
fn action(result: &Raw) -> Option<&'static str> {
    let action = result.get("action")?;
    let action = action.as_str()?;
    let known = ["accept", "decline", "cancel"];
    known.into_iter().find(|known| *known == action)
}
