//! How what happens becomes a record: the keys and their values.
//!
//! Every draft carries the change that a replay would read out of it. What
//! comes from outside is redacted and bounded here, before the record exists.
//! What is not known is left out, never invented.

use super::{
    change::{Attempt, Change, Closing, Definition, OpenCall, PinKey},
    conduct,
    journal::Pruned,
    members::Members,
    redact,
    reported::{self, Reported},
    sight::Sight,
};
use crate::{
    domain::{
        Amounts, Call, CallId, Code, Currency, Dimension, Left, Offer, Outcome, Over, Refusal,
        Standing, Stop, StopScope, Subject, Unmeasured, money::show_money,
    },
    gate::Effect,
    ports::{Context, Settlement},
};

/// The most bytes of a sentence.
pub(super) const REASON: usize = 512;
/// The most bytes of a name or URI.
pub(super) const NAME: usize = 512;

/// A record that can be put.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: &'static str,
    pub(super) members: String,
    pub(super) change: Change,
}

impl Draft {
    /// What it keeps back, if it opens a call.
    pub(super) fn reserves(&self) -> Amounts {
        match &self.change {
            Change::Opened(_, open) => open.charge,
            _ => Amounts::ZERO,
        }
    }
}

/// What a call's record says whatever is decided: prepared outside the critical
/// section.
#[derive(Debug)]
pub(super) struct Noted {
    members: Members,
    /// What is called and with which arguments: comes last, and a start reads up to
    /// there.
    tail: Members,
    call: CallId,
    open: OpenCall,
}

impl Noted {
    pub(super) fn new(call: &Call, context: &Context) -> Self {
        let mut members = Members::with(768);
        members.text("call", call.id.as_str());
        members.text("run", call.run.as_str());
        let said = context.meta.as_ref().map(Reported::read);
        let said = said.unwrap_or_default();
        if let Some(trace) = said.parent.and_then(reported::trace) {
            members.text("trace", &trace);
        }
        members.text("agent", call.by.agent.as_str());
        members.text("owner", call.by.owner.as_str());
        members.reported(&said);
        members.text("server", call.server.as_str());
        members.text("tier", call.tier.name());
        match call.offer {
            Offer::Unclassified => members.raw("unclassified", "true"),
            Offer::At(_) | Offer::Off => {}
        }
        members.flag("durable", call.durable && !call.tier.is_durable());
        members.print("digest", &call.digest);
        if let Some(round) = call.claim.round {
            members.number("round", round);
        }
        let name = redact::name(&call.subject);
        let mut tail = Members::with(256);
        let tool = match &call.subject {
            Subject::Tool(_) => {
                tail.text("tool", &name);
                true
            }
            other @ (Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_)) => {
                tail.text("method", other.method());
                tail.text("name", &name);
                false
            }
        };
        match &call.standing {
            Standing::Defined(print) | Standing::Renewed(print) => {
                tail.print("definition", print);
            }
            Standing::Plain | Standing::Unreachable(_) | Standing::Missing => {}
        }
        if let Some(arguments) = &context.arguments {
            let bounded = redact::raw(arguments, redact::ARGUMENTS);
            tail.bounded("arguments", "arguments_bytes", &bounded);
        }
        if let Some(answers) = &context.answers {
            let bounded = redact::raw(answers, redact::ARGUMENTS);
            tail.bounded("answers", "answers_bytes", &bounded);
        }
        Self {
            members,
            tail,
            call: call.id.clone(),
            open: OpenCall {
                run: call.run.clone(),
                agent: call.by.agent.clone(),
                server: call.server.clone(),
                name,
                tool,
                at: 0,
                charge: Amounts::ZERO,
                step: 0,
                turn: call.claim.turn,
                attempt: conduct::attempt(&call.digest, call.claim.round),
                probes: (false, false),
            },
        }
    }

    /// The call may leave.
    pub(super) fn intent(mut self, call: &Call, sight: &Sight, effects: &[Effect]) -> Draft {
        let (members, open) = (&mut self.members, &mut self.open);
        open.step = sight.step;
        for effect in effects {
            match effect {
                Effect::Reserve(charge) => open.charge = *charge,
                Effect::Probe(over) => {
                    open.probes = (over.contains(&Over::Server), over.contains(&Over::Tool));
                }
            }
        }
        members.text("decision", "pass");
        if let Some(place) = call.tier_place() {
            members.place("rule", place);
        }
        members.number("step", open.step);
        if let Some(turn) = open.turn {
            members.number("turn", turn);
        }
        members.amounts("charge", &open.charge);
        let cost = open.charge.get(Dimension::Cost);
        if cost > 0 {
            members.text("estimated_cost", &show_money(cost, call.claim.currency));
        }
        members.pair("probe", open.probes);
        let left = sight.left(call, &open.charge);
        members.left("budget_left", &left, call.claim.currency);
        members.append(&self.tail);
        Draft {
            kind: "call.intent",
            members: self.members.0,
            change: Change::Opened(self.call, self.open),
        }
    }

    /// The call may not leave.
    pub(super) fn refused(mut self, call: &Call, sight: &Sight, refusal: &Refusal) -> Draft {
        let members = &mut self.members;
        members.text("decision", "refuse");
        members.text("code", refusal.code.as_str());
        members.text("gate", refusal.gate);
        if let Some(place) = &refusal.rule {
            members.place("rule", place);
        }
        members.text("reason", &redact::words(&refusal.says, REASON));
        if let Some(bound) = &refusal.bound {
            members.text("bound", &bound.name);
            members.text("limit", &bound.limit);
            members.text("used", &bound.used);
            members.text("requested", &bound.requested);
        }
        if let Some(at) = refusal.again_at() {
            members.text("retry_at", &at);
        }
        if let Some(remedy) = &refusal.remedy {
            members.text("remedy", &redact::words(remedy, REASON));
        }
        // The step that it would have been part of.
        members.number("step", sight.step);
        if let Some(turn) = call.claim.turn {
            members.number("turn", turn);
        }
        let cancelled = call.findings.unmeasured == Some(Unmeasured::Cancelled);
        members.flag("cancelled", cancelled);
        let left = sight.left(call, &Amounts::ZERO);
        members.left("budget_left", &left, call.claim.currency);
        members.append(&self.tail);
        let kept_back = refusal.code.keeps_back();
        let refused = Attempt {
            run: self.open.run,
            agent: self.open.agent,
            attempt: (!kept_back).then_some(self.open.attempt),
            cancelled,
        };
        Draft {
            kind: "call.refused",
            members: self.members.0,
            change: Change::Refused(self.call, refused),
        }
    }
}

