//! How a tool server is started: command, arguments, environment, directory.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use toml::de::DeValue;

use super::decode::{Field, Table};
use super::error::{Code, quoted};
use super::file::Problem;
use super::secret::{self, Reading, SecretRef};

/// How a tool server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The command as the file gives it, for people.
    pub command: String,
    /// What to execute: absolute if the command has a slash, otherwise a bare
    /// word that is still to be looked up.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment; nothing else of the daemon's reaches it.
    pub env: BTreeMap<String, EnvValue>,
    /// Where it runs, absolute.
    pub cwd: Option<PathBuf>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// As it stands.
    Literal(String),
    /// To be fetched when the server starts.
    Secret(SecretRef),
}

/// Reads the launch of a server; relative paths start from `dir`.
pub(super) fn decode(root: &Table<'_>, dir: &Path) -> Option<Launch> {
    let command = root.get("command");
    let args = root.get("args").map(|field| decode_args(&field));
    let env = root.get("env").map(|field| decode_env(&field));
    let cwd = root.get("cwd").map(|field| path(&field, dir));
    check_one_way(root, command.as_ref());
    let (command, program) = decode_command(&command?, dir)?;
    Some(Launch {
        command,
        program,
        args: args.unwrap_or_else(|| Some(Vec::new()))?,
        env: env.unwrap_or_else(|| Some(BTreeMap::new()))?,
        cwd: match cwd {
            Some(cwd) => Some(cwd?),
            None => None,
        },
    })
}

fn check_one_way(root: &Table<'_>, command: Option<&Field<'_>>) {
    let problem = match (command, root.get("url")) {
        (Some(_), None) => return,
        (None, None) => Problem::new(Code::NoLaunch, "nothing says how to start this tool server")
            .hint("add `command = \"PROGRAM\"` and, where needed, `args = [\"…\"]`"),
        (None, Some(url)) => url
            .key_problem(Code::NotYet, "tool servers over HTTP are not served yet")
            .label("comes in a later version")
            .hint("until then, use a server that is started with `command`"),
        (Some(_), Some(url)) => url
            .key_problem(Code::TwoLaunches, "both `command` and `url` are given")
            .label("keep one of them"),
    };
    root.file.report(problem);
}

fn decode_command(field: &Field<'_>, dir: &Path) -> Option<(String, PathBuf)> {
    let text = field.text()?;
    if text.contains('/') {
        return Some((text.to_owned(), path(field, dir)?));
    }
    let problem = if text.trim().is_empty() {
        field.problem(Code::BadPath, "the command is empty")
    } else if let Some((program, _)) = text.trim().split_once(char::is_whitespace) {
        let label = format!("only {} is the program", quoted(program));
        field
            .problem(Code::BadPath, "a command is one program, without arguments")
            .label(label)
            .hint("put the rest into `args`, one entry each; no shell reads this line")
    } else {
        return Some((text.to_owned(), PathBuf::from(text)));
    };
    field.file.report(problem);
    None
}

fn decode_args(field: &Field<'_>) -> Option<Vec<String>> {
    let entries = field.list()?;
    let options = std::iter::once(None).chain(entries.iter().map(Some));
    let args: Vec<Option<String>> = entries
        .iter()
        .zip(options)
        .map(|(one, before)| decode_arg(one, before))
        .collect();
    args.into_iter().collect()
}

/// One argument: `--token=…`, or the value after `--token`.
fn decode_arg(field: &Field<'_>, before: Option<&Field<'_>>) -> Option<String> {
    let text = field.text()?;
    let option = before
        .and_then(|before| before.value().as_str())
        .filter(|before| before.starts_with('-'));
    let (key, value) = text
        .split_once('=')
        .unwrap_or((option.unwrap_or_default(), text));
    if secret::looks_secret(key, value) || secret::looks_secret("", text) {
        field.hide();
        field.file.report(
            field
                .problem(Code::LiteralSecret, "this argument looks like a secret")
                .label("every program on this machine can read arguments")
                .hint("pass it in `env` as `env:NAME` or `file:/path`, and replace it"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn decode_env(field: &Field<'_>) -> Option<BTreeMap<String, EnvValue>> {
    let entries = field.entries("a table of variables")?;
    let values: Vec<_> = entries
        .iter()
        .map(|(name, field)| Some(((*name).to_owned(), decode_variable(name, field)?)))
        .collect();
    values.into_iter().collect()
}

fn decode_variable(name: &str, field: &Field<'_>) -> Option<EnvValue> {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("{} cannot be the name of a variable", quoted(name));
        field.file.report(field.key_problem(Code::BadName, message));
        return None;
    }
    let text = match field.value() {
        DeValue::Table(_) | DeValue::Array(_) => {
            let problem = field.wrong_type("a text");
            field
                .file
                .report(problem.hint("[env] holds variables only"));
            return None;
        }
        _ => field.text()?,
    };
    let problem = match secret::read(text) {
        Reading::Reference(reference) => return Some(EnvValue::Secret(reference)),
        Reading::Malformed(label) => field
            .problem(Code::BadReference, "this does not name a secret")
            .label(label),
        Reading::Literal if secret::looks_secret(name, text) => {
            field.hide();
            field
                .problem(
                    Code::LiteralSecret,
                    format!("{} looks like a secret", field.subject()),
                )
                .label("name where it is kept")
                .hint(format!(
                    "write `env:{}` or `file:/path`; consider this value known and replace it",
                    if secret::is_variable(name) {
                        name
                    } else {
                        "NAME"
                    }
                ))
        }
        Reading::Literal if text.contains('\0') => {
            field.problem(Code::WrongType, "a variable cannot hold a zero byte")
        }
        Reading::Literal => return Some(EnvValue::Literal(text.to_owned())),
    };
    field.file.report(problem);
    None
}

/// A path, taken from `dir` when it is relative.
fn path(field: &Field<'_>, dir: &Path) -> Option<PathBuf> {
    let text = field.text()?;
    let problem = field.problem(Code::BadPath, format!("{} cannot be used", quoted(text)));
    let problem = if text.is_empty() {
        problem.label("the path is empty")
    } else if text.starts_with('~') || text.contains('$') {
        problem
            .label("`~` and variables are not expanded")
            .hint("write the path in full, or relative to the directory of tollgate.toml")
    } else {
        return Some(joined(dir, Path::new(text)));
    };
    field.file.report(problem);
    None
}

/// `dir/./a` without the dots that say nothing; `..` is left to the system,
/// because only it knows the links.
fn joined(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path)
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_from_the_configuration() {
        let dir = Path::new("/etc/tollgate");
        assert_eq!(
            joined(dir, Path::new("./bin/x")),
            Path::new("/etc/tollgate/bin/x")
        );
        assert_eq!(
            joined(dir, Path::new("/usr/bin/x")),
            Path::new("/usr/bin/x")
        );
    }
}
