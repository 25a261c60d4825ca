//! Two JSON texts, and what is different between them, word by word.
//!
//! Each is written out one member a line; lines that differ are shown with the
//! words that went `[-so-]` and the words that came `{+so+}`.

use crate::wire::{self, Node};

/// Lines around a difference that are shown as well.
const CONTEXT: usize = 1;

/// The most lines or words that are compared; more than any definition has. What
/// is larger is shown as wholly different.
const MOST: usize = 2000;

/// What is different, in lines.
pub(super) fn diff(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (spread(old), spread(new));
    let edits = edits(&old, &new);
    let mut lines = Vec::new();
    let mut skipped = false;
    for (nth, edit) in edits.iter().enumerate() {
        let from = nth.saturating_sub(CONTEXT);
        let near = edits
            .iter()
            .skip(from)
            .take(nth - from + CONTEXT + 1)
            .any(|edit| !matches!(edit, Edit::Same(_)));
        if !near {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            lines.push("    ...".to_owned());
        }
        lines.push(match edit {
            Edit::Same(line) => format!("    {line}"),
            Edit::Gone(line) => format!("  - {line}"),
            Edit::Came(line) => format!("  + {line}"),
        });
    }
    marked(lines)
}

/// One member a line, in the order and with the numbers of the text.
fn spread(text: &str) -> Vec<String> {
    match Node::parse(text) {
        Ok(node) => {
            let mut lines = Vec::new();
            write(&node, 0, "", "", &mut lines);
            lines
        }
        Err(_) => text.lines().map(str::to_owned).collect(),
    }
}

fn write(node: &Node<'_>, depth: usize, before: &str, after: &str, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let between = |nth: usize, count: usize| if nth + 1 < count { "," } else { "" };
    match node {
        Node::Object(members) if !members.is_empty() => {
            lines.push(format!("{indent}{before}{{"));
            for (nth, (key, value)) in members.iter().enumerate() {
                let key = format!("{}: ", wire::quote(key));
                write(value, depth + 1, &key, between(nth, members.len()), lines);
            }
            lines.push(format!("{indent}}}{after}"));
        }
        Node::Array(elements) if !elements.is_empty() => {
            lines.push(format!("{indent}{before}["));
            for (nth, value) in elements.iter().enumerate() {
                write(value, depth + 1, "", between(nth, elements.len()), lines);
            }
            lines.push(format!("{indent}]{after}"));
        }
        // Empty, or a leaf: as it is written.
        Node::Object(_) | Node::Array(_) | Node::String(_) | Node::Literal(_) => {
            lines.push(format!("{indent}{before}{}{after}", node.canonical()));
        }
    }
}

/// A line that went directly before one that came is the same line, changed: its
/// words are told apart.
fn marked(lines: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(lines.len());
    for line in lines {
        let changed = line.strip_prefix("  + ").and_then(|came| {
            let before = out.last()?.strip_prefix("  - ")?;
            let (gone, came) = (words(before), words(came));
            let edits = edits(&gone, &came);
            let alike = edits.iter().any(|edit| match edit {
                Edit::Same(word) => word.chars().any(char::is_alphanumeric),
                Edit::Gone(_) | Edit::Came(_) => false,
            });
            alike.then(|| format!("  ~ {}", inline(&edits)))
        });
        match changed {
            Some(changed) => {
                out.pop();
                out.push(changed);
            }
            None => out.push(line),
        }
    }
    out
}

