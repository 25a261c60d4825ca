//! Who may import whom. The table of ARCHITECTURE.md as data, held against the
//! paths in every file under `src/`.
//!
//! Reads tokens, not types: a path counts where it is written, in a `use` or in
//! the middle of an expression, in code and in the tests beside it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod source;

use std::{collections::BTreeSet, fs};

use source::{paths, root, sources, tokens};

/// A module of the top level, what it may import of its own crate, and why
/// nothing else.
struct Module {
    name: &'static str,
    may: &'static [&'static str],
    why: &'static str,
}

const fn module(name: &'static str, may: &'static [&'static str], why: &'static str) -> Module {
    Module { name, may, why }
}

const PURE: &str = "it is pure: the same bytes in give the same answer, with no world around it";
const EDGE: &str = "an edge meets the others only through the ports and the broker, so that each can be replaced alone";
const PROCESS: &str =
    "the processes know nothing of MCP, of the store or of tool servers: they carry a `Service`";

/// From the innermost layer outwards.
const MODULES: &[Module] = &[
    // Words.
    module(
        "domain",
        &[],
        "the words are what everything else speaks of",
    ),
    // Pure.
    module("wire", &["domain"], PURE),
    module("config", &["domain"], PURE),
    module(
        "gate",
        &["domain"],
        "a gate judges a call against the facts and sees nothing else",
    ),
    module(
        "measure",
        // The rules are written in the configuration.
        &["domain", "wire", "config"],
        PURE,
    ),
    // Needs.
    module(
        "clock",
        &["domain"],
        "whoever needs the time needs nothing else with it",
    ),
    module(
        "ids",
        &["domain"],
        "whoever needs an id needs nothing else with it",
    ),
    module(
        "lines",
        &["domain", "wire"],
        "lines are bytes: what they mean is decided by those who use them",
    ),
    module(
        "ports",
        &["domain", "wire", "config", "gate", "measure"],
        "a port says what the flow needs, not who provides it",
    ),
    // Flow.
    module(
        "broker",
        &[
            "domain", "wire", "config", "gate", "measure", "ports", "clock", "ids",
        ],
        "the flow of a call asks the world only through the ports",
    ),
    // Edges.
    module(
        "store",
        &[
            "domain", "wire", "config", "gate", "measure", "ports", "clock", "ids",
        ],
        EDGE,
    ),
    module(
        "tools",
        &[
            "domain", "wire", "config", "gate", "measure", "ports", "clock", "ids", "lines",
            "broker",
        ],
        EDGE,
    ),
    module(
        "agent",
        &[
            "domain", "wire", "config", "gate", "measure", "ports", "clock", "ids", "lines",
            "broker",
        ],
        EDGE,
    ),
    module(
        "control",
        &["domain", "ports"],
        "the control protocol is spoken by other versions too: it has words of its own",
    ),
    // Wiring.
    module("daemon", &["domain", "control"], PROCESS),
    module("shim", &["domain", "daemon"], PROCESS),
    module(
        "cli",
        // `check` reads the configuration and a stop lays its file without a daemon;
        // `why` names the gates, and a definition is spread out by `wire`.
        &[
            "domain", "wire", "config", "gate", "ports", "clock", "store", "control", "daemon",
            "shim", "demo",
        ],
        "the command line asks the daemon over `control`; it never calls the broker or starts a server",
    ),
    module(
        "demo",
        &["domain", "config", "clock", "ids", "daemon", "shim"],
        "the demo shows what a client gets, so it knows nothing of the broker's insides",
    ),
    module(
        "service",
        &[
            "domain", "wire", "config", "gate", "measure", "ports", "clock", "ids", "lines",
            "broker", "store", "tools", "agent", "control", "daemon",
        ],
        "it puts the parts together for the daemon; how it is started is not its business",
    ),
    // The roots: `main` sees the library from outside, `lib` only names it.
    module(
        "main",
        &["cli", "service", "tools"],
        "the program branches and does no more",
    ),
    module("lib", &[], "the library is its modules"),
];

/// A dependency, where it may be used, and why not elsewhere.
struct Dependency {
    name: &'static str,
    may: &'static [&'static str],
    why: &'static str,
}

const fn dependency(
    name: &'static str,
    may: &'static [&'static str],
    why: &'static str,
) -> Dependency {
    Dependency { name, may, why }
}

const RUNTIME: &str = "what waits is not pure";

