//! A running tool server as the daemon sees it: two pipes, the end of its
//! stderr, how it ended.
//!
//! The process is not the daemon's child but its keeper's (see `keeper`). The
//! daemon waits for keepers only, each by its own pid: a wait for any child
//! would steal from others.

use super::exit::{Exit, Gone, Report};
use super::launch::{KEEPER_NAME, SUPERVISE};
pub use super::launch::{Launch, SpawnError};
use super::stderr::StderrRing;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// A server that was just started.
#[derive(Debug)]
pub struct Started {
    /// Where it reads; closing it asks a server of this protocol to leave.
    pub stdin: OwnedFd,
    /// What it says.
    pub stdout: OwnedFd,
    /// The hold on its processes.
    pub child: Child,
}

/// The hold on a server and everything it starts. Dropping it ends them all.
#[derive(Debug)]
pub struct Child {
    /// The life line: when it goes, by whatever way, the keeper ends everything.
    line: Mutex<Option<OwnedWriteHalf>>,
    keeper: u32,
    stderr: Arc<StderrRing>,
    exit: watch::Receiver<Option<Exit>>,
    gone: watch::Receiver<Option<Gone>>,
}

impl Child {
    /// Starts a server under a keeper of its own, which is `keeper_exe`, this
    /// very binary (`/proc/self/exe` unless a test knows better).
    ///
    /// Safe to abandon: a start nobody waits for any more is ended and reaped.
    pub async fn spawn(keeper_exe: &Path, launch: &Launch) -> Result<Started, SpawnError> {
        let (keeper_exe, ordered) = (keeper_exe.to_owned(), launch.clone());
        // A start blocks for a millisecond or two until the keeper has its image.
        // Nothing depends on the thread: the death signal is the keeper's to set.
        spawn_blocking(move || start(&keeper_exe, &ordered))
            .await
            .unwrap_or_else(|error| Err(failed(launch, "starting", io::Error::other(error))))
    }

    /// The end of what it wrote to stderr.
    pub fn stderr(&self) -> Arc<StderrRing> {
        Arc::clone(&self.stderr)
    }

