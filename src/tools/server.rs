//! One registered server: its instances, and who gets which.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

use super::{
    arrival::Ration,
    child::Child,
    exit::Gone,
    feed,
    handshake::{self, Hint},
    instance::{Instance, lock},
    listing,
    place::{Cell, Held, Places},
    pool::{Listed, Listener, Registered},
    switch::Switch,
    track::{Record, remember_end},
    unplaced::{Unplaced, begin},
};
use crate::{
    domain::{Capabilities, Era, Guise, Met, RunId, ToolFault},
    ports::{Caller, Event},
    wire::Raw,
};

/// See the module.
pub(super) struct Server {
    pub(super) registered: Registered,
    /// The instance that feeds the catalogue.
    pub(super) catalogue: Cell,
    pub(super) runs: Mutex<HashMap<RunId, Places>>,
    keeper: PathBuf,
    events: broadcast::Sender<Event>,
    /// Hears what instances of runs have.
    listener: Listener,
    pub(super) switch: Switch,
    pub(super) record: Arc<Mutex<Record>>,
    /// The agent that arrived last of those for whom something is to be done.
    pub(super) arrived: watch::Sender<Guise>,
    pub(super) ration: Mutex<Ration>,
}

/// An instance that has been greeted and has not ended.
pub(super) fn ready(instance: Arc<Instance>) -> Option<Arc<Instance>> {
    (instance.ended().is_none() && instance.greeting.get().is_some()).then_some(instance)
}

/// What became of the wish to take the catalogue's instance.
enum Adopted {
    Fits(Arc<Instance>),
    /// It cannot be had; or this is there and no run has it, but it was told something
    /// else.
    Not(Option<Arc<Instance>>),
}

fn run_over() -> ToolFault {
    ToolFault::Unsent("its run is over".to_owned())
}

impl Server {
    pub(super) fn new(
        registered: Registered,
        keeper: &Path,
        events: broadcast::Sender<Event>,
        listener: Listener,
        switch: Switch,
    ) -> Self {
        let mut record = Record::default();
        if let Some(known) = registered.known {
            record.met = known.met;
            record.era = known.met.of(known.told.era);
            record.next = known.told;
        }
        if let Some(era) = registered.era {
            record.met = Met::only(era);
            record.era = Some(era);
        }
        Self {
            registered,
            catalogue: Cell::default(),
            runs: Mutex::default(),
            keeper: keeper.to_owned(),
            events,
            listener,
            switch,
            record: Arc::new(Mutex::new(record)),
            arrived: watch::Sender::default(),
            ration: Mutex::default(),
        }
    }

    /// The instance that serves this run.
    pub(super) async fn seat(
        self: &Arc<Self>,
        run: &RunId,
        caller: &Arc<dyn Caller>,
    ) -> Result<Arc<Instance>, ToolFault> {
        if self.registered.shared {
            return self.catalogue().await;
        }
        let (cell, guise, mut open) = lock(&self.runs)
            .entry(run.clone())
            .or_default()
            .cell(caller.guise());
        let place = cell.lock_owned().await;
        if let Some(instance) = place.clone().and_then(ready) {
            // Who ended the run's instances may have looked while the place was handed on.
            if open.has_ended() {
                instance.end("its run is over");
                return Err(run_over());
            }
            return Ok(instance);
        }
        let own = self.clone().own(place, run.clone(), guise, caller.clone());
        begin(async move {
            let own = tokio::select! {
                biased;
                () = open.ended() => return Err(run_over()),
                own = own => own?,
            };
            // It may have ended in the very moment in which the place was filled.
            if open.has_ended() {
                own.end("its run is over");
                return Err(run_over());
            }
            Ok(own)
        })
        .await
    }

    /// Finds a run an instance of its own, and puts it in its place.
    async fn own(
        self: Arc<Self>,
        mut place: Held,
        run: RunId,
        guise: Guise,
        caller: Arc<dyn Caller>,
    ) -> Result<Arc<Instance>, ToolFault> {
        lock(&self.record).next = guise;
        let instance = match self.adopt(&run, guise).await {
            Adopted::Fits(instance) => instance,
            Adopted::Not(other) => {
                let (unplaced, tools) = self.listed(guise, Some(&caller)).await?;
                let learns = unplaced.questions.learns();
                let _ = tokio::time::timeout(self.registered.start, learns).await;
                *lock(&unplaced.run) = Some(run);
                if !self.replace(other, &unplaced).await {
                    // Told before its first call is judged: what that is refused for
                    // is there to be accepted.
                    (self.listener)(Listed::Beside(self.registered.name.clone(), tools));
                    tokio::spawn(feed::follow(
                        unplaced.clone(),
                        self.registered.start,
                        self.listener.clone(),
                    ));
                }
                unplaced.placed()
            }
        };
        instance.host.is(Some(caller));
        *place = Some(instance.clone());
        Ok(instance)
    }

