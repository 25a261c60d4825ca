//! The agents' door: one connection of a shim, from its hello to the goodbye.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::hall::Entrance;
use super::handover;
use super::hello::{Bye, Goodbye, Hello, LET_GO, Speaker, Welcome};
use super::listen;
use super::service::{Ending, Guest, Service, Stop};
use crate::control::serve::{same_config, same_version};
use crate::control::{Refused, RefusedCode};

/// How long a session may take to answer what is open when the daemon stops.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a session may take to close the descriptors of an agent that is gone.
const GONE_GRACE: Duration = Duration::from_secs(1);

/// How long a shim may take to say hello or to read an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A hello is short; a token is the longest part of it.
const LONGEST_HELLO: usize = 64 * 1024;

/// Serves the shim at the other end of `stream`.
pub(crate) async fn serve<S: Service>(entrance: Entrance<S>, mut stream: UnixStream, daemon: Stop) {
    let waiting = entrance.bounds.shims.join();
    let let_in = tokio::select! {
        biased;
        outcome = let_in(&entrance, &stream) => outcome,
        // Its shim asks again.
        () = waiting.pushed_out() => return,
    };
    drop(waiting);
    let outcome = match let_in {
        Ok(Some(guest)) => match entrance.bounds.agents.try_acquire() {
            Ok(_seat) => attend(Arc::clone(&entrance.service), guest, &mut stream, daemon).await,
            Err(_) => say(&mut stream, &Welcome::Refused(full())).await,
        },
        // It only looked whether somebody is there.
        Ok(None) => Ok(()),
        Err(refused) => {
            tracing::info!("an agent was turned away: {refused}");
            say(&mut stream, &Welcome::Refused(refused)).await
        }
    };
    if let Err(cause) = outcome {
        tracing::debug!("a shim left early: {cause}");
    }
}

async fn let_in<S: Service>(
    entrance: &Entrance<S>,
    stream: &UnixStream,
) -> Result<Option<Guest>, Refused> {
    let peer_pid = listen::peer(stream)?;
    let parcel = match timeout(PATIENCE, handover::receive(stream, LONGEST_HELLO)).await {
        Ok(Ok(Some(parcel))) => parcel,
        Ok(Ok(None)) => return Ok(None),
        Ok(Err(cause)) => return Err(malformed(&cause)),
        Err(_) => return Err(malformed(&"it did not come in time")),
    };
    let speaker: Speaker =
        serde_json::from_slice(&parcel.line).map_err(|cause| malformed(&cause))?;
    same_version(speaker.hello, &speaker.version)?;
    let hello: Hello = serde_json::from_slice(&parcel.line).map_err(|cause| malformed(&cause))?;
    // Who says that it is an agent is not taken for a person, even if it is turned away.
    entrance.tripwire.note(peer_pid, &hello.agent);
    same_config(&hello.config, &entrance.config)?;
    let mut descriptors = parcel.descriptors.into_iter();
    let (Some(input), Some(output), false) = (descriptors.next(), descriptors.next(), parcel.cut)
    else {
        return Err(Refused::new(
            RefusedCode::Descriptors,
            "the agent's stdin and stdout did not arrive: the daemon has no descriptors left",
        )
        .hint("raise the hard limit of open files (`ulimit -Hn`) and restart the daemon"));
    };
    entrance.service.admit(&hello)?;
    Ok(Some(Guest {
        hello,
        input,
        output,
        peer_pid,
    }))
}

fn full() -> Refused {
    Refused::new(
        RefusedCode::Unavailable,
        "so many agents are connected that the daemon has no room for another",
    )
    .hint("see who with `tollgate`; a higher hard limit of open files (`ulimit -Hn`) makes room")
}

fn malformed(cause: &dyn std::fmt::Display) -> Refused {
    Refused::new(
        RefusedCode::Malformed,
        format!("the shim's hello can't be read: {cause}"),
    )
}

async fn attend<S: Service>(
    service: Arc<S>,
    guest: Guest,
    stream: &mut UnixStream,
    mut daemon: Stop,
) -> io::Result<()> {
    // Said before the first byte is read: until then a shim may go elsewhere.
    say(stream, &Welcome::Taken).await?;
    // Served only once the shim has let go of its copies: from then on the agent
    // sees the daemon's end whatever becomes of the shim.
    if !matches!(timeout(PATIENCE, stream.read_u8()).await, Ok(Ok(LET_GO))) {
        return Ok(());
    }
    let (tell, stop) = Stop::channel();
    let mut session = Box::pin(service.agent(guest, stop));
    let bye = tokio::select! {
        () = &mut session => Bye::AgentLeft,
        () = gone(stream) => {
            tell.send_replace(Some(Ending::ShimLeft));
            // What is left of it when the time is over is dropped, descriptors included.
            let _ = timeout(GONE_GRACE, session).await;
            return Ok(());
        }
        ending = daemon.wait() => {
            tell.send_replace(Some(ending));
            let _ = timeout(STOP_GRACE, &mut session).await;
            Bye::DaemonStops
        }
    };
    // The agent sees the end before its shim does.
    drop(session);
    say(stream, &Goodbye { bye }).await
}

/// A shim says nothing more, so whatever comes is its end.
async fn gone(stream: &mut UnixStream) {
    let mut ignored = [0; 64];
    while let Ok(1..) = stream.read(&mut ignored).await {}
}

async fn say(stream: &mut UnixStream, word: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await?
}
