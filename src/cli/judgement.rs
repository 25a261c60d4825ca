//! A judgement as people read it: gate by gate, with the line that decided.
//! `try` and `why` show it alike.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use super::{ask, beside_the_point};
use crate::control::{Question, Reply};
use crate::daemon::{self, Failure};
use crate::domain::Place;

/// What one gate said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) gate: String,
    pub(super) said: Said,
}

/// See [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing against it, and why as far as that is known.
    Pass(String),
    /// Not this call.
    Deny {
        says: String,
        /// The line of the configuration that decided, where there is one.
        rule: Option<Rule>,
    },
    /// A gate before it refused.
    NotReached,
}

/// A line of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// `tools.d/files.toml:7`
    pub(super) place: String,
    /// What stands there now.
    pub(super) text: Option<String>,
}

impl Rule {
    /// Looks it up below the configuration directory.
    pub(super) fn find(place: &Place, files: Files<'_>) -> Self {
        let file = Path::new(&*place.file);
        let shown = file.strip_prefix(files.dir).unwrap_or(file);
        let file = files.dir.join(file);
        let written = fs::metadata(&file).and_then(|file| file.modified());
        let written = written.ok().and_then(|at| Timestamp::try_from(at).ok());
        let text = line_of(&file, place.line);
        Self {
            place: format!("{}:{}", shown.display(), place.line),
            text: match text {
                Some(_) if written > Some(files.read) => {
                    Some("(the file has changed since)".to_owned())
                }
                text => text,
            },
        }
    }
}

/// The files by which something was judged. One that was written since they were read may
/// have another line there now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) dir: &'a Path,
    pub(super) read: Timestamp,
}

impl<'a> Files<'a> {
    /// As the daemon has them that runs now.
    pub(super) fn of_daemon(place: &'a daemon::Place) -> Result<Self, Failure> {
        let Reply::Status(status) = ask(place, Question::Status)? else {
            return Err(beside_the_point());
        };
        Ok(Self {
            dir: &place.config,
            read: status.up_since,
        })
    }

    /// As they were judged by at this time: when an earlier daemon had read them is not
    /// known, only that it was before.
    pub(super) fn at(self, then: Option<Timestamp>) -> Self {
        let read = self.read.min(then.unwrap_or(self.read));
        Self { read, ..self }
    }
}

fn line_of(file: &Path, number: u32) -> Option<String> {
    let mut text = String::new();
    File::open(file)
        .ok()?
        .take(1 << 20)
        .read_to_string(&mut text)
        .ok()?;
    let nth = usize::try_from(number).ok()?.checked_sub(1)?;
    let line = text.lines().nth(nth)?.trim();
    (!line.is_empty()).then(|| line.chars().take(120).collect())
}

/// The width people's terminals have at least.
const WIDTH: usize = 80;

/// One line per gate and more where it has more to say.
pub(super) fn lines(steps: &[Step]) -> Vec<String> {
    let widest = steps.iter().map(|step| step.gate.len()).max().unwrap_or(0);
    let digits = steps.len().to_string().len();
    let mut lines = Vec::new();
    for (nth, Step { gate, said }) in steps.iter().enumerate() {
        let head = format!("  {:>digits$} {gate:widest$}  ", nth + 1);
        let below = " ".repeat(head.chars().count() + "pass  ".len());
        match said {
            Said::Pass(why) => lines.extend(hang(&format!("{head}pass  "), &below, why)),
            Said::NotReached => lines.push(format!("{head}not reached")),
            Said::Deny { says, rule } => {
                lines.extend(hang(&format!("{head}DENY  "), &below, says));
                if let Some(Rule { place, text }) = rule {
                    let whole = match text {
                        Some(text) => format!("{below}{place}   {text}"),
                        None => format!("{below}{place}"),
                    };
                    match text {
                        Some(text) if whole.chars().count() > WIDTH => {
                            lines.push(format!("{below}{place}"));
                            lines.push(format!("{below}  {text}"));
                        }
                        Some(_) | None => lines.push(whole),
                    }
                }
            }
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Text in lines of at most [`WIDTH`], the first after `head`, the others after `below`.
pub(super) fn hang(head: &str, below: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = head.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let space = usize::from(!empty);
        if !empty && line.chars().count() + space + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, below.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_shown_with_its_line_and_without_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tools.d")).unwrap();
        let file = dir.path().join("tools.d/files.toml");
        fs::write(&file, "a = 1\n  path = { under = \"/srv\" }\n").unwrap();
        let rule = |line, read| {
            let file = file.to_str().unwrap().into();
            let files = Files {
                dir: dir.path(),
                read,
            };
            Rule::find(&Place { file, line }, files)
        };
        assert_eq!(
            rule(2, Timestamp::MAX),
            Rule {
                place: "tools.d/files.toml:2".into(),
                text: Some("path = { under = \"/srv\" }".into()),
            }
        );
        assert_eq!(rule(9, Timestamp::MAX).text, None);
        assert_eq!(rule(0, Timestamp::MAX).text, None);
        let changed = "(the file has changed since)";
        assert_eq!(rule(2, Timestamp::UNIX_EPOCH).text.unwrap(), changed);
    }

    #[test]
    fn long_reasons_are_broken_at_words() {
        let steps = [Step {
            gate: "tool".into(),
            said: Said::Pass("word ".repeat(30)),
        }];
        let lines = lines(&steps);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[1].starts_with("                word"), "{lines:?}");
    }
}
