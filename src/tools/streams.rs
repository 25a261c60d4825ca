//! The stream on which a server of the stateless era tells of changes, and the call that
//! waits to hear whether it will.
//!
//! Each stream names all that is watched and replaces the one before, which goes on until
//! the new one is acknowledged: what changes in between is told on one of them. Who opens
//! one has the turn until the server has answered to it, so one call waits at most.

use tokio::sync::oneshot;

use super::acknowledged::Lists;
use crate::{
    domain::ToolFault,
    wire::{Body, Raw},
};

/// See the module.
#[derive(Default)]
pub(super) struct Streams {
    open: Option<Open>,
    /// The one before it, until that is acknowledged: this one was.
    before: Option<u64>,
    /// For a while nobody was told what changed.
    gap: bool,
    /// The lists of whose changes the server said last that it tells.
    lists: Option<Lists>,
    /// None is, because the last was in vain, and another will be.
    mending: bool,
    /// Another will be asked for after a while: once, however many have ended meanwhile.
    retrying: bool,
}

struct Open {
    id: u64,
    /// The call that asked for it, which sees to it that there is another if this one comes
    /// to nothing.
    call: Option<oneshot::Sender<Heard>>,
    acknowledged: bool,
}

/// What a server said to a stream.
#[derive(Debug)]
pub(super) enum Heard {
    Acknowledged(Raw),
    Over(Result<Body, ToolFault>),
}

/// What is to be done now that a stream is acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// The one before it is not needed any more.
    pub(super) before: Option<u64>,
    /// What changed before it began may have been told to nobody.
    pub(super) gap: bool,
}

