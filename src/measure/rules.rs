//! Arguments against the operator's rules.

#[cfg(test)]
mod tests;

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::{
    Effort, Follow, Schema,
    checked::{Checked, TooMuch},
    kinds,
    names::Names,
    schema::finding,
    spelling::misspelt,
};
use crate::{
    config::ArgRule,
    domain::{Finding, Place, shown},
    wire::is_other_spelling,
};

/// Arguments that nobody names beyond this are not told.
const MAX_UNKNOWN: usize = 8;

/// Hosts that may be named beyond this are not told.
const MAX_HOSTS: usize = 8;

/// What is said where a rule cannot be asked.
const TOO_MUCH: &str = "cannot be judged: its rule takes more work than a call is worth";

/// The rules of one tool, compiled.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    argument: String,
    /// The compiled keywords, or why they cannot be compiled: then nothing
    /// passes.
    schema: Result<Checked, String>,
    /// The same keywords as they are written, if they name members.
    names: Option<Value>,
    under: Option<PathBuf>,
    host: Vec<String>,
    absent: bool,
    place: Place,
}

impl Rules {
    /// Compiles what a file says of one tool's arguments.
    #[must_use]
    pub fn new(rules: &[ArgRule]) -> Self {
        Self(
            rules
                .iter()
                .map(|rule| Rule {
                    argument: rule.argument.clone(),
                    schema: Checked::of_rule(&kinds::said(&rule.schema)),
                    names: names_members(&rule.schema).then(|| rule.schema.clone()),
                    under: rule.under.clone(),
                    host: rule.host.clone(),
                    absent: rule.absent,
                    place: (&rule.place).into(),
                })
                .collect(),
        )
    }

    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules for arguments that the tool does not have, by its schema. One that must
    /// not be given need not be there.
    pub fn astray<'a>(&'a self, schema: &'a Schema) -> impl Iterator<Item = Astray<'a>> {
        let named = schema.named().filter(|_| !self.is_empty());
        named.into_iter().flat_map(|named| {
            let demanded = self.0.iter().filter(|rule| !rule.absent);
            let unnamed = demanded.filter(|rule| !named.has(&rule.argument));
            unnamed.map(|rule| Astray { rule, named })
        })
    }

    /// What they find wrong; an error only of what would be too much at once.
    pub(super) fn check(
        &self,
        arguments: &Value,
        follow: Follow<'_>,
        (bytes, effort): (usize, Effort),
    ) -> Result<Vec<Finding>, TooMuch> {
        let mut found = Vec::new();
        let keys = || arguments.as_object().into_iter().flat_map(|all| all.keys());
        for rule in &self.0 {
            // It is not `argument` to us, and so no rule holds for it.
            let meant = |key: &&String| is_other_spelling(key, &rule.argument);
            found.extend(keys().find(meant).map(|key| Finding {
                rule: Some(rule.place.clone()),
                ..finding(&format!("/{key}"), &other_spelling(&rule.argument))
            }));
            let value = arguments.get(&rule.argument);
            let says = match rule.check(value, follow, (bytes, effort)) {
                Err(TooMuch) if effort == Effort::AtOnce => return Err(TooMuch),
                // It is this rule that is too much, whatever the schema is.
                Err(TooMuch) => Some(TOO_MUCH.to_owned()),
                Ok(says) => says,
            };
            if let Some(says) = says {
                found.push(Finding {
                    rule: Some(rule.place.clone()),
                    ..finding(&format!("/{}", rule.argument), &says)
                });
            }
        }
        Ok(found)
    }

    /// What is wrong with every call, whatever its arguments: a rule that bounds nothing,
    /// of which nobody knows what it should bound.
    pub(super) fn wrong_with_all(&self, schema: &Schema) -> Vec<Finding> {
        let refused = self.astray(schema).filter(Astray::is_refused);
        let found = refused.map(|astray| Finding {
            rule: Some(astray.rule.place.clone()),
            ..finding(
                "",
                &format!(
                    "a rule of the operator is for an argument `{}`, which the tool does not have",
                    shown(astray.argument())
                ),
            )
        });
        found.collect()
    }

    /// Arguments that neither the schema nor a rule names. That is no rule that anybody
    /// wrote, so it stands with what the schema says.
    pub(super) fn unnamed(&self, arguments: &Value, schema: &Schema) -> Vec<Finding> {
        let keys = arguments.as_object().into_iter().flat_map(|all| all.keys());
        let is_named =
            |name: &str| self.0.iter().any(|rule| rule.argument == name) || schema.names(name);
        keys.filter(|name| !is_named(name))
            .take(MAX_UNKNOWN)
            .map(|name| {
                finding(
                    &format!("/{name}"),
                    "is an argument that the tool's schema does not name",
                )
            })
            .collect()
    }
}

/// A rule for an argument that its tool does not have, if its schema names them all.
#[derive(Debug)]
pub struct Astray<'a> {
    rule: &'a Rule,
    named: &'a Names,
}

impl<'a> Astray<'a> {
    /// As the rule calls it.
    #[must_use]
    pub fn argument(&self) -> &'a str {
        &self.rule.argument
    }

    /// Those that there are.
    pub fn named(&self) -> impl Iterator<Item = &'a str> {
        self.named.each()
    }

    /// Whether the tool is not called at all. A schema that says that there may be other
    /// arguments may well mean this one.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.named.welcomes_others()
    }
}

