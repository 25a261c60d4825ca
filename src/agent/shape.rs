//! The broker's answer in the terms of the agent's era.
//!
//! A result passes as the bytes it is in; what is added stands in `_meta`, under
//! `dev.tollgate/`, and nothing that a server writes there gets through.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    broker::{Answer, Asked, Broker, Paid},
    domain::{Call, CallId, Code, Era, Fault, Refusal, RunId, Tier, ToolFault, money::show_money},
    wire::{self, Body, Edit, Parts, Raw, keys, rpc},
};

/// What is written: the value of `result`, in pieces, or of `error`.
#[derive(Debug)]
pub(super) enum Shaped {
    Result(Parts),
    Error(Raw),
}

/// Our code for a call that was judged and not run, where the protocol has no
/// other place for a refusal than an error.
const REFUSED: i32 = 4030;

/// Who we are, to agents.
pub(super) fn server_info() -> String {
    format!(
        "{{\"name\":\"tollgate\",\"version\":{}}}",
        wire::quote(env!("CARGO_PKG_VERSION"))
    )
}

/// Shapes an answer.
pub(super) fn answer(broker: &Broker, answer: Answer, era: Era, asked: Asked) -> Shaped {
    match answer {
        Answer::Wrong { code, says } => Shaped::Error(rpc::error(known_code(code, era), &says)),
        Answer::Refused {
            call,
            refusal,
            has_output_schema,
        } => {
            let sentence = refusal.sentence(&call.title().to_string());
            let of = (&call.run, Some(&call.id));
            refused(of, &refusal, &sentence, has_output_schema, era, asked)
        }
        Answer::CutShort {
            call,
            refusal,
            has_output_schema,
        } => {
            let sentence = refusal.cut_short(&call.title().to_string());
            let of = (&call.run, Some(&call.id));
            refused(of, &refusal, &sentence, has_output_schema, era, asked)
        }
        Answer::Own(result) => Shaped::Result(own(&result, era)),
        Answer::OwnRefused { name, run, refusal } => {
            let sentence = refusal.sentence(&name);
            refused((&run, None), &refusal, &sentence, false, era, asked)
        }
        Answer::Fault(fault) => faulty(&fault, era, asked),
        Answer::Unrecorded { call, fault } => unrecorded(&call, &fault, era, asked),
        Answer::Failed { call, fault, paid } => failed(&call, &fault, paid.as_deref(), era, asked),
        Answer::Done {
            call,
            paid,
            body: Body::Result(result),
        } => Shaped::Result(done(broker, &call, &paid, &result, era, asked)),
        Answer::Done {
            call,
            body: Body::Error(error),
            ..
        } => server_error(broker, &call, &error, era, asked),
        Answer::Lacks(error) => Shaped::Error(error),
        // An agent of the handshake era was asked directly; this is for the
        // record if a server asks once more than it may.
        Answer::Asks { call, .. } => failed(
            &call,
            &ToolFault::Protocol("it asked a question that cannot be passed on".into()),
            None,
            era,
            asked,
        ),
    }
}

/// What one of our own tools answered.
fn own(result: &Raw, era: Era) -> Parts {
    let mut edit = Edit::new(result);
    match era {
        Era::Legacy => {}
        Era::Modern => {
            edit.set("resultType", "\"complete\"");
        }
    }
    edit.parts()
}

