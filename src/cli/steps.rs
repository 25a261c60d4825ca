//! Next steps as a person can type them: who said `--config` has to say it again, or acts
//! on another configuration than the one that was meant.

use std::borrow::Cow;
use std::path::Path;

use clap::CommandFactory;

use super::{Args, argument};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Steps(Option<String>);

impl Steps {
    /// Those of a command for which this directory was named on the command line. One of
    /// the environment is still there for the next.
    pub(super) fn of(config: Option<&Path>) -> Self {
        Self(config.map(|dir| format!("--config {} ", argument(&dir.display().to_string()))))
    }

    /// The commands in what is said, with that directory.
    pub(super) fn complete<'a>(&self, said: &'a str) -> Cow<'a, str> {
        const PROGRAM: &str = "tollgate ";
        let Some(flag) = self.0.as_ref().filter(|_| !said.contains("--config")) else {
            return Cow::Borrowed(said);
        };
        let args = Args::command();
        let names_command = |rest: &str| {
            let word = rest.split(|c: char| !c.is_ascii_lowercase() && c != '-');
            let word = word.take(1).find(|word| !word.is_empty());
            word.is_some_and(|word| args.find_subcommand(word).is_some())
        };
        let mut parts = said.split(PROGRAM);
        let mut complete = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            complete.push_str(PROGRAM);
            if names_command(part) {
                complete.push_str(flag);
            }
            complete.push_str(part);
        }
        Cow::Owned(complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_names_the_directory_that_was_named() {
        let steps = Steps::of(Some(Path::new("/home/ann/my gate")));
        assert_eq!(
            steps.complete("see `tollgate`; end it with `tollgate stop-daemon`, or `kill 7`"),
            "see `tollgate`; end it with `tollgate --config '/home/ann/my gate' stop-daemon`, or `kill 7`"
        );
        assert_eq!(
            steps.complete("lift it with: tollgate resume --agent a"),
            "lift it with: tollgate --config '/home/ann/my gate' resume --agent a"
        );
    }

    #[test]
    fn what_is_no_command_or_names_a_directory_stays() {
        let steps = Steps::of(Some(Path::new("gate")));
        for said in [
            "tollgate is not running",
            "it runs for another: tollgate stop --config other",
            "restart tollgate ",
            "",
        ] {
            assert_eq!(steps.complete(said), said);
        }
        assert_eq!(Steps::of(None).complete("tollgate stop"), "tollgate stop");
    }
}
