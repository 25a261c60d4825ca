//! `tollgate completions`: the script that teaches a shell our commands.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Trouble;
use super::out::Out;

/// Print the completion script for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), Trouble> {
    // Into memory first: the generator panics when its output is closed.
    let mut script = Vec::new();
    generate(
        args.shell,
        &mut super::Args::command(),
        "tollgate",
        &mut script,
    );
    Ok(out.raw(&script)?)
}
