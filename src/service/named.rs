//! Tools by the names that people have for them.

use super::Tollgate;
use crate::ports::Query;

impl Tollgate {
    /// What a person names, as `SERVER.TOOL`. They may have it from an agent, and an agent
    /// knows the tool by another name; a server has its own name for agents and people.
    pub(super) fn title_of(&self, given: String) -> String {
        let mut servers = self.generation.servers.iter().map(|server| &server.name);
        if servers.any(|server| server.as_str() == given || server.tool_of(&given).is_some()) {
            return given;
        }
        let catalog = self.broker.catalog();
        let seen = catalog.tool(&given);
        seen.map_or(given, |tool| format!("{}.{}", tool.server, tool.name))
    }

    /// The same in a query.
    pub(super) fn query_of(&self, query: Query) -> Query {
        Query {
            tool: query.tool.map(|tool| self.title_of(tool)),
            ..query
        }
    }
}
