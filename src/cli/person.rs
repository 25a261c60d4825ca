//! The person at the prompt: who they are, and whether they mean it.

use std::io::{self, BufRead, IsTerminal};

use super::out;
use crate::daemon::{Failure, FailureKind};

/// Who acts, for the record.
pub(super) fn name() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()))
}

/// Whether the person means it. `yes` is their flag.
pub(super) fn is_sure(yes: bool, question: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            FailureKind::Usage,
            "this asks first, and nobody is there to answer",
        )
        .hint("add `--yes` to answer yes"));
    }
    out::remark(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|cause| Failure::io("can't read the answer", &cause))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
