//! The keeper: a small process of this binary, one per running tool server.
//!
//! No descendant of a server may outlive the daemon, also when the daemon is
//! killed. A parent-death signal does not reach forks, a process group does not
//! reach what changed its group. So the keeper is the subreaper of all of them:
//! whatever loses its parent becomes its child, and when its children are gone,
//! everything is gone. It is in no data path: the server's pipes pass through it
//! once, on their way from the daemon. It runs in the directory and with the
//! environment of its server, so that nothing of them has to be handed over.
//!
//! The daemon's end of the control socket is its life line: when it closes, for
//! whatever reason, everything is ended.

use super::exit::{Exit, Report};
use super::launch::{KEEPER, KEEPER_NAME, STATE_ID, SUPERVISE};
use super::procs;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus,
    getpgid, getpid, getppid, getrlimit, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, set_child_subreaper, set_parent_process_death_signal, setrlimit, setsid,
    wait, waitid,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// The hidden subcommand that becomes the server.
const KEEPEXEC: &str = "keepexec";
/// `KEEPER_NAME`, as the kernel wants it.
const NAME_C: &std::ffi::CStr = c"mcp-keeper";

/// How long a server and its descendants have after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// The same when the server has ended by itself and only its leavings remain.
const GRACE_AFTER_EXIT: Duration = Duration::from_millis(300);
/// Between two rounds of SIGKILL: what a killed parent leaves behind is a child
/// of the keeper in the next round. Deep trees go in milliseconds; what still
/// stands after the quick rounds cannot be killed, and is asked a little longer.
const QUICK_ROUND: Duration = Duration::from_micros(200);
const QUICK_ROUNDS: u32 = 2_000;
const SLOW_ROUND: Duration = Duration::from_millis(20);
const SLOW_ROUNDS: u32 = 200;

/// Runs the keeper or the starter if this process was started as one.
pub fn entry() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let word = args.next()?;
    if word == SUPERVISE {
        Some(supervise(args.collect()))
    } else if word == KEEPEXEC {
        Some(keepexec(args))
    } else {
        None
    }
}

fn supervise(command: Vec<OsString>) -> ExitCode {
    let Ok((control, order)) = take_order() else {
        complain("`supervise` is started by the daemon, not by hand");
        return ExitCode::from(2);
    };
    match keep(&Arc::new(control), order, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn keep(control: &Arc<UnixStream>, order: Order, command: Vec<OsString>) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    setsid()?;
    rustix::thread::set_name(NAME_C)?;

    let family = Arc::new(Family::default());
    // Held until the server is known: the reaper must not find nobody to wait for.
    let mut server = family.lock();
    let all_gone = start_reaper(control, &family)?;
    // By this thread, which lives as long as the keeper: the death signal of the
    // server is sent when the thread that started it ends.
    match start(order, command) {
        Ok(pid) => *server = Some(pid),
        Err(_) => report(control, Report::Exit(Exit::Code(126))),
    }
    drop(server);

    // Only now, because the server should not wait for it. Without it SIGTERM
    // kills the keeper and, by the death signal, the server.
    let _ = heed_sigterm(control);
    wait_for_the_word(control);
    let grace = if family.lock().is_some() {
        GRACE
    } else {
        GRACE_AFTER_EXIT
    };
    let left = end_all(&family, &all_gone, grace);
    if left > 0 {
        report(control, Report::Left(left));
    }
    Ok(())
}

/// A service manager that stops the daemon sends SIGTERM to everyone. A keeper
/// that died of it would take the server along by SIGKILL; so it ends in order.
fn heed_sigterm(control: &Arc<UnixStream>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut term = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())?
    };
    let control = Arc::clone(control);
    let wait = move || {
        runtime.block_on(term.recv());
        let _ = control.shutdown(Shutdown::Read);
    };
    thread::Builder::new()
        .name(KEEPER_NAME.to_owned())
        .spawn(wait)?;
    Ok(())
}

