//! The codes of JSON-RPC and of both eras of the protocol, and an error that says one.

use std::ops::RangeInclusive;

use super::Raw;

/// The line is not JSON.
pub const NOT_JSON: i32 = -32700;
/// It is JSON, and no message that could be taken.
pub const INVALID_REQUEST: i32 = -32600;
/// There is no such method here.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The request says something wrong.
pub const INVALID_PARAMS: i32 = -32602;
/// It was not done, and not for what the request says.
pub const INTERNAL: i32 = -32603;

/// The handshake era: there is no such resource.
pub const RESOURCE_NOT_FOUND: i32 = -32002;
/// The handshake era: the user has to open a page first.
pub const PAGE_FIRST: i32 = -32042;

/// The stateless era: something would be asked that the request did not declare.
pub const NOT_DECLARED: i32 = -32021;
/// The stateless era: this version of the protocol is not spoken here.
pub const UNSUPPORTED_VERSION: i32 = -32022;
/// The codes that the stateless era keeps for itself.
pub const STATELESS: RangeInclusive<i32> = -32099..=-32020;

/// The value of `error`.
#[must_use]
pub fn error(code: i32, says: &str) -> Raw {
    Raw::of(&serde_json::json!({ "code": code, "message": says }))
}
