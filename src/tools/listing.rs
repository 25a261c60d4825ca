//! What a server offers, gathered page by page.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    handshake,
    instance::{Instance, lock},
    outgoing,
};
use crate::{
    domain::{Era, Met, ToolFault},
    ports::Listing,
    wire::{self, Body, Node, Raw},
};

/// More pages than this are a server that does not end.
const MAX_PAGES: usize = 1_000;

/// More entries than this are not a catalogue: no agent can be shown as many, and
/// our own benches list half of it. A list that is longer is not taken at all.
const MAX_ENTRIES: usize = 20_000;

/// Nor is more than this, all pages together.
const MAX_BYTES: usize = 64 << 20;

/// Everything that the server offers.
pub(super) async fn everything(
    instance: &Arc<Instance>,
    met: Met,
    limit: Duration,
) -> Result<Listing, ToolFault> {
    let Some(greeting) = instance.greeting.get() else {
        return Err(ToolFault::NotStarted("it was never greeted".to_owned()));
    };
    let tools = tools(instance, limit).await?;
    let mut prompts = Vec::new();
    let mut resources = Vec::new();
    let mut templates = Vec::new();
    if greeting.has("prompts") {
        prompts = pages(instance, "prompts/list", "prompts", limit).await?;
    }
    if greeting.has("resources") {
        resources = pages(instance, "resources/list", "resources", limit).await?;
        // Some servers have resources but never heard of templates.
        templates = pages(
            instance,
            "resources/templates/list",
            "resourceTemplates",
            limit,
        )
        .await
        .unwrap_or_default();
    }
    Ok(Listing {
        server: instance.server.clone(),
        era: greeting.era,
        told: *lock(&instance.told),
        met,
        capabilities: greeting.capabilities.clone(),
        info: greeting.info.clone(),
        instructions: greeting.instructions.clone(),
        tools,
        prompts,
        resources,
        templates,
    })
}

/// The tools, whose definitions the instance is then judged by.
pub(super) async fn tools(
    instance: &Arc<Instance>,
    limit: Duration,
) -> Result<Vec<Raw>, ToolFault> {
    let offers = instance
        .greeting
        .get()
        .is_some_and(|greeting| greeting.has("tools"));
    let tools = if offers {
        pages(instance, "tools/list", "tools", limit).await?
    } else {
        Vec::new()
    };
    // Of a name that is listed twice the first counts, as in the catalogue.
    let found = tools
        .iter()
        .rev()
        .filter_map(|tool| {
            let name = tool.get("name")?;
            let print = Node::parse(tool.text()).ok()?.fingerprint();
            Some((Arc::from(name.as_str()?.as_ref()), print))
        })
        .collect();
    *instance
        .definitions
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = found;
    Ok(tools)
}

async fn pages(
    instance: &Arc<Instance>,
    method: &str,
    key: &'static str,
    limit: Duration,
) -> Result<Vec<Raw>, ToolFault> {
    let mut found = Vec::new();
    let mut cursor: Option<Raw> = None;
    let mut seen = HashSet::new();
    let mut bytes = 0;
    // All pages together have as long as one: somebody may wait for the whole.
    let until = Instant::now() + limit;
    for nth in 0..MAX_PAGES {
        let mut members = Vec::new();
        if let Some(cursor) = &cursor {
            members.push(format!("\"cursor\":{}", cursor.text()));
        }
        match instance.era() {
            Era::Legacy => {}
            Era::Modern => members.push(format!(
                "\"_meta\":{}",
                outgoing::own_meta(lock(&instance.told).can)
            )),
        }
        let params = if members.is_empty() {
            Vec::new()
        } else {
            vec![format!("{{{}}}", members.join(",")).into()]
        };
        let left = until.saturating_duration_since(Instant::now());
        let page = match instance.request(method, &params, left).await {
            Ok(Body::Result(page)) => page,
            Err(ToolFault::Idle(_) | ToolFault::Overdue(_)) if nth > 0 => {
                return Err(ToolFault::Protocol(format!(
                    "`{method}` does not end within {} s",
                    limit.as_secs_f32()
                )));
            }
            Err(fault) => return Err(fault),
            Ok(Body::Error(error)) => {
                return Err(ToolFault::Protocol(format!(
                    "`{method}` failed: {}",
                    handshake::message(&error)
                )));
            }
        };
        let Some(entries) = page.get(key) else {
            return Err(ToolFault::Protocol(format!(
                "its answer to `{method}` has no `{key}`"
            )));
        };
        // Of what is no list `elements` finds none: it would be taken for an empty one.
        if !entries.text().starts_with('[') {
            return Err(ToolFault::Protocol(format!(
                "`{key}` in its answer to `{method}` is not a list"
            )));
        }
        for entry in wire::elements(entries.text()) {
            if found.len() >= MAX_ENTRIES {
                return Err(ToolFault::Protocol(format!(
                    "`{method}` gives more than {MAX_ENTRIES} entries"
                )));
            }
            bytes += entry.len();
            if bytes > MAX_BYTES {
                return Err(ToolFault::Protocol(format!(
                    "`{method}` gives more than {MAX_BYTES} bytes"
                )));
            }
            found.push(entries.part(entry).detached());
        }
        // Some servers end a list with an empty cursor instead of none.
        cursor = page
            .get("nextCursor")
            .filter(|cursor| cursor.as_str().is_some_and(|cursor| !cursor.is_empty()));
        match &cursor {
            None => return Ok(found),
            Some(cursor) if !seen.insert(cursor.text().to_owned()) => {
                return Err(ToolFault::Protocol(format!(
                    "`{method}` gives the same page again and again"
                )));
            }
            Some(_) => {}
        }
    }
    Err(ToolFault::Protocol(format!(
        "`{method}` does not end after {MAX_PAGES} pages"
    )))
}
