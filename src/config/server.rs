//! A file in `tools.d/`: one tool server, named after the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::decode::{Field, Named, Table, Vocabulary};
use super::error::{Code, quoted};
use super::file::{File, Problem};
use super::launch::{self, Launch};
use super::limits::{self, Everything};
use super::tool::{self, ToolRule};
use super::{Place, Source, duration, names};
use crate::domain::{AgentName, BreakerRule, Offer, Owner, ServerName, Terms};

pub(super) const ROOT: Vocabulary = Vocabulary {
    keys: &[
        "agents",
        "args",
        "breaker",
        "budget",
        "command",
        "cwd",
        "env",
        "era",
        "instances",
        "owner",
        "prefix",
        "rate",
        "sampling",
        "start_timeout",
        "timeout",
        "title",
        "tools",
        "total_timeout",
        "unlisted",
        "url",
        "window",
    ],
    later: &[
        "approval",
        "auth",
        "canary",
        "contact",
        "framing",
        "review_by",
        "sandbox",
    ],
    elsewhere: &[
        (
            &[
                "autonomy",
                "currency",
                "idle_exit",
                "loops",
                "runs",
                "spend",
                "tiers",
                "timezone",
            ],
            "belongs in tollgate.toml",
        ),
        (
            &["amount", "cost", "count", "limit"],
            "belongs to one tool: [tools.NAME]",
        ),
        (&["tier"], "belongs to one tool: [tools] NAME = \"read\""),
    ],
};

/// Long enough for `server__`, short enough to leave room for the tool's name.
const PREFIX_LIMIT: usize = 50;

/// A registered tool server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The name of its file.
    pub name: ServerName,
    /// What people may read instead of the name.
    pub title: Option<String>,
    /// How it is started.
    pub launch: Launch,
    /// Who answers for it.
    pub owner: Owner,
    /// The agents that may see it; none means all.
    pub agents: Option<Vec<AgentName>>,
    /// What becomes of tools that the file does not name.
    pub unlisted: Offer,
    /// What is put before its tools' names.
    pub prefix: Prefix,
    /// What the file says of single tools, by the server's own names.
    pub tools: BTreeMap<String, ToolRule>,
    /// Whether runs share a process.
    pub instances: Instances,
    /// The protocol era it speaks.
    pub era: Era,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What limits all calls to it together, and its own breaker.
    pub terms: Terms,
    /// The breaker of a tool that the file does not name; the others have theirs
    /// in their terms.
    pub tool_breaker: Option<BreakerRule>,
    /// Where the file begins.
    pub place: Place,
    /// Where each setting of the file stands.
    pub places: Places,
}

/// What is put before a tool's name, to tell servers apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// `NAME__`.
    #[must_use]
    pub fn of(server: &ServerName) -> Self {
        Prefix(format!("{server}__"))
    }

    /// The prefix as text; empty when there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether runs share a process of the tool server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// Each run has its own.
    PerRun,
    /// One serves all: for servers without state.
    Shared,
}

/// Which protocol a tool server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Asked at the start.
    Auto,
    /// With `initialize`.
    Legacy,
    /// Without: 2026-07-28 and later.
    Modern,
}

/// How long a tool server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Without a sign of life during a call; progress starts it anew.
    pub call: Duration,
    /// For a whole call.
    pub total: Duration,
    /// From the start of the process to the first list of tools.
    pub start: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            call: Duration::from_secs(30),
            total: Duration::from_secs(600),
            start: Duration::from_secs(20),
        }
    }
}

/// Where each setting of a file stands, by its dotted key: `tools.send_mail.args.to`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of a setting, if the file has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Place> {
        self.0.get(key)
    }
}

/// A server as far as its file could be read.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) file: &'a File<'a>,
    pub(super) name: ServerName,
    pub(super) agents_field: Option<Field<'a>>,
    /// The inner none: the key is missing. The outer: it could not be read.
    pub(super) agents: Option<Option<Vec<Named<AgentName>>>>,
    pub(super) server: Option<Server>,
}

