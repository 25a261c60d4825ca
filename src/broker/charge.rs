//! What a call has used, and what its end says of its server.

use std::time::Duration;

use super::seat;
use crate::{
    domain::{Amounts, Call, Dimension, Outcome, Prices, Scope, ToolFault},
    measure::{leave_alone, price},
    ports::{Reply, Settlement},
};

/// Everything that is written down when a call that left has ended.
pub(super) fn settlement(
    call: &Call,
    prices: &Prices,
    reply: &Result<Reply, ToolFault>,
    duration: Duration,
) -> Settlement {
    let outcome = seat::outcome(call.tier, reply);
    let answer = reply.as_ref().ok().map(Reply::raw);
    let bytes = answer.map_or(0, |answer| answer.bytes().len());
    let ask = call.claim.ask;
    let estimate = ask.get(Dimension::Cost);
    let (mut charged, unpriced) = match reply {
        Ok(Reply::Result(result)) => {
            let (cost, unpriced) = price::cost(prices, estimate, Some(result), bytes);
            (ask.with(Dimension::Cost, cost), unpriced)
        }
        // An error has no price to read, and may have cost as much.
        Ok(Reply::Error(_)) => (ask, None),
        // The repeated call is the one that counts.
        Ok(Reply::Asks(_)) => (free_of_charge(ask), None),
        Err(fault) if fault.may_have_run() => (ask, None),
        Err(_) => (free_of_charge(ask), None),
    };
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    charged.set(Dimension::Time, micros);
    charged.set(Dimension::Bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
    Settlement {
        trouble: trouble(call, reply, &outcome),
        leave_alone: match reply {
            Ok(Reply::Error(error)) => leave_alone::by_error(error),
            Ok(Reply::Result(result)) if is_error(&outcome) => leave_alone::by_result(result),
            Ok(Reply::Result(_) | Reply::Asks(_)) | Err(_) => None,
        },
        result: answer.cloned(),
        outcome,
        duration,
        charged,
        unpriced,
    }
}

/// A call that cannot have run was a call all the same, and costs nothing.
pub(super) fn free_of_charge(ask: Amounts) -> Amounts {
    ask.with(Dimension::Cost, 0)
        .with(Dimension::Amount, 0)
        .with(Dimension::Count, 0)
}

fn is_error(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Done { error, .. } => *error,
        Outcome::Asked | Outcome::Failed(_) | Outcome::Unknown(_) => false,
    }
}

/// Whether the breakers of the server, and of the tool, count it as a failure. What
/// a server answers properly is none, unless the file says that its errors count.
fn trouble(call: &Call, reply: &Result<Reply, ToolFault>, outcome: &Outcome) -> (bool, bool) {
    let failed = match reply {
        Ok(_) => false,
        Err(fault) => match fault {
            // It is the agent's or the operator's doing, or that of earlier calls.
            ToolFault::Cancelled(_) | ToolFault::Busy(_) => false,
            ToolFault::NotStarted(_)
            | ToolFault::Exited(_)
            | ToolFault::Idle(_)
            | ToolFault::Overdue(_)
            | ToolFault::Oversized { .. }
            | ToolFault::Malformed(_)
            | ToolFault::Protocol(_) => true,
        },
    };
    let mut trouble = (false, false);
    for rule in call.claim.breakers() {
        let counts = failed || (rule.errors && is_error(outcome));
        match Scope::of(rule.over, call) {
            Some(Scope::Server(_)) => trouble.0 |= counts,
            Some(Scope::Tool(..)) => trouble.1 |= counts,
            Some(Scope::Everything | Scope::Agent(_)) | None => {}
        }
    }
    trouble
}
