//! Do the arguments fit the tool's schema and the operator's rules?

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Finding, Refusal};

pub(super) const GATE: Gate = Gate {
    name: "arguments",
    check,
};

fn check(call: &Call, _: &Facts<'_>, tell: Tell) -> Verdict {
    // The operator's rules first: a call that breaks both is an attempt to leave
    // its bounds, not a slip of the pen.
    if let Some((first, more)) = call.findings.rules.split_first() {
        return refuse(
            Code::ArgsOutOfBounds,
            first,
            more,
            "Do not try to work around this rule; ask your user.",
        );
    }
    if let Some((first, more)) = call.findings.schema.split_first() {
        let remedy = match call.findings.hopeless {
            false => "Correct the arguments and call again.",
            true => {
                "No arguments will do: the tool's schema is at fault, and only your user can have that mended."
            }
        };
        return refuse(Code::ArgsInvalid, first, more, remedy);
    }
    tell.pass(|| "fit the schema and the rules".into())
}

fn refuse(code: Code, first: &Finding, more: &[Finding], remedy: &str) -> Verdict {
    let mut says = said(first);
    // Who mends several at once need not try so often.
    for other in more.iter().take(NAMED) {
        says.push_str("; ");
        says.push_str(&said(other));
    }
    let unnamed = more.len().saturating_sub(NAMED);
    if unnamed > 0 {
        says.push_str(&format!(" (and {unnamed} more)"));
    }
    Verdict::Refuse(
        Refusal::new(code, GATE.name, says)
            .remedy(remedy)
            .rule(first.rule.clone()),
    )
}

/// So many findings are told beside the first.
const NAMED: usize = 2;

fn said(finding: &Finding) -> String {
    match finding.at.as_str() {
        "" => finding.says.clone(),
        at => format!("`{at}` {}", finding.says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_three_findings_and_counts_the_rest() {
        let all: Vec<Finding> = (1..=5)
            .map(|n| Finding {
                at: format!("/{n}"),
                says: "is missing".into(),
                rule: None,
            })
            .collect();
        let says = |count| match refuse(Code::ArgsInvalid, &all[0], &all[1..count], "") {
            Verdict::Refuse(refusal) => refusal.says,
            Verdict::Pass(says) | Verdict::With(_, says) => panic!("{says}"),
        };
        assert_eq!(says(1), "`/1` is missing");
        assert_eq!(says(3), "`/1` is missing; `/2` is missing; `/3` is missing");
        assert!(says(5).ends_with("`/3` is missing (and 2 more)"));
    }
}
