//! Messages as lines: what is sent.

use bytes::Bytes;

use super::{Parts, Raw, quote};

/// A request as one line.
#[must_use]
pub fn request_line(id: &str, method: &str, params: &[Bytes]) -> Parts {
    let before = if params.is_empty() {
        ""
    } else {
        ",\"params\":"
    };
    line(
        &[OPEN, ",\"id\":", id, ",\"method\":", &quote(method), before],
        params,
    )
}

/// A notification as one line.
#[must_use]
pub fn notification_line(method: &str, params: &[Bytes]) -> Parts {
    let before = if params.is_empty() {
        ""
    } else {
        ",\"params\":"
    };
    line(&[OPEN, ",\"method\":", &quote(method), before], params)
}

/// An answer as one line; the result goes out as the pieces it is in.
#[must_use]
pub fn result_line(id: &Raw, result: &[Bytes]) -> Parts {
    line(&[OPEN, ",\"id\":", id.text(), ",\"result\":"], result)
}

/// An error answer as one line.
#[must_use]
pub fn error_line(id: &Raw, error: &Raw) -> Parts {
    let error = std::slice::from_ref(error.bytes());
    line(&[OPEN, ",\"id\":", id.text(), ",\"error\":"], error)
}

/// Before the other members.
const OPEN: &str = r#"{"jsonrpc":"2.0""#;
/// Behind the last member.
const END: &[u8] = b"}\n";

fn line(head: &[&str], body: &[Bytes]) -> Parts {
    let before: usize = head.iter().map(|part| part.len()).sum();
    let small: usize = body.iter().map(Bytes::len).sum();
    // Small messages leave in one piece: copying them is cheaper than a longer
    // vector for the kernel.
    let whole = small <= 4096;
    let length = if whole { small } else { 0 };
    let mut first = Vec::with_capacity(before + length + END.len());
    for part in head {
        first.extend_from_slice(part.as_bytes());
    }
    if whole {
        for part in body {
            first.extend_from_slice(part);
        }
        first.extend_from_slice(END);
        return vec![first.into()];
    }
    let mut parts = Parts::with_capacity(body.len() + 2);
    parts.push(first.into());
    parts.extend(body.iter().cloned());
    parts.push(Bytes::from_static(END));
    parts
}
