//! The part of the store that hears what tool servers ask: their questions and what came
//! of them are records, and what is asked of a client's model counts.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    change::Change,
    ledger::{Ledger, closed},
    log::Log,
    members::Members,
    record::{Draft, NAME, REASON},
    redact::{self, Bounded},
    section::Section,
};
use crate::{
    domain::{Amounts, CallId, Code, Dimension, Fault, Place},
    gate,
    ports::{Answer, NotPut, Posed, Questions, WhyNot},
    wire::{self, Raw},
};

impl<L: Log> Questions for Ledger<L> {
    fn asks(&self, call: &CallId, waits: bool) {
        let now = self.clock.now().as_microsecond();
        self.section().state.asks(call, waits, now);
    }

    fn posed(&self, posed: &[Posed<'_>]) -> Result<Option<NotPut>, Fault> {
        // Redaction takes its time: only this caller's.
        let noted: Vec<_> = posed.iter().map(noted).collect();
        let mut last = None;
        let no = {
            let mut section = self.section();
            if section.closed {
                return Err(closed());
            }
            let no = against(&mut section, posed, self.clock.now());
            let drafts = posed.iter().zip(noted);
            let drafts = drafts.map(|(posed, (members, asks))| {
                question(posed, members, asks.as_ref(), no.as_ref())
            });
            let mut all = Ok(());
            for draft in drafts {
                match self.commit(&mut section, draft, false) {
                    Ok(placed) => last = Some(placed),
                    Err(fault) => {
                        all = Err(fault);
                        break;
                    }
                }
            }
            all.map(|()| no)
        };
        // Also what stands before one that found no room.
        if let Some(placed) = last {
            self.write(placed)?;
        }
        Ok(no?.map(|no| no.not))
    }

    fn answered(&self, posed: &Posed<'_>, answer: &Answer, after: Duration) -> Result<(), Fault> {
        self.note(given(posed, answer, after), false)
    }
}

/// What a question shows of itself, at most.
const SHOWN: usize = 2_000;
/// What is looked at of its text: more than is shown, if every letter has an escape.
const LOOKED_AT: usize = 6 * (SHOWN + redact::SLACK + 2);

/// What is written down of a question, whatever is made of it.
fn noted(posed: &Posed<'_>) -> (Members, Option<Bounded>) {
    let mut members = head(posed);
    let params = posed.question.params.as_ref();
    // What a person reads must not be hidden behind what is cut below.
    for key in ["message", "url"] {
        let text = params.and_then(|params| params.get(key));
        if let Some(text) = text.filter(|text| text.bytes().starts_with(b"\"")) {
            let text = wire::unquote_lossy(text.head(LOOKED_AT));
            members.text(key, &redact::words(&text, SHOWN));
        }
    }
    let asks = params.map(|params| redact::raw(params, redact::ARGUMENTS));
    (members, asks)
}

/// What speaks against putting questions, and which rule says so.
struct No<'a> {
    not: NotPut,
    code: Option<Code>,
    rule: Option<&'a Place>,
}

fn against<'a>(section: &mut Section, posed: &[Posed<'a>], now: Timestamp) -> Option<No<'a>> {
    if let Some(no) = posed.iter().find_map(|posed| stopped(section, posed, now)) {
        return Some(no);
    }
    // What is turned off is, whatever else is asked with it.
    let off = posed.iter().find_map(turned_off);
    if let Some(no) = off.or_else(|| posed.iter().find_map(not_declared)) {
        return Some(no);
    }
    let mut of_model = posed.iter().filter(|posed| posed.question.asks_the_model());
    let more = of_model.clone().count() as u64;
    let first = of_model.next()?;
    let Section {
        state, calendar, ..
    } = section;
    state.clock_is(now.as_microsecond());
    let no = |says, code, rule| {
        let why = WhyNot::NoRoom;
        let not = NotPut { why, says };
        Some(No { not, code, rule })
    };
    // Else nobody knows whom to charge.
    if !state.open().contains_key(first.call) {
        let says = "no call is under way that asking the client's model could count for";
        return no(says.to_owned(), None, None);
    }
    first.limits_of_calls().find_map(|(scope, limit)| {
        let usage = &mut state.usage;
        let level = usage.level_of(scope, Some(first.run), limit, more, now, calendar);
        let allowed = level.allowed(limit);
        if !limit.dimension.exceeds(level.total(), more, allowed) {
            return None;
        }
        let says = format!(
            "asking the client's model counts as a call, and {} of {allowed} are used ({}){}",
            level.total(),
            limit.name(),
            match more {
                1 => String::new(),
                more => format!(", {more} asked for"),
            }
        );
        let code = Code::Budget(limit.period, limit.dimension);
        no(says, Some(code), limit.place.as_ref())
    })
}

/// A stop that is in force, or the end of the agent, in whose record this comes later.
fn stopped<'a>(section: &Section, posed: &Posed<'a>, now: Timestamp) -> Option<No<'a>> {
    let server = &posed.question.server;
    let stop = section.in_force.covering(posed.agent, server, posed.run);
    let halt = section
        .state
        .conduct
        .halt(posed.agent, now.as_microsecond());
    let refusal = gate::silenced(stop, halt)?;
    let (why, says) = (WhyNot::Stopped, refusal.says);
    Some(No {
        not: NotPut { why, says },
        code: Some(refusal.code),
        rule: None,
    })
}

/// A question for the client's model where that is turned off.
fn turned_off<'a>(posed: &Posed<'a>) -> Option<No<'a>> {
    let place = posed.no_sampling?;
    let says = "it asks the client's model, which is turned off".to_owned();
    let why = WhyNot::TurnedOff;
    posed.question.asks_the_model().then_some(No {
        not: NotPut { why, says },
        code: None,
        rule: Some(place),
    })
}

/// A question that the agent's client did not declare.
fn not_declared<'a>(posed: &Posed<'a>) -> Option<No<'a>> {
    if posed.is_declared {
        return None;
    }
    let method = redact::words(&posed.question.method, NAME);
    let says = format!("it asks with `{method}`, which the agent's client does not offer");
    let why = WhyNot::NotDeclared;
    Some(No {
        not: NotPut { why, says },
        code: None,
        rule: None,
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
    members.number("question", posed.number as u64);
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
            members.text("reason", &redact::words(&no.not.says, REASON));
        }
    }
    if let Some(asks) = asks {
        members.bounded("asks", "asks_bytes", asks);
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
        members.bounded("result", "result_bytes", &bounded);
    }
    Draft {
        kind: "answer",
        members: members.0,
        change: Change::Answered(posed.call.clone(), posed.run.clone()),
    }
}

/// What a person did with a form; nothing if its server may read something else.
fn action(result: &Raw) -> Option<&'static str> {
    let keys = wire::members(result.text());
    let once = keys.filter(|(key, _)| wire::unquote(key).as_deref() == Some("action"));
    if once.count() != 1 || wire::misspelt(result, &["action"]).is_some() {
        return None;
    }
    let action = result.get("action")?;
    let action = action.as_str()?;
    let known = ["accept", "decline", "cancel"];
    known.into_iter().find(|known| *known == action)
}
