//! The person at the prompt: who they are, and whether they mean it.

use std::io::{self, BufRead, IsTerminal};

use super::Trouble;
use super::out::{self, Out};
use crate::daemon::{Failure, FailureKind};

/// Who acts, for the record.
pub(super) fn name() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()))
}

/// Goes on if the person means it; `yes` is their flag. Who does not is told what stays as
/// it is, and the command did not do what it was called for.
pub(super) fn make_sure(
    yes: bool,
    question: &str,
    stays: &str,
    out: &mut Out,
) -> Result<(), Trouble> {
    if yes || says_yes(question)? {
        return Ok(());
    }
    out.line(format_args!("nothing changed: {stays}"))?;
    Err(Trouble::Answer(FailureKind::Fault.exit_code()))
}

fn says_yes(question: &str) -> Result<bool, Failure> {
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
