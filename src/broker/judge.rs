//! The judgement of a call that nobody makes: `tollgate try`.
//!
//! The same door and the same gates as [`Broker::call`]; nothing is recorded,
//! no process is started, nothing leaves.

use super::{Answer, Asked, Broker, Door, Session};
use crate::{
    domain::{AgentName, Call, RunId, Standing},
    gate::Verdict,
    wire::{self, Raw},
};

/// What the gates say of a call that nobody makes.
#[derive(Debug)]
pub struct Judged {
    /// The call as they saw it.
    pub call: Call,
    /// What each of them says, up to the first that refuses.
    pub gates: Vec<(&'static str, Verdict)>,
    /// The agent does not see this tool at all: it would be told that there is
    /// none of that name.
    pub unseen: bool,
}

/// Why there is no judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotJudged {
    /// The configuration lists agents, and not this one.
    UnknownAgent,
    /// No server offers such a tool.
    UnknownTool,
    /// The request itself is wrong.
    Wrong(String),
}

impl Broker {
    /// Judges what `agent` would be told if it called the tool that a person names
    /// `SERVER.TOOL` now. Where that could be one of several servers, it is the longest's.
    /// It is the next call of `run`; without one it begins a run.
    ///
    /// # Errors
    /// When there is no such agent or tool, or the arguments cannot be read.
    pub async fn judge(
        &self,
        agent: &AgentName,
        run: Option<RunId>,
        title: &str,
        arguments: &Raw,
    ) -> Result<Judged, NotJudged> {
        let session = self.visitor(agent, run).ok_or(NotJudged::UnknownAgent)?;
        // The others' lists say nothing of this tool.
        let owners = self.policy.servers.keys();
        let owners = owners.filter(|server| server.tool_of(title).is_some());
        self.met_all(&owners.cloned().collect::<Vec<_>>()).await;
        let catalog = self.catalog();
        let tools = catalog.tools().iter();
        let named = tools.filter(|known| known.server.tool_of(title) == Some(&known.name));
        let tool = named.max_by_key(|known| known.server.as_str().len());
        let tool = tool.ok_or(NotJudged::UnknownTool)?;
        let server = &tool.server;
        let params = format!(
            "{{\"name\":{},\"arguments\":{}}}",
            wire::quote(&tool.exposed),
            arguments.text()
        );
        let params = Raw::parse(params.into())
            .ok_or_else(|| NotJudged::Wrong("the arguments are not valid JSON".to_owned()))?;
        let unseen = !session.visible().contains(server);
        let view = match unseen {
            false => self.view(&session),
            // For the person who asks: which gate keeps it from the agent.
            true => catalog.view(std::slice::from_ref(server)),
        };
        let wrong = |answer| NotJudged::Wrong(complaint(&answer));
        let read = self.read(agent, Asked::Tool, Some(&params)).await;
        let door = read.and_then(|asking| self.enter(&session, &asking, None, &view));
        let mut door = door.map_err(wrong)?;
        if door.is_unmeasured() {
            self.measure_on(&mut door).await;
        }
        let Door { mut call, .. } = door;
        // No instance is started for a question: what the server offered last is
        // what it would run.
        call.standing = Standing::Defined(self.offered_last(tool));
        Ok(Judged {
            gates: self.store.judge(&call),
            call,
            unseen,
        })
    }

    /// A session of its own that no connection has.
    fn visitor(&self, agent: &AgentName, run: Option<RunId>) -> Option<Session> {
        let principal = self.policy.principal(agent)?;
        // Named: a pause makes no other run of it.
        let named = run.is_some();
        let run = run.unwrap_or_else(|| self.new_run_id());
        Some(self.session(principal, run, named))
    }
}

fn complaint(answer: &Answer) -> String {
    match answer {
        Answer::Wrong { says, .. } => says.clone(),
        // The door has no other answer.
        Answer::Refused { .. }
        | Answer::CutShort { .. }
        | Answer::Fault(_)
        | Answer::Unrecorded { .. }
        | Answer::Failed { .. }
        | Answer::Done { .. }
        | Answer::Own(_)
        | Answer::OwnRefused { .. }
        | Answer::Asks { .. }
        | Answer::Lacks(_) => "the request is wrong".to_owned(),
    }
}
