//! What there was before a list changed: what is as it was is not read again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    catalog::{Catalog, Tool},
    news::News,
};
use crate::{domain::ServerName, wire::Raw};

/// What was made of each definition of each server.
pub(super) type Read = HashMap<ServerName, HashMap<Bytes, Result<Arc<Tool>, String>>>;

/// See the module.
pub(super) struct Before<'a> {
    pub(super) catalog: &'a Catalog,
    /// A tool that is read again however it was.
    pub(super) but: Option<(&'a ServerName, &'a str)>,
    /// What may be read anew.
    pub(super) news: &'a News,
    /// Since the broker's clock began.
    pub(super) now: Duration,
}

impl Before<'_> {
    /// What was made of this very definition.
    pub(super) fn read(
        &self,
        server: &ServerName,
        definition: &Raw,
    ) -> Option<&Result<Arc<Tool>, String>> {
        let read = self.catalog.read.get(server)?.get(definition.bytes())?;
        let again = match (read, self.but) {
            (Ok(tool), Some((server, name))) => tool.server == *server && *tool.name == *name,
            (Ok(_), None) | (Err(_), _) => false,
        };
        (!again).then_some(read)
    }

    /// Whether one more definition of this server may be read now.
    pub(super) fn lets_in(&self, server: &ServerName, definition: &Raw) -> bool {
        let bytes = definition.bytes().len();
        self.news.take(server, bytes, self.now)
    }
}
