//! Were the arguments measured to the end?

use super::{Facts, Gate, Tell, Verdict};
use crate::domain::{Call, Code, Refusal};

/// Its name: who comes as far as this is worth being measured.
pub const NAME: &str = "measured";

pub(super) const GATE: Gate = Gate { name: NAME, check };

fn check(call: &Call, _: &Facts<'_>, tell: Tell) -> Verdict {
    match call.findings.unmeasured {
        None => tell.pass(|| "measured to the end".into()),
        Some(why) => {
            let refusal = Refusal::new(Code::Busy, GATE.name, why.says());
            Verdict::Refuse(refusal.remedy(why.remedy()))
        }
    }
}
