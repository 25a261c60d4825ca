//! What it takes to start a tool server, and why it could not be started.
//!
//! A server gets no environment but the base below and what its file names. It
//! is checked here, before any process exists, that there is a command to run:
//! a name that is misspelt is told in words instead of as a status of 127.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use crate::domain::STATE_ID;

/// The variable that tells under which keeper a process was started.
pub(crate) const KEEPER: &str = "TOLLGATE_KEEPER";

/// What keepers are called in the list of processes: not after the daemon, so
/// that `pkill tollgate` leaves them to do their work.
pub(crate) const KEEPER_NAME: &str = "mcp-keeper";
/// The hidden subcommand by which the binary becomes a keeper.
pub(crate) const SUPERVISE: &str = "supervise";

/// What passes from the daemon's environment to every server: what a runner
/// (npx, uvx, python) needs to find programs, its cache and its language. No
/// proxy, no certificate, no token: those are named in the server's file.
const BASE: [&str; 10] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ",
];

/// Whether a variable passes to every server, whatever its file says.
#[must_use]
pub fn has_every_server(name: &str) -> bool {
    BASE.contains(&name)
}

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// One start of one server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// A name to look for in PATH, or a path; a relative one counts from `cwd`.
    pub command: OsString,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it gets besides the base; these win.
    pub env: Vec<(String, String)>,
    /// Where it runs; without one, where the daemon runs.
    pub cwd: Option<PathBuf>,
    /// The id of the state directory, by which `sweep` finds what survived.
    pub mark: String,
    /// How many files it may have open unless it raises that; what the daemon may, if none.
    pub open_files: Option<u64>,
}

impl Launch {
    /// The whole environment of the server but for the marks its keeper sets.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let base = BASE
            .into_iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        let named = self
            .env
            .iter()
            .filter(|(name, _)| name != STATE_ID && name != KEEPER)
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        // Nobody looks at a terminal: colours would only end up in the ring of stderr.
        [
            ("PATH".into(), DEFAULT_PATH.into()),
            ("TERM".into(), "dumb".into()),
        ]
        .into_iter()
        .chain(base)
        .chain(named)
        .collect()
    }

    /// Whether there is a directory to run in and a command to run.
    pub(crate) fn check(&self) -> Result<(), SpawnError> {
        if let Some(cwd) = &self.cwd
            && !cwd.is_dir()
        {
            return Err(SpawnError::NoDirectory {
                command: self.command.clone(),
                cwd: cwd.clone(),
            });
        }
        let here = self.cwd.as_deref().unwrap_or(Path::new(""));
        let command = Path::new(&self.command);
        if command.components().count() > 1 || command.is_absolute() {
            return self.check_file(&here.join(command));
        }
        let path = self.search_path();
        let mut found = std::env::split_paths(&path).map(|dir| here.join(dir).join(command));
        if found.any(|file| is_executable(&file)) {
            Ok(())
        } else {
            Err(SpawnError::NotFound {
                command: self.command.clone(),
                path,
            })
        }
    }

    fn check_file(&self, file: &Path) -> Result<(), SpawnError> {
        let command = self.command.clone();
        if !file.exists() {
            Err(SpawnError::NoFile { command })
        } else if !is_executable(file) {
            Err(SpawnError::NotExecutable { command })
        } else {
            Ok(())
        }
    }

    fn search_path(&self) -> OsString {
        self.environment()
            .into_iter()
            .rfind(|(name, _)| name == "PATH")
            .map(|(_, path)| path)
            .unwrap_or_default()
    }
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Why a server was not started: the operator's business.
#[derive(Debug)]
pub enum SpawnError {
    /// No program of that name in PATH.
    NotFound {
        /// As written.
        command: OsString,
        /// Where it was looked for.
        path: OsString,
    },
    /// The command is a path, and nothing is there.
    NoFile {
        /// As written.
        command: OsString,
    },
    /// The command is a path to something that cannot be run.
    NotExecutable {
        /// As written.
        command: OsString,
    },
    /// The directory to run in does not exist.
    NoDirectory {
        /// As written.
        command: OsString,
        /// The directory.
        cwd: PathBuf,
    },
    /// The system gave no pipes, or no process.
    System {
        /// As written.
        command: OsString,
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Only Linux has what a keeper needs.
    Platform {
        /// As written.
        command: OsString,
    },
}

impl SpawnError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            SpawnError::NotFound { path, .. } => Some(format!(
                "install it, or give its full path; PATH is `{}`",
                shown(path)
            )),
            SpawnError::NoFile { .. } => {
                Some("a relative path counts from the configuration directory".to_owned())
            }
            SpawnError::NotExecutable { command } => Some(format!(
                "`chmod +x {}`, or name its interpreter as the command",
                shown(command)
            )),
            SpawnError::NoDirectory { .. } => {
                Some("create it, or correct `cwd` in the server's file".to_owned())
            }
            SpawnError::System { .. } | SpawnError::Platform { .. } => None,
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (SpawnError::NotFound { command, .. }
        | SpawnError::NoFile { command }
        | SpawnError::NotExecutable { command }
        | SpawnError::NoDirectory { command, .. }
        | SpawnError::System { command, .. }
        | SpawnError::Platform { command }) = self;
        write!(f, "cannot start `{}`: ", shown(command))?;
        match self {
            SpawnError::NotFound { .. } => f.write_str("not found in PATH"),
            SpawnError::NoFile { .. } => f.write_str("no such file"),
            SpawnError::NotExecutable { .. } => f.write_str("not an executable file"),
            SpawnError::NoDirectory { cwd, .. } => {
                write!(f, "no directory `{}`", shown(cwd.as_os_str()))
            }
            SpawnError::System { what, source, .. } => write!(f, "{what}: {source}"),
            SpawnError::Platform { .. } => {
                f.write_str("tool servers over stdio are served on Linux only, so far")
            }
        }
    }
}