/// `may` names modules, or single files below them.
const DEPENDENCIES: &[Dependency] = &[
    dependency(
        "annotate_snippets",
        &["config/render.rs"],
        "errors in files are drawn in one place",
    ),
    dependency(
        "anstream",
        &["cli", "demo"],
        "only a command writes to a terminal",
    ),
    dependency(
        "blake3",
        &[
            "wire/json.rs",
            "config",
            "broker",
            "store",
            "agent",
            "daemon",
            "service",
            "ids",
        ],
        "a hash is taken where something is named by its content, and nowhere else",
    ),
    dependency(
        "bytes",
        &["wire", "lines", "broker", "store", "tools", "agent"],
        "only what is on the way of a line handles its buffers",
    ),
    dependency("clap", &["cli"], "arguments are read in one place"),
    dependency("clap_complete", &["cli"], "arguments are read in one place"),
    dependency(
        "close_fds",
        &["main"],
        "what was inherited is closed to children once, before anything is opened",
    ),
    dependency(
        "foldhash",
        &["store/map.rs"],
        "only what is looked up many times in each call needs a faster hasher: it withstands less",
    ),
    dependency(
        "getrandom",
        // Keys are drawn where they are kept.
        &["ids", "service", "store/journal/key.rs"],
        "chance is injected: take it from `ids`",
    ),
    dependency(
        "jiff",
        &[
            "domain", "config", "gate", "clock", "ports", "broker", "store", "control", "cli",
            "service",
        ],
        "a date is a word of the domain; nobody else reckons with it",
    ),
    dependency(
        "jsonpath_rust",
        &["measure", "config"],
        "a path is checked where it is written and followed where arguments are measured",
    ),
    dependency(
        "itoa",
        &["domain", "store"],
        "numbers are formatted by hand only where every call writes them",
    ),
    dependency(
        "jsonschema",
        // The demo's server is a tool server that only lives in our file.
        &["measure", "demo/offer.rs"],
        "arguments are measured in one place",
    ),
    dependency(
        "memchr",
        &["wire", "lines", "store"],
        "bytes are searched where lines are read",
    ),
    dependency(
        "rmcp",
        &["agent", "tools", "demo"],
        "its models lose what they do not know: see docs/decisions/2026-11-20-raw-wire-on-stdio.md",
    ),
    dependency(
        "rustix",
        &[
            "lines", "store", "tools", "daemon", "shim", "cli", "demo", "service",
        ],
        "system calls belong to the edges and to the processes",
    ),
    dependency(
        "schemars",
        &["domain", "config", "demo"],
        "schemas are made of what people write",
    ),
    dependency(
        "serde",
        &[
            "domain",
            "wire",
            "config",
            "ports",
            "store",
            "tools",
            "agent",
            "control",
            "daemon",
            "cli",
            "demo",
            "service/answers.rs",
        ],
        "serialised is what is kept or sent",
    ),
    dependency(
        "serde_json",
        &[
            "wire",
            "config",
            "measure",
            "broker",
            "store",
            "tools",
            "agent",
            "control",
            "daemon",
            "shim",
            "cli",
            "demo",
            "service/answers.rs",
        ],
        "the words and the gates know nothing of JSON",
    ),
    dependency(
        "sled",
        &["store"],
        "its panics and its handle stay where the state is kept",
    ),
    dependency(
        "tokio",
        &[
            "lines", "ports", "broker", "store", "tools", "agent", "control", "daemon", "shim",
            "cli", "demo", "service",
        ],
        RUNTIME,
    ),
    dependency("toml", &["config"], "only the configuration is TOML"),
    dependency(
        "tracing",
        &[
            "broker", "store", "tools", "agent", "control", "daemon", "service", "shim",
        ],
        "what is pure has nothing to tell the operator",
    ),
    dependency(
        "tracing_subscriber",
        &["cli/log.rs"],
        "where the log goes is decided once",
    ),
];

/// Parts of the standard library that reach into the world, and the files of
/// inner layers that may use them all the same.
const WORLD: &[(&str, &[&str])] = &[
    ("fs", &["config/files.rs"]),
    ("env", &[]),
    ("net", &[]),
    ("process", &[]),
    ("thread", &[]),
    ("os", &["config/files.rs"]),
    ("io", &["config/files.rs"]),
];
const INNER: &[&str] = &[
    "domain", "wire", "config", "gate", "measure", "ports", "clock", "ids", "broker",
];

const LONGEST: usize = 600;

#[test]
fn a_module_imports_only_what_its_layer_may() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some(module) = MODULES.iter().find(|known| known.name == source.module) else {
            continue;
        };
        for imported in &source.modules {
            if *imported != module.name && !module.may.contains(&imported.as_str()) {
                wrong.insert(format!(
                    "src/{} imports `{imported}`, but `{}` may not: {}",
                    source.name, module.name, module.why
                ));
            }
        }
    }
    none(wrong);
}

