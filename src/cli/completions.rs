//! `tollgate completions`: the script that teaches a shell our commands.

use clap::{Command, CommandFactory};
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
    let mut taught = for_people(super::Args::command());
    generate(args.shell, &mut taught, "tollgate", &mut script);
    Ok(out.raw(&script)?)
}

/// Without the flag that only tollgate itself uses: not every generator leaves out what is
/// hidden.
fn for_people(command: Command) -> Command {
    command.mut_subcommand("daemon", |daemon| {
        Command::new("daemon").about(daemon.get_about().cloned().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shell_is_taught_what_is_hidden() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            let mut taught = for_people(super::super::Args::command());
            generate(shell, &mut taught, "tollgate", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(!script.contains("autostarted"), "{script}");
            for known in ["stdio", "audit", "outcome", "config", "extend", "embedded"] {
                assert!(script.contains(known), "{known}: {script}");
            }
        }
    }
}
