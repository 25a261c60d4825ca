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
    if let Some(first) = call.findings.rules.first() {
        return refuse(
            Code::ArgsOutOfBounds,
            first,
            call.findings.rules.len(),
            "Do not try to work around this rule; ask your user.",
        );
    }
    if let Some(first) = call.findings.schema.first() {
        return refuse(
            Code::ArgsInvalid,
            first,
            call.findings.schema.len(),
            "Correct the arguments and call again.",
        );
    }
    tell.pass(|| "fit the schema and the rules".into())
}

fn refuse(code: Code, first: &Finding, count: usize, remedy: &str) -> Verdict {
    let mut says = if first.at.is_empty() {
        first.says.clone()
    } else {
        format!("`{}` {}", first.at, first.says)
    };
    if count > 1 {
        says.push_str(&format!(" (and {} more)", count - 1));
    }
    Verdict::Refuse(
        Refusal::new(code, GATE.name, says)
            .remedy(remedy)
            .rule(first.rule.clone()),
    )
}
