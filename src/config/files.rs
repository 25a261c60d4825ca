//! Fetches the texts of a configuration directory: the only file of `config`
//! that touches the disk.
//!
//! What cannot be read is an error, never skipped: a rule could be in it.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::error::{Code, ConfigError, ConfigErrors};
use super::{Source, Sources};

/// More than any hand writes; protects from a file that is none.
const LIMIT: u64 = 1 << 20;

/// Reads `tollgate.toml` and `tools.d/*.toml` below a directory.
///
/// Either may be missing. Hidden files and what editors and package managers
/// leave behind are skipped.
///
/// # Errors
/// When the directory does not exist, or a file cannot be read or is not UTF-8.
pub fn read(dir: &Path) -> Result<Sources, ConfigErrors> {
    match read_what_can_be(dir)? {
        (sources, errors) if errors.0.is_empty() => Ok(sources),
        (_, errors) => Err(errors),
    }
}

/// The same, with what can be read beside the errors of what cannot.
pub(super) fn read_what_can_be(dir: &Path) -> Result<(Sources, ConfigErrors), ConfigErrors> {
    let absolute = match std::path::absolute(dir) {
        Ok(absolute) if absolute.is_dir() => absolute,
        Ok(_) | Err(_) => {
            let (message, hint) = match dir.exists() {
                true => (
                    "this is a file, not a configuration directory",
                    "name the directory that holds tollgate.toml and tools.d/",
                ),
                false => (
                    "there is no configuration directory here",
                    "create it, with a file in tools.d/ for each tool server, or name another with --config or TOLLGATE_CONFIG",
                ),
            };
            let mut errors = about(Code::NoDirectory, dir, message);
            for error in &mut errors.0 {
                error.hint = Some(hint.into());
            }
            return Err(errors);
        }
    };
    let shown = |name: &Path| dir.strip_prefix(".").unwrap_or(dir).join(name);
    let mut errors = Vec::new();
    let mut note =
        |read: Result<Source, ConfigErrors>| read.map_err(|found| errors.extend(found.0)).ok();

    let main = shown(Path::new("tollgate.toml"));
    // A link to nowhere is not an absent file: its rules would silently be gone.
    let main = match fs::symlink_metadata(&main) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            in_other_letters(dir, &main).and_then(|other| note(Err(misnamed(&other, &main))))
        }
        Ok(_) | Err(_) => note(read_file(main)),
    };
    let (paths, unlisted) = match list(&shown(Path::new("tools.d"))) {
        Ok(paths) => (paths, Vec::new()),
        Err(found) => (Vec::new(), found.0),
    };
    let tools = paths.into_iter().map(read_file).filter_map(note).collect();
    errors.extend(unlisted);

    let sources = Sources {
        dir: absolute,
        main,
        tools,
    };
    Ok((sources, ConfigErrors(errors)))
}

/// The files of a drop-in directory, in lexical order.
fn list(dir: &Path) -> Result<Vec<PathBuf>, ConfigErrors> {
    let unreadable = |error: &std::io::Error| about(Code::Unreadable, dir, reason(error));
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let is_absent =
                error.kind() == ErrorKind::NotFound && fs::symlink_metadata(dir).is_err();
            return if is_absent {
                Ok(Vec::new())
            } else {
                Err(unreadable(&error))
            };
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(&error))?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if is_drop_in(&name) {
            paths.push(dir.join(entry.file_name()));
        }
    }
    paths.sort();
    Ok(paths)
}

/// `x.toml`, but not `.x.toml`, `x.toml~`, `x.bak.toml` or `x.dpkg-old.toml`; of a name in
/// small letters.
fn is_drop_in(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".toml") else {
        return false;
    };
    !stem.starts_with(['.', '#'])
        && !stem.ends_with(['~', '#'])
        && !stem.ends_with(".bak")
        && !stem.contains(".dpkg-")
}

/// The file that was meant to be this one, if only its letters are larger.
fn in_other_letters(dir: &Path, meant: &Path) -> Option<PathBuf> {
    let name = meant.file_name()?;
    let mut entries = fs::read_dir(dir).ok()?.flatten();
    let other = entries.find(|entry| entry.file_name().eq_ignore_ascii_case(name))?;
    Some(meant.with_file_name(other.file_name()))
}

/// What is in a file of another name than is looked for would not hold, and nobody would be
/// told.
fn misnamed(path: &Path, meant: &Path) -> ConfigErrors {
    let mut errors = about(Code::Unreadable, path, "a file of this name is not read");
    let meant = meant.file_name().unwrap_or_default().to_string_lossy();
    for error in &mut errors.0 {
        error.hint = Some(format!("rename it to `{meant}`"));
    }
    errors
}

