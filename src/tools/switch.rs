//! The stop switch, as far as a server hears of it: while it is stopped no process of it is
//! started, and it is asked for nothing, also not what no agent has asked for.

use tokio::sync::watch;

use crate::domain::{ServerName, Stop, ToolFault};

/// The stops that are in force, as they change.
pub type InForce = watch::Receiver<Vec<Stop>>;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Switch {
    server: ServerName,
    stops: InForce,
}

impl Switch {
    pub(super) fn new(server: ServerName, stops: InForce) -> Self {
        Self { server, stops }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.covered(&self.stops.borrow())
    }

    /// Whether something may leave for it now.
    pub(super) fn may_leave(&self) -> Result<(), ToolFault> {
        match self.is_stopped() {
            true => Err(ToolFault::NotStarted("an operator stopped it".to_owned())),
            false => Ok(()),
        }
    }

    /// Returns when nothing stops it, or nothing can be lifted any more.
    pub(super) async fn lifted(&self) {
        let mut stops = self.stops.clone();
        drop(stops.wait_for(|stops| !self.covered(stops)).await);
    }

    fn covered(&self, stops: &[Stop]) -> bool {
        let mut stops = stops.iter();
        stops.any(|stop| stop.scope.covers_server(&self.server))
    }
}