/// What the end of the stream that was open means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Another is open, or still is.
    Replaced,
    /// It was never acknowledged: the call that asked for it puts it right.
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

    /// Another stream is asked for, by a call or in nobody's name. Says which one nothing
    /// was ever heard of is not needed any more.
    pub(super) fn opened(&mut self, id: u64, call: Option<oneshot::Sender<Heard>>) -> Option<u64> {
        self.mending = false;
        let last = self.open.replace(Open {
            id,
            call,
            acknowledged: false,
        })?;
        match last.acknowledged {
            true => self.before.replace(last.id),
            false => Some(last.id),
        }
    }

    /// The server acknowledges a stream; nothing if it is not the one that is open.
    pub(super) fn acknowledged(&mut self, id: u64, said: &Raw) -> Option<Begun> {
        let open = self.open.as_mut().filter(|open| open.id == id)?;
        open.acknowledged = true;
        if let Some(call) = open.call.take() {
            let _ = call.send(Heard::Acknowledged(said.clone()));
        }
        Some(Begun {
            before: self.before.take(),
            gap: std::mem::take(&mut self.gap),
        })
    }

    /// The server tells of changes of these lists; of which it did before, if it said so.
    pub(super) fn tells_of(&mut self, lists: Lists) -> Option<Lists> {
        self.lists.replace(lists)
    }

    /// A stream was answered, which is its end.
    pub(super) fn ended(&mut self, id: u64, answer: &Result<Body, ToolFault>) -> Over {
        let Some(open) = self.open.take_if(|open| open.id == id) else {
            self.gap |= self.before.take_if(|before| *before == id).is_some();
            return Over::Replaced;
        };
        self.gap |= open.acknowledged;
        // Also one that has given up meanwhile: what it leaves behind it puts right.
        self.mending = !open.acknowledged && open.call.is_some();
        if let Some(call) = open.call {
            let _ = call.send(Heard::Over(answer.clone()));
        }
        // The one before it goes on as if this one had never been asked for.
        if let Some(id) = self.before.take() {
            self.mending = false;
            self.open = Some(Open {
                id,
                call: None,
                acknowledged: true,
            });
            return Over::Replaced;
        }
        match self.mending {
            true => Over::InVain,
            false => Over::Lost,
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
    fn an_acknowledgement_is_for_the_call_that_asked_for_that_stream() {
        let mut streams = Streams::default();
        let (tell, mut one) = oneshot::channel();
        assert_eq!(streams.opened(1, Some(tell)), None);
        let (tell, mut two) = oneshot::channel();
        assert_eq!(streams.opened(2, Some(tell)), Some(1));
        // Nobody asked for that one, and nobody waits for the one before.
        streams.acknowledged(9, &raw());
        streams.acknowledged(1, &raw());
        assert!(one.try_recv().is_err() && two.try_recv().is_err());
        streams.acknowledged(2, &raw());
        assert!(matches!(two.try_recv(), Ok(Heard::Acknowledged(_))));
    }

    /// What is done once a stream is acknowledged.
    fn begun(before: Option<u64>, gap: bool) -> Option<Begun> {
        Some(Begun { before, gap })
    }

    #[test]
    fn a_stream_goes_on_until_the_next_is_acknowledged_and_if_that_is_refused() {
        let mut streams = Streams::default();
        assert_eq!(streams.opened(1, None), None);
        assert_eq!(streams.acknowledged(1, &raw()), begun(None, false));
        assert_eq!(streams.opened(2, None), None);
        assert_eq!(streams.acknowledged(2, &raw()), begun(Some(1), false));
        assert_eq!(streams.opened(3, None), None);
        assert_eq!(streams.ended(3, &Ok(Body::Error(raw()))), Over::Replaced);
        assert!(streams.is_open() && !streams.is_over());
        // Of those that were never acknowledged the last one counts.
        assert_eq!(streams.opened(4, None), None);
        assert_eq!(streams.opened(5, None), Some(4));
        assert_eq!(streams.acknowledged(5, &raw()), begun(Some(2), false));
    }

    #[test]
    fn there_is_a_gap_once_the_last_that_was_acknowledged_has_ended() {
        let mut streams = Streams::default();
        let over = Ok(Body::Result(raw()));
        streams.opened(1, None);
        // Nothing was heard before the first, so nothing was missed.
        assert_eq!(streams.ended(1, &over), Over::Lost);
        streams.opened(2, None);
        assert_eq!(streams.acknowledged(2, &raw()), begun(None, false));
        streams.opened(3, None);
        assert_eq!(streams.ended(2, &over), Over::Replaced);
        assert_eq!(streams.acknowledged(3, &raw()), begun(None, true));
        assert_eq!(streams.ended(3, &over), Over::Lost);
        streams.opened(4, None);
        assert_eq!(streams.acknowledged(4, &raw()), begun(None, true));
        // It is told once.
        streams.opened(5, None);
        assert_eq!(streams.acknowledged(5, &raw()), begun(Some(4), false));
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
        streams.opened(1, None);
        let (tell, mut heard) = oneshot::channel();
        streams.opened(2, Some(tell));
        let answer = Ok(Body::Result(raw()));
        assert_eq!(streams.ended(1, &answer), Over::Replaced);
        assert_eq!(streams.ended(2, &answer), Over::InVain);
        assert!(matches!(heard.try_recv(), Ok(Heard::Over(Ok(_)))));
        assert_eq!(streams.ended(2, &answer), Over::Replaced);
        assert!(!streams.is_open() && !streams.is_over());
        let (tell, _waits) = oneshot::channel();
        streams.opened(3, Some(tell));
        streams.acknowledged(3, &raw());
        assert_eq!(streams.ended(3, &answer), Over::Lost);
        assert!(streams.is_over());
        // Who has given up puts right what it leaves behind; nobody's stream is nobody's.
        let (tell, waits) = oneshot::channel();
        streams.opened(4, Some(tell));
        drop(waits);
        assert_eq!(streams.ended(4, &answer), Over::InVain);
        streams.opened(5, None);
        assert_eq!(streams.ended(5, &answer), Over::Lost);
        assert!(streams.is_over());
    }
}
