//! The first words between us and a tool server: which era it speaks, and what
//! it declares.
//!
//! It is asked in the era of its agent first: a server that speaks both is to be
//! what it would be if the two were connected directly. One that answers with an
//! error is spoken to in the other way on the same pipes, and one that answers
//! the stateless `server/discover` with nonsense or not at all as well. One that
//! leaves at the question is started again by the pool and not asked twice.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    instance::{Greeting, Instance},
    outgoing,
};
use crate::{
    domain::{Capabilities, Era, ToolFault},
    wire::{self, Body, Raw, keys, rpc},
};

/// How long the probe may stay without an answer.
const PROBE: Duration = Duration::from_secs(3);

/// What is known of a server's era before it is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// Nothing: it is asked in this one first.
    First(Era),
    /// It was this the last time, or the operator says so.
    Known(Era),
}

/// Meets a server that was just started.
pub(super) async fn greet(
    instance: &Arc<Instance>,
    hint: Hint,
    declare: Capabilities,
    limit: Duration,
) -> Result<(), ToolFault> {
    let greeting = match hint {
        Hint::Known(Era::Modern) => match discover(instance, declare, limit).await? {
            Probe::Modern(greeting) => greeting,
            Probe::Legacy(why) => {
                return Err(ToolFault::NotStarted(format!(
                    "it does not speak {}: {why}",
                    keys::MODERN_VERSION
                )));
            }
        },
        Hint::Known(Era::Legacy) => initialize(instance, declare, limit).await?,
        Hint::First(Era::Modern) => modern_first(instance, declare, limit).await?,
        Hint::First(Era::Legacy) => legacy_first(instance, declare, limit).await?,
    };
    let era = greeting.era;
    let _ = instance.greeting.set(greeting);
    match era {
        Era::Legacy => instance.notify("notifications/initialized", &[]),
        Era::Modern => {}
    }
    Ok(())
}

/// Finds out which era a server speaks. One that is silent at the probe may be
/// an old one that leaves unanswered what it does not know, or one that takes
/// its time to start: it is spoken to in the old way, and if it refuses that,
/// its answer to the probe counts after all.
async fn modern_first(
    instance: &Arc<Instance>,
    declare: Capabilities,
    limit: Duration,
) -> Result<Greeting, ToolFault> {
    let mut probe = std::pin::pin!(discover(instance, declare, limit));
    if let Ok(answer) = tokio::time::timeout(PROBE.min(limit), &mut probe).await {
        return match answer? {
            Probe::Modern(greeting) => Ok(greeting),
            Probe::Legacy(_) => initialize(instance, declare, limit).await,
        };
    }
    match initialize(instance, declare, limit).await {
        Ok(greeting) => Ok(greeting),
        Err(fault) => match probe.await {
            Ok(Probe::Modern(greeting)) => Ok(greeting),
            Ok(Probe::Legacy(_)) | Err(_) => Err(fault),
        },
    }
}

/// The other way round. One that is silent is not asked anything more: nothing but
/// `initialize` may come first where that is understood.
async fn legacy_first(
    instance: &Arc<Instance>,
    declare: Capabilities,
    limit: Duration,
) -> Result<Greeting, ToolFault> {
    match initialize(instance, declare, limit).await {
        Ok(greeting) => Ok(greeting),
        Err(refused @ ToolFault::NotStarted(_)) => {
            match discover(instance, declare, limit.min(PROBE)).await {
                Ok(Probe::Modern(greeting)) => Ok(greeting),
                // What it said to `initialize` is what its operator can use.
                Ok(Probe::Legacy(_)) | Err(_) => Err(refused),
            }
        }
        Err(fault) => Err(fault),
    }
}

enum Probe {
    Modern(Greeting),
    /// Anything but an answer of the stateless era; the text says what.
    Legacy(String),
}