impl std::error::Error for SpawnError {}

fn shown(text: &OsStr) -> String {
    text.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(command: &str) -> Launch {
        Launch {
            command: command.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            mark: "m".to_owned(),
            open_files: None,
        }
    }

    #[test]
    fn a_command_that_is_nowhere_in_path_is_told_with_the_path() {
        let mut launch = launch("no-such-tool");
        launch.env = vec![("PATH".to_owned(), "/nowhere:/else".to_owned())];
        let error = launch.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot start `no-such-tool`: not found in PATH"
        );
        assert!(error.hint().unwrap().ends_with("PATH is `/nowhere:/else`"));
    }

    #[test]
    fn a_path_that_is_missing_or_no_program_is_told_apart() {
        assert_eq!(
            launch("/no/such/tool").check().unwrap_err().to_string(),
            "cannot start `/no/such/tool`: no such file"
        );
        assert_eq!(
            launch("/etc/passwd").check().unwrap_err().to_string(),
            "cannot start `/etc/passwd`: not an executable file"
        );
    }

    #[test]
    fn a_relative_path_counts_from_the_directory_of_the_server() {
        let mut launch = launch("bin/sh");
        launch.cwd = Some("/".into());
        launch.check().unwrap();
        launch.cwd = Some("/no-such-dir".into());
        assert_eq!(
            launch.check().unwrap_err().to_string(),
            "cannot start `bin/sh`: no directory `/no-such-dir`"
        );
    }

    #[test]
    fn the_environment_is_the_base_and_what_is_named_and_the_marks_cannot_be_named() {
        let mut launch = launch("sh");
        launch.env = vec![
            ("TOKEN".to_owned(), "t".to_owned()),
            ("HOME".to_owned(), "/elsewhere".to_owned()),
            (STATE_ID.to_owned(), "forged".to_owned()),
        ];
        let environment = launch.environment();
        let last = |name: &str| {
            let found = environment.iter().rfind(|(key, _)| key == name);
            found.map(|(_, value)| value.to_str().unwrap())
        };
        assert_eq!(last("TOKEN"), Some("t"));
        assert_eq!(last("HOME"), Some("/elsewhere"));
        assert_eq!(last(STATE_ID), None);
        assert_eq!(last("CARGO_MANIFEST_DIR"), None);
    }
}
