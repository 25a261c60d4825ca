//! The files that pretend: a few texts in memory. Every version of a file is
//! kept until it is deleted, so writing can be put back and deleting cannot.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;

use super::offer::Answer;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListFiles {
    /// Only files whose path starts with this, for example "notes/".
    #[serde(default)]
    #[schemars(length(max = 200))]
    under: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadFile {
    /// The path as list_files shows it.
    #[schemars(length(max = 200), regex(pattern = PATH))]
    path: String,
    /// Which version; without it, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), with = "usize")]
    version: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteFile {
    /// Where to write; folders come into being by themselves.
    #[schemars(length(max = 200), regex(pattern = PATH))]
    path: String,
    /// The whole new content.
    #[schemars(length(max = 20_000))]
    content: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteFile {
    /// The path as list_files shows it.
    #[schemars(length(max = 200), regex(pattern = PATH))]
    path: String,
}

/// Relative, and without `..`: a part may not begin with a dot.
const PATH: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$";

/// Paths, each with its versions from the oldest to the newest.
#[derive(Debug)]
pub(super) struct Files(BTreeMap<String, Vec<String>>);

impl Files {
    pub(super) fn seeded() -> Self {
        let files = SEED.iter();
        Self(
            files
                .map(|(path, text)| ((*path).to_owned(), vec![(*text).to_owned()]))
                .collect(),
        )
    }

    pub(super) fn list(&self, asked: &ListFiles) -> Answer {
        let mut page = String::new();
        for (path, versions) in &self.0 {
            if path.starts_with(&asked.under) {
                let bytes = versions.last().map_or(0, String::len);
                // Writing to a String can't fail.
                let _ = writeln!(page, "{path}  {bytes} bytes  version {}", versions.len());
            }
        }
        if page.is_empty() {
            page.push_str("no files\n");
        }
        Answer::text(page)
    }

    pub(super) fn read(&self, asked: &ReadFile) -> Answer {
        let Some(versions) = self.0.get(&asked.path) else {
            return missing(&asked.path);
        };
        let place = asked.version.unwrap_or(versions.len()).checked_sub(1);
        match place.and_then(|place| versions.get(place)) {
            Some(text) => Answer::text(text.clone()),
            None => Answer::wrong(format!(
                "`{}` has versions 1 to {}",
                asked.path,
                versions.len()
            )),
        }
    }

    pub(super) fn write(&mut self, asked: WriteFile) -> Answer {
        if self.0.values().map(Vec::len).sum::<usize>() >= ROOM {
            return Answer::wrong("there is no room for another version of a file");
        }
        let bytes = asked.content.len();
        let versions = self.0.entry(asked.path.clone()).or_default();
        versions.push(asked.content);
        let path = &asked.path;
        Answer::text(match versions.len() {
            1 => format!("Wrote {path}, {bytes} bytes, version 1."),
            now => format!(
                "Wrote {path}, {bytes} bytes, version {now}. Version {} is kept.",
                now - 1
            ),
        })
    }

    pub(super) fn delete(&mut self, asked: &DeleteFile) -> Answer {
        match self.0.remove(&asked.path) {
            Some(versions) => Answer::text(format!(
                "Deleted {} with {} version(s). It cannot be brought back.",
                asked.path,
                versions.len()
            )),
            None => missing(&asked.path),
        }
    }
}

/// Versions that fit: an agent in a loop must not fill the memory.
const ROOM: usize = 500;

fn missing(path: &str) -> Answer {
    Answer::wrong(format!(
        "there is no file `{path}`; list_files shows what there is"
    ))
}

const SEED: [(&str, &str); 4] = [
    (
        "contracts/dana-reyes.txt",
        "Framework contract with Dana Reyes, signed 2025-11-03. Only copy.\n",
    ),
    (
        "notes/answers.md",
        "# Answers\n\n- Mina Park: replacement sent on 2026-07-22\n",
    ),
    ("notes/todo.md", "- ask the parcel service about June\n"),
    (
        "reports/2026-q2.csv",
        "month,orders,refunds\n2026-04,311,4\n2026-05,298,6\n2026-06,342,3\n",
    ),
];
