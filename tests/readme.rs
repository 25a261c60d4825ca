//! What the documents promise is there: commands, flags, files, names of tests.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tollgate::config;

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/failures.md",
    "docs/limits.md",
];

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let mut seen = BTreeSet::new();
    for line in command_lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let command = words
            .iter()
            .enumerate()
            .skip(1)
            // The value of `--config` is no command.
            .find(|(at, word)| !word.starts_with('-') && words[at - 1] != "--config")
            .map(|(_, word)| *word);
        let mut named: Vec<&str> = command.into_iter().collect();
        let mut help = help_of(&named).unwrap_or_else(|| panic!("there is no command `{line}`"));
        let next = words.iter().skip_while(|word| Some(**word) != command);
        if let Some(below) = next.skip(1).find(|word| is_command(&help, word)) {
            named.push(below);
            help = help_of(&named).unwrap();
        }
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "`{line}`: no {flag} in\n{help}");
        }
        seen.insert(command.unwrap_or_default().to_owned());
    }
    for command in [
        "",
        "stdio",
        "daemon",
        "tools",
        "servers",
        "stop-daemon",
        "demo",
        "demo-server",
        "completions",
    ] {
        assert!(
            seen.contains(command),
            "the README does not tell of `{command}`"
        );
    }
}

/// What `--help` says of a command, if there is one.
fn help_of(command: &[&str]) -> Option<String> {
    let mut tollgate = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let help = tollgate.args(command).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    help.status.success().then_some(text)
}

/// The commands that a help lists.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
}

fn is_command(help: &str, word: &str) -> bool {
    commands(help).any(|command| command == word)
}

#[test]
fn every_command_of_the_program_is_in_the_readme() {
    let help = help_of(&[]).unwrap();
    let readme = read("README.md");
    for command in commands(&help) {
        assert!(
            readme.contains(&format!("`tollgate {command}")),
            "`tollgate {command}` is not in the README"
        );
    }
    for variable in help
        .split_whitespace()
        .filter(|word| word.starts_with("TOLLGATE_"))
    {
        assert!(readme.contains(variable), "{variable} is not in the README");
    }
}

#[test]
fn the_examples_of_the_readme_are_valid() {
    for (language, block) in blocks("README.md") {
        match language.as_str() {
            "json" => drop(serde_json::from_str::<serde_json::Value>(&block).unwrap()),
            "toml" if block.contains("[mcp_servers") => {
                drop(toml::from_str::<toml::Table>(&block).unwrap());
            }
            "toml" => {
                let dir = tempfile::tempdir().unwrap();
                let general = block.starts_with("# tollgate.toml") || block.contains("[agents");
                let file = if general {
                    "tollgate.toml"
                } else {
                    "tools.d/files.toml"
                };
                fs::create_dir(dir.path().join("tools.d")).unwrap();
                fs::write(dir.path().join(file), &block).unwrap();
                let loaded = config::read(dir.path()).and_then(|sources| config::load(&sources));
                if let Err(errors) = loaded {
                    panic!("{}", errors.render(false));
                }
            }
            _ => {}
        }
    }
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let base = document.parent().unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if !link.starts_with("http") && !base.join(link).exists() {
                missing.push(format!("{}: {link}", document.display()));
            }
        }
        for code in code_spans(&text) {
            let ours = [
                "src/",
                "tests/",
                "docs/",
                "schemas/",
                "tools.d/demo",
                "benches/",
                ".ci/",
            ];
            let path = code.split(['#', ' ']).next().unwrap_or_default();
            if ours.iter().any(|start| path.starts_with(start)) && !root().join(path).exists() {
                missing.push(format!("{}: `{code}`", document.display()));
            }
            // ARCHITECTURE.md and the decisions name files of the code without `src/`.
            let short = path.ends_with(".rs") && path.contains('/') && !path.starts_with("tests/");
            if short && !root().join(path).exists() && !root().join("src").join(path).exists() {
                missing.push(format!("{}: `{code}`", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn every_test_that_the_page_of_failures_names_exists() {
    let mut tests = BTreeSet::new();
    for dir in ["src", "tests"] {
        collect(&root().join(dir), &mut |text| {
            for part in text.split("fn ").skip(1) {
                let name = part.split(['(', '<']).next().unwrap_or_default();
                tests.insert(name.to_owned());
            }
            // What both stores promise is named in a macro (`tests/stores.rs`).
            for part in text.split("promise!(").skip(1) {
                let name = part.split(',').next().unwrap_or_default();
                tests.insert(name.trim().to_owned());
            }
        });
    }
    let page = read("docs/failures.md");
    let named: Vec<&str> = code_spans(&page)
        .filter(|code| {
            code.matches('_').count() >= 2
                && code
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert!(
        named.len() > 20,
        "the page names only {} tests",
        named.len()
    );
    let gone: Vec<_> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(gone.is_empty(), "no such tests: {gone:#?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

fn documents() -> Vec<PathBuf> {
    let decisions = fs::read_dir(root().join("docs/decisions")).unwrap();
    DOCUMENTS
        .iter()
        .map(|name| root().join(name))
        .chain(decisions.map(|entry| entry.unwrap().path()))
        .collect()
}

/// What stands between single backticks, fenced blocks left out.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split("```")
        .step_by(2)
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// The fenced blocks of a document with their languages.
fn blocks(document: &str) -> Vec<(String, String)> {
    let text = read(document);
    let fenced = text.split("```").skip(1).step_by(2);
    fenced
        .filter_map(|block| block.split_once('\n'))
        .map(|(language, block)| (language.to_owned(), block.to_owned()))
        .collect()
}

/// Every line that calls tollgate, from blocks and from the text around them.
fn command_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (language, block) in blocks("README.md") {
        if language == "sh" {
            lines.extend(block.lines().map(str::to_owned));
        }
    }
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        lines.extend(code_spans(&read(document)).map(str::to_owned));
    }
    lines
        .into_iter()
        .filter_map(|line| {
            let ours = line
                .strip_prefix("cargo run --release -- ")
                .or_else(|| line.split_once("-- tollgate ").map(|(_, rest)| rest))
                .or_else(|| line.strip_prefix("tollgate "));
            match ours {
                Some(rest) => Some(format!("tollgate {rest}")),
                None => (line == "tollgate").then_some(line),
            }
        })
        .collect()
}

fn collect(dir: &Path, take: &mut dyn FnMut(&str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, take);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            take(&fs::read_to_string(&path).unwrap());
        }
    }
}
