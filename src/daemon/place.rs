//! Where things live: the directories of one tollgate, and whether they are
//! private.
//!
//! Three directories, each from its variable or the XDG default:
//!
//! * configuration: `--config`, TOLLGATE_CONFIG, `$XDG_CONFIG_HOME/tollgate`
//! * state: TOLLGATE_STATE, `$XDG_STATE_HOME/tollgate`; a configuration other
//!   than the default has its own below `by-config/`
//! * run (sockets): TOLLGATE_RUN, `$XDG_RUNTIME_DIR/tollgate`, else below state
//!
//! TOLLGATE_RUN has two uses that can't be confused: an absolute path is the
//! run directory, anything else is the name of a run that an agent joins.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::failure::{Failure, FailureKind};
use crate::domain::quoted;

/// The directories of one tollgate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The configuration directory: canonical, but it need not exist unless it
    /// was named with `--config`.
    pub config: PathBuf,
    /// The state directory; one daemon per state directory.
    pub state: PathBuf,
    /// The directory of the sockets: its name is `id`, so that one run
    /// directory serves many states.
    pub run: PathBuf,
    /// Names the state, in the sockets' path and in the environment of tool
    /// servers.
    pub id: String,
    /// The run an agent joins, when TOLLGATE_RUN names one.
    pub joins: Option<String>,
}

impl Place {
    /// The place that the command line and the environment name.
    ///
    /// # Errors
    /// When `flag` isn't a directory, a path isn't UTF-8, or nothing says where
    /// home is.
    pub fn find(flag: Option<&Path>) -> Result<Self, Failure> {
        Self::resolve(flag, &|name| std::env::var_os(name), effective_uid())
    }

    fn resolve(
        flag: Option<&Path>,
        env: &dyn Fn(&str) -> Option<OsString>,
        uid: u32,
    ) -> Result<Self, Failure> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let config = config_dir(flag, &env)?;
        let state = state_dir(&config, &env)?;
        let id = short_hash(&state);
        let named = env("TOLLGATE_RUN").map(PathBuf::from);
        let (base, joins) = match named {
            Some(path) if path.is_absolute() => (Some(path), None),
            Some(name) => (None, Some(utf8(&name)?.to_owned())),
            None => (None, None),
        };
        let base = base
            .or_else(|| absolute(env("XDG_RUNTIME_DIR")).map(|dir| dir.join("tollgate")))
            .unwrap_or_else(|| state.join("run"));
        utf8(&base)?;
        let run = sockets_dir(&base, &id, uid);
        Ok(Self {
            config,
            state,
            run,
            id,
            joins,
        })
    }

    /// Makes the state and run directories if need be, and refuses those that
    /// somebody else could write to.
    ///
    /// # Errors
    /// Names the path, what is wrong with it, and what mends it.
    pub fn prepare(&self) -> Result<(), Failure> {
        for dir in self.private_dirs() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            match made {
                Ok(()) => {}
                // A link to nowhere or a file: `inspect` says it better.
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => {
                    return Err(Failure::io(
                        format_args!("can't make the directory `{}`", dir.display()),
                        &cause,
                    ));
                }
            }
            inspect(dir)?;
        }
        Ok(())
    }

    /// The state directory of the default configuration, unless this one was named.
    pub(crate) fn shared_state(&self) -> Option<&Path> {
        let above = self.state.parent()?;
        match above.ends_with(BY_CONFIG) {
            true => above.parent(),
            false => self.state.ends_with("tollgate").then_some(&self.state),
        }
    }

    /// Whether nobody else can write in the state directory, whoever may look into it.
    #[must_use]
    pub fn only_we_write(&self) -> bool {
        fs::symlink_metadata(&self.state).is_ok_and(|found| {
            found.is_dir() && found.uid() == effective_uid() && found.mode() & 0o022 == 0
        })
    }

    fn private_dirs(&self) -> impl Iterator<Item = &Path> {
        let state = self.state.as_path();
        [Some(state), self.run.parent(), Some(self.run.as_path())]
            .into_iter()
            .flatten()
    }

    /// The configuration directory as text, as both ends of a connection compare it.
    #[must_use]
    pub fn config_text(&self) -> String {
        // Checked when the place was found.
        self.config.to_string_lossy().into_owned()
    }

    /// Where agents' shims connect.
    #[must_use]
    pub fn agent_socket(&self) -> PathBuf {
        self.run.join("agent.sock")
    }

    /// Where the command line connects.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// Locked by the daemon for life. Outside the store's own directory.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// Locked by a shim while it starts a daemon.
    #[must_use]
    pub fn spawn_lock(&self) -> PathBuf {
        self.state.join("spawn.lock")
    }

    /// What an autostarted daemon has to say.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.state.join("daemon.log")
    }

    /// Where it exists, a starting daemon goes on behind damaged records, once.
    #[must_use]
    pub fn accept_loss_file(&self) -> PathBuf {
        self.state.join("ACCEPT_LOSS")
    }

    /// Where a stop is written that no daemon could be told: a starting daemon
    /// honours it.
    #[must_use]
    pub fn stop_file(&self) -> PathBuf {
        self.state.join("STOP")
    }
}

