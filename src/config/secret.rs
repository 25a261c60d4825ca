//! Secrets are named, not written: `env:NAME` or `file:/path`.
//!
//! This file only recognises them. Fetching a secret is an edge's business,
//! at the moment it is needed.

use std::path::PathBuf;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// In an environment variable of the daemon.
    Env(String),
    /// In a file; its content without the last line break.
    File(PathBuf),
}

/// What a text in a place for values turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// An ordinary text.
    Literal,
    /// A well-formed reference.
    Reference(SecretRef),
    /// Meant as a reference, but not one; with a phrase for the label.
    Malformed(String),
}

/// Tells a reference from a literal.
pub(super) fn read(text: &str) -> Reading {
    let malformed = |why: &str| Reading::Malformed(why.to_owned());
    if let Some(name) = text.strip_prefix("env:") {
        return if is_variable(name) {
            Reading::Reference(SecretRef::Env(name.to_owned()))
        } else {
            malformed("after `env:` comes the name of a variable")
        };
    }
    if let Some(path) = text.strip_prefix("file:") {
        return if path.starts_with('/') && !path.starts_with("//") {
            Reading::Reference(SecretRef::File(PathBuf::from(path)))
        } else {
            malformed("after `file:` comes an absolute path")
        };
    }
    if ["keyring:", "cmd:"]
        .iter()
        .any(|kind| text.starts_with(kind))
    {
        return malformed("not in this version yet: use `env:NAME` or `file:/path`");
    }
    let inner = text.strip_prefix("${").and_then(|t| t.strip_suffix('}'));
    if let Some(inner) = inner {
        let name = inner.strip_prefix("env:").unwrap_or(inner);
        return Reading::Malformed(if is_variable(name) {
            format!("`${{…}}` is not expanded: write `env:{name}`")
        } else {
            "`${…}` is not expanded: write `env:NAME`".to_owned()
        });
    }
    Reading::Literal
}

/// Whether a name can be that of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a literal is probably a secret: by its own look, or because its key
/// says so and it is long and random. Told by mistake, the remedy is cheap (a
/// reference); missed, the secret ends up in a repository.
pub(super) fn looks_secret(key: &str, value: &str) -> bool {
    let is_known = value.split(|c| !is_token(c)).any(has_known_form);
    if is_known || has_password(value) || value.contains("PRIVATE KEY-----") {
        return true;
    }
    names_secret(key) && is_random(value)
}

/// Whether the name of a setting says that its value is one.
pub(super) fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    ["TOKEN", "SECRET", "KEY", "PASSWORD", "PASSWD"]
        .iter()
        .any(|word| key.contains(word))
}

/// The parts of a text that have the form of a well-known kind of token, as
/// byte ranges. Works on text that is not even TOML.
pub(super) fn known_tokens(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut start = 0;
    text.split_inclusive(|c| !is_token(c))
        .filter_map(move |part| {
            let begin = start;
            start += part.len();
            let word = part.trim_end_matches(|c| !is_token(c));
            has_known_form(word).then(|| begin..begin + word.len())
        })
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/')
}

fn has_known_form(word: &str) -> bool {
    const FORMS: [(&str, usize); 14] = [
        ("sk-", 16),
        ("sk_live_", 16),
        ("rk_live_", 16),
        ("ghp_", 20),
        ("gho_", 20),
        ("ghs_", 20),
        ("github_pat_", 20),
        ("glpat-", 16),
        ("xoxb-", 16),
        ("xoxp-", 16),
        ("xapp-", 16),
        ("AKIA", 20),
        ("AIza", 30),
        ("eyJ", 30),
    ];
    FORMS
        .iter()
        .any(|(prefix, least)| word.starts_with(prefix) && word.len() >= *least)
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    value
        .split_once("://")
        .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default())
        .and_then(|authority| authority.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty())
}

fn is_random(value: &str) -> bool {
    value.len() >= 16
        && !value.starts_with(['/', '~'])
        && !value.starts_with("./")
        && !value.contains("://")
        && !value.contains(char::is_whitespace)
        && value.contains(|c: char| c.is_ascii_digit())
        && value.contains(|c: char| c.is_ascii_alphabetic())
        && bits_per_character(value) >= 3.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "lengths of values in a configuration file are far below 2^52"
)]
fn bits_per_character(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_variable_or_an_absolute_path() {
        assert_eq!(
            read("env:BOT_TOKEN"),
            Reading::Reference(SecretRef::Env("BOT_TOKEN".into()))
        );
        assert_eq!(
            read("file:/run/secrets/bot"),
            Reading::Reference(SecretRef::File("/run/secrets/bot".into()))
        );
        assert_eq!(read("plain"), Reading::Literal);
        for bad in [
            "env:",
            "env:A B",
            "env:1A",
            "file:x",
            "file:",
            "keyring:a/b",
            "${TOKEN}",
        ] {
            assert!(matches!(read(bad), Reading::Malformed(_)), "{bad}");
        }
    }

    #[test]
    fn a_literal_secret_is_known_by_its_form_or_by_its_key() {
        for (key, value) in [
            ("X", "sk-EXAMPLEexample0000"),
            ("X", "Bearer ghp_EXAMPLEexampleEXAMPLE0000"),
            ("API_KEY", "9f86d081884c7d659a2feaa0c55ad015"),
            ("db_password", "hunter2hunter2XY9z"),
            ("DATABASE_URL", "postgres://app:pw@db/app"),
            ("X", "-----BEGIN PRIVATE KEY-----\nMIIE"),
        ] {
            assert!(looks_secret(key, value), "{key} {value}");
        }
        for (key, value) in [
            ("X", "9f86d081884c7d659a2feaa0c55ad015"),
            ("API_KEY", "changeme"),
            ("SSH_KEY", "/home/me/.ssh/id_ed25519_work"),
            ("TOKEN_URL", "https://auth.example.com/oauth2/token"),
            ("KEYBOARD_LAYOUT", "de-nodeadkeys-extended"),
            ("SK", "sk-short"),
        ] {
            assert!(!looks_secret(key, value), "{key} {value}");
        }
    }

    #[test]
    fn tokens_are_found_in_any_text() {
        let text = "é = \"sk-EXAMPLEexample0000\nAKIAEXAMPLEEXAMPLE00";
        let found: Vec<_> = known_tokens(text).filter_map(|r| text.get(r)).collect();
        assert_eq!(found, ["sk-EXAMPLEexample0000", "AKIAEXAMPLEEXAMPLE00"]);
    }
}
