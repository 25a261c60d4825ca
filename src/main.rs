//! The program: branches to the keeper of a tool server, else to the command
//! line.

use std::process::ExitCode;

use tollgate::{
    cli,
    service::{Tollgate, doubts},
};

/// The first descriptor after the standard three.
const FIRST: i32 = 3;

fn main() -> ExitCode {
    // Before anything else is opened: what an agent's client left open for us is not for a
    // daemon, a keeper or a tool server. What we hand on is among the standard three, or is
    // passed through a socket.
    close_fds::set_fds_cloexec(FIRST, &[]);
    // Before the command line: a keeper is a process of its own kind that shares only the file.
    #[cfg(target_os = "linux")]
    if let Some(code) = tollgate::tools::keeper::entry() {
        return code;
    }
    cli::main(async |ground| Tollgate::build(&ground), doubts)
}
