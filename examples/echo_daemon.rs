//! The daemon, the shim and the command line around a service that sends every
//! line back. It lets the process tests run without a broker.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tollgate::control::{Question, Refused, RefusedCode, Reply};
use tollgate::daemon::{Ending, Failure, Guest, Hello, Service, Stop};

fn main() -> ExitCode {
    tollgate::cli::main(
        async |ground| {
            if ground.place.config.join("broken").exists() {
                return Err(Failure::fault("this configuration is broken").hint("mend it"));
            }
            if ground.place.config.join("deadly").exists() {
                std::process::abort();
            }
            Ok(Arc::new(Echo))
        },
        |_, _| Vec::new(),
    )
}

struct Echo;

impl Service for Echo {
    fn admit(&self, hello: &Hello) -> Result<(), Refused> {
        match (hello.agent.as_str(), hello.token.as_deref()) {
            ("stranger", _) => Err(Refused::new(
                RefusedCode::AgentUnknown,
                "no agent is called `stranger`",
            )),
            ("locked", None) => Err(Refused::new(
                RefusedCode::TokenWrong,
                "the agent `locked` needs a token",
            )),
            _ => Ok(()),
        }
    }

    async fn agent(self: Arc<Self>, guest: Guest, mut stop: Stop) {
        tokio::select! {
            _ = echo(guest.input, guest.output) => {}
            ending = stop.wait() => match ending {
                Ending::DaemonStops | Ending::ShimLeft => {}
            }
        }
    }

    async fn control(&self, _: Question) -> Result<Reply, Refused> {
        Ok(Reply::Servers(Vec::new()))
    }

    async fn tripped(&self, _: String, _: String) {}

    fn idle_exit(&self) -> Option<Duration> {
        Some(Duration::from_secs(600))
    }

    async fn drain(&self) {}
}

/// Sends back every line; `pid` is answered with the daemon's process, `hang` leaves a
/// thread that never ends, and `panic` is not answered at all.
async fn echo(input: OwnedFd, output: OwnedFd) -> io::Result<()> {
    let mut lines = BufReader::new(reader(input)?).lines();
    let mut output = writer(output)?;
    while let Some(mut line) = lines.next_line().await? {
        if line == "pid" {
            line = std::process::id().to_string();
        }
        if line == "hang" {
            tokio::task::spawn_blocking(|| {
                loop {
                    std::thread::park();
                }
            });
        }
        assert_ne!(line, "panic", "as the agent wished");
        line.push('\n');
        output.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

fn reader(input: OwnedFd) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
    match pipe::Receiver::from_owned_fd(input.try_clone()?) {
        Ok(pipe) => Ok(Box::pin(pipe)),
        Err(_) => Ok(Box::pin(socket(input)?)),
    }
}

fn writer(output: OwnedFd) -> io::Result<Pin<Box<dyn AsyncWrite + Send>>> {
    match pipe::Sender::from_owned_fd(output.try_clone()?) {
        Ok(pipe) => Ok(Box::pin(pipe)),
        Err(_) => Ok(Box::pin(socket(output)?)),
    }
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let stream = StdStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