    /// The instance that feeds the catalogue, started if needed.
    pub(super) async fn catalogue(self: &Arc<Self>) -> Result<Arc<Instance>, ToolFault> {
        let mut place = self.catalogue.clone().lock_owned().await;
        if let Some(instance) = place.clone().and_then(ready) {
            return Ok(instance);
        }
        let server = self.clone();
        begin(async move {
            let guise = if server.registered.shared {
                // It will serve agents of whom nobody knows yet what they can be asked.
                Guise::default()
            } else {
                lock(&server.record).next
            };
            lock(&server.record).starting = Some(guise);
            let (unplaced, _) = server.listed(guise, None).await?;
            let instance = unplaced.placed();
            *place = Some(instance.clone());
            Ok(instance)
        })
        .await
    }

    /// The instances that a run has now.
    pub(super) fn of_run(&self, run: &RunId) -> Vec<Arc<Instance>> {
        let runs = lock(&self.runs);
        let places = runs.get(run).into_iter();
        places.flat_map(Places::instances).collect()
    }

    /// The one of them for a call of an agent that declares this.
    pub(super) fn for_call(&self, run: &RunId, declare: Capabilities) -> Option<Arc<Instance>> {
        lock(&self.runs).get(run)?.instance(declare)
    }

    /// The catalogue's instance, if no run has it and it is what it would be for this
    /// run's agent.
    async fn adopt(&self, run: &RunId, guise: Guise) -> Adopted {
        let place = match self.catalogue.try_lock() {
            Ok(place) => place,
            // It is being started for another, which may take its time.
            Err(_) if lock(&self.record).starting != Some(guise) => return Adopted::Not(None),
            Err(_) => self.catalogue.lock().await,
        };
        let Some(instance) = place.clone().and_then(ready) else {
            return Adopted::Not(None);
        };
        let mut owner = lock(&instance.run);
        if owner.is_some() {
            return Adopted::Not(None);
        }
        let fits = match instance.era() {
            Era::Modern => self.speaks_to(guise.era, &instance),
            // What it has asked for at its start it would be without for good.
            Era::Legacy => self.is_for(guise, &instance) && !instance.host.was_missing(),
        };
        if fits {
            *owner = Some(run.clone());
        }
        drop(owner);
        match fits {
            true => Adopted::Fits(instance),
            false => Adopted::Not(Some(instance)),
        }
    }

    /// Puts an instance in the place of the catalogue's, if no run has taken that one
    /// meanwhile: what a server offers may depend on what it was told, and the lists
    /// are to be of what is used. Nobody waits for the place while it starts.
    async fn replace(&self, other: Option<Arc<Instance>>, by: &Arc<Instance>) -> bool {
        let Some(other) = other.and_then(ready) else {
            return false;
        };
        let mut place = self.catalogue.lock().await;
        let is_there = place.as_ref().is_some_and(|now| Arc::ptr_eq(now, &other));
        if !is_there || lock(&other.run).is_some() {
            return false;
        }
        *place = Some(by.clone());
        other.end("another takes its place");
        true
    }

    /// Starts a process and asks it for its tools; it takes no call before.
    pub(super) async fn listed(
        &self,
        guise: Guise,
        host: Option<&Arc<dyn Caller>>,
    ) -> Result<(Unplaced, Vec<Raw>), ToolFault> {
        let instance = self.launch(guise, host).await?;
        let tools = listing::tools(&instance, self.registered.start);
        match self.switch.unless_stopped(tools).await {
            Ok(tools) => Ok((instance, tools)),
            // It has done nothing wrong.
            Err(fault) if self.switch.is_stopped() => Err(fault),
            Err(fault) => {
                let why = format!("its tools could not be listed: it {fault}");
                tracing::warn!(server = %self.registered.name, "{why}");
                // The end of one that ended by itself is written down already.
                if instance.ended().is_none() {
                    lock(&self.record).failed(&why);
                    instance.end(&why);
                }
                Err(fault)
            }
        }
    }