/// The name that a file gives its server.
pub(super) fn name_of(source: &Source, file: &File<'_>) -> Option<ServerName> {
    let stem = source
        .path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    match ServerName::parse(&stem) {
        Ok(name) => Some(name),
        Err(error) => {
            file.report(
                Problem::new(
                    Code::BadName,
                    format!("{} cannot be the name of a tool server", quoted(&stem)),
                )
                .label(error.to_string())
                .hint("the server is named after its file: rename the file"),
            );
            None
        }
    }
}

pub(super) fn decode<'a>(
    file: &'a File<'a>,
    name: &ServerName,
    dir: &Path,
    everything: &Everything,
) -> Draft<'a> {
    let root = Table::root(file, &ROOT);
    let timeouts = decode_timeouts(&root);
    let launch = launch::decode(&root, dir);
    let owner = decode_owner(&root, name);
    let title = root
        .get("title")
        .and_then(|field| field.text().map(str::to_owned));
    let agents_field = root.get("agents");
    let agents = match &agents_field {
        Some(list) => list.list_of(|one| one.name(AgentName::parse)).map(Some),
        None => Some(None),
    };
    let unlisted = root.get("unlisted").and_then(|field| tool::offer(&field));
    let prefix = match root.get("prefix") {
        Some(field) => decode_prefix(&field),
        None => default_prefix(file, name),
    };
    let instances = root.get("instances").and_then(|field| {
        field.word(&[
            ("per-run", Instances::PerRun),
            ("shared", Instances::Shared),
        ])
    });
    let era = root.get("era").and_then(|field| {
        field.word(&[
            ("auto", Era::Auto),
            ("legacy", Era::Legacy),
            ("modern", Era::Modern),
        ])
    });
    let limits = limits::server(&root, everything);
    let tools = tool::decode_all(&root, timeouts.total, &limits, everything);

    // What could not be read was reported: such a server is never put to use,
    // so the defaults below stand only for keys that are absent.
    let server = match (launch, owner, prefix) {
        (Some(launch), Some(owner), Some(prefix)) => Some(Server {
            name: name.clone(),
            title,
            launch,
            owner,
            agents: agents.iter().flatten().next().map(|names| {
                let name = |named: &Named<AgentName>| named.name.clone();
                names.iter().map(name).collect()
            }),
            unlisted: unlisted.unwrap_or(Offer::Unclassified),
            prefix,
            tools,
            instances: instances.unwrap_or(Instances::PerRun),
            era: era.unwrap_or(Era::Auto),
            timeouts,
            tool_breaker: limits.tool_breaker(),
            terms: limits.terms,
            place: file.place(0),
            places: Places(file.take_places()),
        }),
        _ => None,
    };
    Draft {
        file,
        name: name.clone(),
        agents_field,
        agents,
        server,
    }
}

fn decode_owner(root: &Table<'_>, name: &ServerName) -> Option<Owner> {
    if let Some(field) = root.get("owner") {
        return field.name(Owner::parse).map(|named| named.name);
    }
    let message = format!("tool server `{name}` has no owner");
    let anchor = root.get("command").or_else(|| root.get("url"));
    let problem = match anchor {
        Some(field) => field
            .key_problem(Code::NoOwner, message)
            .label("who answers for what this starts?"),
        None => Problem::new(Code::NoOwner, message),
    };
    let misplaced = ["tools", "env"].iter().find(|table| {
        root.get(table)
            .and_then(|field| field.value().get("owner").map(|_| ()))
            .is_some()
    });
    root.file.report(match misplaced {
        Some(table) => problem.hint(format!(
            "`owner` stands below [{table}] and belongs to that table: put it above"
        )),
        None => problem.hint("add `owner = \"NAME\"`, the person or team who answers for it"),
    });
    None
}

fn decode_timeouts(root: &Table<'_>) -> Timeouts {
    let default = Timeouts::default();
    let total = match root.get("total_timeout") {
        // What cannot be read was reported, and limits nothing in the checks that follow.
        Some(field) => field.duration().unwrap_or(Duration::MAX),
        None => default.total,
    };
    // Only what the author wrote can be wrong: a short total tightens the default.
    let call = root.get("timeout").and_then(|field| {
        let call = field.duration()?;
        check_reachable(&field, call, total);
        Some(call)
    });
    let start = root.get("start_timeout").and_then(|field| field.duration());
    Timeouts {
        call: call.unwrap_or(default.call).min(total),
        total,
        start: start.unwrap_or(default.start),
    }
}

