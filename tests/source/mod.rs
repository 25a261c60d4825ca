//! The files under `src/` as the paths that are written in them.
//!
//! A lexer that knows words, signs, comments and literals, and `use` trees: no
//! more of the language than it takes to say who names whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file under `src/`.
pub(crate) struct Source {
    /// Its path below `src/`.
    pub(crate) name: String,
    /// The module of the top level that it belongs to.
    pub(crate) module: String,
    pub(crate) lines: usize,
    pub(crate) paths: BTreeSet<Vec<String>>,
    /// Modules of the top level that it names.
    pub(crate) modules: BTreeSet<String>,
    /// Dependencies that it names.
    pub(crate) crates: BTreeSet<String>,
}

/// All of them; read once for all tests of a program.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(read)
}

fn read() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let names: BTreeMap<PathBuf, String> = files
        .into_iter()
        .map(|file| {
            let name = file
                .strip_prefix(&src)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (file, name)
        })
        .collect();
    let tops: BTreeSet<String> = names.values().map(|name| top(name)).collect();
    names
        .iter()
        .map(|(file, name)| {
            let text = fs::read_to_string(file).unwrap();
            let paths = paths(&tokens(&text));
            let modules = paths
                .iter()
                .filter_map(|path| in_root(path, name))
                .filter(|imported| tops.contains(imported))
                .collect();
            let crates = paths
                .iter()
                .filter_map(|path| path.first().cloned())
                .collect();
            Source {
                module: top(name),
                lines: text.lines().count(),
                name: name.clone(),
                paths,
                modules,
                crates,
            }
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn top(name: &str) -> String {
    let first = name.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// The module of the top level that a path leads to, by `crate`, by the
/// library's own name, or by climbing up with `super`.
fn in_root(path: &[String], file: &str) -> Option<String> {
    let climbs = path.iter().take_while(|part| *part == "super").count();
    // `src/x.rs` and `src/x/mod.rs` are one below the root, `src/x/y.rs` is two.
    let depth = file.trim_end_matches("/mod.rs").split('/').count();
    match path {
        [root, imported, ..] if root == "crate" || root == "tollgate" => Some(imported.clone()),
        _ if climbs == depth => path.get(climbs).cloned(),
        _ => None,
    }
}

/// The words and signs of a text, without comments and literals.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A lifetime has no second quote where a character has one.
            let mut next = rest.chars().skip(1);
            match (next.next(), next.next()) {
                (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
                _ => 1,
            }
        } else if first.is_alphanumeric() || first == '_' {
            let word = |c: char| !(c.is_alphanumeric() || c == '_');
            let length = rest.find(word).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// How long the raw string is that the text begins with.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let close = body.find(&end)? + end.len();
    Some(text.len() - body.len() + close)
}

/// How long the literal is that begins with this quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every path of two parts and more, `use` trees spread out; and the single
/// names that a `use` brings in.
pub(crate) fn paths(tokens: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let begins =
            is_word(&tokens[at]) && before.is_none_or(|before| before != "::" && before != ".");
        let imports = before.is_some_and(|before| before == "use");
        if begins && (imports || tokens.get(at + 1).is_some_and(|next| next == "::")) {
            at = tree(tokens, at, &mut Vec::new(), &mut found).max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// Follows one path or `use` tree from `at`; says where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut BTreeSet<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let next = tree(tokens, at, prefix, found);
                    // Renamed (`as x`), or the comma.
                    at = next.max(at + 1);
                    while tokens
                        .get(at)
                        .is_some_and(|token| token == "," || token == "as")
                    {
                        at += if tokens[at] == "as" { 2 } else { 1 };
                    }
                }
                at += 1;
                break;
            }
            Some("self") if depth > 0 => {
                found.insert(prefix.clone());
                at += 1;
                break;
            }
            Some(part) if part == "*" || is_word(part) => {
                prefix.push(part.to_owned());
                at += 1;
                if tokens.get(at).is_some_and(|token| token == "::") {
                    at += 1;
                    continue;
                }
                found.insert(prefix.clone());
                break;
            }
            // A turbofish: the path is over, what is in it begins anew.
            _ => {
                found.insert(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
