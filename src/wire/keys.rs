//! The reserved keys of `_meta`, and the versions of the protocol.

/// The newest version of the handshake era.
pub const LEGACY_VERSION: &str = "2025-11-25";

/// The versions of the handshake era that we serve. One of them, 2025-03-26, lets
/// messages come in batches, and has them taken: they are refused with what to do
/// instead. Clients that speak no later version are many, and none is known to send
/// one; without the version they could not be served at all.
pub const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY_VERSION];

/// The version of the stateless era.
pub const MODERN_VERSION: &str = "2026-07-28";

/// Per-request version of the stateless era.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Per-request identity of the client.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Per-request capabilities of the client.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Per-request log level.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The identity of a server, in the `_meta` of its results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Ties a notification to a `subscriptions/listen` request.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Everything of the protocol's own.
pub const PROTOCOL_PREFIX: &str = "io.modelcontextprotocol/";
/// Everything of ours: what a tool server sends under it is dropped.
pub const OUR_PREFIX: &str = "dev.tollgate/";

/// The members of a result that say whether it asks, and what.
pub const ASKS: [&str; 3] = ["resultType", "inputRequests", "requestState"];
