//! How tool servers are started, as their files say.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::secrets;
use crate::{
    config::{self, EnvValue},
    daemon::Ground,
    domain::Era,
    tools::{Known, Registered, child::Launch},
};

/// What is missing for a server is told when it is started: one server's secret must not
/// keep the others from running.
pub(super) fn register(
    server: &config::Server,
    ground: &Ground,
    known: Option<Known>,
) -> Registered {
    let (launch, missing) = launch(server, &ground.place.id, ground.open_files);
    Registered {
        name: server.name.clone(),
        launch,
        missing,
        shared: match server.instances {
            config::Instances::Shared => true,
            config::Instances::PerRun => false,
        },
        era: match server.era {
            config::Era::Auto => None,
            config::Era::Legacy => Some(Era::Legacy),
            config::Era::Modern => Some(Era::Modern),
        },
        known,
        start: server.timeouts.start,
    }
}

/// What would keep a server from starting, or have it started otherwise than was meant, as
/// far as it can be seen from here: the daemon may have another environment.
#[must_use]
pub fn doubts(server: &config::Server, dir: &Path) -> Vec<String> {
    let (launch, missing) = launch(server, "", None);
    let mut doubts: Vec<String> = missing.into_iter().collect();
    if let Err(error) = launch.check() {
        doubts.push(match error.hint() {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        });
    }
    if server.launch.cwd.is_none() {
        let args = server.launch.args.iter();
        doubts.extend(args.filter(|arg| is_relative(arg, dir)).map(|arg| {
            format!(
                "`{arg}` counts from where tollgate runs, which is `/` under a daemon that an agent started (write the whole path, or say `cwd`)"
            )
        }));
    }
    doubts
}

/// Whether an argument looks like a path that was meant to count from somewhere.
fn is_relative(arg: &str, dir: &Path) -> bool {
    let path = Path::new(arg);
    let is_dotted = path.starts_with(".") || path.starts_with("..");
    is_dotted || (path.is_relative() && dir.join(path).is_file())
}

/// How a server is started, and what is missing for it.
fn launch(
    server: &config::Server,
    mark: &str,
    open_files: Option<u64>,
) -> (Launch, Option<String>) {
    let mut missing = None;
    let mut env = Vec::new();
    for (name, value) in &server.launch.env {
        match value {
            EnvValue::Literal(text) => env.push((name.clone(), text.clone())),
            EnvValue::Secret(secret) => match secrets::fetch(secret) {
                Ok(text) => env.push((name.clone(), text)),
                Err(why) => missing = Some(why),
            },
        }
    }
    let command: OsString = match server.launch.command.as_str() {
        // The program itself, wherever it is installed.
        "tollgate" => std::env::current_exe()
            .map_or_else(|_| OsString::from("tollgate"), PathBuf::into_os_string),
        _ => server.launch.program.clone().into_os_string(),
    };
    let launch = Launch {
        command,
        args: server.launch.args.clone(),
        env,
        cwd: server.launch.cwd.clone(),
        mark: mark.to_owned(),
        open_files,
    };
    (launch, missing)
}
