//! Asks the daemon. Never starts one: the caller brings the connection.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::proto::{Answer, Envelope, PROTOCOL, Question, Refused, Reply, Request, VERSION};

/// Why there is no reply.
#[derive(Debug)]
pub enum ClientError {
    /// The connection broke or the daemon was silent for too long.
    Lost(io::Error),
    /// What came back is not an answer.
    Garbled(String),
    /// The daemon says no.
    Refused(Refused),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Lost(cause) if is_silence(cause) => {
                f.write_str("the daemon does not answer")
            }
            ClientError::Lost(cause) => write!(f, "the connection to the daemon broke: {cause}"),
            ClientError::Garbled(cause) => write!(f, "the daemon's answer is garbled: {cause}"),
            ClientError::Refused(refused) => refused.fmt(f),
        }
    }
}

impl ClientError {
    /// Whether the connection ended before the answer: so may who was asked.
    #[must_use]
    pub fn broke_off(&self) -> bool {
        matches!(self, ClientError::Lost(cause) if !is_silence(cause))
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ClientError::Lost(cause) if is_silence(cause) => Some(
                "`tollgate stop` ends one that hangs; everything is stopped then until \
                 `tollgate resume`",
            ),
            ClientError::Lost(_) | ClientError::Garbled(_) | ClientError::Refused(_) => None,
        }
    }
}

impl std::error::Error for ClientError {}

/// How long the daemon may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// More than a list of ten thousand tools needs.
const LIMIT: u64 = 64 << 20;

/// One request, one reply.
///
/// # Errors
/// When the daemon refuses, is silent, or goes away.
pub fn ask(stream: &UnixStream, config: &str, request: Request) -> Result<Reply, ClientError> {
    ask_patiently(stream, config, request, PATIENCE, || true)
}

/// The same for what may take longer. Whenever nothing was heard for ten seconds,
/// `is_awake` is asked whether it is worth to wait on.
///
/// # Errors
/// When the daemon refuses, is silent, or goes away.
pub fn ask_patiently(
    stream: &UnixStream,
    config: &str,
    request: Request,
    patience: Duration,
    is_awake: impl FnMut() -> bool,
) -> Result<Reply, ClientError> {
    let quiet = PATIENCE.min(patience);
    tell(stream, config, request, quiet, patience, is_awake)
}

/// Whether the daemon answers anything at all. `stream` is a connection of its own.
#[must_use]
pub fn is_awake(stream: &UnixStream, config: &str) -> bool {
    // Whatever comes back, a refusal as well, was said by somebody.
    match ask(stream, config, Request::Ask(Question::Stops)) {
        Err(ClientError::Lost(cause)) => !is_silence(&cause),
        Ok(_) | Err(ClientError::Refused(_) | ClientError::Garbled(_)) => true,
    }
}

fn is_silence(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn tell(
    stream: &UnixStream,
    config: &str,
    request: Request,
    quiet: Duration,
    patience: Duration,
    mut is_awake: impl FnMut() -> bool,
) -> Result<Reply, ClientError> {
    let envelope = Envelope {
        control: PROTOCOL,
        version: VERSION.to_owned(),
        config: config.to_owned(),
        request,
    };
    let mut line =
        serde_json::to_vec(&envelope).map_err(|cause| ClientError::Garbled(cause.to_string()))?;
    line.push(b'\n');
    let looks = patience.as_millis() / quiet.as_millis().max(1);
    let mut looks = 1..looks;
    let answer = exchange(stream, &line, quiet, || {
        looks.next().is_some() && is_awake()
    })
    .map_err(ClientError::Lost)?;
    if answer.is_empty() {
        let cause = io::Error::new(io::ErrorKind::UnexpectedEof, "it closed without a word");
        return Err(ClientError::Lost(cause));
    }
    match serde_json::from_str(&answer) {
        Ok(Answer::Reply(reply)) => Ok(reply),
        Ok(Answer::Refused(refused)) => Err(ClientError::Refused(refused)),
        Err(cause) => Err(ClientError::Garbled(cause.to_string())),
    }
}

/// Waits until the daemon's end of the connection is closed: it has ended.
///
/// # Errors
/// When it takes longer than `patience`.
pub fn wait_for_end(mut stream: &UnixStream, patience: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    match stream.read(&mut [0; 64]) {
        Ok(_) => Ok(()),
        // Ended with something of ours unread.
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// Each time that nothing came for `quiet` it is asked whether to `wait` on.
fn exchange(
    mut stream: &UnixStream,
    line: &[u8],
    quiet: Duration,
    mut wait: impl FnMut() -> bool,
) -> io::Result<String> {
    stream.set_read_timeout(Some(quiet))?;
    stream.set_write_timeout(Some(quiet))?;
    // A daemon that turns us away at the door may have closed already; its
    // answer is there to be read all the same.
    let written = stream.write_all(line);
    let mut answer = Vec::new();
    let mut reader = BufReader::new(stream.take(LIMIT));
    let read = loop {
        // What came before a silence stays in `answer`.
        match reader.read_until(b'\n', &mut answer) {
            Err(cause) if is_silence(&cause) && written.is_ok() && wait() => {}
            read => break read,
        }
    };
    match (written, read) {
        (_, Ok(_)) if !answer.is_empty() => {
            String::from_utf8(answer).map_err(|cause| io::Error::other(cause.utf8_error()))
        }
        (Err(cause), _) | (Ok(()), Err(cause)) => Err(cause),
        (Ok(()), Ok(_)) => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::RefusedCode;

    const MOMENT: Duration = Duration::from_millis(1);

    fn asked(
        stream: &UnixStream,
        patience: Duration,
        is_awake: impl FnMut() -> bool,
    ) -> Result<Reply, ClientError> {
        let question = Request::Ask(Question::Verify);
        tell(stream, "/c", question, MOMENT, patience, is_awake)
    }

    #[test]
    fn a_daemon_that_answers_nothing_is_not_waited_for() {
        let (here, _there) = UnixStream::pair().unwrap();
        let silent = asked(&here, Duration::from_secs(3600), || false).unwrap_err();
        assert_eq!(silent.to_string(), "the daemon does not answer");
        assert!(silent.hint().unwrap().contains("`tollgate stop`"));
    }

    #[test]
    fn a_long_job_of_one_that_answers_others_is_waited_for() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let refused = Answer::Refused(Refused::new(RefusedCode::Unavailable, "no"));
        let line = serde_json::to_string(&refused).unwrap() + "\n";
        let (first, rest) = line.split_at(9);
        let mut looks = 0;
        let answer = asked(&here, Duration::from_secs(3600), || {
            looks += 1;
            match looks {
                3 => there.write_all(first.as_bytes()).unwrap(),
                6 => there.write_all(rest.as_bytes()).unwrap(),
                _ => {}
            }
            true
        });
        assert_eq!(answer.unwrap_err().to_string(), "no");
        assert_eq!(looks, 6);
        assert!(asked(&here, 3 * MOMENT, || true).is_err(), "not for ever");
    }
}
