//! The stream on which a server of the stateless era tells of changes, and who waits to
//! hear whether it will.
//!
//! Each stream names all that is watched. So what a server says to one counts for
//! everybody whose resource was named by it first or by one before.

use tokio::sync::oneshot;

use crate::{
    domain::ToolFault,
    wire::{Body, Raw},
};

/// See the module.
#[derive(Default)]
pub(super) struct Streams {
    open: Option<Open>,
    /// None is, because the last was in vain, and another will be.
    mending: bool,
    /// Another will be asked for after a while: once, however many have ended meanwhile.
    retrying: bool,
    waiting: Vec<(u64, oneshot::Sender<Heard>)>,
}

struct Open {
    id: u64,
    /// Whether a call waits to hear of it, which answers for it until it is acknowledged.
    of_call: bool,
    acknowledged: bool,
}

/// What a server said to a stream.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Acknowledged(Raw),
    Over(Result<Body, ToolFault>),
}

/// What the end of the stream that was open means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Another is open.
    Replaced,
    /// It was never acknowledged: the calls that asked for it put it right.
    InVain,
    /// Nobody hears of anything any more.
    Lost,
}

impl Streams {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether nobody hears of anything, and nobody sees to it.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_none() && !self.mending
    }

    /// Another will be asked for after a while; says whether nobody sees to that yet.
    pub(super) fn retries(&mut self) -> bool {
        !std::mem::replace(&mut self.retrying, true)
    }

    pub(super) fn retried(&mut self) {
        self.retrying = false;
    }

    /// Another stream is asked for; the one before it.
    pub(super) fn opened(&mut self, id: u64, of_call: bool) -> Option<u64> {
        self.mending = false;
        let before = self.open.replace(Open {
            id,
            of_call,
            acknowledged: false,
        });
        before.map(|before| before.id)
    }

    /// Hears what is said to this stream or a later one.
    pub(super) fn hear(&mut self, id: u64) -> oneshot::Receiver<Heard> {
        let (tell, heard) = oneshot::channel();
        self.waiting.retain(|(_, tell)| !tell.is_closed());
        self.waiting.push((id, tell));
        heard
    }

    pub(super) fn acknowledged(&mut self, id: u64, said: &Raw) {
        let Some(open) = self.open.as_mut().filter(|open| id <= open.id) else {
            return;
        };
        open.acknowledged |= open.id == id;
        self.tell(id, &Heard::Acknowledged(said.clone()));
    }

    /// A stream was answered, which is its end.
    pub(super) fn ended(&mut self, id: u64, answer: &Result<Body, ToolFault>) -> Over {
        let Some(open) = self.open.take_if(|open| open.id == id) else {
            return Over::Replaced;
        };
        let waits = self.waiting.iter().any(|(_, tell)| !tell.is_closed());
        self.tell(id, &Heard::Over(answer.clone()));
        self.mending = !open.acknowledged && (open.of_call || waits);
        match self.mending {
            true => Over::InVain,
            false => Over::Lost,
        }
    }

    fn tell(&mut self, id: u64, what: &Heard) {
        for (_, tell) in self.waiting.extract_if(.., |(first, _)| *first <= id) {
            let _ = tell.send(what.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> Raw {
        Raw::of(&serde_json::json!({}))
    }

    #[test]
    fn an_acknowledgement_is_for_all_who_were_named_by_then() {
        let mut streams = Streams::default();
        assert_eq!(streams.opened(1, true), None);
        let mut one = streams.hear(1);
        assert_eq!(streams.opened(2, true), Some(1));
        let mut two = streams.hear(2);
        // Nobody asked for that one.
        streams.acknowledged(9, &raw());
        assert!(one.try_recv().is_err());
        streams.acknowledged(1, &raw());
        assert!(matches!(one.try_recv(), Ok(Heard::Acknowledged(_))));
        assert!(two.try_recv().is_err());
        assert_eq!(streams.opened(3, false), Some(2));
        streams.acknowledged(3, &raw());
        assert!(matches!(two.try_recv(), Ok(Heard::Acknowledged(_))));
    }

    #[test]
    fn however_many_streams_are_lost_one_is_asked_for_after_a_while() {
        let mut streams = Streams::default();
        assert!(streams.retries());
        assert!(!streams.retries() && !streams.retries());
        streams.retried();
        assert!(streams.retries());
    }

    #[test]
    fn the_end_of_a_stream_counts_once_and_only_of_the_one_that_is_open() {
        let mut streams = Streams::default();
        streams.opened(1, false);
        streams.opened(2, true);
        let answer = Ok(Body::Result(raw()));
        assert_eq!(streams.ended(1, &answer), Over::Replaced);
        let mut heard = streams.hear(2);
        assert_eq!(streams.ended(2, &answer), Over::InVain);
        assert!(matches!(heard.try_recv(), Ok(Heard::Over(Ok(_)))));
        assert_eq!(streams.ended(2, &answer), Over::Replaced);
        assert!(!streams.is_open() && !streams.is_over());
        streams.opened(3, true);
        streams.acknowledged(3, &raw());
        assert_eq!(streams.ended(3, &answer), Over::Lost);
        assert!(streams.is_over());
        // Who waits answers for the stream that replaced its own.
        streams.opened(4, true);
        let waits = streams.hear(4);
        streams.opened(5, false);
        assert_eq!(streams.ended(5, &answer), Over::InVain);
        drop(waits);
        streams.opened(6, false);
        assert_eq!(streams.ended(6, &answer), Over::Lost);
    }
}
