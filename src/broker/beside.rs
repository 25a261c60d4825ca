//! What instances of runs offer otherwise than the catalogue's.
//!
//! The program of a server may be another one when its next instance starts, and a
//! call is judged by the definition of the instance that would run it. So what such an
//! instance offers is put before people as well: what is refused can be looked at and
//! accepted. What people are shown is what was offered last; it is taken back when the
//! accepted definition is listed again and no running instance offers another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Broker, Tool, news::News};
use crate::{
    domain::{Fingerprint, ServerName},
    wire::{Node, Raw},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Beside {
    offered: Mutex<HashMap<ServerName, Offered>>,
    /// A share of its own: an agent that begins one run after the other must not have
    /// tools of the catalogue hidden.
    news: News,
}

/// What was offered last for a tool of which an instance offered something else.
type Offered = HashMap<Arc<str>, Fingerprint>;

impl Beside {
    fn lock(&self) -> MutexGuard<'_, HashMap<ServerName, Offered>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, tool: &Tool) -> Option<Fingerprint> {
        self.lock().get(&tool.server)?.get(&tool.name).copied()
    }

    fn set(&self, tool: &Tool, print: Fingerprint) {
        let mut offered = self.lock();
        let of = offered.entry(tool.server.clone()).or_default();
        of.insert(tool.name.clone(), print);
    }

    fn forget(&self, tool: &Tool) {
        if let Some(of) = self.lock().get_mut(&tool.server) {
            of.remove(&tool.name);
        }
    }
}

impl Broker {
    /// Takes which tools an instance of a run has, that does not feed the catalogue.
    pub fn listed_beside(&self, server: &ServerName, tools: &[Raw]) {
        let catalog = self.catalog();
        let Some(read) = catalog.read.get(server) else {
            return;
        };
        let is_known = |definition: &&Raw| match read.get(definition.bytes()) {
            Some(Ok(tool)) => !tool.changed && self.beside.get(tool).is_none(),
            Some(Err(_)) | None => false,
        };
        let mut others = tools.iter().filter(|tool| !is_known(tool)).peekable();
        if others.peek().is_none() {
            return;
        }
        // A tool that the catalogue has not cannot be called.
        let known = catalog.tools().iter().filter(|tool| tool.server == *server);
        let known: HashMap<&str, &Arc<Tool>> = known.map(|tool| (&*tool.name, tool)).collect();
        for definition in others {
            let name = definition.get("name");
            let name = name.as_ref().and_then(Raw::as_str);
            let tool = name.and_then(|name| known.get(name.as_ref()).copied());
            if let (Some(tool), Ok(node)) = (tool, Node::parse(definition.text())) {
                self.offered_beside(tool, definition, node.fingerprint());
            }
        }
    }

    fn offered_beside(&self, tool: &Tool, definition: &Raw, print: Fingerprint) {
        if print == tool.accepted {
            return self.accepted_beside(tool);
        }
        let same = self.beside.get(tool) == Some(print);
        let bytes = definition.bytes().len();
        let now = self.clock.elapsed();
        if !same && !self.beside.news.take(&tool.server, bytes, now) {
            tracing::warn!(server = %tool.server, tool = %tool.name, "its definition changed, which is not shown: its server changed too many today");
            return;
        }
        self.beside.set(tool, print);
        self.shown(tool, definition, print);
    }

    /// The accepted definition is offered: what another instance offered is taken back,
    /// unless one still does.
    fn accepted_beside(&self, tool: &Tool) {
        if self.beside.get(tool).is_none() {
            return;
        }
        let running = self.tools.get();
        let running = running.map(|tools| tools.definitions(&tool.server, &tool.name));
        let mut running = running.into_iter().flatten();
        if running.any(|other| other != tool.accepted) {
            return;
        }
        self.beside.forget(tool);
        if let Some(definition) = self.store.pinned(&tool.server, &tool.name) {
            self.shown(tool, &definition, tool.accepted);
        }
    }

    /// The catalogue's instance was listed: what was offered beside it is compared with that.
    pub(super) fn settled_beside(&self, server: &ServerName) {
        let named: Vec<Arc<str>> = match self.beside.lock().get(server) {
            Some(offered) if !offered.is_empty() => offered.keys().cloned().collect(),
            Some(_) | None => return,
        };
        let catalog = self.catalog();
        let of_server = |tool: &&Arc<Tool>| tool.server == *server && named.contains(&tool.name);
        for tool in catalog.tools().iter().filter(of_server) {
            match tool.changed {
                // Shown already, by the catalogue.
                true => self.beside.forget(tool),
                false => self.accepted_beside(tool),
            }
        }
    }

    /// How a tool was defined by the instance that was listed last.
    #[must_use]
    pub fn offered_last(&self, tool: &Tool) -> Fingerprint {
        self.beside.get(tool).unwrap_or(tool.offered)
    }

    /// Has the store remember what people are shown.
    fn shown(&self, tool: &Tool, definition: &Raw, print: Fingerprint) {
        let Tool { server, name, .. } = tool;
        if let Err(fault) = self.store.pin(server, name, definition, print) {
            tracing::warn!(%server, tool = %name, "that its definition changed is not shown: {}", fault.says);
        }
    }
}