fn read_file(path: PathBuf) -> Result<Source, ConfigErrors> {
    if path.extension().is_none_or(|it| it != "toml") {
        return Err(misnamed(&path, &path.with_extension("toml")));
    }
    let bytes =
        read_bytes(&path).map_err(|error| about(Code::Unreadable, &path, reason(&error)))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { path, text }),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let lines = error.as_bytes().iter().take(valid);
            let line = lines.filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("the file is not valid UTF-8, first in line {line}");
            Err(about(Code::NotText, &path, message))
        }
    }
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    // Asked before opening: opening a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn reason(error: &std::io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::NotFound => "it links to a file that does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("this cannot be read: {reason}")
}

fn about(code: Code, path: &Path, message: impl Into<String>) -> ConfigErrors {
    ConfigErrors(vec![ConfigError {
        code,
        message: message.into(),
        label: None,
        hint: None,
        path: path.to_owned(),
        excerpt: None,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(dir: &Path) -> Vec<Code> {
        match read(dir) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.as_slice().iter().map(|error| error.code).collect(),
        }
    }

    #[test]
    fn files_come_in_lexical_order_and_left_overs_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let tools = dir.path().join("tools.d");
        fs::create_dir(&tools).unwrap();
        for name in [
            "b.toml",
            "a.toml",
            ".c.toml",
            "d.toml~",
            "e.toml.bak",
            "f.bak.toml",
            "#g.toml#",
            "h.dpkg-old.toml",
            "i.toml.dpkg-new",
            "j.txt",
        ] {
            fs::write(tools.join(name), "").unwrap();
        }
        let sources = read(dir.path()).unwrap();
        let names: Vec<_> = sources
            .tools
            .iter()
            .map(|s| s.path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
        assert_eq!(sources.main, None);
    }

    #[test]
    fn an_empty_directory_is_a_configuration_and_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap().tools, []);
        assert_eq!(codes(&dir.path().join("nowhere")), [Code::NoDirectory]);
    }

    #[test]
    fn a_file_whose_name_has_large_letters_where_small_ones_are_read_is_not_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let tools = dir.path().join("tools.d");
        fs::create_dir(&tools).unwrap();
        fs::write(tools.join("Files.toml"), "").unwrap();
        assert_eq!(codes(dir.path()), []);
        fs::write(dir.path().join("Tollgate.toml"), "").unwrap();
        fs::write(tools.join("mail.TOML"), "").unwrap();
        let errors = read(dir.path()).unwrap_err();
        let hints = errors.as_slice().iter().map(|error| error.hint.as_deref());
        let hints: Vec<_> = hints.flatten().collect();
        assert_eq!(
            hints,
            ["rename it to `tollgate.toml`", "rename it to `mail.toml`"]
        );
        assert_eq!(codes(dir.path()), [Code::Unreadable, Code::Unreadable]);
        fs::write(dir.path().join("tollgate.toml"), "").unwrap();
        assert_eq!(codes(dir.path()), [Code::Unreadable]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_not_an_absent_file() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nonexistent", dir.path().join("tollgate.toml")).unwrap();
        assert_eq!(codes(dir.path()), [Code::Unreadable]);
    }

    #[test]
    fn a_file_that_cannot_be_read_hides_no_other_error_and_causes_none() {
        let dir = tempfile::tempdir().unwrap();
        // What an agent may use and what is charged is in what cannot be read.
        fs::create_dir_all(dir.path().join("tollgate.toml")).unwrap();
        fs::create_dir_all(dir.path().join("tools.d/dangling.toml")).unwrap();
        let text = "comand = \"x\"\nowner = \"me\"\nagents = [\"dev\"]\n[tools.x]\ntier = \"read\"\ncost = \"2 EUR\"\n";
        fs::write(dir.path().join("tools.d/typo.toml"), text).unwrap();
        let errors = super::super::load_dir(dir.path()).unwrap_err();
        let codes: Vec<_> = errors.as_slice().iter().map(|error| error.code).collect();
        assert_eq!(
            codes,
            [Code::Unreadable, Code::Unreadable, Code::UnknownKey]
        );
    }

    #[test]
    fn every_unreadable_file_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tools.d/a.toml")).unwrap();
        fs::write(dir.path().join("tools.d/b.toml"), b"x = 1\ny = \"\xff\"\n").unwrap();
        assert_eq!(codes(dir.path()), [Code::Unreadable, Code::NotText]);
        let errors = read(dir.path()).unwrap_err();
        assert!(errors.as_slice()[1].message.ends_with("first in line 2"));
    }
}