/// Whether a refusal with this code says nothing about what the agent does.
pub(super) fn is_kept_back(code: &str) -> bool {
    let mut codes = Code::ALL.into_iter();
    codes.any(|known| known.keeps_back() && known.as_str() == code)
}

/// What is written down of the end of a call whatever is left of its budgets:
/// prepared outside the critical section.
#[derive(Debug)]
pub(super) struct Ended {
    members: Members,
    /// The result, redacted: comes last, and a start reads up to there.
    result: Option<String>,
    closing: Closing,
    call: CallId,
}

impl Ended {
    pub(super) fn new(call: &CallId, settlement: &Settlement) -> Self {
        let mut members = Members::with(384);
        members.text("call", call.as_str());
        members.text("outcome", settlement.outcome.word());
        let failed = match &settlement.outcome {
            Outcome::Done { error, bytes } => {
                if *error {
                    members.text("reason", "the tool answered with an error");
                }
                members.number("result_bytes", *bytes);
                Some(*error)
            }
            Outcome::Asked => None,
            Outcome::Failed(fault) | Outcome::Unknown(fault) => {
                members.text("reason", &redact::words(&fault.to_string(), REASON));
                Some(true)
            }
        };
        let cancelled = settlement.outcome.was_cancelled();
        members.flag("cancelled", cancelled);
        members.milliseconds("duration_ms", settlement.duration);
        if let Some(wait) = settlement.wait {
            members.milliseconds("wait_ms", wait);
        }
        members.pair("trouble", settlement.trouble);
        let result = settlement.result.as_ref();
        Self {
            members,
            result: result.map(|result| redact::raw(result, redact::RESULT).json),
            closing: Closing {
                charged: None,
                failed,
                cancelled,
                trouble: settlement.trouble,
            },
            call: call.clone(),
        }
    }

    /// With what it was charged, and what is left of its budgets.
    pub(super) fn outcome(mut self, charged: Amounts, currency: Currency, left: Left) -> Draft {
        let members = &mut self.members;
        members.amounts("charged", &charged);
        let cost = charged.get(Dimension::Cost);
        if cost > 0 {
            members.text("cost", &show_money(cost, currency));
        }
        members.left("budget_left", &left, currency);
        if let Some(result) = &self.result {
            members.raw("result", result);
        }
        let closing = Closing {
            charged: Some(charged),
            ..self.closing
        };
        Draft {
            kind: "call.outcome",
            members: self.members.0,
            change: Change::Closed(self.call, closing),
        }
    }
}

