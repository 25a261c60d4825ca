//! What one line says, in the terms of JSON-RPC 2.0.

use std::borrow::Cow;

use super::{
    Member, Oversize, Raw,
    syntax::{Found, checked},
};
use bytes::Bytes;

/// One message.
#[derive(Debug, Clone)]
pub enum Message {
    /// Wants an answer.
    Request {
        /// As the other side wrote it.
        id: Raw,
        /// What it asks for.
        method: Box<str>,
        /// An object or array, if there was one.
        params: Option<Raw>,
    },
    /// Wants none.
    Notification {
        /// What it tells.
        method: Box<str>,
        /// An object or array, if there was one.
        params: Option<Raw>,
    },
    /// Answers a request.
    Response {
        /// The id of the request.
        id: Raw,
        /// How it went.
        body: Body,
    },
}

/// What a response carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// The value of `result`.
    Result(Raw),
    /// The value of `error`.
    Error(Raw),
}

/// What a line that is no message was meant to be, as far as its members tell. Ids of
/// both sides begin at the same number: who takes a request for an answer fails a call
/// of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// To ask or to tell something: it has a `method`.
    ToAsk,
    /// To answer: it has a `result` or an `error`, and no `method`.
    ToAnswer,
    /// Nobody knows: it has none of them.
    Nothing,
}

/// Why a line is no message.
#[derive(Debug, Clone)]
pub enum Malformed {
    /// Not JSON, or not UTF-8.
    NotJson,
    /// JSON, but nothing that JSON-RPC knows. The id is there when the line had
    /// a usable one: its call can be answered.
    NotRpc {
        /// The id, if one can be made out.
        id: Option<Raw>,
        /// What it was meant to be.
        meant: Meant,
        /// What is wrong.
        why: &'static str,
    },
}

/// The members that JSON-RPC knows, as they are written; `null` is a value here:
/// `{"result":null}` is an answer.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    method: Option<Cow<'a, str>>,
    has_method: bool,
    params: Option<&'a [u8]>,
    result: Option<&'a [u8]>,
    /// Where those of the result stand, if whoever looked at the line knows.
    members: Option<Vec<Member>>,
    error: Option<&'a [u8]>,
    /// A member stands twice or cannot be what it is.
    is_flawed: bool,
}

impl<'a> Envelope<'a> {
    /// Takes one member of the line.
    fn take(&mut self, found: Found<'a>) {
        let value = found.value;
        let Some(key) = unquote(found.key) else {
            self.is_flawed = true;
            return;
        };
        let member = match key.as_ref() {
            "jsonrpc" => &mut self.jsonrpc,
            "id" => &mut self.id,
            "method" => return self.take_method(value),
            "params" => &mut self.params,
            "result" => {
                self.members = found.members;
                &mut self.result
            }
            "error" => &mut self.error,
            _ => return,
        };
        self.is_flawed |= member.replace(value).is_some();
    }

    fn take_method(&mut self, value: &'a [u8]) {
        self.is_flawed |= self.has_method;
        self.has_method = true;
        if value != NULL {
            self.method = unquote(value);
            self.is_flawed |= self.method.is_none();
        }
    }

    /// Many a writer puts both members into an answer, the one that does not hold as
    /// `null`.
    fn leave_out_null(&mut self) {
        match (self.result, self.error) {
            (Some(_), Some(NULL)) => self.error = None,
            (Some(NULL), Some(_)) => self.result = None,
            (_, _) => {}
        }
    }

    fn meant(&self) -> Meant {
        match self.method {
            Some(_) => Meant::ToAsk,
            None if self.result.or(self.error).is_some() => Meant::ToAnswer,
            None => Meant::Nothing,
        }
    }
}