/// Returns when the daemon has closed its end, has written anything, or was
/// killed, or when this end was shut: by the reaper because the server is gone,
/// or because of SIGTERM.
fn wait_for_the_word(mut control: &UnixStream) {
    loop {
        match control.read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Everything the keeper has to know of its children: the server, until it is reaped.
///
/// Its lock is the right to reap. While it is held no child of the keeper can
/// vanish, so a pid read from the list of children is still that child.
#[derive(Default)]
struct Family(Mutex<Option<Pid>>);

impl Family {
    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiver hears its sender vanish when no descendant is left.
fn start_reaper(control: &Arc<UnixStream>, family: &Arc<Family>) -> io::Result<Receiver<()>> {
    let (alive, all_gone) = channel();
    let (control, family) = (Arc::clone(control), Arc::clone(family));
    thread::Builder::new()
        .name(KEEPER_NAME.to_owned())
        .spawn(move || reap(&control, &family, &alive))?;
    Ok(all_gone)
}

fn reap(control: &UnixStream, family: &Family, _alive: &Sender<()>) {
    drop(family.lock());
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => reap_the_dead(control, family),
            Err(Errno::INTR) => {}
            // ECHILD: the proof that nothing is left. The shut socket wakes the main thread.
            Err(_) => break,
        }
    }
    let _ = control.shutdown(Shutdown::Read);
}

fn reap_the_dead(control: &UnixStream, family: &Family) {
    let mut server = family.lock();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if *server == Some(pid) {
            *server = None;
            report(control, Report::Exit(exit_of(status)));
            let _ = control.shutdown(Shutdown::Read);
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Lost,
    }
}

/// Nobody may be listening any more; that changes nothing.
fn report(mut control: &UnixStream, report: Report) {
    let _ = control.write_all(format!("{report}\n").as_bytes());
}

/// Ends every descendant and says how many could not be ended.
fn end_all(family: &Family, all_gone: &Receiver<()>, grace: Duration) -> usize {
    ask_to_end(family);
    if gone_within(all_gone, grace) {
        return 0;
    }
    let quick = (0..QUICK_ROUNDS).map(|_| QUICK_ROUND);
    let slow = (0..SLOW_ROUNDS).map(|_| SLOW_ROUND);
    for pause in quick.chain(slow) {
        let reaping = family.lock();
        for child in procs::children(getpid()) {
            let _ = kill_process(child, Signal::KILL);
        }
        drop(reaping);
        if gone_within(all_gone, pause) {
            return 0;
        }
    }
    procs::children(getpid()).len()
}

fn gone_within(all_gone: &Receiver<()>, time: Duration) -> bool {
    all_gone.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
}

/// SIGTERM to everyone, then SIGCONT, because a stopped process takes no other
/// signal. Once each: a second SIGTERM means "at once" to some programs.
fn ask_to_end(family: &Family) {
    for signal in [Signal::TERM, Signal::CONT] {
        let server = family.lock();
        // The number of a reaped server's group may belong to strangers by now.
        if let Some(group) = *server {
            let _ = kill_process_group(group, signal);
        }
        for child in procs::children(getpid()) {
            signal_outside(child, *server, signal, |signal| kill_process(child, signal));
            signal_below(child, *server, signal);
        }
    }
}

fn signal_below(parent: Pid, group: Option<Pid>, signal: Signal) {
    for child in procs::children(parent) {
        // Not ours to reap: only a descriptor is sure to mean the process that was looked at.
        if let Ok(fd) = pidfd_open(child, PidfdFlags::empty())
            && procs::parent(child) == Some(parent)
        {
            signal_outside(child, group, signal, |signal| {
                pidfd_send_signal(&fd, signal)
            });
            signal_below(child, group, signal);
        }
    }
}

fn signal_outside(
    pid: Pid,
    group: Option<Pid>,
    signal: Signal,
    send: impl FnOnce(Signal) -> rustix::io::Result<()>,
) {
    if group.is_none() || getpgid(Some(pid)).ok() != group {
        let _ = send(signal);
    }
}

/// What the daemon sends with its first and only message.
struct Order {
    mark: String,
    open_files: Option<u64>,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn take_order() -> io::Result<(UnixStream, Order)> {
    let control = rustix::stdio::stdin().try_clone_to_owned()?;
    let mut text = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        &control,
        &mut [IoSliceMut::new(&mut text)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = part {
            descriptors.extend(passed);
        }
    }
    let (Ok([stdin, stdout, stderr]), false) = (
        <[OwnedFd; 3]>::try_from(descriptors),
        message.flags.contains(ReturnFlags::CTRUNC),
    ) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let text = text.get(..message.bytes).unwrap_or_default();
    let text = std::str::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData)?;
    let lines = text
        .strip_suffix('\n')
        .and_then(|text| text.split_once('\n'));
    let (mark, open_files) = lines.ok_or(io::ErrorKind::InvalidData)?;
    let order = Order {
        mark: mark.to_owned(),
        open_files: open_files.parse().ok(),
        stdin,
        stdout,
        stderr,
    };
    Ok((UnixStream::from(control), order))
}

/// Starts the server. Its ends of the pipes are closed here when this returns.
fn start(order: Order, command: Vec<OsString>) -> io::Result<Pid> {
    let keeper = getpid().as_raw_pid().to_string();
    let last_words = order.stderr.as_fd().try_clone_to_owned()?;
    if let Some(most) = order.open_files {
        allow_open_files(most);
    }
    let child = Command::new("/proc/self/exe")
        .arg0(KEEPER_NAME)
        .arg(KEEPEXEC)
        .arg(&keeper)
        .args(command)
        .env(STATE_ID, &order.mark)
        .env(KEEPER, &keeper)
        .process_group(0)
        .stdin(Stdio::from(order.stdin))
        .stdout(Stdio::from(order.stdout))
        .stderr(Stdio::from(order.stderr))
        .spawn();
    match child {
        // Reaped by the reaper, together with everything it leaves behind.
        Ok(child) => Ok(Pid::from_child(&child)),
        Err(error) => {
            let _ = writeln!(File::from(last_words), "tollgate: no process: {error}");
            Err(error)
        }
    }
}

/// The server may have so many files open, as the keeper then, which needs few. It starts
/// all the same where that cannot be.
fn allow_open_files(most: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(most, |maximum| most.min(maximum)));
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// Becomes the server, which is then killed with its keeper: the second line of
/// defence, for the case that daemon and keeper are killed together. It does not
/// reach what the server starts; `sweep` does, at the daemon's next start.
fn keepexec(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let keeper = args.next().and_then(|pid| pid.to_str()?.parse().ok());
    let (Some(keeper), Some(command)) = (keeper.and_then(Pid::from_raw), args.next()) else {
        complain("`keepexec` is started by a keeper, not by hand");
        return ExitCode::from(2);
    };
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    // A keeper that died before the line above sent no signal.
    if bound.is_err() || getppid() != Some(keeper) {
        complain("the keeper is gone");
        return ExitCode::from(126);
    }
    let error = Command::new(&command).args(args).exec();
    complain(&format!(
        "cannot run `{}`: {error}",
        command.to_string_lossy().escape_debug()
    ));
    match error.kind() {
        io::ErrorKind::NotFound => ExitCode::from(127),
        _ => ExitCode::from(126),
    }
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "tollgate: {text}");
}
