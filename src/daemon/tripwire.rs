//! Who may loosen something: not an agent, nor a tool server, nor what they started.
//!
//! Every process of the same user can connect to the control socket, an agent with a
//! shell tool too. So the daemon remembers the processes that agents speak from, for as
//! long as they live, and looks for them above whoever asks. What only tightens, or
//! reads, is not asked where it comes from.
//!
//! A tripwire, not a proof: `lineage` says what evades it. Who cannot be examined is
//! refused, so on systems without /proc nothing can be loosened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lineage::{Origin, Process, origin, speakers};
use super::processes::{is_spoken_to, look, look_closely};
use crate::control::{Refused, RefusedCode};
use crate::domain::AgentName;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tripwire(Arc<Mutex<Agents>>);

/// The processes that agents speak from.
#[derive(Debug, Default)]
struct Agents {
    known: HashMap<Process, AgentName>,
    /// With so many, those that have ended are forgotten.
    full: usize,
}

/// What is read may belong to a process that is stuck; nobody waits for it for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many are remembered before anybody looks who of them still lives.
const FEW: usize = 64;

impl Tripwire {
    /// Remembers whoever speaks through a shim.
    pub(crate) fn note(&self, shim: u32, agent: &AgentName) {
        let speakers = speakers(shim, look, is_spoken_to);
        if speakers.is_empty() {
            tracing::warn!(shim, %agent, "can't see which process speaks through a shim");
        }
        let mut agents = self.agents();
        for process in speakers {
            let name = agents.known.entry(process);
            name.or_insert_with(|| agent.clone());
        }
        agents.forget_the_dead();
    }

    /// Whether a process may do what loosens something: `what`, as a fragment.
    ///
    /// # Errors
    /// When it was started by an agent or a tool server, or cannot be examined.
    pub(crate) async fn check(&self, asker: u32, what: &str) -> Result<(), Refused> {
        let agents = self.clone();
        let look = tokio::task::spawn_blocking(move || {
            let is_agent = |process| agents.agents().known.contains_key(&process);
            origin(asker, std::process::id(), is_agent, look_closely)
        });
        let origin = match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(origin)) => origin,
            Ok(Err(_)) | Err(_) => Origin::Unseen(asker),
        };
        self.judge(origin, what)
    }

    fn judge(&self, origin: Origin, what: &str) -> Result<(), Refused> {
        let (why, hint) = match origin {
            Origin::Elsewhere => return Ok(()),
            Origin::Agent(process) => {
                let name = self.agents().known.get(&process).cloned();
                let name = name.map(|name| format!(" `{name}`")).unwrap_or_default();
                let why = format!(
                    "this command was started below process {} of agent{name}",
                    process.pid
                );
                (why, OTHER_TERMINAL)
            }
            Origin::Server => {
                let why = "this command was started below a tool server".to_owned();
                (why, OTHER_TERMINAL)
            }
            Origin::Unseen(pid) => {
                let why = format!("process {pid}, which started this command, can't be examined");
                (why, BESIDE_THE_DAEMON)
            }
        };
        let says = format!("{what} is for people to do, and {why}");
        Err(Refused::new(RefusedCode::NotAPerson, says).hint(hint))
    }

    fn agents(&self) -> MutexGuard<'_, Agents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agents {
    /// So there are never more than twice as many as lived a while ago, or a few.
    fn forget_the_dead(&mut self) {
        if self.known.len() < self.full.max(FEW) {
            return;
        }
        self.known
            .retain(|process, _| look(process.pid).is_some_and(|seen| seen.start == process.start));
        self.full = self.known.len() * 2;
    }
}

const OTHER_TERMINAL: &str = "type it in a terminal that no agent started or runs in";
const BESIDE_THE_DAEMON: &str = "type it where the daemon runs, inside its container if it is in one, in a terminal that no agent started";
