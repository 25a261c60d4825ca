//! What an agent's client starts: it finds or starts the daemon, hands it the
//! agent's stdin and stdout, and waits for the end.
//!
//! Nothing is ever written to stdout here: that is the agent's connection. What
//! there is to say goes to stderr, which clients put into their logs.

mod start;

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::daemon::own::{self, Own};
use crate::daemon::{Bye, Failure, Goodbye, Hello, LET_GO, Place, Welcome, send};

/// The variable that holds an agent's secret, where the configuration asks for one.
pub const TOKEN: &str = "TOLLGATE_TOKEN";

/// Connects this process's stdin and stdout to the daemon of `place` and stays
/// until the session is over. Good when the end was announced.
///
/// # Errors
/// When no daemon can be found or started, when it refuses the agent, or when
/// it dies.
pub fn run(place: &Place, hello: &Hello) -> Result<(), Failure> {
    place.prepare()?;
    let stdio = |cause| Failure::io("can't use stdin and stdout", &cause);
    let own = Own::take().map_err(stdio)?;
    let daemon = enter(place, hello, &own)?;
    // Our copies would hide from the agent that the daemon has closed its own.
    let Own {
        input,
        output,
        copying,
    } = own;
    drop((input, output));
    own::let_go().map_err(stdio)?;
    let goodbye = settle(daemon.get_ref()).and_then(|()| wait(daemon));
    let copied = copying.map(|copying| {
        copying.finish(match goodbye {
            Ok(_) => PATIENCE,
            Err(_) => Duration::from_millis(100),
        })
    });
    match goodbye {
        Ok(Bye::AgentLeft | Bye::DaemonStops) => copied.unwrap_or(Ok(())),
        Err(cause) => Err(Failure::io("the daemon died", &cause).hint(format!(
            "what it was doing is in `{}`; the next `tollgate stdio` starts it again",
            place.daemon_log().display()
        ))),
    }
}

/// How long the daemon may take to answer a hello, and the agent to read the last answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon that is about to leave may close the connection instead of answering.
const ATTEMPTS: usize = 4;

fn enter(place: &Place, hello: &Hello, own: &Own) -> Result<BufReader<UnixStream>, Failure> {
    let mut last = io::Error::from(io::ErrorKind::NotConnected);
    for _ in 0..ATTEMPTS {
        let mut daemon = BufReader::new(start::find_or_start(place)?);
        match greet(&mut daemon, hello, own) {
            Ok(Welcome::Taken) => return Ok(daemon),
            Ok(Welcome::Refused(refused)) => return Err(refused.into()),
            // Nothing of the agent's has been read yet, so asking again is safe.
            Err(cause) if is_departure(&cause) => last = cause,
            Err(cause) => {
                let failure = Failure::waited("the daemon cannot be reached", &cause, PATIENCE);
                return Err(failure.hint("see `tollgate`; end it with `tollgate stop-daemon`"));
            }
        }
    }
    Err(
        Failure::io("the daemon leaves whenever it is asked", &last).hint(format!(
            "its reasons are in `{}`",
            place.daemon_log().display()
        )),
    )
}

fn greet(daemon: &mut BufReader<UnixStream>, hello: &Hello, own: &Own) -> io::Result<Welcome> {
    let mut line = serde_json::to_vec(hello)?;
    line.push(b'\n');
    let stream = daemon.get_ref();
    stream.set_read_timeout(Some(PATIENCE))?;
    let sent = send(stream, &line, [own.input.as_fd(), own.output.as_fd()]);
    // Who is turned away at the door finds the reason even if the hello could not be sent.
    let answer = read_line(daemon).and_then(|answer| Ok(serde_json::from_str(&answer)?));
    if answer.is_err() {
        sent?;
    }
    daemon.get_ref().set_read_timeout(None)?;
    answer
}

/// The daemon begins to serve when it hears this.
fn settle(mut daemon: &UnixStream) -> io::Result<()> {
    daemon.write_all(&[LET_GO])
}

fn wait(mut daemon: BufReader<UnixStream>) -> io::Result<Bye> {
    let goodbye: Goodbye = serde_json::from_str(&read_line(&mut daemon)?)?;
    Ok(goodbye.bye)
}

/// A whole line; an end before its end is an error.
fn read_line(daemon: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    daemon.read_line(&mut line)?;
    if line.ends_with('\n') {
        Ok(line)
    } else {
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it closed the connection without a goodbye",
        ))
    }
}

fn is_departure(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}
