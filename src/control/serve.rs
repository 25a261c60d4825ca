//! The daemon's end of one connection of the control socket.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::proto::{
    Answer, Envelope, PROTOCOL, Question, Refused, RefusedCode, Reply, Request, Trial, VERSION,
};

/// A request is a line of at most this many bytes: the arguments of a trial stand in it as
/// a text, in which half of the bytes may be escaped.
const LIMIT: u64 = 2 * Trial::LONGEST + (1 << 20);

/// What every asker may have in memory; only few at a time may have more.
const SHORT: u64 = 64 * 1024;

/// What takes longer to understand than others should wait.
const LONG: usize = 1 << 20;

/// How long an answer may wait to be read, and the rest of a long request to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// One asker: reads what it asks and writes what it is answered.
#[derive(Debug)]
pub(crate) struct Conversation {
    stream: BufReader<UnixStream>,
    /// What comes is the rest of a request that was too long.
    lost: bool,
}

impl Conversation {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream: BufReader::new(stream),
            lost: false,
        }
    }

    /// The next request; nothing when the asker has left. A long one waits until it is among
    /// the few.
    pub(crate) async fn next(
        &mut self,
        config: &str,
        few: &Semaphore,
    ) -> io::Result<Option<Result<Request, Refused>>> {
        let mut line = Vec::new();
        if self.lost {
            return Ok(None);
        }
        (&mut self.stream)
            .take(SHORT)
            .read_until(b'\n', &mut line)
            .await?;
        let mut _turn = None;
        if line.len() as u64 == SHORT && !line.ends_with(b"\n") {
            _turn = Some(few.acquire().await.map_err(io::Error::other)?);
            let mut rest = (&mut self.stream).take(LIMIT - SHORT);
            timeout(PATIENCE, rest.read_until(b'\n', &mut line)).await??;
        }
        if line.len() as u64 == LIMIT {
            self.lost = true;
            let says = format!("the request is longer than {} MiB", LIMIT >> 20);
            return Ok(Some(Err(Refused::new(RefusedCode::Malformed, says))));
        }
        if line.len() > LONG {
            let config = config.to_owned();
            let reading = tokio::task::spawn_blocking(move || read(&line, &config));
            return reading.await.map(Some).map_err(io::Error::other);
        }
        Ok((!line.is_empty()).then(|| read(&line, config)))
    }

    /// Answers the last request.
    pub(crate) async fn reply(&mut self, result: Result<Reply, Refused>) -> io::Result<()> {
        let answer = match result {
            Ok(reply) => Answer::Reply(reply),
            Err(refused) => Answer::Refused(refused),
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        timeout(PATIENCE, self.stream.write_all(&line)).await?
    }
}

fn read(line: &[u8], config: &str) -> Result<Request, Refused> {
    let envelope: Envelope = serde_json::from_slice(line).map_err(|cause| {
        Refused::new(
            RefusedCode::Malformed,
            format!("the daemon (tollgate {VERSION}) can't read the request: {cause}"),
        )
        .hint(STOP_HINT)
    })?;
    match envelope.request {
        // The way out of every disagreement has to stay open to both sides of it.
        Request::StopDaemon => Ok(Request::StopDaemon),
        // Who pulls the switch is not asked what they had in mind.
        Request::Ask(stop @ Question::Stop(_)) => Ok(Request::Ask(stop)),
        Request::Ask(question) => {
            same_version(envelope.control, &envelope.version)?;
            same_config(&envelope.config, config)?;
            Ok(Request::Ask(question))
        }
    }
}

const STOP_HINT: &str = "if the daemon is of another version, end it with `tollgate stop-daemon`";

/// Refuses a peer of another version; used at both doors.
pub(crate) fn same_version(protocol: u32, version: &str) -> Result<(), Refused> {
    if protocol == PROTOCOL && version == VERSION {
        return Ok(());
    }
    let says = match version == VERSION {
        true => format!("the daemon that runs is another build of tollgate {VERSION}"),
        false => format!("the daemon that runs is tollgate {VERSION}, this is tollgate {version}"),
    };
    Err(Refused::new(RefusedCode::OtherVersion, says).hint(
        "end it with `tollgate stop-daemon`; the next `tollgate stdio` starts its own version",
    ))
}

