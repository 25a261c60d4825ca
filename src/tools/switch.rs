//! The stop switch, as far as a server hears of it: while it is stopped no process of it is
//! started, and it is asked for nothing, also not what no agent has asked for.

use tokio::sync::watch;

use crate::domain::{ServerName, Stops, ToolFault};

/// The stops that are in force, as they change.
pub type InForce = watch::Receiver<Stops>;

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

    /// Whether a process of it may be started now.
    pub(super) fn may_start(&self) -> Result<(), ToolFault> {
        match self.is_stopped() {
            true => Err(stopped()),
            false => Ok(()),
        }
    }

    /// Returns when nothing stops it.
    pub(super) async fn lifted(&self) {
        self.until(false).await;
    }

    /// Asks it for something, and breaks off when it is stopped.
    pub(super) async fn unless_stopped<T>(
        &self,
        asks: impl Future<Output = Result<T, ToolFault>>,
    ) -> Result<T, ToolFault> {
        tokio::select! {
            biased;
            () = self.until(true) => Err(stopped()),
            done = asks => done,
        }
    }

    /// Asks it for something once nothing stops that, and from the beginning again if a
    /// stop came in between. `waits` hears of each stop that it waits for.
    pub(super) async fn in_turn<T, F: Future<Output = Result<T, ToolFault>>>(
        &self,
        asks: impl Fn() -> F,
        waits: impl Fn(),
    ) -> Result<T, ToolFault> {
        loop {
            if self.is_stopped() {
                waits();
                self.lifted().await;
            }
            match self.unless_stopped(asks()).await {
                Err(_) if self.is_stopped() => {}
                done => return done,
            }
        }
    }

    async fn until(&self, is_stopped: bool) {
        let mut stops = self.stops.clone();
        let is_so = |stops: &Stops| self.covered(stops) == is_stopped;
        if stops.wait_for(is_so).await.is_err() {
            // Nobody pulls or lifts anything any more.
            std::future::pending::<()>().await;
        }
    }

    fn covered(&self, stops: &Stops) -> bool {
        stops.of_server(&self.server).is_some()
    }
}

fn stopped() -> ToolFault {
    ToolFault::NotStarted("an operator stopped it".to_owned())
}