/// Whether `dir` is there; refuses one that isn't private.
pub(crate) fn inspect(dir: &Path) -> Result<bool, Failure> {
    let found = match fs::symlink_metadata(dir) {
        Ok(found) => found,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => {
            return Err(Failure::io(
                format_args!("can't look at `{}`", dir.display()),
                &cause,
            ));
        }
    };
    let facts = Facts {
        directory: found.is_dir(),
        owner: found.uid(),
        mode: found.mode() & 0o7777,
    };
    facts.judge(dir, effective_uid()).map(|()| true)
}

/// What makes a directory private, as lstat tells it.
#[derive(Debug, Clone, Copy)]
struct Facts {
    directory: bool,
    owner: u32,
    mode: u32,
}

impl Facts {
    fn judge(self, dir: &Path, uid: u32) -> Result<(), Failure> {
        let dir = dir.display();
        if !self.directory {
            return Err(
                Failure::fault(format!("`{dir}` is a file or a link, not a directory"))
                    .hint("name directories with TOLLGATE_STATE and TOLLGATE_RUN, or move it away"),
            );
        }
        if self.owner != uid {
            return Err(Failure::fault(format!(
                "`{dir}` belongs to user {}, and this is user {uid}",
                self.owner
            ))
            .hint("name directories of your own with TOLLGATE_STATE and TOLLGATE_RUN"));
        }
        if self.mode & 0o077 != 0 {
            return Err(Failure::fault(format!(
                "`{dir}` is open to other users: its mode is {:04o}, not 0700",
                self.mode
            ))
            .hint(format!("close it: chmod 700 {}", quoted(&dir.to_string()))));
        }
        Ok(())
    }
}

fn config_dir(
    flag: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Failure> {
    if let Some(dir) = flag {
        if !dir.is_dir() {
            return Err(Failure::new(
                FailureKind::Usage,
                format!("`{}` is not a directory", dir.display()),
            )
            .hint("--config names the directory that holds tollgate.toml and tools.d/"));
        }
        return canonical(dir);
    }
    match env("TOLLGATE_CONFIG") {
        Some(dir) => canonical(Path::new(&dir)),
        None => default_config_dir(env),
    }
}

fn default_config_dir(env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    canonical(&xdg(env, "XDG_CONFIG_HOME", ".config", "TOLLGATE_CONFIG")?)
}

/// Where configurations other than the default have their states.
pub(crate) const BY_CONFIG: &str = "by-config";

fn state_dir(config: &Path, env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    if let Some(dir) = env("TOLLGATE_STATE") {
        return canonical(Path::new(&dir));
    }
    let shared = canonical(&xdg(
        env,
        "XDG_STATE_HOME",
        ".local/state",
        "TOLLGATE_STATE",
    )?)?;
    let is_default = default_config_dir(env).is_ok_and(|default| default == config);
    Ok(if is_default {
        shared
    } else {
        shared.join(BY_CONFIG).join(short_hash(config))
    })
}

fn xdg(
    env: &dyn Fn(&str) -> Option<OsString>,
    variable: &str,
    below_home: &str,
    ours: &str,
) -> Result<PathBuf, Failure> {
    // The specification: a relative path there is to be ignored.
    absolute(env(variable))
        .or_else(|| absolute(env("HOME")).map(|home| home.join(below_home)))
        .map(|dir| dir.join("tollgate"))
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Usage,
                format!("neither {ours}, {variable} nor HOME is set"),
            )
            .hint(format!("set {ours} to a directory"))
        })
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The path without links, also when its last parts don't exist yet: two
/// processes must come to the same text before and after it is made.
fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    let unclear = |cause: io::Error| {
        Failure::io(
            format_args!("can't tell where `{}` is", path.display()),
            &cause,
        )
    };
    let path = std::path::absolute(path).map_err(unclear)?;
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Ok(real) => {
                let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
                let whole: PathBuf = real.components().chain(rest.components()).collect();
                utf8(&whole)?;
                return Ok(whole);
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(unclear(cause)),
        }
    }
    Ok(path)
}

/// Paths travel as JSON, so they have to be text.
fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::new(
            FailureKind::Usage,
            format!("the path `{}` is not UTF-8", path.display()),
        )
    })
}

fn sockets_dir(base: &Path, id: &str, uid: u32) -> PathBuf {
    let run = base.join(id);
    if run.as_os_str().len() + LONGEST_SOCKET.len() <= SUN_PATH {
        run
    } else {
        PathBuf::from(format!("/tmp/tollgate-{uid}")).join(id)
    }
}