    /// Starts a process and meets it.
    async fn launch(
        &self,
        guise: Guise,
        host: Option<&Arc<dyn Caller>>,
    ) -> Result<Unplaced, ToolFault> {
        if let Some(missing) = &self.registered.missing {
            lock(&self.record).failed(missing);
            return Err(ToolFault::NotStarted(missing.clone()));
        }
        if let Some(why) = self.backing_off() {
            return Err(ToolFault::NotStarted(why));
        }
        let remembered = self.registered.era.is_none();
        let (hint, is_first, speaks_other) = {
            let record = lock(&self.record);
            let other = guise.era.other();
            let speaks_other = record.met.of(other) == Some(other);
            (record.hint(guise.era), record.failures == 0, speaks_other)
        };
        let mut met = self.meet(hint, guise, host).await;
        // A server that leaves at the sight of the probe is asked the old way;
        // one whose remembered era no longer fits is asked anew. It may also leave at
        // what it is asked: then it is asked in the other era, after the first failure
        // at once and from then on in turns, so that one that is broken is not started
        // twice as often.
        let again = match (&met, hint) {
            (Err(ToolFault::Exited(_)), Hint::First(era)) => Some(Hint::Known(era.other())),
            // It is known to answer in the other.
            (Err(ToolFault::Idle(_) | ToolFault::Overdue(_)), Hint::First(era)) if speaks_other => {
                Some(Hint::Known(era.other()))
            }
            (Err(ToolFault::NotStarted(_)), Hint::Known(_)) if remembered => {
                Some(Hint::First(guise.era))
            }
            (Err(ToolFault::Exited(_)), Hint::Known(era)) if remembered && is_first => {
                Some(Hint::Known(era.other()))
            }
            (Ok(_) | Err(_), Hint::First(_) | Hint::Known(_)) => None,
        };
        if let Some(again) = again {
            let met_again = self.meet(again, guise, host).await;
            // What the other era makes of it explains nothing, unless the first was asked
            // in one that it may never have heard of.
            let explains = match (hint, again) {
                (Hint::First(Era::Modern), _) | (_, Hint::First(_)) => true,
                (Hint::First(Era::Legacy) | Hint::Known(_), Hint::Known(_)) => false,
            };
            if met_again.is_ok() || explains {
                met = met_again;
            }
        }
        match met {
            Ok(instance) => {
                let mut record = lock(&self.record);
                record.era = Some(instance.era());
                record.met.learns(guise.era, instance.era());
                record.doubt = false;
                record.live.retain(|live| live.strong_count() > 0);
                record.live.push(Arc::downgrade(&instance));
                Ok(instance)
            }
            // Nor is a server to blame that was ended because tollgate is.
            Err(fault) if self.switch.is_stopped() || lock(&self.record).is_closed => Err(fault),
            Err(fault) => {
                let why = match fault {
                    ToolFault::Exited(how) => format!("it ended during its start: {how}"),
                    ToolFault::Idle(limit) | ToolFault::Overdue(limit) => {
                        format!("it did not answer within {} s", limit.as_secs_f32())
                    }
                    ToolFault::NotStarted(why)
                    | ToolFault::Malformed(why)
                    | ToolFault::Cancelled(why)
                    | ToolFault::Unsent(why)
                    | ToolFault::Protocol(why) => why,
                    ToolFault::Busy(_) | ToolFault::Oversized { .. } => fault.to_string(),
                };
                tracing::warn!(server = %self.registered.name, "cannot be started: {why}");
                lock(&self.record).not_met(&why, remembered);
                Err(ToolFault::NotStarted(why))
            }
        }
    }

    /// One process, one handshake. What does not come up is ended.
    async fn meet(
        &self,
        hint: Hint,
        guise: Guise,
        host: Option<&Arc<dyn Caller>>,
    ) -> Result<Unplaced, ToolFault> {
        let stopping = || ToolFault::NotStarted("tollgate is stopping".to_owned());
        if lock(&self.record).is_closed {
            return Err(stopping());
        }
        self.switch.may_start()?;
        let started = Child::spawn(&self.keeper, &self.registered.launch)
            .await
            .map_err(|error| {
                ToolFault::NotStarted(match error.hint() {
                    Some(hint) => format!("{error} ({hint})"),
                    None => error.to_string(),
                })
            })?;
        let instance = Unplaced::new(Instance::start(
            self.registered.name.clone(),
            started,
            guise,
            self.registered.shared,
            self.events.clone(),
            self.switch.clone(),
        )?);
        instance.host.is(host.cloned());
        if !lock(&self.record).started(&instance) {
            return Err(stopping());
        }
        tokio::spawn(remember_end(self.record.clone(), instance.clone()));
        let greeting = handshake::greet(&instance, hint, guise.can, self.registered.start);
        match self.switch.unless_stopped(greeting).await {
            Ok(()) => Ok(instance),
            Err(fault) => {
                lock(&self.record).last_words = instance.child.stderr().tail(50);
                instance.end("it could not be greeted");
                Err(fault)
            }
        }
    }

    fn backing_off(&self) -> Option<String> {
        let record = lock(&self.record);
        let left = record.not_before?.checked_duration_since(Instant::now())?;
        let tried = match record.failures {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        Some(format!(
            "{} (tried {tried}, next try in {} s)",
            record.trouble.as_deref().unwrap_or("it keeps failing"),
            left.as_secs() + 1
        ))
    }

    /// How long until a start makes sense.
    pub(super) fn wait(&self) -> Duration {
        lock(&self.record)
            .not_before
            .and_then(|then| then.checked_duration_since(Instant::now()))
            .unwrap_or(Duration::ZERO)
    }

    /// Every instance that has not ended.
    pub(super) fn live(&self) -> Vec<Arc<Instance>> {
        lock(&self.record)
            .live
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|instance| instance.ended().is_none())
            .collect()
    }

    /// Ends every process there is; each tells when it is gone, with all that it
    /// started. Those too that nobody uses any more and that take their time.
    pub(super) fn end_all(&self, why: &str) -> Vec<watch::Receiver<Option<Gone>>> {
        let started = lock(&self.record).close();
        let ended = started.into_iter().map(|(instance, gone)| {
            if let Some(instance) = instance.upgrade() {
                instance.end(why);
            }
            gone
        });
        ended.collect()
    }
}