/// Reads one line, without its newline.
///
/// # Errors
/// When the line is no JSON-RPC message.
pub fn parse(line: &Bytes) -> Result<Message, Malformed> {
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(no_object(line));
    }
    let mut envelope = Envelope::default();
    let Some(json) = checked(line, |found| envelope.take(found)) else {
        return Err(Malformed::NotJson);
    };
    if envelope.is_flawed {
        return Err(unread(line, "not a JSON-RPC 2.0 message"));
    }
    envelope.leave_out_null();
    let raw = |value: &[u8]| Raw::looked_at(line.slice_ref(value), json.may_have_meta);
    let id = envelope.id.filter(|id| is_id(id)).map(raw);
    let meant = envelope.meant();
    let wrong = |id, why| Err(Malformed::NotRpc { id, meant, why });
    // White space to JSON, but the end of a line to many a reader (Python's text
    // streams for one): what stands behind it would be a message of its own to
    // them, and one that nobody judged.
    if json.has_return {
        return wrong(id, "a carriage return inside the line");
    }
    if !envelope.jsonrpc.is_some_and(is_2_0) {
        return wrong(id, "`jsonrpc` is not \"2.0\"");
    }
    match envelope {
        Envelope {
            method: Some(method),
            result: None,
            error: None,
            params,
            id: given,
            ..
        } => {
            let params = match params {
                None | Some(NULL) => None,
                Some(text @ [b'{' | b'[', ..]) => Some(raw(text)),
                Some(_) => return wrong(id, "`params` is neither an object nor an array"),
            };
            let method: Box<str> = method.into();
            match (given, id) {
                (None, _) => Ok(Message::Notification { method, params }),
                // The protocol forbids it and some writers write it. What would have to be
                // answered is not taken for what need not be.
                (Some(NULL), None) if method.starts_with("notifications/") => {
                    Ok(Message::Notification { method, params })
                }
                (Some(_), Some(id)) => Ok(Message::Request { id, method, params }),
                (Some(_), None) => wrong(None, "`id` is neither a string nor an integer"),
            }
        }
        Envelope {
            method: None,
            result,
            members,
            error,
            ..
        } => match (id, result, error) {
            (Some(id), Some(result), None) => Ok(Message::Response {
                id,
                body: Body::Result(raw(result).with_members(members)),
            }),
            (Some(id), None, Some(error)) => Ok(Message::Response {
                id,
                body: Body::Error(raw(error)),
            }),
            (id, Some(_), Some(_)) => wrong(id, "both `result` and `error`"),
            (id, _, _) => wrong(id, "neither a request nor an answer"),
        },
        Envelope { .. } => wrong(id, "a method together with an answer"),
    }
}

/// A line whose members do not fit together, with what can be made out of it.
fn unread(line: &[u8], why: &'static str) -> Malformed {
    let mut watch = Oversize::default();
    watch.watch(line);
    Malformed::NotRpc {
        id: watch.id(),
        meant: watch.meant(),
        why,
    }
}

/// What is wrong with a line that is no object. An array in particular: serde takes
/// one for a struct, its elements for the members in their order. And several
/// messages in one line would be judged by nobody as the several that they are.
fn no_object(line: &Bytes) -> Malformed {
    if checked(line, |_| {}).is_none() {
        return Malformed::NotJson;
    }
    let why = match line.trim_ascii_start().starts_with(b"[") {
        true => "an array: batches are not taken, send each message on a line of its own",
        false => "not a JSON-RPC 2.0 message",
    };
    Malformed::NotRpc {
        id: None,
        meant: Meant::Nothing,
        why,
    }
}

const NULL: &[u8] = b"null";

fn unquote(text: &[u8]) -> Option<Cow<'_, str>> {
    std::str::from_utf8(text).ok().and_then(super::unquote)
}

fn is_2_0(text: &[u8]) -> bool {
    text == b"\"2.0\"" || unquote(text).is_some_and(|version| version == "2.0")
}

/// Longer ids are nobody's; they would be echoed whole.
const MAX_ID: usize = 256;

/// Ids are strings or integers; the suite of the protocol forbids `null`.
pub(super) fn is_id(text: &[u8]) -> bool {
    text.len() <= MAX_ID && (text.starts_with(b"\"") || is_integer(text))
}

fn is_integer(text: &[u8]) -> bool {
    text.strip_prefix(b"-")
        .unwrap_or(text)
        .iter()
        .all(u8::is_ascii_digit)
}