#[test]
fn every_module_stands_in_the_table_and_every_line_of_the_table_is_a_module() {
    let there: BTreeSet<String> = sources()
        .iter()
        .map(|source| source.module.clone())
        .collect();
    let listed: BTreeSet<String> = MODULES.iter().map(|known| known.name.to_owned()).collect();
    none(there.difference(&listed).map(|new| {
        format!("`{new}` stands in no layer: put it into the table of tests/layers.rs and ARCHITECTURE.md")
    }));
    none(
        listed
            .difference(&there)
            .map(|gone| format!("`{gone}` is in the table, but no longer under src/")),
    );
    let known = |name: &&str| listed.contains(*name);
    none(MODULES.iter().flat_map(|module| {
        let strange = module.may.iter().filter(move |name| !known(name));
        strange.map(|name| {
            format!(
                "`{}` may import `{name}`, which does not exist",
                module.name
            )
        })
    }));
}

#[test]
fn no_layer_imports_one_that_is_further_out() {
    let at = |name: &str| MODULES.iter().position(|known| known.name == name);
    // `demo` and `service` stand beside the processes, not above them.
    none(
        MODULES
            .iter()
            .take_while(|module| module.name != "cli")
            .flat_map(|module| {
                let outer = module.may.iter().filter(|may| at(may) >= at(module.name));
                outer.map(|may| {
                    format!(
                        "the table lets `{}` import `{may}`, further out",
                        module.name
                    )
                })
            }),
    );
}

#[test]
fn a_dependency_is_used_only_where_it_belongs() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        for used in &source.crates {
            let Some(known) = DEPENDENCIES.iter().find(|known| known.name == *used) else {
                continue;
            };
            let allowed = known
                .may
                .iter()
                .any(|place| *place == source.module || *place == source.name);
            if !allowed {
                wrong.insert(format!(
                    "src/{} uses `{used}`, which belongs to {}: {}",
                    source.name,
                    known.may.join(", "),
                    known.why
                ));
            }
        }
    }
    none(wrong);
}

#[test]
fn one_file_at_most_opens_sled() {
    let sources = sources();
    let open = sources
        .iter()
        .filter(|source| source.crates.contains("sled"));
    let files: Vec<&str> = open.map(|source| source.name.as_str()).collect();
    assert!(files.len() <= 1, "sled is used in {}", files.join(", "));
}

#[test]
fn every_dependency_stands_in_the_table() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let there: BTreeSet<String> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect();
    let listed: BTreeSet<String> = DEPENDENCIES
        .iter()
        .map(|known| known.name.to_owned())
        .collect();
    assert_eq!(there, listed);
}

#[test]
fn the_inner_layers_do_not_reach_into_the_world() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        if !INNER.contains(&source.module.as_str()) {
            continue;
        }
        for (part, except) in WORLD {
            let reaches = source
                .paths
                .iter()
                .any(|path| path.starts_with(&["std".to_owned(), (*part).to_owned()]));
            if reaches && !except.contains(&source.name.as_str()) {
                wrong.insert(format!(
                    "src/{} uses std::{part}, but `{}` is handed what it needs",
                    source.name, source.module
                ));
            }
        }
    }
    none(wrong);
}

#[test]
fn only_the_clock_knows_the_time() {
    none(sources().iter().flat_map(|source| {
        let read = source.paths.iter().filter(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let clock = matches!(
                path.as_slice(),
                ["std", "time", "SystemTime" | "Instant" | "*", ..]
                    | ["jiff", "Timestamp", "now", ..]
                    | ["jiff", "Zoned", "now", ..]
            );
            clock && source.name != "clock.rs"
        });
        read.map(|path| {
            format!(
                "src/{} uses {}: take the time from `clock`",
                source.name,
                path.join("::")
            )
        })
    }));
}

#[test]
fn no_file_is_too_long_to_read() {
    none(
        sources()
            .iter()
            .filter(|source| source.lines > LONGEST)
            .map(|source| {
                format!(
                    "src/{} has {} lines: above {LONGEST} it has two subjects",
                    source.name, source.lines
                )
            }),
    );
}

#[test]
fn a_path_is_found_however_it_is_written() {
    let text = r##"
        //! crate::no
        use crate::{a::{self, b}, c::*, d as e}; /* crate::no */
        pub(in crate::f) struct S<'a>(&'a str);
        fn g() { crate::h::i("crate::no"); let _ = ('"', r#"crate::no""#); std::time::Instant::now(); }
    "##;
    let found: BTreeSet<String> = paths(&tokens(text))
        .iter()
        .map(|path| path.join("::"))
        .collect();
    for path in [
        "crate::a",
        "crate::a::b",
        "crate::c::*",
        "crate::d",
        "crate::f",
        "crate::h::i",
        "std::time::Instant::now",
    ] {
        assert!(found.contains(path), "{path} is not in {found:?}");
    }
    assert!(!found.iter().any(|path| path.ends_with("no")), "{found:?}");
}

fn none(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
