//! The instance that runs a call, and what it says of it.

use std::sync::Arc;

use super::{Broker, beginning::Begins, charge::free_of_charge, under_way::Open};
use crate::{
    domain::{Call, Fault, Outcome, RunId, Standing, Subject, Tier, ToolFault},
    gate::Verdict,
    ports::{Caller, Permit, Reply, Seat, Settlement, Tools},
};

/// What looking for an instance found: none when the call will be refused anyway.
pub(super) type Found = Result<Option<Arc<dyn Seat>>, ToolFault>;

impl Broker {
    /// Settles a call that was cleared and never left.
    pub(super) fn not_begun(
        &self,
        permit: Permit,
        call: &Call,
        open: &Open<'_>,
        fault: ToolFault,
    ) -> Result<ToolFault, Fault> {
        let settlement = Settlement {
            wait: Some(open.times().waited),
            ..Settlement::plain(
                Outcome::Failed(fault.clone()),
                std::time::Duration::ZERO,
                free_of_charge(call.claim.ask),
            )
        };
        self.settled(permit.spend(), call, &settlement)?;
        Ok(fault)
    }

    /// The instance that runs already.
    pub(super) fn seated(
        &self,
        call: &Call,
        home: &RunId,
        caller: &Arc<dyn Caller>,
    ) -> Option<Arc<dyn Seat>> {
        self.tools.get()?.seated(&call.server, home, caller)
    }

    /// Whether the gates would refuse a call, as far as is known without an instance.
    pub(super) fn is_refused(&self, call: &Call) -> bool {
        let gates = self.store.judge(call);
        let mut verdicts = gates.iter().map(|(_, verdict)| verdict);
        verdicts.any(|verdict| matches!(verdict, Verdict::Refuse(_)))
    }

    /// A new instance for a call, if the gates would let it pass as far as is
    /// known without one. A call that was cancelled meanwhile is unsent, and its server
    /// has not failed; one that a stop found hears of that stop from the gates.
    ///
    /// What comes with it is held until the call is judged: for no more runs of an agent is
    /// an instance started at the same time than the agent may begin.
    pub(super) async fn seat(
        &self,
        call: &Call,
        home: &RunId,
        open: &Open<'_>,
    ) -> (Found, Option<Begins<'_>>) {
        let Some(tools) = self.tools.get() else {
            let starting = ToolFault::NotStarted("tollgate is starting".to_owned());
            return (Err(starting), None);
        };
        if self.is_refused(call) {
            return (Ok(None), None);
        }
        let left = || self.store.runs_left(call);
        let begins = tokio::select! {
            biased;
            reason = open.caller().cancelled() => {
                let unsent = Err(ToolFault::Unsent(reason));
                return (open.stopped().map_or(unsent, |_| Ok(None)), None);
            }
            begins = self.beginning.enter(&call.by.agent, &call.run, left) => begins,
        };
        // Those that it waited for may have left nothing.
        let seat = match self.is_refused(call) {
            true => Ok(None),
            false => self.start(tools.as_ref(), call, home, open).await,
        };
        (seat, begins)
    }

    /// Waits for the instance, which is started if needed.
    async fn start(&self, tools: &dyn Tools, call: &Call, home: &RunId, open: &Open<'_>) -> Found {
        // A run that is over starts nothing any more, also not one that ended
        // while its instance started.
        let over = || ToolFault::Unsent("its run is over".to_owned());
        if !self.is_own_run(&call.by.agent, home) {
            return Err(over());
        }
        let caller = open.caller();
        let seat = tokio::select! {
            biased;
            reason = caller.cancelled() => Err(ToolFault::Unsent(reason)),
            seat = tools.seat(&call.server, home, caller) => seat.map(Some),
        };
        if !self.is_own_run(&call.by.agent, home) {
            tools.end_run(home);
            return Err(over());
        }
        match seat {
            Err(ToolFault::Unsent(_)) if open.stopped().is_some() => Ok(None),
            seat => seat,
        }
    }
}

/// What the instance says of the tool that is called.
pub(super) fn standing(call: &Call, seat: &Found) -> Standing {
    match (seat, &call.subject) {
        // Nobody waited for the instance: judged by what was known before, since what was
        // begun for it has to stand somewhere.
        (Err(ToolFault::Unsent(_)), _) => call.standing.clone(),
        (Err(fault), _) => Standing::Unreachable(match fault {
            ToolFault::NotStarted(why) => why.clone(),
            other => other.to_string(),
        }),
        // Not seated: it will be refused, by what was known before.
        (Ok(None), _) => call.standing.clone(),
        (Ok(Some(seat)), Subject::Tool(name)) => match seat.definition(name) {
            // What was measured and what would run must be one and the same.
            Some(definition) if call.standing == Standing::Defined(definition) => {
                Standing::Defined(definition)
            }
            Some(definition) => Standing::Renewed(definition),
            None => Standing::Missing,
        },
        (
            Ok(Some(_)),
            Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_),
        ) => Standing::Plain,
    }
}

/// How a call ended, for the record.
pub(super) fn outcome(tier: Tier, reply: &Result<Reply, ToolFault>) -> Outcome {
    match reply {
        Ok(Reply::Result(result)) => Outcome::Done {
            error: result
                .get("isError")
                .is_some_and(|error| error.text() == "true"),
            bytes: result.bytes().len(),
        },
        Ok(Reply::Error(error)) => Outcome::Done {
            error: true,
            bytes: error.bytes().len(),
        },
        Ok(Reply::Asks(_) | Reply::Lacks(_)) => Outcome::Asked,
        Err(fault) => match tier {
            Tier::Consequential | Tier::Irreversible if fault.may_have_run() => {
                Outcome::Unknown(fault.clone())
            }
            Tier::Read | Tier::Reversible | Tier::Consequential | Tier::Irreversible => {
                Outcome::Failed(fault.clone())
            }
        },
    }
}