async fn discover(
    instance: &Arc<Instance>,
    declare: Capabilities,
    limit: Duration,
) -> Result<Probe, ToolFault> {
    let params = format!("{{\"_meta\":{}}}", outgoing::own_meta(declare));
    let answer = instance
        .request("server/discover", &[params.into()], limit)
        .await;
    match answer {
        Ok(Body::Result(result)) => Ok(met(&result)),
        Ok(Body::Error(error)) => match code(&error) {
            // A server of the stateless era that does not speak our version
            // must not be mistaken for an old one.
            Some(code) if code == i64::from(rpc::UNSUPPORTED_VERSION) => {
                Err(ToolFault::NotStarted(format!(
                    "it does not support protocol version {} ({code}: {})",
                    keys::MODERN_VERSION,
                    message(&error)
                )))
            }
            _ => Ok(Probe::Legacy(message(&error))),
        },
        Err(fault @ (ToolFault::Idle(_) | ToolFault::Overdue(_))) => {
            Ok(Probe::Legacy(format!("no answer ({fault})")))
        }
        Err(fault @ (ToolFault::Malformed(_) | ToolFault::Oversized { .. })) => {
            Ok(Probe::Legacy(fault.to_string()))
        }
        Err(fault) => Err(fault),
    }
}

fn met(result: &Raw) -> Probe {
    let speaks = result.get("supportedVersions").is_some_and(|versions| {
        wire::elements(versions.text())
            .any(|version| wire::unquote(version).is_some_and(|v| v == keys::MODERN_VERSION))
    });
    if !speaks {
        return Probe::Legacy("its answer does not name the version".to_owned());
    }
    let info = result
        .get("_meta")
        .and_then(|meta| meta.get(keys::SERVER_INFO))
        .or_else(|| result.get("serverInfo"));
    Probe::Modern(Greeting {
        era: Era::Modern,
        capabilities: capabilities(result),
        info: info.map(|info| info.detached()),
        instructions: instructions(result),
    })
}

async fn initialize(
    instance: &Arc<Instance>,
    declare: Capabilities,
    limit: Duration,
) -> Result<Greeting, ToolFault> {
    let params = format!(
        "{{\"protocolVersion\":{},\"capabilities\":{},\"clientInfo\":{}}}",
        wire::quote(keys::LEGACY_VERSION),
        outgoing::declared(declare),
        outgoing::client_info()
    );
    let answer = instance
        .request("initialize", &[Bytes::from(params)], limit)
        .await?;
    let result = match answer {
        Body::Result(result) => result,
        Body::Error(error) => {
            return Err(ToolFault::NotStarted(format!(
                "it refused `initialize`: {}",
                message(&error)
            )));
        }
    };
    let version = result
        .get("protocolVersion")
        .and_then(|version| version.as_str().map(std::borrow::Cow::into_owned));
    match version {
        Some(version) if keys::LEGACY_VERSIONS.contains(&version.as_str()) => {}
        Some(version) => {
            return Err(ToolFault::NotStarted(format!(
                "it answered `initialize` with protocol version `{version}`, which tollgate does not speak"
            )));
        }
        None => {
            return Err(ToolFault::NotStarted(
                "its answer to `initialize` names no protocol version".to_owned(),
            ));
        }
    }
    Ok(Greeting {
        era: Era::Legacy,
        capabilities: capabilities(&result),
        info: result.get("serverInfo").map(|info| info.detached()),
        instructions: instructions(&result),
    })
}

fn capabilities(result: &Raw) -> Raw {
    result
        .get("capabilities")
        .map_or_else(|| Raw::trusted(Bytes::from_static(b"{}")), |c| c.detached())
}

fn instructions(result: &Raw) -> Option<String> {
    result
        .get("instructions")
        .and_then(|text| text.as_str().map(std::borrow::Cow::into_owned))
}

pub(super) fn code(error: &Raw) -> Option<i64> {
    error.get("code").and_then(|code| code.text().parse().ok())
}

pub(super) fn message(error: &Raw) -> String {
    error
        .get("message")
        .and_then(|text| text.as_str().map(std::borrow::Cow::into_owned))
        .unwrap_or_else(|| "an error without a message".to_owned())
}