/// Refuses a peer that means another configuration; used at both doors.
pub(crate) fn same_config(theirs: &str, ours: &str) -> Result<(), Refused> {
    if theirs == ours {
        return Ok(());
    }
    Err(Refused::new(
        RefusedCode::OtherConfig,
        format!("the daemon serves the configuration `{ours}`, not `{theirs}`"),
    )
    .hint("end it with `tollgate stop-daemon`, or give each configuration its own TOLLGATE_STATE"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AgentName;

    fn line(version: &str, config: &str, request: &str) -> String {
        format!(
            r#"{{"control":{PROTOCOL},"version":"{version}","config":"{config}","request":{request}}}"#
        )
    }

    fn code(line: &str) -> Option<RefusedCode> {
        read(line.as_bytes(), "/c")
            .err()
            .map(|refused| refused.code)
    }

    #[test]
    fn a_question_from_another_version_is_told_both_versions() {
        let refused = read(line("9.9.9", "/c", r#"{"ask":"status"}"#).as_bytes(), "/c")
            .expect_err("another version");
        assert_eq!(refused.code, RefusedCode::OtherVersion);
        assert!(refused.message.contains("9.9.9") && refused.message.contains(VERSION));
        assert!(refused.hint.unwrap().contains("tollgate stop-daemon"));
    }

    #[test]
    fn a_build_of_the_same_version_that_speaks_otherwise_is_told_so() {
        let refused = same_version(PROTOCOL - 1, VERSION).expect_err("another build");
        assert!(refused.message.contains("another build"), "{refused:?}");
    }

    #[test]
    fn a_question_about_another_configuration_is_told_both() {
        let line = line(VERSION, "/d", r#"{"ask":"status"}"#);
        let refused = read(line.as_bytes(), "/c").expect_err("another configuration");
        assert_eq!(refused.code, RefusedCode::OtherConfig);
        assert!(refused.message.contains("`/c`") && refused.message.contains("`/d`"));
    }

    #[test]
    fn any_version_may_stop_the_daemon_and_everything_it_does() {
        assert_eq!(code(&line("9.9.9", "/d", r#""stop_daemon""#)), None);
        let stop = r#"{"ask":{"stop":{"scope":"everything","by":"ana"}}}"#;
        assert_eq!(code(&line("9.9.9", "/d", stop)), None);
    }

    /// What a daemon reads of one line.
    async fn heard(line: Vec<u8>) -> Result<Request, Refused> {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut asker = Conversation::new(theirs);
        let said = tokio::spawn(async move {
            // Who is turned away before it has said everything is told why.
            let _ = ours.write_all(&line).await;
            ours
        });
        let few = Semaphore::new(1);
        let heard = asker.next("/c", &few).await.unwrap().unwrap();
        if heard.is_err() {
            assert!(asker.next("/c", &few).await.unwrap().is_none());
        }
        drop(asker);
        said.await.unwrap();
        heard
    }

    #[tokio::test]
    async fn a_trial_may_be_as_long_as_a_call_and_a_longer_one_is_told_so() {
        let arguments = format!("{{\"a\":\"{}\"}}", "\\\"".repeat(2 << 20));
        let trial = Trial {
            agent: AgentName::parse("dev").unwrap(),
            title: "files.read".into(),
            arguments,
            run: None,
        };
        let mut line = serde_json::to_vec(&Envelope {
            control: PROTOCOL,
            version: VERSION.to_owned(),
            config: "/c".to_owned(),
            request: Request::Ask(Question::Try(trial.clone())),
        })
        .unwrap();
        line.push(b'\n');
        assert!(line.len() > 8 << 20);
        assert_eq!(
            heard(line).await.unwrap(),
            Request::Ask(Question::Try(trial))
        );

        let longest = usize::try_from(LIMIT).unwrap();
        let refused = heard(vec![b' '; longest + 1]).await.unwrap_err();
        assert_eq!(refused.message, "the request is longer than 33 MiB");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(code("hello"), Some(RefusedCode::Malformed));
        assert_eq!(
            code(&line(VERSION, "/c", r#"{"ask":"dance"}"#)),
            Some(RefusedCode::Malformed)
        );
    }
}
