//! How far records are written, for those who follow them.

use tokio::sync::watch;

use super::journal::Seq;

/// Told after a record is written, by whoever had it written.
#[derive(Debug, Clone)]
pub(super) struct News(watch::Sender<u64>);

impl News {
    /// Up to the last record of an earlier time there is no news.
    pub(super) fn since(last: Seq) -> Self {
        Self(watch::Sender::new(last.get()))
    }

    /// Everything up to here is written.
    pub(super) fn tell(&self, seq: Seq) {
        let seq = seq.get();
        self.0.send_if_modified(|last| {
            let newer = *last < seq;
            if newer {
                *last = seq;
            }
            newer
        });
    }

    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