/// A server's result: every byte of it but the keys that are ours to write, and those that
/// would make a question of it.
fn done(broker: &Broker, call: &Call, paid: &Paid, result: &Raw, era: Era, asked: Asked) -> Parts {
    let served = broker.era(&call.server);
    let result = &*wire::content_without_ours(result);
    // Between two sides of the handshake era none of these means anything.
    let result = &*match (era, served) {
        (Era::Legacy, Era::Legacy) => Cow::Borrowed(result),
        (_, _) => wire::without_misspelt(result, &keys::ASKS),
    };
    let mut edit = Edit::new(result);
    edit.set("_meta", meta(result, call, Some(paid), era));
    if era == Era::Modern {
        // What came as a result is complete, whatever it says a second time, and asks
        // nothing.
        if result.get("resultType").is_some() {
            edit.set("resultType", "\"complete\"");
        }
        edit.remove("inputRequests");
        edit.remove("requestState");
    }
    match (era, served) {
        (Era::Legacy, Era::Modern) => {
            edit.remove("resultType");
            edit.remove("ttlMs");
            edit.remove("cacheScope");
        }
        (Era::Modern, Era::Legacy) => {
            edit.set("resultType", "\"complete\"");
            if asked == Asked::Resource {
                edit.set("ttlMs", "0");
                edit.set("cacheScope", "\"private\"");
            }
        }
        (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => {}
    }
    edit.parts()
}

/// The result's `_meta`: the server's own, without forgeries of ours, and what
/// the call was.
pub(super) fn meta(result: &Raw, call: &Call, paid: Option<&Paid>, era: Era) -> String {
    let mut out = String::with_capacity(512);
    out.push('{');
    let own = result.get("_meta");
    for (key, value) in own.iter().flat_map(|own| wire::members(own.text())) {
        let is_name = wire::unquote(key).is_some_and(|key| key == keys::SERVER_INFO);
        if !is_name && !wire::is_ours(key) {
            out.push_str(key);
            out.push(':');
            out.push_str(value);
            out.push(',');
        }
    }
    match era {
        Era::Legacy => {}
        Era::Modern => {
            out.push_str(&wire::quote(keys::SERVER_INFO));
            out.push(':');
            out.push_str(&server_info());
            out.push(',');
        }
    }
    out.push_str("\"dev.tollgate/call\":");
    push_call(call, Some(&call.run), paid, &mut out);
    out.push('}');
    out
}

/// What a call was: the value of `dev.tollgate/call`. Every answer carries it: pushed
/// piece by piece, which formatting is not.
fn push_call(call: &Call, run: Option<&RunId>, paid: Option<&Paid>, out: &mut String) {
    let mut push = |pieces: &[&str]| pieces.iter().for_each(|piece| out.push_str(piece));
    push(&["{\"id\":\"", call.id.as_str()]);
    push(&["\",\"tier\":\"", call.tier.name()]);
    push(&["\",\"server\":\"", call.server.as_str(), "\""]);
    if let Some(run) = run {
        push(&[",\"run\":\"", run.as_str(), "\""]);
    }
    if let Some(paid) = paid {
        let currency = call.claim.currency;
        if paid.cost > 0 {
            push(&[",\"cost\":\"", &show_money(paid.cost, currency), "\""]);
        }
        // What is not felt is not worth a word.
        let waited = paid.waited.as_millis();
        if waited > 0 {
            push(&[",\"wait_ms\":", &waited.to_string()]);
        }
        push(&[",\"budget_left\":"]);
        paid.left.write_json(currency, out);
    }
    out.push('}');
}

/// The same for a call that has no result of its own; its run is told if it was paid for.
fn of_call(call: &Call, paid: Option<&Paid>) -> serde_json::Value {
    let mut told = String::with_capacity(256);
    push_call(call, paid.map(|_| &call.run), paid, &mut told);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
    serde_json::json!({ "dev.tollgate/call": told })
}

/// A refusal: an ordinary result that a model can read and act on.
fn refused(
    (run, call): (&RunId, Option<&CallId>),
    refusal: &Refusal,
    sentence: &str,
    has_output_schema: bool,
    era: Era,
    asked: Asked,
) -> Shaped {
    let bound = refusal.bound.as_deref();
    let told = serde_json::json!({
        "code": refusal.code.as_str(),
        "gate": refusal.gate,
        "says": refusal.says,
        "limit": bound.map(|bound| &bound.limit),
        "used": bound.map(|bound| &bound.used),
        "requested": bound.map(|bound| &bound.requested),
        "retry_at": refusal.again_at(),
        "remedy": refusal.remedy,
        "run": run,
        "call": call,
    });
    match asked {
        Asked::Tool => {
            let mut result = serde_json::json!({
                "content": [{ "type": "text", "text": sentence }],
                "isError": true,
                "_meta": { "dev.tollgate/refusal": told },
            });
            if let Some(members) = result.as_object_mut() {
                if !has_output_schema {
                    members.insert("structuredContent".into(), told);
                }
                stamp(members, era);
            }
            Shaped::Result(vec![Raw::of(&result).bytes().clone()])
        }
        Asked::Prompt
        | Asked::Resource
        | Asked::Completion
        | Asked::Subscribe
        | Asked::Unsubscribe => Shaped::Error(Raw::of(&serde_json::json!({
            "code": REFUSED,
            "message": sentence,
            "data": { "dev.tollgate/refusal": told },
        }))),
    }
}

/// tollgate could not do its part: the agent hears that nothing was run.
fn faulty(fault: &Fault, era: Era, asked: Asked) -> Shaped {
    tracing::error!("a call was not made: {fault}");
    let text = format!(
        "{} by tollgate, not run: its state cannot be read or written ({fault}). Do not retry; tell your user, who finds more with `tollgate`.",
        Code::StateUnavailable.as_str()
    );
    failure(
        &text,
        &serde_json::json!({
            "dev.tollgate/refusal": {
                "code": Code::StateUnavailable.as_str(),
                "says": fault.says,
                "remedy": fault.hint,
            }
        }),
        era,
        asked,
    )
}

/// It ran, and the record of how it ended could not be written: its answer is
/// kept back, because what is not recorded does not count.
fn unrecorded(call: &Call, fault: &Fault, era: Era, asked: Asked) -> Shaped {
    tracing::error!("the end of call {} is not recorded: {fault}", call.id);
    let text = format!(
        "{} by tollgate: {} ran, but how it ended cannot be recorded ({fault}). Do not retry before somebody has looked; tell your user, who finds more with `tollgate`.",
        Code::StateUnavailable.as_str(),
        call.title()
    );
    failure(&text, &of_call(call, None), era, asked)
}

/// The server did not answer properly: what is known, in one sentence.
fn failed(call: &Call, fault: &ToolFault, paid: Option<&Paid>, era: Era, asked: Asked) -> Shaped {
    let after = match (fault.may_have_run(), call.tier) {
        (false, _) | (true, Tier::Read) => "",
        (true, Tier::Reversible) => " It may have acted: look before you call again.",
        (true, Tier::Consequential | Tier::Irreversible) => {
            " It may have acted: do not retry before somebody has looked."
        }
    };
    let text = format!("tollgate: server `{}` {fault}.{after}", call.server);
    failure(&text, &of_call(call, paid), era, asked)
}

fn failure(text: &str, meta: &serde_json::Value, era: Era, asked: Asked) -> Shaped {
    match asked {
        Asked::Tool => {
            let mut result = serde_json::json!({
                "content": [{ "type": "text", "text": text }],
                "isError": true,
                "_meta": meta,
            });
            if let Some(members) = result.as_object_mut() {
                stamp(members, era);
            }
            Shaped::Result(vec![Raw::of(&result).bytes().clone()])
        }
        Asked::Prompt
        | Asked::Resource
        | Asked::Completion
        | Asked::Subscribe
        | Asked::Unsubscribe => Shaped::Error(Raw::of(&serde_json::json!({
            "code": rpc::INTERNAL,
            "message": text,
            "data": meta,
        }))),
    }
}

fn stamp(members: &mut serde_json::Map<String, serde_json::Value>, era: Era) {
    match era {
        Era::Legacy => {}
        Era::Modern => {
            members.insert("resultType".into(), "complete".into());
        }
    }
}

/// A server's error, with a code that is legal on the agent's wire.
fn server_error(broker: &Broker, call: &Call, error: &Raw, era: Era, asked: Asked) -> Shaped {
    let error = without_forgery(error);
    let code = error
        .get("code")
        .and_then(|code| code.text().parse::<i32>().ok())
        .unwrap_or(rpc::INTERNAL);
    let legal = match (era, broker.era(&call.server), asked) {
        (Era::Legacy, Era::Modern, Asked::Resource) if code == rpc::INVALID_PARAMS => {
            rpc::RESOURCE_NOT_FOUND
        }
        (Era::Legacy, Era::Modern, _) if code == rpc::NOT_DECLARED => {
            let fault = ToolFault::Protocol(
                "it needs something of the user that the agent's client cannot be asked".into(),
            );
            return failed(call, &fault, None, era, asked);
        }
        (Era::Legacy, Era::Modern, _)
            if rpc::STATELESS.contains(&code) && code != rpc::PAGE_FIRST =>
        {
            rpc::INTERNAL
        }
        (Era::Modern, Era::Legacy, _) => known_code(code, era),
        (Era::Legacy | Era::Modern, Era::Legacy | Era::Modern, _) => code,
    };
    if legal == code {
        return Shaped::Error(error);
    }
    let mut edit = Edit::new(&error);
    edit.set("code", Bytes::from(legal.to_string()));
    Shaped::Error(edit.raw())
}

/// A server cannot refuse in our name.
fn without_forgery(error: &Raw) -> Raw {
    let error = wire::without_ours_in(error, "data");
    let error = wire::without_misspelt(&error, &["code", "message", "data"]).into_owned();
    let ours = error
        .get("code")
        .is_some_and(|code| code.text() == REFUSED.to_string());
    if !ours {
        return error;
    }
    let mut edit = Edit::new(&error);
    edit.set("code", rpc::INTERNAL.to_string());
    edit.raw()
}

/// Codes of the handshake era that the stateless era forbids.
fn known_code(code: i32, era: Era) -> i32 {
    match (era, code) {
        (Era::Modern, rpc::RESOURCE_NOT_FOUND) => rpc::INVALID_PARAMS,
        (Era::Modern, rpc::PAGE_FIRST) => rpc::INTERNAL,
        (Era::Legacy | Era::Modern, code) => code,
    }
}