/// A call that was open when tollgate ended, and what it is charged.
pub(super) fn unknown(call: &CallId, charged: Amounts) -> Draft {
    let mut members = Members::with(128);
    members.text("call", call.as_str());
    members.text("outcome", "unknown");
    members.text("reason", "tollgate ended during the call");
    members.amounts("charged", &charged);
    Draft {
        kind: "call.outcome",
        members: members.0,
        change: Change::Closed(
            call.clone(),
            Closing {
                charged: Some(charged),
                failed: Some(true),
                cancelled: false,
                trouble: (false, false),
            },
        ),
    }
}

/// The switch was pulled.
pub(super) fn stop(stop: &Stop) -> Draft {
    let stop = Stop {
        scope: stop.scope.clone(),
        by: redact::words(&stop.by, NAME).into_owned(),
        text: stop
            .text
            .as_deref()
            .map(|text| redact::words(text, REASON).into_owned()),
        at: redact::words(&stop.at, NAME).into_owned(),
    };
    let mut members = Members::with(256);
    members.scope(&stop.scope);
    members.text("by", &stop.by);
    if let Some(text) = &stop.text {
        members.text("text", text);
    }
    members.text("since", &stop.at);
    Draft {
        kind: "stop",
        members: members.0,
        change: Change::Stopped(stop),
    }
}

/// It was lifted.
pub(super) fn resume(scope: &StopScope, by: &str) -> Draft {
    let mut members = Members::with(128);
    members.scope(scope);
    members.text("by", &redact::words(by, NAME));
    Draft {
        kind: "resume",
        members: members.0,
        change: Change::Resumed(scope.clone()),
    }
}

/// A definition was accepted at first sight.
pub(super) fn pin(key: PinKey, definition: Definition) -> Draft {
    Draft {
        kind: "pin",
        members: pin_members(&key, &definition),
        change: Change::Pinned(key, definition),
    }
}

/// A server offers something else than what was accepted.
pub(super) fn pin_changed(key: PinKey, definition: Definition) -> Draft {
    Draft {
        kind: "pin.changed",
        members: pin_members(&key, &definition),
        change: Change::Offered(key, definition),
    }
}

/// A server offers what was accepted again.
pub(super) fn pin_restored(key: PinKey) -> Draft {
    let mut members = Members::with(128);
    members.pin(&key);
    Draft {
        kind: "pin.restored",
        members: members.0,
        change: Change::Restored(key),
    }
}

/// A person accepted what is offered.
pub(super) fn pin_accept(key: PinKey, offered: &Definition, by: &str) -> Draft {
    let by = redact::words(by, NAME).into_owned();
    let mut members = Members::with(256);
    members.pin(&key);
    members.print("fingerprint", &offered.print);
    members.text("by", &by);
    Draft {
        kind: "pin.accept",
        members: members.0,
        change: Change::Accepted(key, offered.print, by),
    }
}

/// tollgate starts.
pub(super) fn start(version: &str, config: &str, note: Option<&str>) -> Draft {
    let mut members = Members::with(192);
    members.text("version", version);
    members.text("config", config);
    if let Some(note) = note {
        members.text("note", &redact::words(note, REASON));
    }
    Draft {
        kind: "start",
        members: members.0,
        change: Change::Nothing,
    }
}

/// The state up to a record is about to be kept.
pub(super) fn checkpoint(applied: u64, entries: usize, digest: &str) -> Draft {
    let mut members = Members::with(160);
    members.number("applied", applied);
    members.number("entries", entries);
    members.text("digest", digest);
    Draft {
        kind: "checkpoint",
        members: members.0,
        change: Change::Nothing,
    }
}

/// The beginning of the journal is about to go.
pub(super) fn prune(pruned: &Pruned) -> Draft {
    Draft {
        kind: Pruned::KIND,
        members: pruned.members(),
        change: Change::Pruned(pruned.first, pruned.segment),
    }
}

fn pin_members(key: &PinKey, definition: &Definition) -> String {
    let mut members = Members::with(definition.text.bytes().len() + 256);
    members.pin(key);
    members.print("fingerprint", &definition.print);
    members.raw("definition", definition.text.text());
    members.0
}