fn inline(edits: &[Edit<'_>]) -> String {
    let mut text = String::new();
    for group in edits.chunk_by(|a, b| std::mem::discriminant(a) == std::mem::discriminant(b)) {
        let (before, after) = match group.first() {
            Some(Edit::Gone(_)) => ("[-", "-]"),
            Some(Edit::Came(_)) => ("{+", "+}"),
            Some(Edit::Same(_)) | None => ("", ""),
        };
        text.push_str(before);
        for edit in group {
            match edit {
                Edit::Same(word) | Edit::Gone(word) | Edit::Came(word) => text.push_str(word),
            }
        }
        text.push_str(after);
    }
    text
}

/// Words, and what stands between them.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for character in line.chars() {
        let class = (character.is_alphanumeric() || character == '_').then_some(());
        match words.last_mut() {
            Some(word) if class.is_some() && last == Some(class) => word.push(character),
            Some(_) | None => words.push(character.to_string()),
        }
        last = Some(class);
    }
    words
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit<'a> {
    Same(&'a str),
    Gone(&'a str),
    Came(&'a str),
}

/// The shortest way from one to the other, by the longest common subsequence.
fn edits<'a>(old: &'a [String], new: &'a [String]) -> Vec<Edit<'a>> {
    if old.len() > MOST || new.len() > MOST {
        let gone = old.iter().map(|one| Edit::Gone(one));
        return gone.chain(new.iter().map(|one| Edit::Came(one))).collect();
    }
    let width = new.len() + 1;
    // How much is common from (i, j) on.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, gone) in old.iter().enumerate().rev() {
        for (j, came) in new.iter().enumerate().rev() {
            let longest = match gone == came {
                true => at(&common, i + 1, j + 1) + 1,
                false => at(&common, i + 1, j).max(at(&common, i, j + 1)),
            };
            if let Some(place) = common.get_mut(i * width + j) {
                *place = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits = Vec::with_capacity(old.len().max(new.len()));
    loop {
        match (old.get(i), new.get(j)) {
            (None, None) => return edits,
            (Some(gone), Some(came)) if gone == came => {
                edits.push(Edit::Same(gone));
                (i, j) = (i + 1, j + 1);
            }
            (Some(gone), Some(_)) if at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                edits.push(Edit::Gone(gone));
                i += 1;
            }
            (Some(gone), None) => {
                edits.push(Edit::Gone(gone));
                i += 1;
            }
            (_, Some(came)) => {
                edits.push(Edit::Came(came));
                j += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_marked_in_its_line() {
        let lines = diff(
            r#"{"a":1,"d":"Reads a file."}"#,
            r#"{"a":1,"d":"Sends a file."}"#,
        );
        assert!(
            lines.contains(&r#"  ~   "d": "[-Reads-]{+Sends+} a file.""#.to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn a_number_that_is_written_differently_is_a_difference() {
        assert_eq!(diff(r#"{"n":1e2}"#, r#"{"n":100.0}"#).len(), 3);
        assert_eq!(
            diff(
                r#"{"n":12345678901234567890}"#,
                r#"{"n":12345678901234567891}"#
            )
            .len(),
            3
        );
    }

    #[test]
    fn what_is_the_same_is_left_out() {
        let old: Vec<String> = (10..60).map(|n| format!("\"k{n}\":{n}")).collect();
        let new = format!("{{{}}}", old.join(",").replace(":59", ":0"));
        let lines = diff(&format!("{{{}}}", old.join(",")), &new);
        assert!(lines.len() < 6, "{lines:?}");
        assert!(diff(&new, &new).is_empty());
    }

    #[test]
    fn nothing_is_lost_in_a_difference_of_anything() {
        let (old, new) = (
            words("the cat sat on a mat"),
            words("a cat sits on the mat."),
        );
        let edits = edits(&old, &new);
        let side = |wanted: fn(&Edit<'_>) -> bool| {
            edits
                .iter()
                .filter(|edit| wanted(edit))
                .map(|edit| match edit {
                    Edit::Same(word) | Edit::Gone(word) | Edit::Came(word) => *word,
                })
                .collect::<String>()
        };
        assert_eq!(side(|edit| !matches!(edit, Edit::Came(_))), old.concat());
        assert_eq!(side(|edit| !matches!(edit, Edit::Gone(_))), new.concat());
    }
}
