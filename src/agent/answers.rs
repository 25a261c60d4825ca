//! A bound on the bytes of what an agent was asked and has answered, until its servers
//! have taken it.
//!
//! An answer waits while another call has the turn, while its server does not read, or
//! until all that was asked together is answered. How many questions there may be is
//! bounded, and how long each answer may be; both together would be gigabytes. Each server
//! has a bound of its own: one that does not read keeps nothing from another.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::lock;
use crate::{
    domain::ServerName,
    ports::Answer,
    wire::{Raw, rpc},
};

/// Bytes of answers that one connection may have on their way to one server: the longest
/// line fits, if nothing else waits.
const MAX_BYTES: usize = super::MAX_LINE;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<BTreeMap<ServerName, Arc<Semaphore>>>);

/// An answer in an allocation of its own: what stands beside it in its line does not stay
/// with it.
struct Counted {
    text: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Answers {
    /// An answer that counts until the last of it is gone, wherever that is.
    pub(super) fn counted(&self, server: &ServerName, answer: Answer) -> Answer {
        let (raw, answer): (_, fn(Raw) -> Answer) = match answer {
            Answer::Result(result) => (result, Answer::Result),
            Answer::Error(error) => (error, Answer::Error),
            Answer::Refused(_) | Answer::Gone => return answer,
        };
        let bytes = u32::try_from(raw.bytes().len()).unwrap_or(u32::MAX);
        match self.of(server).try_acquire_many_owned(bytes) {
            Ok(share) => answer(raw.counted_by(|text| Counted {
                text,
                _share: share,
            })),
            Err(_) => {
                let says = format!("more than {MAX_BYTES} bytes of answers wait for this server");
                Answer::Error(rpc::error(rpc::INTERNAL, &says))
            }
        }
    }

    fn of(&self, server: &ServerName) -> Arc<Semaphore> {
        let mut servers = lock(&self.0);
        let new = || Arc::new(Semaphore::new(MAX_BYTES));
        servers.entry(server.clone()).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Answer {
        let text = format!("\"{}\"", "x".repeat(bytes - 2));
        Answer::Result(Raw::parse(text.into()).unwrap())
    }

    fn alpha() -> ServerName {
        ServerName::parse("alpha").unwrap()
    }

    fn is_taken(answer: &Answer) -> bool {
        matches!(answer, Answer::Result(_))
    }

    #[test]
    fn an_answer_counts_until_the_last_of_it_is_gone() {
        let answers = Answers::default();
        let all = answers.counted(&alpha(), answer(MAX_BYTES));
        assert!(is_taken(&all));
        let Answer::Result(raw) = all else {
            panic!("an answer is one");
        };
        assert_eq!(raw.bytes().len(), MAX_BYTES);
        let part = raw.bytes().slice(1..2);
        drop(raw);
        assert!(!is_taken(&answers.counted(&alpha(), answer(2))));
        drop(part);
        assert!(is_taken(&answers.counted(&alpha(), answer(MAX_BYTES))));
    }

    #[test]
    fn what_finds_no_room_is_an_error_that_says_so() {
        let answers = Answers::default();
        let first = answers.counted(&alpha(), answer(MAX_BYTES / 2));
        let second = answers.counted(&alpha(), answer(MAX_BYTES / 2 + 1));
        let Answer::Error(error) = second else {
            panic!("there was room");
        };
        assert!(error.text().contains("of answers wait"), "{error:?}");
        assert!(is_taken(&answers.counted(&alpha(), answer(MAX_BYTES / 2))));
        let other = ServerName::parse("beta").unwrap();
        assert!(is_taken(&answers.counted(&other, answer(MAX_BYTES))));
        drop(first);
    }
}
