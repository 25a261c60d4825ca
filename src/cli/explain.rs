//! `tollgate explain`: what a code means and what to do.

use super::Trouble;
use super::judgement::hang;
use super::out::Out;
use crate::config;
use crate::daemon::{Failure, FailureKind};
use crate::domain::{Code, Dimension, Period};

/// Explain the code of a refusal or of a configuration error
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For example TOOL_CHANGED or E012; without it, all codes
    code: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let Some(code) = &args.code else {
        return Ok(out.lines(all())?);
    };
    let refusal = Code::all().find(|known| known.as_str().eq_ignore_ascii_case(code));
    if let Some(known) = refusal {
        return Ok(out.lines(entry(known.as_str(), known.meaning()))?);
    }
    if let Some(known) = config::Code::parse(code) {
        return Ok(out.lines(entry(known.id(), known.explanation()))?);
    }
    let failure = Failure::new(FailureKind::Usage, format!("there is no code `{code}`"));
    Err(failure.hint("`tollgate explain` lists them").into())
}

fn all() -> Vec<String> {
    let mut lines = vec!["Refusals:".to_owned()];
    for code in Code::ALL {
        lines.extend(below(code.as_str(), code.meaning()));
    }
    let budget = Code::Budget(Period::Run, Dimension::Calls);
    lines.extend(below("BUDGET_PERIOD_WHAT", budget.meaning()));
    lines.push("Configuration errors:".to_owned());
    for code in config::Code::ALL {
        lines.extend(below(code.id(), code.explanation()));
    }
    lines
}

fn below(code: &str, meaning: &str) -> Vec<String> {
    let mut lines = vec![format!("  {code}")];
    lines.extend(hang("      ", "      ", meaning));
    lines
}

fn entry(code: &str, meaning: &str) -> Vec<String> {
    let mut lines = vec![code.to_owned()];
    lines.extend(hang("  ", "  ", meaning));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_in_lines_that_fit() {
        let lines = all();
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        for code in Code::ALL {
            assert!(lines.contains(&format!("  {}", code.as_str())));
        }
    }

    #[test]
    fn one_code() {
        let lines = entry(Code::ToolChanged.as_str(), Code::ToolChanged.meaning());
        insta::assert_snapshot!(lines.join("\n"));
    }
}