impl Rule {
    fn check(
        &self,
        value: Option<&Value>,
        follow: Follow<'_>,
        (bytes, effort): (usize, Effort),
    ) -> Result<Option<String>, TooMuch> {
        let Some(value) = value else {
            return Ok(None);
        };
        if self.absent {
            return Ok(Some("must not be given".to_owned()));
        }
        match &self.schema {
            Ok(schema) => {
                if let Some((_, says)) = schema.check(value, bytes, effort)?.first() {
                    return Ok(Some(format!("breaks a rule: {says}")));
                }
            }
            Err(why) => {
                let says = format!("cannot be judged: its rule is broken: {why}");
                return Ok(Some(says));
            }
        }
        if let Some(names) = &self.names
            && let Some((given, meant)) = misspelt(names, value)
        {
            return Ok(Some(format!(
                "has `{}`, which {}",
                shown(given),
                other_spelling(&meant)
            )));
        }
        Ok(self.misplaced(value, follow))
    }

    /// What is wrong with where a value leads.
    fn misplaced(&self, value: &Value, follow: Follow<'_>) -> Option<String> {
        if let Some(dir) = &self.under {
            let Some(text) = value.as_str() else {
                return Some("is not a path".to_owned());
            };
            match lies_under(Path::new(text), dir, follow) {
                Some(true) => {}
                Some(false) => return Some(format!("{text:?} is outside {}", dir.display())),
                None => {
                    return Some(format!("{text:?} leads where nobody can tell beforehand"));
                }
            }
        }
        if !self.host.is_empty() {
            let Some(text) = value.as_str() else {
                return Some("is not a URL".to_owned());
            };
            let host = match host_of(text) {
                Ok(host) => host,
                Err(why) => return Some(format!("{text:?} {why}")),
            };
            if !self.host.iter().any(|pattern| host_fits(&host, pattern)) {
                let allowed = self.host.iter().take(MAX_HOSTS).map(String::as_str);
                let allowed: Vec<&str> = allowed.collect();
                let more = if self.host.len() > MAX_HOSTS {
                    " and others"
                } else {
                    ""
                };
                return Some(format!(
                    "{text:?} names a host that is not allowed; {}{more} may be named",
                    allowed.join(", ")
                ));
            }
        }
        None
    }
}

fn other_spelling(meant: &str) -> String {
    format!(
        "is another spelling of `{}`, for which there is a rule",
        shown(meant)
    )
}

/// Whether a schema says anywhere what a member is called.
fn names_members(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => {
            keywords.contains_key("properties") || keywords.values().any(names_members)
        }
        Value::Array(items) => items.iter().any(names_members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The longest path that a system takes.
const LONGEST_PATH: usize = 4096;

/// Only absolute paths: what a relative one points to is the server's business. None if
/// it is not known where they lead.
fn lies_under(path: &Path, dir: &Path, follow: Follow<'_>) -> Option<bool> {
    // Longer than any system takes: following it could only take long.
    if path.as_os_str().len() > LONGEST_PATH {
        return Some(false);
    }
    if !path.is_absolute() || path.as_os_str().as_encoded_bytes().contains(&0) {
        return Some(false);
    }
    // `..` is resolved after links, as the system does it: a path that climbs
    // is refused rather than guessed at.
    if path.components().any(|part| part == Component::ParentDir) {
        return Some(false);
    }
    // Both are asked for, whatever the first answers: who only notes what is asked for
    // has to hear of both.
    let (path, dir) = (follow(path), follow(dir));
    Some(path?.starts_with(dir?))
}

/// What a rule about hosts is about. Other schemes have no host, or one that says nothing
/// of where they lead.
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// The host of a URL, lower case; or why nobody can tell which it is: two readers could
/// understand it differently.
fn host_of(url: &str) -> Result<String, &'static str> {
    // Some readers leave these out wherever they stand, and some end there, or begin
    // another line or another URL.
    if url.contains(char::is_control) {
        return Err("has a control character; encode it");
    }
    if url.contains(char::is_whitespace) {
        return Err("has a blank; encode it");
    }
    let other_scheme = "is no URL that begins with http, https, ws or wss";
    let (scheme, rest) = url.split_once("://").ok_or(other_scheme)?;
    if !SCHEMES
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(other_scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Some readers take it for a slash. Behind the host that is of no matter.
    if authority.contains('\\') {
        return Err("has a `\\` in front of its path; encode it");
    }
    if authority.contains('@') {
        return Err("names a user before its host; leave it out");
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) if !host.starts_with('[') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    // No more than digits: `parse` would take a sign.
    let is_port = |port: &str| {
        port.is_empty()
            || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    if !port.is_none_or(is_port) {
        return Err("has a port that is no number up to 65535");
    }
    // A name with its root is the same name. An address in brackets is none.
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let clean = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(clean)
    };
    match host.split('.').all(is_label) {
        true => Ok(host.to_ascii_lowercase()),
        false => Err("has no plain name for a host"),
    }
}

fn host_fits(host: &str, pattern: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        None => host == pattern,
    }
}
