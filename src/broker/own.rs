//! tollgate's own tools: what an agent can ask of the gate itself.
//!
//! They reach no server and are no calls: no step, no charge, no loop. A stop of all
//! that the agent does keeps them back like everything else; a halt does not, they are
//! how an agent learns what became of it.

use super::{Answer, Asked, Broker, Request, Session};
use crate::{
    domain::{Dimension, Level, Limit, Period, Scope, ServerName, money},
    gate,
    wire::Raw,
};

const STATUS: &str = "tollgate__status";

/// As they are listed, after those of all servers.
pub(super) fn definitions() -> Vec<Raw> {
    vec![Raw::of(&serde_json::json!({
        "name": STATUS,
        "title": "tollgate: what is left",
        "description": "How much of your budgets is left, when they are free again, and whether you were stopped. Costs nothing and counts as no call. [tollgate: read]",
        "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
        "annotations": {
            "readOnlyHint": true,
            "destructiveHint": false,
            "idempotentHint": true,
            "openWorldHint": false,
        },
        "_meta": { "dev.tollgate/risk": { "tier": 0, "name": "read", "approval": "none", "source": "tollgate" } },
    }))]
}

impl Broker {
    /// Answers one of our own tools; none if there is none of this name.
    fn own(&self, session: &Session, name: &str) -> Option<Answer> {
        (name == STATUS).then(|| match self.kept_back(session, name) {
            Some(refused) => refused,
            None => Answer::Own(self.status(session)),
        })
    }

    /// What is said while a stop covers whatever the agent does.
    fn kept_back(&self, session: &Session, name: &str) -> Option<Answer> {
        let (agent, run) = (&session.principal().agent, session.run());
        let stop = self.store.stop_of(agent, &run)?;
        Some(Answer::OwnRefused {
            name: name.to_owned(),
            refusal: Box::new(gate::stopped(&stop)),
            run,
        })
    }

    /// A request for one of our own tools is answered here and goes no further.
    pub(super) fn asked_of_us(&self, request: &Request) -> Option<Answer> {
        let name = match request.asked {
            Asked::Tool => request.params.as_ref()?.get("name")?,
            Asked::Prompt
            | Asked::Resource
            | Asked::Completion
            | Asked::Subscribe
            | Asked::Unsubscribe => return None,
        };
        let name = name.as_str()?;
        self.own(&request.session, &name)
    }

    fn status(&self, session: &Session) -> Raw {
        let (agent, run) = (&session.principal().agent, session.run());
        let currency = self.policy.free().currency;
        let own = session.terms.limits.iter();
        let own = own.filter(|limit| limit.period != Period::Action);
        let own =
            own.filter_map(|limit| Some((Scope::of_agent(limit.over, agent)?, limit.clone())));
        let of_servers = self.policy.limits_of_servers(session.visible().iter());
        let asked: Vec<_> = own
            .chain(of_servers)
            .map(|(scope, limit)| (scope, Some(run.clone()), limit))
            .collect();
        let levels = self.store.levels(&asked);
        let stops = self.store.stops();
        let stopped: Vec<&ServerName> = session
            .visible()
            .iter()
            .filter(|server| stops.covering(agent, server, &run).is_some())
            .collect();
        let halt = self.store.halt_of(agent);
        let mut text = match &halt {
            Some(halt) => format!("{} was {}: {}.\n", halt.run, halt.kind.word(), halt.says),
            None => String::new(),
        };
        if !stopped.is_empty() {
            let names: Vec<&str> = stopped.iter().map(|server| server.as_str()).collect();
            text.push_str(&format!("An operator stopped: {}.\n", names.join(", ")));
        }
        let mut rows = Vec::new();
        for ((scope, _, limit), level) in asked.iter().zip(&levels) {
            let of = match scope {
                Scope::Server(_) | Scope::Tool(..) => Some(scope.to_string()),
                Scope::Everything | Scope::Agent(_) => None,
            };
            let whose = of.as_ref().map(|of| format!(" of {of}"));
            let show = |quantity| limit.dimension.show(quantity, currency);
            text.push_str(&format!(
                "{}{}: {} left of {}\n",
                limit.name(),
                whose.unwrap_or_default(),
                show(level.left(limit)),
                show(level.allowed(limit))
            ));
            rows.push(row(of.as_deref(), limit, level));
        }
        if asked.is_empty() {
            text.push_str("Nothing is limited.\n");
        }
        Raw::of(&serde_json::json!({
            "content": [{ "type": "text", "text": text.trim_end() }],
            "structuredContent": {
                "agent": agent.as_str(),
                "run": run,
                "halted": halt.map(|halt| halt.kind.word()),
                "stopped": stopped,
                "limits": rows,
            },
            "isError": false,
        }))
    }
}

fn row(of: Option<&str>, limit: &Limit, level: &Level) -> serde_json::Value {
    let quantity = |quantity: u64| match limit.dimension {
        Dimension::Cost | Dimension::Amount => money::show_micros(quantity).into(),
        Dimension::Time | Dimension::Elapsed => (quantity / 1000).into(),
        Dimension::Steps
        | Dimension::Calls
        | Dimension::Count
        | Dimension::Bytes
        | Dimension::Tokens => serde_json::Value::from(quantity),
    };
    let resets = level
        .resets
        .and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    serde_json::json!({
        "limit": limit.name(),
        "of": of,
        "at": quantity(level.allowed(limit)),
        "used": quantity(level.used),
        "reserved": quantity(level.reserved),
        "left": quantity(level.left(limit)),
        "resets_at": resets.map(|at| format!("{at:.0}")),
    })
}