    /// How the server ended. What it wrote to stderr until then is in the ring.
    ///
    /// This, not the end of stdout, is the end of a server: something it started
    /// may hold its stdout open.
    pub fn exit(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// When nothing is left of it, and its keeper is reaped.
    pub fn gone(&self) -> watch::Receiver<Option<Gone>> {
        self.gone.clone()
    }

    /// Ends it: SIGTERM, a second later SIGKILL, for every descendant. Returns at once.
    pub fn end(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        drop(line.take());
    }

    /// The process that keeps it.
    pub fn keeper(&self) -> u32 {
        self.keeper
    }
}

fn start(keeper_exe: &Path, launch: &Launch) -> Result<Started, SpawnError> {
    if !cfg!(target_os = "linux") {
        return Err(SpawnError::Platform {
            command: launch.command.clone(),
        });
    }
    launch.check()?;
    let pipes = |error| failed(launch, "no pipe", error);
    let process = |error| failed(launch, "no process", error);

    let (server_stdin, stdin) = io::pipe().map_err(pipes)?;
    let (stdout, server_stdout) = io::pipe().map_err(pipes)?;
    let (stderr, server_stderr) = io::pipe().map_err(pipes)?;
    // Close-on-exec by birth, all of them: a second holder of the life line would hide its end.
    let (ours, theirs) = Socket::pair().map_err(pipes)?;
    let ends = [
        server_stdin.as_fd(),
        server_stdout.as_fd(),
        server_stderr.as_fd(),
    ];
    // Waits in the socket until the keeper asks for it.
    hand_over(&ours, launch, &ends).map_err(pipes)?;

    ours.set_nonblocking(true).map_err(pipes)?;
    let (reports, line) = UnixStream::from_std(ours).map_err(pipes)?.into_split();
    let stderr = pipe::Receiver::from_owned_fd(stderr.into()).map_err(pipes)?;
    let keeper = start_keeper(keeper_exe, launch, theirs).map_err(process)?;

    let (exit, exit_told) = watch::channel(None);
    let (gone, gone_told) = watch::channel(None);
    let ring = Arc::new(StderrRing::default());
    let child = Child {
        line: Mutex::new(Some(line)),
        keeper: keeper.id(),
        stderr: Arc::clone(&ring),
        exit: exit_told,
        gone: gone_told,
    };
    let watched = Watched {
        keeper,
        mark: launch.mark.clone(),
        stderr,
        ring,
        exit,
        gone,
    };
    // From here and not from `spawn`, so that a keeper is reaped also when `spawn` was abandoned.
    Handle::current().spawn(watched.run(reports));
    Ok(Started {
        stdin: stdin.into(),
        stdout: stdout.into(),
        child,
    })
}

fn failed(launch: &Launch, what: &'static str, source: io::Error) -> SpawnError {
    SpawnError::System {
        command: launch.command.clone(),
        what,
        source,
    }
}

fn hand_over(
    control: &Socket,
    launch: &Launch,
    ends: &[std::os::fd::BorrowedFd<'_>; 3],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(ends)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    // Descriptors travel only with bytes, and a mark may be empty: hence the ends of lines.
    let open_files = launch.open_files.map(|most| most.to_string());
    let order = format!("{}\n{}\n", launch.mark, open_files.unwrap_or_default());
    let text = [IoSlice::new(order.as_bytes())];
    sendmsg(control, &text, &mut ancillary, SendFlags::empty())?;
    Ok(())
}

fn start_keeper(exe: &Path, launch: &Launch, control: Socket) -> io::Result<std::process::Child> {
    let mut command = Command::new(exe);
    command
        .arg0(KEEPER_NAME)
        .arg(SUPERVISE)
        .arg(&launch.command)
        .args(&launch.args)
        .env_clear()
        .envs(launch.environment())
        .stdin(Stdio::from(OwnedFd::from(control)))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    command.spawn()
}

/// What the task that belongs to one keeper holds.
struct Watched {
    keeper: std::process::Child,
    mark: String,
    stderr: pipe::Receiver,
    ring: Arc<StderrRing>,
    exit: watch::Sender<Option<Exit>>,
    gone: watch::Sender<Option<Gone>>,
}

impl Watched {
    /// Drains stderr and listens to the keeper until the keeper is gone, then reaps it.
    async fn run(mut self, reports: OwnedReadHalf) {
        let mut reports = BufReader::new(reports).lines();
        let mut buffer = vec![0; 4096];
        let mut talking = true;
        let mut end = Gone::Whole;
        loop {
            tokio::select! {
                line = reports.next_line() => match line {
                    Ok(Some(line)) => match Report::parse(&line) {
                        Some(Report::Exit(exit)) => self.tell(exit, &mut buffer),
                        Some(Report::Left(count)) => end = Gone::Left(count),
                        None => {}
                    },
                    Ok(None) | Err(_) => break,
                },
                read = self.stderr.read(&mut buffer), if talking => match read {
                    Ok(count) if count > 0 => {
                        self.ring.push(buffer.get(..count).unwrap_or_default());
                    }
                    Ok(_) | Err(_) => talking = false,
                },
            }
        }
        let lost = self.exit.borrow().is_none();
        if lost {
            self.tell(Exit::Lost, &mut buffer);
        }
        let (mut keeper, mark) = (self.keeper, self.mark);
        // Its end of the socket is closed, so it is ending: the wait is for microseconds.
        let reaped = spawn_blocking(move || {
            // Before the reaping, which sets its pid free for others.
            let left = if lost {
                clear_up(&mark, keeper.id())
            } else {
                0
            };
            let _ = keeper.wait();
            left
        });
        match reaped.await {
            Ok(0) | Err(_) => {}
            Ok(left) => end = Gone::Left(left),
        }
        self.gone.send_replace(Some(end));
    }

    fn tell(&self, exit: Exit, buffer: &mut [u8]) {
        // What it wrote before it ended is in the pipe by now. Bounded: something
        // it started may go on writing.
        for _ in 0..64 {
            match self.stderr.try_read(buffer) {
                Ok(count) if count > 0 => {
                    self.ring.push(buffer.get(..count).unwrap_or_default());
                }
                Ok(_) | Err(_) => break,
            }
        }
        self.exit.send_replace(Some(exit));
    }
}

/// A keeper that was killed could not end what the server had started.
fn clear_up(mark: &str, keeper: u32) -> usize {
    #[cfg(target_os = "linux")]
    return super::sweep::sweep_keeper(mark, keeper).left.len();
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = (mark, keeper);
        0
    };
}
