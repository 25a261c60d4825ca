//! What leaves for a tool server: the agent's parameters with the name that the
//! server knows and the `_meta` that its era expects; all else as it was sent.

use bytes::Bytes;

use crate::{
    domain::{Capabilities, Era, Subject},
    ports::Caller,
    wire::{self, Edit, Parts, Raw, is_other_spelling, keys},
};

/// Builds the parameters of one request.
pub(super) fn params(
    subject: &Subject,
    given: Option<&Raw>,
    era: Era,
    caller: &dyn Caller,
    progress: Option<u64>,
    extra: &[(&'static str, Bytes)],
) -> Parts {
    let empty = Raw::trusted(Bytes::from_static(b"{}"));
    let given = given.unwrap_or(&empty);
    let mut edit = Edit::new(given);
    match subject {
        Subject::Tool(name) | Subject::Prompt(name) => {
            rename(given, "name", name, &mut edit);
        }
        Subject::Completion(name) => {
            if let Some(reference) = given.get("ref")
                && reference.get("name").is_some()
            {
                let mut inner = Edit::new(&reference);
                rename(&reference, "name", name, &mut inner);
                edit.set("ref", inner.parts().concat());
            }
        }
        Subject::Resource(_) | Subject::Subscribe(_) | Subject::Unsubscribe(_) => {}
    }
    // We declare no tasks, so nobody asks for one: the server would go on where no stop
    // finds it.
    edit.remove("task");
    let meta = meta(given.get("_meta").as_ref(), era, caller, progress);
    match meta {
        Some(meta) => edit.set("_meta", meta),
        None => edit.remove("_meta"),
    };
    if caller.era() != era {
        // What an agent brings back from one round to the next is for us, and what one of
        // the handshake era writes there nobody has asked for.
        edit.remove("inputResponses");
        edit.remove("requestState");
    }
    for (key, value) in extra {
        edit.set(key, value.clone());
    }
    edit.parts()
}

/// Leaves a name alone that is right already: then not a byte changes.
fn rename(object: &Raw, key: &'static str, name: &str, edit: &mut Edit<'_>) {
    let right = object
        .get(key)
        .is_some_and(|given| given.as_str().is_some_and(|given| given == name));
    if !right {
        edit.set(key, wire::quote(name));
    }
}

/// The request's `_meta`: what the agent sent, without what is between the agent
/// and us, and with what is between us and the server.
fn meta(
    given: Option<&Raw>,
    era: Era,
    caller: &dyn Caller,
    progress: Option<u64>,
) -> Option<String> {
    let mut out = String::from("{");
    let mut add = |key: &str, value: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(key);
        out.push(':');
        out.push_str(value);
    };
    for (key, value) in given.iter().flat_map(|meta| wire::members(meta.text())) {
        if !wire::unquote(key).is_none_or(|key| is_reserved(&key)) {
            add(key, value);
        }
    }
    if let Some(id) = progress {
        add("\"progressToken\"", &id.to_string());
    }
    match era {
        Era::Legacy => {}
        Era::Modern => {
            for (key, value) in modern(caller.capabilities()) {
                add(&wire::quote(key), &value);
            }
            if let Some(level) = caller.log_level() {
                add(&wire::quote(keys::LOG_LEVEL), &wire::quote(&level));
            }
        }
    }
    out.push('}');
    (out.len() > 2).then_some(out)
}

/// Whether a key is between the agent and us, in whatever case: a server that does not look
/// at it would report progress under a number that another agent's request has.
fn is_reserved(key: &str) -> bool {
    let is = |given: &str, meant: &str| given == meant || is_other_spelling(given, meant);
    let begins = |prefix: &str| {
        let end = key.char_indices().nth(prefix.chars().count());
        let head = key.get(..end.map_or(key.len(), |(end, _)| end));
        head.is_some_and(|head| is(head, prefix))
    };
    is(key, "progressToken") || begins(keys::PROTOCOL_PREFIX) || begins(keys::OUR_PREFIX)
}

/// What every request of the stateless era carries.
pub(super) fn modern(capabilities: Capabilities) -> [(&'static str, String); 3] {
    [
        (keys::PROTOCOL_VERSION, wire::quote(keys::MODERN_VERSION)),
        (keys::CLIENT_INFO, client_info()),
        (keys::CLIENT_CAPABILITIES, declared(capabilities)),
    ]
}

/// The `_meta` of a request of our own.
pub(super) fn own_meta(capabilities: Capabilities) -> String {
    let members: Vec<String> = modern(capabilities)
        .into_iter()
        .map(|(key, value)| format!("{}:{value}", wire::quote(key)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Who we are, to tool servers.
pub(super) fn client_info() -> String {
    format!(
        "{{\"name\":\"tollgate\",\"version\":{}}}",
        wire::quote(env!("CARGO_PKG_VERSION"))
    )
}

/// What we declare on behalf of an agent.
pub(super) fn declared(capabilities: Capabilities) -> String {
    let mut out: Vec<String> = Vec::new();
    let modes: Vec<&str> = [
        (capabilities.form, "\"form\":{}"),
        (capabilities.url, "\"url\":{}"),
    ]
    .into_iter()
    .filter_map(|(declared, mode)| declared.then_some(mode))
    .collect();
    if !modes.is_empty() {
        out.push(format!("\"elicitation\":{{{}}}", modes.join(",")));
    }
    if capabilities.sampling {
        let parts: Vec<&str> = [
            (capabilities.sampling_tools, "\"tools\":{}"),
            (capabilities.sampling_context, "\"context\":{}"),
        ]
        .into_iter()
        .filter_map(|(declared, part)| declared.then_some(part))
        .collect();
        out.push(format!("\"sampling\":{{{}}}", parts.join(",")));
    }
    if capabilities.roots {
        out.push("\"roots\":{\"listChanged\":true}".to_owned());
    }
    format!("{{{}}}", out.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::stand_in::StandIn;

    fn sent(era: Era, given: &str) -> String {
        let given = Raw::parse(Bytes::copy_from_slice(given.as_bytes())).unwrap();
        let subject = Subject::Tool("list".into());
        let agent = StandIn {
            capabilities: Capabilities {
                form: true,
                ..Capabilities::default()
            },
            ..StandIn::default()
        };
        let parts = params(&subject, Some(&given), era, &agent, Some(7), &[]);
        String::from_utf8(parts.concat()).unwrap()
    }

    #[test]
    fn the_agents_parameters_pass_and_the_reserved_keys_are_replaced() {
        assert_eq!(
            sent(
                Era::Legacy,
                r#"{"x":1e400,"name":"s__list","task":{"ttl":60000},"arguments":{"b":1,"a":2},"_meta":{"progressToken":"p","traceparent":"t","io.modelcontextprotocol/protocolVersion":"x","dev.tollgate/run":"r"}}"#
            ),
            r#"{"x":1e400,"name":"list","arguments":{"b":1,"a":2},"_meta":{"traceparent":"t","progressToken":7}}"#
        );
        assert_eq!(
            sent(
                Era::Legacy,
                r#"{"name":"list","_meta":{"ProgressToken":1,"progressto\u212aen":2,"IO.modelcontextprotocol/protocolVersion":"x","Dev.Tollgate/run":"r","dev.tollgat":1,"progress":2}}"#
            ),
            r#"{"name":"list","_meta":{"dev.tollgat":1,"progress":2,"progressToken":7}}"#
        );
        // The agent of this test speaks the other era.
        assert_eq!(
            sent(
                Era::Modern,
                r#"{"name":"list","requestState":"x","inputResponses":{}}"#
            ),
            format!(
                r#"{{"name":"list","_meta":{{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{"form":{{}}}}}}}}}}"#,
                client_info()
            )
        );
    }
}