/// A wait for a sign of life that is longer than the whole call never ends it.
pub(super) fn check_reachable(field: &Field<'_>, call: Duration, total: Duration) {
    if call > total {
        let total = duration::show(total);
        field.file.report(
            field
                .problem(Code::NeverMatches, "this timeout can never be reached")
                .label(format!("a call ends after {total} in any case"))
                .hint("raise `total_timeout` of the server as well"),
        );
    }
}

fn default_prefix(file: &File<'_>, name: &ServerName) -> Option<Prefix> {
    let prefix = Prefix::of(name);
    if names::is_own(prefix.as_str()) {
        file.report(
            Problem::new(
                Code::BadPrefix,
                format!(
                    "the name `{name}` would give its tools the prefix `{prefix}`",
                    prefix = prefix.as_str()
                ),
            )
            .label("that prefix marks tollgate's own tools")
            .hint("rename the file, or set another `prefix`"),
        );
        return None;
    }
    Some(prefix)
}

fn decode_prefix(field: &Field<'_>) -> Option<Prefix> {
    let text = field.text()?;
    let foreign = text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
    let label = if let Some(found) = foreign {
        format!(
            "{} cannot stand in a tool's name",
            quoted(&found.to_string())
        )
    } else if text.len() > PREFIX_LIMIT {
        format!("a prefix has at most {PREFIX_LIMIT} characters")
    } else if names::is_own(text) {
        "this prefix marks tollgate's own tools".to_owned()
    } else {
        return Some(Prefix(text.to_owned()));
    };
    let message = format!("{} cannot be a prefix", quoted(text));
    field
        .file
        .report(field.problem(Code::BadPrefix, message).label(label));
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Sources, load};
    use super::*;

    fn server(text: &str) -> Server {
        let sources = Sources {
            dir: "/etc/tollgate".into(),
            main: None,
            tools: vec![Source {
                path: "tools.d/files.toml".into(),
                text: text.to_owned(),
            }],
        };
        load(&sources)
            .unwrap_or_else(|errors| panic!("{errors}"))
            .servers
            .remove(0)
    }

    #[test]
    fn two_lines_register_a_server_with_careful_defaults() {
        let server = server("command = \"npx\"\nowner = \"platform\"\n");
        assert_eq!(server.name.as_str(), "files");
        assert_eq!(server.prefix.as_str(), "files__");
        assert_eq!(server.unlisted, Offer::Unclassified);
        assert_eq!(server.instances, Instances::PerRun);
        assert_eq!(server.era, Era::Auto);
        assert_eq!(server.timeouts, Timeouts::default());
        assert_eq!(server.agents, None);
        assert!(server.tools.is_empty());
    }

    #[test]
    fn every_key_has_a_place() {
        let server = server(
            "breaker = \"none\"\nbudget = {}\nrate = \"1/s\"\n\
             window = \"daily 08:00-18:00\"\ntitle = \"Files\"\ncommand = \"npx\"\nargs = []\nenv = {}\ncwd = \"x\"\n\
             owner = \"me\"\nunlisted = \"off\"\nprefix = \"\"\ninstances = \"shared\"\nsampling = true\n\
             era = \"modern\"\ntimeout = \"5s\"\ntotal_timeout = \"1m\"\nstart_timeout = \"1s\"\n\
             [tools]\nx = \"read\"\n",
        );
        // `agents` needs an [agents] table, `url` is not served yet.
        let read = ROOT
            .keys
            .iter()
            .filter(|key| !["agents", "url"].contains(key));
        for key in read {
            assert!(server.places.get(key).is_some(), "{key} is never read");
        }
        let place = server.places.get("tools.x").unwrap();
        assert_eq!((place.line, place.column), (20, 1));
        assert_eq!(place.to_string(), "tools.d/files.toml:20");
    }

    #[test]
    fn a_short_total_shortens_the_default_wait() {
        let server = server("command = \"x\"\nowner = \"me\"\ntotal_timeout = \"10s\"\n");
        assert_eq!(server.timeouts.call, Duration::from_secs(10));
    }
}
