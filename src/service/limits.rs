//! What the command line asks about limits: how they stand, who is halted, and what
//! people do about runs.

use jiff::Timestamp;

use super::{Tollgate, answers::came_since};
use crate::{
    control::{
        Alone, BreakerRow, Budget, BudgetQuery, CloseOrder, ExtendOrder, Extended, HaltRow,
        LimitRow, Quantity, Refused, RefusedCode, Reply,
    },
    domain::{AgentName, Halt, Level, Limit, Period, RunId, Scope, Then},
    ports::{Helping, RunKnown},
};

/// A run without a call for so long is not shown unless it is asked for.
const RECENT: i64 = 3_600_000_000;

impl Tollgate {
    pub(super) fn budget(&self, query: &BudgetQuery) -> Result<Reply, Refused> {
        let now = self.clock.now();
        let runs = self.runs_asked(query, now)?;
        let limits = self.limits_asked(query, &runs);
        let levels = self.broker.store().levels(&limits);
        let rows = limits.iter().zip(&levels).map(|(limit, level)| {
            let run = limit.1.as_ref();
            let agent = run.and_then(|run| agent_of(&runs, run));
            self.limit_row(limit, agent, level, now)
        });
        let of_all = query.agent.is_none() && query.run.is_none();
        let concerns = |halt: &HaltRow| {
            let of_agent = query
                .agent
                .as_ref()
                .is_none_or(|agent| halt.agent == *agent);
            let of_run = query
                .run
                .as_ref()
                .is_none_or(|run| agent_of(&runs, run).is_some_and(|agent| halt.agent == agent));
            of_agent && of_run
        };
        Ok(Reply::Budget(Budget {
            at: now,
            currency: self.generation.currency.to_string(),
            limits: rows.collect(),
            breakers: match of_all {
                true => self.breaker_rows(),
                false => Vec::new(),
            },
            halts: self.halt_rows().into_iter().filter(concerns).collect(),
        }))
    }

    /// Whether an agent can make a call of a run.
    pub(super) fn belongs(&self, run: &RunId, agent: &AgentName) -> Result<(), Refused> {
        let runs = self.broker.store().runs();
        match agent_of(&runs, run) {
            Some(owner) if owner == *agent => Ok(()),
            Some(owner) => Err(Refused::new(
                RefusedCode::NotFound,
                format!("run `{run}` is one of agent `{owner}`"),
            )),
            None => Err(no_such_run(run)),
        }
    }

    fn runs_asked(&self, query: &BudgetQuery, now: Timestamp) -> Result<Vec<RunKnown>, Refused> {
        let mut runs = self.broker.store().runs();
        runs.retain(|run| match (&query.run, &query.agent) {
            (Some(wanted), _) => run.run == *wanted,
            (None, Some(agent)) if run.agent != *agent => false,
            (None, _) => query.all || now.as_microsecond() - run.last < RECENT,
        });
        match &query.run {
            Some(run) if runs.is_empty() => Err(no_such_run(run)),
            Some(_) | None => Ok(runs),
        }
    }

    /// What their authors wrote, but those of runs for each run by itself.
    fn limits_asked(&self, query: &BudgetQuery, runs: &[RunKnown]) -> Vec<Counted> {
        let policy = self.broker.policy();
        let own = policy.limits().into_iter().filter(|(scope, limit)| {
            let wanted = match (&query.agent, scope) {
                (None, _) => query.run.is_none(),
                (Some(wanted), Scope::Agent(agent)) => agent == wanted,
                (Some(_), Scope::Everything | Scope::Server(_) | Scope::Tool(..)) => false,
            };
            wanted && limit.period != Period::Run
        });
        let of_run = runs.iter().flat_map(|known| {
            let own = policy.limits_of_run(&known.agent).into_iter();
            own.map(|(scope, limit)| (scope, Some(known.run.clone()), limit))
        });
        let own = own.map(|(scope, limit)| (scope, None, limit));
        own.chain(of_run).collect()
    }

    fn limit_row(
        &self,
        (scope, run, limit): &Counted,
        of_run: Option<AgentName>,
        level: &Level,
        now: Timestamp,
    ) -> LimitRow {
        let quantity = |exact| Quantity {
            exact,
            text: limit.dimension.show(exact, self.generation.currency),
        };
        let moment = |at: i64| Timestamp::from_microsecond(at).ok();
        let agent = match scope {
            Scope::Agent(agent) => Some(agent.clone()),
            Scope::Everything | Scope::Server(_) | Scope::Tool(..) => of_run,
        };
        LimitRow {
            scope: scope.to_string(),
            run: run.clone(),
            agent,
            limit: limit.name(),
            dimension: limit.dimension.name().to_owned(),
            period: limit.period.name().to_owned(),
            then: match limit.then {
                Then::Refuse => "refuse",
                Then::Ask => "ask",
                Then::Kill => "kill",
            }
            .to_owned(),
            allowed: quantity(level.allowed(limit)),
            added: quantity(level.added),
            used: quantity(level.used),
            reserved: quantity(level.reserved),
            left: quantity(level.left(limit)),
            rolling: limit.rolling,
            resets: level.resets.and_then(moment),
            full: level.full_at(limit, now.as_microsecond()).and_then(moment),
            rule: limit.place.clone(),
        }
    }

