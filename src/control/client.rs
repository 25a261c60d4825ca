//! Asks the daemon. Never starts one: the caller brings the connection.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::proto::{Answer, Envelope, PROTOCOL, Refused, Reply, Request, VERSION};

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
            ClientError::Lost(cause) => match cause.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    f.write_str("the daemon does not answer")
                }
                _ => write!(f, "the connection to the daemon broke: {cause}"),
            },
            ClientError::Garbled(cause) => write!(f, "the daemon's answer is garbled: {cause}"),
            ClientError::Refused(refused) => refused.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than a list of ten thousand tools needs.
const LIMIT: u64 = 64 << 20;

/// One request, one reply.
///
/// # Errors
/// When the daemon refuses, is silent, or goes away.
pub fn ask(stream: &UnixStream, config: &str, request: Request) -> Result<Reply, ClientError> {
    ask_patiently(stream, config, request, PATIENCE)
}

/// The same for what may take longer.
///
/// # Errors
/// When the daemon refuses, is silent, or goes away.
pub fn ask_patiently(
    stream: &UnixStream,
    config: &str,
    request: Request,
    patience: Duration,
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
    let answer = exchange(stream, &line, patience).map_err(ClientError::Lost)?;
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

fn exchange(mut stream: &UnixStream, line: &[u8], patience: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // A daemon that turns us away at the door may have closed already; its
    // answer is there to be read all the same.
    let written = stream.write_all(line);
    let mut answer = String::new();
    let read = BufReader::new(stream.take(LIMIT)).read_line(&mut answer);
    match (written, read) {
        (_, Ok(_)) if !answer.is_empty() => Ok(answer),
        (Err(cause), _) | (Ok(()), Err(cause)) => Err(cause),
        (Ok(()), Ok(_)) => Ok(answer),
    }
}
