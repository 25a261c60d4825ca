//! The program: branches to the keeper of a tool server, else to the command
//! line.

use std::process::ExitCode;

use tollgate::{cli, service::Tollgate};

fn main() -> ExitCode {
    // First of all: a keeper is a process of its own kind that shares only the file.
    #[cfg(target_os = "linux")]
    if let Some(code) = tollgate::tools::keeper::entry() {
        return code;
    }
    cli::main(async |ground| Tollgate::build(&ground))
}
