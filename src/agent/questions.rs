//! Questions to agents of the handshake era, which are requests of ours on their
//! connection.
//!
//! A server may ask whatever it likes and withdraw it at once. So a question takes
//! room like an answer does and has it until it is written, read or not. How many one
//! call may put is the broker's to say.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{connection::lock, state};
use crate::{
    lines::LineOut,
    ports::Answer,
    wire::{self, Raw, rpc},
};

/// What the withdrawal of a question takes behind it.
const WITHDRAWAL: usize = 128;

/// Questions that are open on one connection.
#[derive(Debug)]
pub(super) struct Questions {
    out: LineOut,
    open: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
    /// The agent's input has ended: it answers no more questions.
    deaf: AtomicBool,
}

impl Questions {
    pub(super) fn new(out: LineOut) -> Self {
        Self {
            out,
            open: Mutex::default(),
            next: AtomicU64::new(1),
            deaf: AtomicBool::new(false),
        }
    }

    pub(super) fn are_open(&self) -> bool {
        !lock(&self.open).is_empty()
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// Whoever has closed the input answers no more questions.
    pub(super) fn deafen(&self) {
        self.deaf.store(true, Ordering::Relaxed);
        lock(&self.open).clear();
    }

    /// Puts a question and waits for the answer, as long as a parked call waits for
    /// one as well.
    pub(super) async fn ask(&self, method: &str, params: Option<&Raw>) -> Answer {
        let asked = tokio::time::timeout(state::KEEP, self.put(method, params)).await;
        asked.unwrap_or(Answer::Gone)
    }

    async fn put(&self, method: &str, params: Option<&Raw>) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, mut waiting) = oneshot::channel();
        lock(&self.open).insert(id, answer);
        let mut guard = Withdraw {
            questions: self,
            id,
            sent: false,
        };
        if self.is_deaf() {
            return Answer::Gone;
        }
        let params: Vec<Bytes> = params
            .map(|params| params.bytes().clone())
            .into_iter()
            .collect();
        let line = wire::request_line(&id.to_string(), method, &params);
        let bytes: usize = line.iter().map(Bytes::len).sum();
        let room = match self.out.room_now(bytes + WITHDRAWAL) {
            Some(room) => Some(room),
            None => tokio::select! {
                biased;
                // Nobody answers what was not asked: the agent is deaf by now.
                _ = &mut waiting => return Answer::Gone,
                room = self.out.room(bytes + WITHDRAWAL) => room,
            },
        };
        if room.is_none() || !self.out.send_with(line, room) {
            return Answer::Gone;
        }
        guard.sent = true;
        waiting.await.unwrap_or(Answer::Gone)
    }

    /// An answer to one of them; says whether it was open.
    pub(super) fn answered(&self, id: &Raw, answer: Answer) -> bool {
        let waiting = wire::our_id(id).and_then(|id| lock(&self.open).remove(&id));
        match waiting {
            Some(waiting) => {
                let _ = waiting.send(answer);
                true
            }
            None => false,
        }
    }

    /// An answer to one of them that cannot be read; says whether it was open.
    pub(super) fn failed(&self, id: &Raw, why: &str) -> bool {
        let says = format!("the client answered with what cannot be read: {why}");
        self.answered(id, Answer::Error(rpc::error(rpc::INTERNAL, &says)))
    }
}

/// Withdraws a question that nobody waits for any more.
struct Withdraw<'a> {
    questions: &'a Questions,
    id: u64,
    sent: bool,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let open = lock(&self.questions.open).remove(&self.id).is_some();
        if open && self.sent {
            let params = format!(
                "{{\"requestId\":{},\"reason\":\"no longer needed\"}}",
                self.id
            );
            self.questions.out.send(wire::notification_line(
                "notifications/cancelled",
                &[params.into()],
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, PipeReader},
        pin::pin,
        time::Duration,
    };

    use super::*;
    use crate::lines::Sink;

    fn questions() -> (Questions, PipeReader) {
        let (read, write) = std::io::pipe().unwrap();
        let out = LineOut::new(Sink::from_fd(write.into()).unwrap());
        (Questions::new(out), read)
    }

    /// A text of a mebibyte.
    fn long() -> Raw {
        Raw::of(&"x".repeat(1024 * 1024))
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_answers_is_withdrawn_after_ten_minutes() {
        let (questions, read) = questions();
        let mut asked = pin!(questions.ask("roots/list", None));
        let waited = tokio::time::timeout(Duration::from_secs(599), &mut asked).await;
        assert!(waited.is_err());
        let waited = tokio::time::timeout(Duration::from_secs(2), &mut asked).await;
        assert!(matches!(waited, Ok(Answer::Gone)));
        assert!(!questions.are_open());
        questions.out.flushed().await;
        let mut lines = BufReader::new(read).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().contains("roots/list"));
        let withdrawal = lines.next().unwrap();
        assert!(withdrawal.contains("notifications/cancelled"));
        assert!(withdrawal.len() < WITHDRAWAL, "{withdrawal}");
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_are_withdrawn_and_not_read_are_not_gathered() {
        let (questions, read) = questions();
        let params = long();
        for _ in 0..20 {
            let asked = questions.ask("elicitation/create", Some(&params));
            let waited = tokio::time::timeout(Duration::from_secs(1), asked).await;
            assert!(waited.is_err());
        }
        let reader = std::thread::spawn(|| {
            let lines = BufReader::new(read).lines().map(Result::unwrap);
            lines.filter(|line| line.contains("elicitation")).count()
        });
        questions.out.flushed().await;
        drop(questions);
        let came = tokio::task::spawn_blocking(|| reader.join().unwrap());
        // There is room for four mebibytes.
        assert_eq!(came.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_room_to_ask_hears_that_nobody_will_answer() {
        let (questions, _read) = questions();
        let room = questions.out.room(usize::MAX).await;
        let mut asked = pin!(questions.ask("roots/list", None));
        let waited = tokio::time::timeout(Duration::from_secs(1), &mut asked).await;
        assert!(waited.is_err() && questions.are_open());
        questions.deafen();
        let waited = tokio::time::timeout(Duration::from_secs(1), &mut asked).await;
        assert!(matches!(waited, Ok(Answer::Gone)));
        drop(room);
    }
}
