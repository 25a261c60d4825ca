//! What a call has used, and what its end says of its server.

use super::{seat, under_way::Times};
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
    times: &Times,
) -> Settlement {
    let outcome = seat::outcome(call.tier, reply);
    let answer = reply.as_ref().ok().map(Reply::raw);
    let bytes = answer.map_or(0, |answer| answer.bytes().len());
    let ask = call.claim.ask;
    let kept = ask.get(Dimension::Cost);
    let (mut charged, unpriced) = match reply {
        Ok(Reply::Result(result)) => {
            let (cost, unpriced) = price::cost(prices, kept, Some(result), bytes);
            (ask.with(Dimension::Cost, cost), unpriced)
        }
        // An error has no price to read, and may have cost as much.
        Ok(Reply::Error(_)) => (ask, None),
        // The repeated call is the one that counts.
        Ok(Reply::Asks(_) | Reply::Lacks(_)) => (free_of_charge(ask), None),
        Err(fault) if fault.may_have_run() => (ask, None),
        Err(_) => (free_of_charge(ask), None),
    };
    let micros = u64::try_from(times.took.as_micros()).unwrap_or(u64::MAX);
    charged.set(Dimension::Time, micros);
    charged.set(Dimension::Bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
    Settlement {
        trouble: trouble(call, reply, &outcome),
        leave_alone: match reply {
            Ok(Reply::Error(error)) => leave_alone::by_error(error),
            Ok(Reply::Result(result)) if is_error(&outcome) => leave_alone::by_result(result),
            Ok(Reply::Result(_) | Reply::Asks(_) | Reply::Lacks(_)) | Err(_) => None,
        },
        result: answer.cloned(),
        outcome,
        duration: times.took,
        wait: Some(times.waited),
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
            ToolFault::Cancelled(_) | ToolFault::Unsent(_) | ToolFault::Busy(_) => false,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{
        AgentName, BreakerRule, CallId, Claim, Currency, Findings, Fingerprint, Offer, Over, Owner,
        Principal, Reach, RunId, ServerName, Standing, Subject, Terms, Tier,
    };
    use crate::wire::Raw;
    use std::sync::Arc;

    fn call(tier: Tier) -> Call {
        let breakers = [Over::Server, Over::Tool].map(BreakerRule::usual);
        let terms = Terms {
            breakers: breakers.to_vec(),
            ..Terms::default()
        };
        Call {
            id: CallId::from_tail("1"),
            run: RunId::from_tail("1"),
            by: Arc::new(Principal {
                agent: AgentName::parse("dev").unwrap(),
                owner: Owner::parse("ana").unwrap(),
                reach: Reach::Everything,
            }),
            server: ServerName::parse("shop").unwrap(),
            admits: None,
            subject: Subject::Tool("buy".into()),
            offer: Offer::At(tier),
            offer_place: None,
            tier,
            durable: tier.is_durable(),
            standing: Standing::Plain,
            findings: Findings::default(),
            digest: Fingerprint([0; 32]),
            claim: Claim {
                ask: Amounts::ZERO
                    .with(Dimension::Calls, 1)
                    .with(Dimension::Tokens, 9)
                    .with(Dimension::Cost, 700)
                    .with(Dimension::Amount, 500)
                    .with(Dimension::Count, 3),
                terms: vec![Arc::new(terms)],
                ..Claim::default()
            },
        }
    }

    fn ends(reply: &Result<Reply, ToolFault>) -> Settlement {
        let free = Prices::free(Currency::USD);
        let times = Times {
            waited: Duration::from_millis(30),
            took: Duration::from_millis(2),
        };
        settlement(&call(Tier::Read), &free, reply, &times)
    }

    #[test]
    fn what_may_have_run_is_charged_and_what_cannot_have_is_not() {
        let cost = |fault| ends(&Err(fault)).charged.get(Dimension::Cost);
        // An agent that cancels what it has sent, or hangs up, gets nothing back.
        assert_eq!(cost(ToolFault::Cancelled("the agent".into())), 700);
        assert_eq!(cost(ToolFault::Exited("code 1".into())), 700);
        assert_eq!(cost(ToolFault::Idle(Duration::ZERO)), 700);
        assert_eq!(cost(ToolFault::NotStarted("no".into())), 0);
        assert_eq!(cost(ToolFault::Busy(Duration::ZERO)), 0);
        let raw = |text: &str| Raw::parse(text.to_owned().into()).unwrap();
        let error = ends(&Ok(Reply::Error(raw(r#"{"code":-1,"message":"no"}"#))));
        assert_eq!(error.charged.get(Dimension::Cost), 700);
        // A question is a call, but what it asks about comes with the next.
        let asks = ends(&Ok(Reply::Asks(raw(r#"{"resultType":"input_required"}"#)))).charged;
        let all = [Dimension::Calls, Dimension::Tokens, Dimension::Cost].map(|of| asks.get(of));
        assert_eq!(all, [1, 9, 0]);
        assert_eq!(asks.get(Dimension::Time), 2_000);
    }

    #[test]
    fn a_breaker_counts_what_the_server_did_and_not_what_the_agent_did() {
        let trouble = |fault| ends(&Err(fault)).trouble;
        assert_eq!(trouble(ToolFault::Exited("code 1".into())), (true, true));
        assert_eq!(
            trouble(ToolFault::Cancelled("the agent".into())),
            (false, false)
        );
        assert_eq!(trouble(ToolFault::Busy(Duration::ZERO)), (false, false));
    }
}
