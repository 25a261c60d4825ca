//! How a step is told: one line, and below it why it was stopped.

use std::io;
use std::time::Duration;

use serde_json::Value;

use super::client::Reply;
use super::play::Say;

/// A terminal's usual width.
const WIDTH: usize = 80;
/// Where verdicts begin.
const COLUMN: usize = 46;

/// What became of a step.
#[derive(Debug)]
pub(super) struct Told {
    /// In a word or two.
    pub(super) verdict: String,
    /// What the model reads.
    pub(super) text: String,
    /// The code of a refusal.
    pub(super) refused: Option<String>,
    /// The code of a JSON-RPC error.
    pub(super) error: Option<i64>,
    /// Whether the answer is the server's, and says that it failed.
    pub(super) failed: bool,
    /// Whether the answer is the server's, and good.
    pub(super) is_fine: bool,
}

impl Told {
    /// Before anything is tried.
    pub(super) fn nothing() -> Self {
        Self {
            verdict: "nothing was tried".to_owned(),
            text: String::new(),
            refused: None,
            error: None,
            failed: false,
            is_fine: false,
        }
    }

    pub(super) fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Error { code, message } => Self {
                verdict: format!("error {code}"),
                text: message.clone(),
                refused: None,
                error: Some(*code),
                ..Self::nothing()
            },
            Reply::Result(result) => Self::of_result(result),
        }
    }

    fn of_result(result: &Value) -> Self {
        let refusal = result
            .get("_meta")
            .and_then(|meta| meta.get("dev.tollgate/refusal"));
        let refused = refusal.map(|refusal| {
            let code = refusal.get("code").and_then(Value::as_str);
            code.unwrap_or("without a code").to_owned()
        });
        let is_error = result.get("isError") == Some(&Value::Bool(true));
        let verdict = match &refused {
            Some(code) => format!("STOPPED {code}"),
            None => "passed".to_owned(),
        };
        Self {
            verdict,
            text: text(result),
            failed: refused.is_none() && is_error,
            is_fine: refused.is_none() && !is_error,
            refused,
            error: None,
        }
    }

    /// With how long it all took, where it was fine.
    pub(super) fn say(
        &self,
        (number, tells): (usize, &str),
        took: Duration,
        say: Say<'_>,
    ) -> io::Result<()> {
        let start = format!("{number:>2}. {tells} ");
        let dots = ".".repeat(COLUMN.saturating_sub(start.chars().count() + 1));
        let mut line = format!("{start}{dots} {}", self.verdict);
        if self.is_fine {
            line.push_str(&format!("  {:.1} ms", took.as_secs_f64() * 1e3));
        }
        say(&line)?;
        if self.is_fine {
            return Ok(());
        }
        // The code stands in the line above.
        let why = self.text.split_once("not run: ");
        wrapped(
            "      ",
            why.map_or(self.text.as_str(), |(_, why)| why),
            say,
        )
    }
}

/// All text of a tool's result, a prompt or a resource.
fn text(result: &Value) -> String {
    let part = |part: &Value| {
        let content = part.get("content").unwrap_or(part);
        Some(content.get("text")?.as_str()?.to_owned())
    };
    let parts = ["content", "messages", "contents"]
        .into_iter()
        .filter_map(|list| result.get(list)?.as_array())
        .flatten();
    parts.filter_map(part).collect::<Vec<_>>().join("\n")
}

/// Says a text in lines that fit a terminal; all but the first begin as far in
/// as `start` is wide, with what stands in it that is no word.
pub(super) fn wrapped(start: &str, text: &str, say: Say<'_>) -> io::Result<()> {
    let next: String = start
        .chars()
        .map(|character| {
            if character.is_alphanumeric() {
                ' '
            } else {
                character
            }
        })
        .collect();
    let mut line = start.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let room = WIDTH.saturating_sub(line.chars().count() + 1);
        if !empty && word.chars().count() > room {
            say(&line)?;
            line.clone_from(&next);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    say(line.trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(start: &str, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        wrapped(start, text, &mut |line| {
            lines.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn a_long_text_is_told_in_lines_that_fit() {
        let text = "word ".repeat(40);
        let lines = lines("  read | ", &text);
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:?}"
        );
        assert_eq!(lines[0].split("word").next(), Some("  read | "));
        assert_eq!(lines[1].split("word").next(), Some("       | "));
        assert_eq!(lines.concat().matches("word").count(), 40);
    }

    #[test]
    fn a_refusal_is_told_by_its_code() {
        let result = json!({
            "isError": true,
            "content": [{ "type": "text", "text": "LOOP by tollgate, not run: Wait: again." }],
            "_meta": { "dev.tollgate/refusal": { "code": "LOOP" } },
        });
        let told = Told::of(&Reply::Result(result));
        assert_eq!(told.verdict, "STOPPED LOOP");
        assert_eq!(told.refused.as_deref(), Some("LOOP"));
        assert!(!told.is_fine);
    }

    #[test]
    fn a_failure_of_the_tool_is_no_refusal() {
        let result = json!({ "isError": true, "content": [{ "type": "text", "text": "no" }] });
        let told = Told::of(&Reply::Result(result));
        assert_eq!((told.refused.as_deref(), told.is_fine), (None, false));
        assert!(told.failed);
        assert_eq!(told.text, "no");
    }
}