    pub(super) fn breaker_rows(&self) -> Vec<BreakerRow> {
        let circuits = self.broker.store().circuits().into_iter();
        let row = |(scope, until, says): (Scope, i64, String)| {
            Some(BreakerRow {
                scope: scope.to_string(),
                until: Timestamp::from_microsecond(until).ok()?,
                says,
            })
        };
        circuits.filter_map(row).collect()
    }

    pub(super) async fn close_breaker(&self, order: CloseOrder) -> Result<Reply, Refused> {
        let CloseOrder { scope, by } = order;
        let open = self.broker.store().circuits().into_iter();
        let named = open
            .map(|(open, ..)| open)
            .filter(|open| open.to_string() == scope);
        // Two that are named the same, for dots stand in both names: the longer server's.
        let Some(scope) = named.max_by_key(server_length) else {
            return Ok(Reply::BreakerClosed { closed: false });
        };
        tracing::warn!(%scope, by, "a breaker is closed");
        let closed = self
            .read(move |store| store.close_breaker(&scope, &by))
            .await?;
        Ok(Reply::BreakerClosed { closed })
    }

    pub(super) fn halt_rows(&self) -> Vec<HaltRow> {
        let halts = self.broker.store().halts();
        let moment = |at: i64| Timestamp::from_microsecond(at).ok();
        let row = |halt: Halt| {
            Some(HaltRow {
                halt: halt.kind.word().to_owned(),
                agent: halt.agent,
                run: halt.run,
                at: moment(halt.at)?,
                until: halt.until.and_then(moment),
                says: halt.says,
            })
        };
        halts.into_iter().filter_map(row).collect()
    }

    pub(super) async fn clear(
        &self,
        agent: AgentName,
        shown: Option<Timestamp>,
        by: String,
    ) -> Result<Reply, Refused> {
        tracing::warn!(%agent, by, "a halt is lifted");
        let shown = shown.map(Timestamp::as_microsecond);
        let whose = agent.clone();
        let lifting = self.read(move |store| store.clear_shown(&agent, shown, &by));
        let lifted = lifting.await?;
        if !lifted && self.broker.store().halt_of(&whose).is_some() {
            return Err(came_since(&format!("agent `{whose}` was halted once more")));
        }
        Ok(Reply::Cleared { lifted })
    }

    pub(super) async fn extend(&self, order: ExtendOrder) -> Result<Reply, Refused> {
        let ExtendOrder {
            run,
            added,
            alone,
            by,
        } = order;
        tracing::warn!(%run, by, "a run is extended");
        let now = self.clock.now().as_microsecond();
        let alone = alone.map(|alone| match alone {
            Alone::AsUsual => None,
            Alone::For(micros) => Some(now.saturating_add_unsigned(micros)),
        });
        let helping = Helping { added, alone };
        let extended = {
            let run = run.clone();
            self.read(move |store| store.extend(&run, &helping, &by))
                .await?
        };
        let agent = extended.ok_or_else(|| no_such_run(&run))?;
        let usual = self.broker.policy().autonomy(&agent);
        let until = alone.zip(usual).map(|(until, usual)| {
            let usual = i64::try_from(usual.as_micros()).unwrap_or(i64::MAX);
            until.unwrap_or(now.saturating_add(usual))
        });
        Ok(Reply::Extended(Extended {
            agent,
            alone_until: until.and_then(|until| Timestamp::from_microsecond(until).ok()),
        }))
    }
}

/// A limit with what it counts.
type Counted = (Scope, Option<RunId>, Limit);

fn server_length(scope: &Scope) -> usize {
    match scope {
        Scope::Server(server) | Scope::Tool(server, _) => server.as_str().len(),
        Scope::Everything | Scope::Agent(_) => 0,
    }
}

fn agent_of(runs: &[RunKnown], run: &RunId) -> Option<AgentName> {
    let known = runs.iter().find(|known| known.run == *run)?;
    Some(known.agent.clone())
}

fn no_such_run(run: &RunId) -> Refused {
    Refused::new(
        RefusedCode::NotFound,
        format!("no run `{run}` is remembered"),
    )
    .hint("a run is remembered from its first call, also one that is refused, until a day after its last; `tollgate budget --all` lists them")
}
