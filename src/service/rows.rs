//! Tool servers and tools, as the command line lists them.

use super::Tollgate;
use crate::{
    config,
    control::{ServerRow, ToolRow},
    domain::Offer,
    store::without_known,
    tools::Health,
};

impl Tollgate {
    pub(super) fn server_row(&self, server: &config::Server, health: Option<&Health>) -> ServerRow {
        let catalog = self.broker.catalog();
        let lines = |of: fn(&Health) -> &Vec<String>| {
            let lines = health.into_iter().flat_map(of);
            lines.map(|line| shown(line)).collect()
        };
        ServerRow {
            name: server.name.clone(),
            owner: server.owner.clone(),
            state: health.map_or("unknown", |health| health.state).to_owned(),
            era: health
                .and_then(|health| health.era)
                .map(|era| era.to_string()),
            tools: catalog
                .tools()
                .iter()
                .filter(|tool| tool.server == server.name && tool.offer != Offer::Off)
                .count(),
            hidden: catalog
                .hidden(&server.name)
                .iter()
                .map(|why| shown(why))
                .collect(),
            instances: health.map_or(0, |health| health.instances),
            stderr_tail: lines(|health| &health.stderr),
            last_words: lines(|health| &health.last_words),
            last_exit: health.and_then(|health| {
                let trouble = without_known(health.trouble.as_deref()?).into_owned();
                Some(match health.retry_in {
                    Some(seconds) => format!("{trouble}; next try in {seconds} s"),
                    None => trouble,
                })
            }),
        }
    }

    pub(super) fn server_rows(&self) -> Vec<ServerRow> {
        let health = self.pool.health(0);
        self.generation
            .servers
            .iter()
            .map(|server| {
                let health = health
                    .iter()
                    .find(|health| health.server == server.name.as_str());
                self.server_row(server, health)
            })
            .collect()
    }

    pub(super) fn tool_rows(&self) -> Vec<ToolRow> {
        self.broker
            .catalog()
            .tools()
            .iter()
            .map(|tool| ToolRow {
                name: tool.exposed.to_string(),
                server: tool.server.clone(),
                tool: tool.name.to_string(),
                tier: tool.tier,
                offered: tool.offer != Offer::Off,
                note: if self.broker.offered_last(tool) != tool.accepted {
                    Some("changed since it was accepted".to_owned())
                } else {
                    match tool.offer {
                        Offer::Unclassified => Some("nobody has classified it".to_owned()),
                        Offer::At(said) if said != tool.tier => {
                            Some(format!("its server's hints raise it from {said}"))
                        }
                        Offer::At(_) | Offer::Off => None,
                    }
                },
            })
            .collect()
    }
}

/// A line of somebody else's, safe to show in a terminal.
fn shown(line: &str) -> String {
    without_known(line)
        .chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