/// The id of ours that the other side gives back. Some write every id as a text; we ask
/// under no other ids than numbers, so it cannot be another's.
#[must_use]
pub fn our_id(id: &Raw) -> Option<u64> {
    let text = id.as_str();
    let text = text.as_deref().unwrap_or(id.text());
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Message, Malformed> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    /// With the version that every message has.
    fn read(text: &str) -> Result<Message, Malformed> {
        parsed(&text.replacen('{', r#"{"jsonrpc":"2.0","#, 1))
    }

    #[test]
    fn a_request_keeps_its_id_and_params_as_written() {
        let Ok(Message::Request { id, method, params }) =
            read(r#"{"params":{"n":1e400},"id":"a\u0062","method":"tools/call","x":1}"#)
        else {
            panic!("not a request");
        };
        assert_eq!(id.text(), r#""a\u0062""#);
        assert_eq!(&*method, "tools/call");
        assert_eq!(params.unwrap().text(), r#"{"n":1e400}"#);
    }

    #[test]
    fn a_line_within_the_line_is_no_message() {
        let smuggled = "{\"id\":1,\"method\":\"a\",\"params\":[\r{\"id\":2}\r]}";
        match read(smuggled) {
            Err(Malformed::NotRpc { id: Some(id), .. }) => assert_eq!(id.text(), "1"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn null_is_a_result() {
        assert!(matches!(
            read(r#"{"id":1,"result":null}"#),
            Ok(Message::Response {
                body: Body::Result(_),
                ..
            })
        ));
    }

    #[test]
    fn a_member_that_is_null_beside_the_other_is_not_there() {
        let body = |line: &str| match read(line) {
            Ok(Message::Response { body, .. }) => body,
            other => panic!("{line}: {other:?}"),
        };
        assert!(matches!(
            body(r#"{"id":1,"result":{},"error":null}"#),
            Body::Result(_)
        ));
        assert!(matches!(
            body(r#"{"id":1,"result":null,"error":{}}"#),
            Body::Error(_)
        ));
        assert!(matches!(
            body(r#"{"id":1,"result":null,"error":null}"#),
            Body::Result(_)
        ));
    }

    #[test]
    fn a_notification_may_say_that_it_has_no_id_and_a_request_may_not() {
        assert!(matches!(
            read(r#"{"id":null,"method":"notifications/initialized"}"#),
            Ok(Message::Notification { .. })
        ));
        assert!(matches!(
            read(r#"{"id":null,"method":"tools/call"}"#),
            Err(Malformed::NotRpc { id: None, .. })
        ));
    }

    #[test]
    fn what_is_no_message_is_told_by_its_method_from_an_answer() {
        for (line, expected) in [
            (r#"{"id":7,"method":"x","params":3}"#, Meant::ToAsk),
            (r#"{"id":7,"method":"a","method":"b"}"#, Meant::ToAsk),
            (r#"{"id":7,"method":5}"#, Meant::ToAsk),
            (r#"{"id":7,"method":"x","result":{}}"#, Meant::ToAsk),
            (r#"{"id":null,"method":"x"}"#, Meant::ToAsk),
            (r#"{"id":7,"result":{},"error":{}}"#, Meant::ToAnswer),
            (r#"{"id":7,"result":1,"result":2}"#, Meant::ToAnswer),
            (r#"{"id":7}"#, Meant::Nothing),
            (r#"{"id":7,"id":8}"#, Meant::Nothing),
        ] {
            match read(line) {
                Err(Malformed::NotRpc { meant, .. }) => assert_eq!(meant, expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        match parsed(r#"{"id":7,"method":"ping"}"#) {
            Err(Malformed::NotRpc { meant, .. }) => assert_eq!(meant, Meant::ToAsk),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_keeps_the_id_where_there_is_one() {
        for line in [
            r#"{"id":7,"result":{},"error":{}}"#,
            r#"{"id":7,"method":"a","method":"b"}"#,
            r#"{"id":7,"method":5}"#,
            r#"{"id":7}"#,
            r#"{"id":7,"method":"x","params":3}"#,
        ] {
            match read(line) {
                Err(Malformed::NotRpc { id: Some(id), .. }) => assert_eq!(id.text(), "7"),
                other => panic!("{line}: {other:?}"),
            }
        }
        assert!(matches!(read("{"), Err(Malformed::NotJson)));
        assert!(matches!(read("garbage"), Err(Malformed::NotJson)));
        assert!(matches!(
            read(r#"{"id":null,"method":"x"}"#),
            Err(Malformed::NotRpc { id: None, .. })
        ));
    }

    #[test]
    fn an_id_of_ours_is_a_number_or_its_text_and_nothing_that_looks_like_it() {
        let ours = |text: &'static str| our_id(&Raw::parse(text.into()).unwrap());
        assert_eq!(ours("7"), Some(7));
        assert_eq!(ours("\"7\""), Some(7));
        for other in [
            "\"07\"", "\"+7\"", "\" 7\"", "\"x7\"", "-7", "7.0", "\"\"", "null",
        ] {
            assert_eq!(ours(other), None, "{other}");
        }
    }

    #[test]
    fn an_array_is_no_message_however_its_elements_stand() {
        let at_their_places = r#"["2.0",99,"tools/call",{"name":"echo"}]"#;
        let without_the_version = r#"[99,"tools/call",{"name":"echo"}]"#;
        let an_answer = r#"["2.0",7,null,null,{"content":[]}]"#;
        let batch = r#" [{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
        for line in [at_their_places, without_the_version, an_answer, batch, "[]"] {
            match parsed(line) {
                Err(Malformed::NotRpc { id: None, why, .. }) => {
                    assert!(why.contains("array"), "{why}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        for line in ["[", r#"["2.0",99,"tools/call""#] {
            assert!(matches!(parsed(line), Err(Malformed::NotJson)), "{line}");
        }
        for line in ["1", "\"x\"", "null"] {
            assert!(matches!(parsed(line), Err(Malformed::NotRpc { .. })));
        }
    }

    #[test]
    fn a_message_of_another_version_or_of_none_is_none() {
        for version in [
            "",
            r#""jsonrpc":"1.0","#,
            r#""jsonrpc":2.0,"#,
            r#""jsonrpc":null,"#,
        ] {
            let line = format!(r#"{{{version}"id":7,"method":"ping"}}"#);
            match parsed(&line) {
                Err(Malformed::NotRpc {
                    id: Some(id), why, ..
                }) => {
                    assert_eq!(id.text(), "7");
                    assert!(why.contains("jsonrpc"), "{why}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        assert!(parsed(r#"{"jsonrpc":"2\u002e0","id":7,"method":"ping"}"#).is_ok());
        assert!(parsed(" {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}").is_ok());
    }
}
