//! The agent side: an MCP server to agents, in both eras of the protocol.
//!
//! Everything that reaches a tool server goes through [`Broker::call`]; what is
//! answered here is the lifecycle, the lists and the plumbing of questions,
//! progress and cancellation. A line that an agent sends is answered or
//! understood, whatever is in it.

mod answers;
mod caller;
mod connection;
mod dispatch;
mod legacy;
mod listen;
mod meta;
mod modern;
mod parked;
mod questions;
mod shape;
mod state;
mod stream;
mod subscribed;
mod unanswered;
mod watching;

use std::{os::fd::OwnedFd, sync::Arc};

use tokio::{sync::watch, task::AbortHandle};

use crate::{
    broker::{Broker, Session},
    lines::{Line, LineIn, LineOut, Sink, Source},
    wire::{self, Malformed, Meant, Message, Oversize, Raw, rpc},
};
use connection::Connection;
pub use state::Seal;
use unanswered::{MAX_BYTES, Share};

/// The longest line an agent may send.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// What becomes of a connection before its input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing.
    Not,
    /// tollgate stops in order: what is open is answered first.
    Ordered,
    /// The agent is gone: the pipes close at once.
    Cut,
}

/// Serves one agent until its input ends or `stop` says so. The session's run
/// ends with its last connection.
///
/// # Errors
/// When the descriptors cannot be used.
pub async fn serve(
    broker: Arc<Broker>,
    session: Arc<Session>,
    seal: Arc<Seal>,
    input: OwnedFd,
    output: OwnedFd,
    stop: watch::Receiver<Ending>,
) -> std::io::Result<()> {
    let mut leaving = Leaving {
        broker: broker.clone(),
        session: session.clone(),
        connected: None,
    };
    let mut lines = LineIn::new(Source::from_fd(input)?, MAX_LINE);
    let out = LineOut::new(Sink::from_fd(output)?);
    let connection = Connection::new(broker, session, seal, out);
    let news = tokio::spawn(listen::tell(connection.clone()));
    leaving.connected = Some((connection.clone(), news.abort_handle()));
    let mut cut = stop.clone();
    match read(&connection, &mut lines, stop).await {
        Ending::Cut => {}
        // What is open is answered before the pipes close.
        ending @ (Ending::Not | Ending::Ordered) => {
            if ending == Ending::Ordered {
                connection.stop("tollgate is stopping");
            }
            tokio::select! {
                () = connection.drained() => {}
                () = async { drop(cut.wait_for(|ending| *ending == Ending::Cut).await) } => {}
            }
        }
    }
    connection.close();
    connection.ended().await;
    drop(leaving);
    Ok(())
}

/// Leaves when it is dropped: on every way out, also when whoever serves an agent is
/// dropped before the end, or panics.
struct Leaving {
    broker: Arc<Broker>,
    session: Arc<Session>,
    /// Once there is a connection: it, and who tells it the news.
    connected: Option<(Arc<Connection>, AbortHandle)>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some((connection, news)) = &self.connected {
            news.abort();
            connection.close();
        }
        self.broker.leave(&self.session);
        // After the instances of its run: those that stay serve others.
        if let Some((connection, _)) = &self.connected {
            self.broker.left(connection.number);
        }
    }
}

/// Reads until the end of the input, or until told to end.
async fn read(
    connection: &Arc<Connection>,
    lines: &mut LineIn,
    mut stop: watch::Receiver<Ending>,
) -> Ending {
    let told = told(&mut stop);
    tokio::pin!(told);
    loop {
        let line = tokio::select! {
            biased;
            ending = &mut told => return ending,
            line = async {
                connection.out.not_flooded().await;
                lines.next().await
            } => line,
        };
        match line {
            Ok(Some(Line::Whole(line))) => match wire::parse(&line) {
                Ok(message) => {
                    let share = tokio::select! {
                        biased;
                        ending = &mut told => return ending,
                        share = share(connection, &message, line.len()) => share,
                    };
                    if let Some(share) = share {
                        dispatch::take(connection, message, share);
                    }
                }
                Err(malformed) => unreadable(connection, malformed, &line),
            },
            Ok(Some(Line::TooLong { id, meant, bytes })) => {
                let says = format!("a line of {bytes} bytes is longer than the {MAX_LINE} allowed");
                no_message(connection, id, meant, rpc::INVALID_REQUEST, &says);
            }
            Ok(None) => return Ending::Not,
            Err(error) => {
                tracing::debug!("an agent's input cannot be read: {error}");
                return Ending::Not;
            }
        }
    }
}

fn unreadable(connection: &Connection, malformed: Malformed, line: &[u8]) {
    match malformed {
        Malformed::NotRpc { id, meant, why } => {
            no_message(connection, id, meant, rpc::INVALID_REQUEST, why);
        }
        // Some writers write `NaN`, which is not JSON: whoever waits under its id hears it.
        Malformed::NotJson => {
            let says = "the line is not valid JSON";
            let mut watch = Oversize::default();
            if line.trim_ascii_start().starts_with(b"{") {
                watch.watch(line);
            }
            no_message(connection, watch.id(), watch.meant(), rpc::NOT_JSON, says);
        }
    }
}

/// What cannot be read is answered if it may have asked. What was meant to answer never
/// is, whatever its id: the id is one of ours, under which the agent may have a request of
/// its own open, and two sides that answer each other's answers would never end.
fn no_message(connection: &Connection, id: Option<Raw>, meant: Meant, code: i32, says: &str) {
    let answers = match meant {
        Meant::ToAsk => false,
        Meant::ToAnswer | Meant::Nothing => {
            let ends = |id| connection.questions.failed(id, says);
            id.as_ref().is_some_and(ends) || meant == Meant::ToAnswer
        }
    };
    if !answers {
        connection.fail(&id.unwrap_or_else(|| Raw::of(&())), code, says);
    }
}

/// What a message takes of the bytes that may be open, as soon as there are so
/// many; `None` if it was refused them. Only a request stays.
async fn share(connection: &Connection, message: &Message, bytes: usize) -> Option<Share> {
    let id = match message {
        Message::Request { id, .. } => id,
        Message::Notification { .. } | Message::Response { .. } => return Some(Share::default()),
    };
    let waits = || connection.waits_for_agent();
    let share = connection.unanswered.share(bytes, waits).await;
    if share.is_none() {
        let says = format!(
            "more than {MAX_BYTES} bytes of requests are open, and some wait for you: answer what you are asked"
        );
        connection.fail(id, rpc::INTERNAL, &says);
    }
    share
}

async fn told(stop: &mut watch::Receiver<Ending>) -> Ending {
    match stop.wait_for(|ending| *ending != Ending::Not).await {
        Ok(ending) => *ending,
        Err(_) => Ending::Ordered,
    }
}
