//! The configuration: texts in, one validated generation out.
//!
//! [`load`] is pure: it reads no file, no clock and no environment, and finds
//! every error in one pass over all files. [`read`] fetches the texts.
//!
//! A key is known or it is an error; nothing is skipped. What a setting means
//! for a call is decided elsewhere: here it only becomes a type.

mod access;
mod args;
mod audit;
mod collisions;
mod decode;
mod duration;
mod error;
mod file;
mod files;
mod form;
mod form_limits;
mod launch;
mod limits;
mod names;
mod render;
mod schema;
mod secret;
mod server;
mod tollgate_toml;
mod tool;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use args::{ArgRule, FORMATS, HOLD_LIST, HOLD_ONE};
pub use duration::{parse as parse_duration, show as show_duration};
pub use error::{Code, ConfigError, ConfigErrors, Excerpt, Position, suggest};
pub use files::read;
pub use launch::{EnvValue, Launch};
pub use limits::Lifted;
pub use names::{Beginnings, OWN, alike, can_be_exposed, exposed, is_own};
pub use schema::{tollgate_schema, tools_schema};
pub use secret::SecretRef;
pub use server::{Era, Instances, Places, Prefix, Server, Timeouts};
pub use tollgate_toml::{Agent, Agents};
pub use tool::ToolRule;

use crate::domain::{Currency, Rate, ServerName, Terms, Tier, Zone};
use file::File;

/// The text of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, as it is shown to the user.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// The texts of a configuration directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The directory, absolute: what relative commands and paths start from.
    pub dir: PathBuf,
    /// `tollgate.toml`, which may be missing.
    pub main: Option<Source>,
    /// The files of `tools.d/`, in lexical order.
    pub tools: Vec<Source>,
}

/// Where a setting stands, for answers to "why".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it is shown to the user.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// A fingerprint of the texts: equal texts, equal generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Over the names and the contents; the directory itself does not count.
    fn of(sources: &Sources) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for source in sources.main.iter().chain(&sources.tools) {
            let name = source.path.file_name().unwrap_or_default();
            part(name.as_encoded_bytes());
            part(source.text.as_bytes());
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// One validated version of the whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// What it was made from.
    pub digest: Digest,
    /// Who may connect.
    pub agents: Agents,
    /// The tool servers, in order of their names.
    pub servers: Vec<Server>,
    /// In what money is counted.
    pub currency: Currency,
    /// Whose days and months are the calendar's, and whose hours a window means
    /// that names no zone.
    pub zone: Zone,
    /// What limits everybody, written or not.
    pub terms: Terms,
    /// How often an agent may call a tool of a tier.
    pub tier_rates: BTreeMap<Tier, Rate>,
    /// How long a daemon that was started on demand stays without work; none
    /// when it stays for good.
    pub idle_exit: Option<Duration>,
    /// How long records are kept; none for ever.
    pub keep: Option<Duration>,
}

impl Generation {
    /// How long a call of each server may take in all.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<ServerName, Duration> {
        let servers = self.servers.iter();
        servers
            .map(|server| (server.name.clone(), server.timeouts.total))
            .collect()
    }
}

/// Reads a directory and turns it into a generation.
///
/// # Errors
/// Everything that is wrong: what cannot be read, and what is wrong in the files that
/// can be.
pub fn load_dir(dir: &Path) -> Result<Generation, ConfigErrors> {
    let (sources, unread) = files::read_what_can_be(dir)?;
    if unread.0.is_empty() {
        return load(&sources);
    }
    let mut errors = unread.0;
    if let Err(found) = judge(&sources, false) {
        // Which currency counts may stand in what could not be read.
        let is_known = sources.main.is_some();
        let found = found.0.into_iter();
        errors.extend(found.filter(|error| is_known || error.code != Code::WrongCurrency));
    }
    Err(ConfigErrors(errors))
}

/// Turns texts into a generation.
///
/// # Errors
/// Everything that is wrong in any of the files, in the order of files and lines.
pub fn load(sources: &Sources) -> Result<Generation, ConfigErrors> {
    judge(sources, true)
}

/// `complete`: whether these are all files there are.
fn judge(sources: &Sources, complete: bool) -> Result<Generation, ConfigErrors> {
    let main = sources.main.as_ref().map(File::parse);
    let tools: Vec<(&Source, File<'_>)> = sources
        .tools
        .iter()
        .map(|source| (source, File::parse(source)))
        .collect();

    let tollgate_toml::Main {
        agents,
        everything,
        idle_exit,
        keep,
    } = tollgate_toml::decode(main.as_ref());
    let names: Vec<Option<ServerName>> = tools
        .iter()
        .map(|(source, file)| server::name_of(source, file))
        .collect();
    let drafts: Vec<server::Draft<'_>> = tools
        .iter()
        .zip(&names)
        .filter_map(|((_, file), name)| {
            let name = name.as_ref()?;
            Some(server::decode(file, name, &sources.dir, &everything))
        })
        .collect();

    // What the files say of each other can be judged only where all of it could be read.
    let all_whole = main.iter().all(File::is_whole) && tools.iter().all(|(_, f)| f.is_whole());
    if complete && all_whole && names.iter().all(Option::is_some) {
        access::check(main.as_ref(), &agents, &drafts);
        collisions::check(&drafts);
    }

    let servers: Option<Vec<Server>> = drafts.into_iter().map(|draft| draft.server).collect();
    let agents = agents.finish();
    let errors: Vec<ConfigError> = main
        .into_iter()
        .chain(tools.into_iter().map(|(_, file)| file))
        .flat_map(File::into_errors)
        .collect();
    match (servers, agents) {
        (Some(mut servers), Some(agents)) if errors.is_empty() => {
            servers.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Generation {
                digest: Digest::of(sources),
                agents,
                servers,
                currency: everything.units.shown(),
                zone: everything.units.zone,
                terms: everything.terms,
                tier_rates: everything.tier_rates,
                idle_exit,
                keep,
            })
        }
        _ => Err(ConfigErrors(errors)),
    }
}

impl From<&Place> for crate::domain::Place {
    fn from(place: &Place) -> Self {
        Self {
            file: place.path.to_string_lossy().into(),
            line: u32::try_from(place.line).unwrap_or(u32::MAX),
        }
    }
}