/// A socket's address holds 104 bytes on macOS and 108 on Linux, with a zero at the end.
const SUN_PATH: usize = 100;
const LONGEST_SOCKET: &str = "/control.sock.new";

fn short_hash(path: &Path) -> String {
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes());
    hash.to_hex().chars().take(16).collect()
}

pub(crate) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place(flag: Option<&Path>, env: &[(&str, &str)]) -> Result<Place, Failure> {
        let env: HashMap<&str, &str> = env.iter().copied().collect();
        Place::resolve(flag, &|name| env.get(name).map(OsString::from), 1000)
    }

    #[test]
    fn the_defaults_are_those_of_xdg() {
        let found = place(
            None,
            &[
                ("HOME", "/nowhere/ann"),
                ("XDG_RUNTIME_DIR", "/nowhere/1000"),
            ],
        )
        .unwrap();
        assert_eq!(found.config, Path::new("/nowhere/ann/.config/tollgate"));
        assert_eq!(found.state, Path::new("/nowhere/ann/.local/state/tollgate"));
        assert_eq!(
            found.run,
            Path::new("/nowhere/1000/tollgate").join(&found.id)
        );
        assert_eq!(found.joins, None);
    }

    #[test]
    fn without_a_runtime_directory_the_sockets_are_below_the_state() {
        let found = place(None, &[("HOME", "/nowhere/ann")]).unwrap();
        assert!(found.run.starts_with(found.state.join("run")));
    }

    #[test]
    fn another_configuration_has_its_own_state_unless_one_is_named() {
        let home = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let env = [("HOME", home.path().to_str().unwrap())];
        let own = place(Some(dir.path()), &env).unwrap();
        assert!(own.state.parent().unwrap().ends_with("tollgate/by-config"));
        let named = [env[0], ("TOLLGATE_STATE", "/nowhere/state")];
        let named = place(Some(dir.path()), &named).unwrap();
        assert_eq!(named.state, Path::new("/nowhere/state"));
    }

    #[test]
    fn naming_the_default_configuration_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join(".config/tollgate");
        fs::create_dir_all(&config).unwrap();
        let env = [("HOME", home.path().to_str().unwrap())];
        assert_eq!(place(Some(&config), &env), place(None, &env));
    }

    #[test]
    fn tollgate_run_is_a_directory_when_absolute_and_else_a_run_to_join() {
        let env = [("HOME", "/nowhere"), ("TOLLGATE_RUN", "/nowhere/run")];
        let directory = place(None, &env).unwrap();
        assert!(directory.run.starts_with("/nowhere/run"));
        assert_eq!(directory.joins, None);
        let env = [("HOME", "/nowhere"), ("TOLLGATE_RUN", "r-nightly")];
        assert_eq!(
            place(None, &env).unwrap().joins.as_deref(),
            Some("r-nightly")
        );
    }

    #[test]
    fn a_long_run_directory_gives_way_to_a_short_one() {
        let long = format!("/nowhere/{}", "x".repeat(90));
        let env = [("HOME", "/nowhere"), ("TOLLGATE_RUN", long.as_str())];
        let found = place(None, &env).unwrap();
        assert_eq!(found.run, Path::new("/tmp/tollgate-1000").join(&found.id));
        assert!(found.control_socket().as_os_str().len() < SUN_PATH);
    }

    #[test]
    fn a_configuration_that_is_named_must_exist() {
        let failure = place(Some(Path::new("/nowhere")), &[]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Usage);
        assert!(failure.message.contains("`/nowhere`"));
    }

    #[test]
    fn without_a_home_the_message_says_which_variable_to_set() {
        let failure = place(None, &[]).unwrap_err();
        assert!(failure.hint.unwrap().contains("TOLLGATE_CONFIG"));
    }

    #[test]
    fn a_directory_is_made_private() {
        let home = tempfile::tempdir().unwrap();
        let mut found = place(None, &[("HOME", home.path().to_str().unwrap())]).unwrap();
        found.run = home.path().join("run").join(&found.id);
        found.prepare().unwrap();
        let mode = fs::metadata(&found.run).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let facts = Facts {
            directory: true,
            owner: 7,
            mode: 0o700,
        };
        let failure = facts.judge(Path::new("/d"), 1000).unwrap_err();
        assert!(failure.message.contains("belongs to user 7"), "{failure}");
        assert!(facts.judge(Path::new("/d"), 7).is_ok());
    }

    #[test]
    fn a_link_is_refused_even_when_it_leads_to_a_private_directory() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        let failure = inspect(&link).unwrap_err();
        assert!(failure.message.contains("a link"), "{failure}");
    }

    #[test]
    fn an_open_directory_is_refused_with_the_command_that_closes_it() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let failure = inspect(home.path()).unwrap_err();
        assert!(failure.message.contains("0755"), "{failure}");
        assert!(failure.hint.unwrap().starts_with("close it: chmod 700 "));
    }
}
