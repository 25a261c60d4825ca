//! Histories of the local store, drawn from a seed: calls of all tiers by two
//! agents, stops and resumes, pins, runs that use up what they may and are ended,
//! jumping clocks, also ones that are years ahead for a few calls, slow and failing
//! writes, and crashes between any two writes; held against a model of a few lines.
//!
//!     SIM_SEEDS=2000 cargo test --test sim     what CI runs
//!     SIM_SEED=17 cargo test --test sim        the history that failed, again
//!
//! The journal is on a simulated disk. What is kept beside it is sled's, which
//! knows only real files: one history in sixteen keeps it, in a directory that
//! survives every crash as it was; the others build the state from the journal.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; its helpers serve several programs"
)]

#[path = "sim/model.rs"]
mod model;
mod simdisk;
#[path = "stores/mod.rs"]
mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Crash, Fate, Model, fits, passes, read};
use simdisk::{Dice, SimDisk, Step};
use stores::{call, context, futures, lines, print, raw, server, settlement, stop};
use tollgate::clock::{Clock, SetClock};
use tollgate::domain::{
    AgentName, Amounts, Call, CallId, Dimension, Fault, Finding, Halt, Level, Offer, Outcome,
    RunId, Scope, ServerName, Standing, StopScope, Subject, Terms, Tier, ToolFault,
};
use tollgate::ports::{
    Admission, Answer, Helping, Permit, Posed, Query, Question, Questions, Settlement, Store,
};
use tollgate::store::journal::Pace;
use tollgate::store::{LocalStore, Setup};
use tollgate::wire::asks::{ROOTS, SAMPLING};

const STEPS: usize = 70;
/// A history fills several, and what is kept free for the ends of `FLYING` calls
/// fits one.
const SEGMENT: u64 = 24 << 10;
const FLYING: usize = 3;
/// How many calls a run may make: in some histories nobody meets it.
const ALLOWED: [u64; 4] = [1, 2, 4, 1000];
const RUNS: [&str; 3] = ["1", "2", "3"];
const AGENTS: [&str; 2] = ["ann", "bot"];
const SERVERS: [&str; 2] = ["files", "mail"];
const TOOLS: [&str; 3] = ["rm", "mv", "ls"];
const DEFINITIONS: [&str; 3] = ["\"one\"", "\"two\"", "\"three\""];

#[test]
fn every_history_agrees_with_the_model() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return History::new(seed.parse().unwrap()).live();
    }
    let seeds = std::env::var("SIM_SEEDS").map_or(75, |n| n.parse().unwrap());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let lived = catch_unwind(AssertUnwindSafe(|| History::new(seed).live()));
                    if let Err(panic) = lived {
                        eprintln!("\nagain with: SIM_SEED={seed} cargo test --test sim\n");
                        next.store(seeds, Ordering::Relaxed);
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}

struct History {
    dice: Dice,
    disk: SimDisk,
    clock: Arc<SetClock>,
    home: Option<tempfile::TempDir>,
    store: Option<LocalStore>,
    /// What holds now.
    now: Model,
    /// What may hold after a power cut, oldest first; the last is `now` or what
    /// a failed step would have made of it.
    may: Vec<Model>,
    /// What may hold after a kill: from this one on.
    written: usize,
    /// A write failed: nothing may be recorded until the next start.
    broken: bool,
    /// Something was set to fail: it may happen at any time.
    armed: bool,
    running: BTreeMap<CallId, (Call, Permit)>,
    terms: Arc<Terms>,
    /// The clock went ahead so far that runs may have been forgotten.
    days: bool,
    /// How many calls were let through while the clock was years ahead, or since it went
    /// ahead by days: once it is back, they count beside what was used before.
    strayed: u64,
    fates: BTreeMap<CallId, Fate>,
    /// Calls whose fate would survive a power cut.
    safe: BTreeMap<CallId, Fate>,
    made: u32,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut history = Self {
            terms: Arc::new(model::terms(ALLOWED[dice.below(4)])),
            days: false,
            strayed: 0,
            dice,
            disk: SimDisk::new(),
            clock: Arc::new(SetClock::at("2026-01-01T12:00:00Z".parse().unwrap())),
            home: seed
                .is_multiple_of(16)
                .then(|| tempfile::tempdir().unwrap()),
            store: None,
            now: Model::default(),
            may: vec![Model::default()],
            written: 0,
            broken: false,
            armed: false,
            running: BTreeMap::new(),
            fates: BTreeMap::new(),
            safe: BTreeMap::new(),
            made: 0,
        };
        history.open();
        history
    }

    fn live(mut self) {
        for _ in 0..STEPS {
            match self.dice.below(if self.broken { 24 } else { 40 }) {
                0..=1 => self.crash(Crash::Kill),
                2..=3 => self.crash(Crash::PowerCut),
                4..=6 => self.stop(),
                7..=9 => self.resume(),
                10 => self.help(),
                11..=14 => self.pin(),
                15..=16 => self.accept(),
                17 => self.clock_jumps(),
                25 if self.dice.one_in(2) => self.clock_strays(),
                18 => self.trouble_ahead(),
                19 => self.slow_stop(),
                20 => self.look(),
                21 => self.keep(),
                22 => self.end_in_order(),
                23..=28 => self.settle(),
                _ if self.running.len() == FLYING => self.settle(),
                _ => {
                    self.admit();
                    (0..self.dice.below(4)).for_each(|_| self.asks());
                }
            }
            self.clock
                .advance(Duration::from_millis(self.dice.next() % 900));
        }
        self.crash(Crash::Kill);
        self.look();
    }

    fn store(&self) -> &LocalStore {
        self.store.as_ref().unwrap()
    }

    // ---- what agents do

    fn admit(&mut self) {
        let call = self.any_call();
        let before = self.passes(&call);
        let arguments = format!(
            r#"{{"a":[1,2,3],"pad":"{}"}}"#,
            "x y ".repeat(self.dice.below(400))
        );
        let admitted = self.store().admit(&call, &context(&arguments));
        let admitted = admitted.and_then(|admission| match admission {
            Admission::Refused(_) => Ok(None),
            Admission::Cleared(intent) => futures(intent.permit()).map(Some),
        });
        let fate = match admitted {
            Err(fault) => {
                self.broke(&fault);
                Fate::NotAdmitted
            }
            Ok(permit) => {
                assert!(!self.broken, "nothing passes once a write failed");
                assert_eq!(permit.is_some(), before, "{call:?} in {:?}", self.now);
                match permit {
                    None => Fate::Refused,
                    Some(permit) => {
                        assert_eq!(*permit.call(), call.id);
                        self.running.insert(call.id.clone(), (call.clone(), permit));
                        self.strayed += u64::from(self.days);
                        Fate::Running
                    }
                }
            }
        };
        self.fates.insert(call.id, fate);
    }

    /// Answered also by a store that can't record any more.
    fn judge(&mut self) {
        let call = self.any_call();
        assert_eq!(passes(self.store(), &call), self.passes(&call));
    }

    fn passes(&self, call: &Call) -> bool {
        self.now.passes(call) && self.has_room(call) && !self.follows(call)
    }

    /// By what the store says of the runs that it knows: a stop of another of them. So
    /// only agreement is held here; what follows is held in `tests/stores.rs`.
    fn follows(&self, call: &Call) -> bool {
        let stop = self.store().stop_of(&call.by.agent, &call.run);
        matches!(stop, Some(stop) if !stop.scope.covers(&call.by.agent, &call.server, &call.run))
    }

    /// By what the store says of its limits, which the journal is held against.
    fn has_room(&self, call: &Call) -> bool {
        let level = self.level(&call.run);
        let halts = self.store().halts();
        level.total() < level.allowed(&self.terms.limits[0])
            && !halts.iter().any(|halt| halt.agent == call.by.agent)
    }

    fn level(&self, run: &RunId) -> Level {
        let limit = self.terms.limits[0].clone();
        let asked = [(Scope::Everything, Some(run.clone()), limit)];
        self.store().levels(&asked)[0]
    }

    fn settle(&mut self) {
        let nth = self.dice.below(self.running.len());
        let Some(id) = self.running.keys().nth(nth).cloned() else {
            return;
        };
        let (call, permit) = self.running.remove(&id).unwrap();
        let outcome = match self.dice.below(4) {
            0 => Outcome::Asked,
            1 => Outcome::Failed(ToolFault::NotStarted("no such file".into())),
            2 => Outcome::Unknown(ToolFault::Exited("killed".into())),
            _ => settlement("{}").outcome,
        };
        let word = outcome.word();
        let end = Settlement {
            outcome,
            charged: call.claim.ask,
            ..settlement(r#"{"ok":true}"#)
        };
        let settled = self.store().settle(permit.spend(), &call, &end);
        assert!(settled.is_err() || !self.broken);
        let recorded = settled.map_err(|fault| self.broke(&fault)).is_ok();
        self.fates.insert(id, Fate::Settled(word, recorded));
    }

    /// The server of a call asks the user of its agent, or the client's model, and perhaps
    /// gets an answer.
    fn asks(&mut self) {
        let nth = self.dice.below(self.running.len().max(1));
        let Some((call, _)) = self.running.values().nth(nth) else {
            return;
        };
        let call = call.clone();
        let method = [SAMPLING, ROOTS][self.dice.below(2)];
        let question = Question {
            server: call.server.clone(),
            method: method.into(),
            params: Some(raw(r#"{"why":"because"}"#)),
        };
        let terms = self.terms.clone();
        let posed = Posed {
            call: &call.id,
            run: &call.run,
            agent: &call.by.agent,
            question: &question,
            number: 1,
            is_declared: true,
            no_sampling: None,
            limits: &[(Scope::Everything, &terms.limits[0])],
        };
        let counts = question.asks_the_model();
        let level = self.level(&call.run);
        let room = level.total() < level.allowed(&terms.limits[0]);
        // That none leaves after a halt is seen in the record.
        let is_halted = self.store().halt_of(&call.by.agent).is_some();
        let may_leave = !is_halted && !self.now.is_stopped(&call);
        match self.store().posed(&[posed]) {
            Err(fault) => return self.broke(&fault),
            Ok(no) => {
                assert!(!self.broken, "nothing is asked once a write failed");
                let passes = may_leave && (!counts || room);
                assert_eq!(no.is_none(), passes, "{no:?}");
                self.strayed += u64::from(self.days && counts && no.is_none());
            }
        }
        if self.dice.one_in(2) {
            let answer = Answer::Result(raw(r#"{"roots":[]}"#));
            let answered = self.store().answered(&posed, &answer, Duration::ZERO);
            if let Err(fault) = answered {
                self.broke(&fault);
            }
        }
    }

    fn any_call(&mut self) -> Call {
        self.made += 1;
        let dice = &mut self.dice;
        let run = RUNS[dice.below(3)];
        let base = Call {
            claim: model::claim(&self.terms),
            ..call(&self.made.to_string(), AGENTS[dice.below(2)], run)
        };
        let server = server(SERVERS[dice.below(2)]);
        if dice.one_in(3) {
            return Call { server, ..base };
        }
        let tier = match dice.below(6) {
            0..=2 => Tier::Read,
            3 => Tier::Reversible,
            4 => Tier::Consequential,
            _ => Tier::Irreversible,
        };
        let offer = match dice.below(12) {
            0 => Offer::Off,
            1 => Offer::Unclassified,
            _ => Offer::At(tier),
        };
        let tool = TOOLS[dice.below(3)];
        // Mostly what was accepted.
        let accepted = self.now.pins.get(&(server.clone(), tool));
        let standing = match (accepted, dice.below(10)) {
            (_, 0) => Standing::Missing,
            (Some(pin), 1..=7) => Standing::Defined(pin.accepted),
            _ => Standing::Defined(print(DEFINITIONS[dice.below(3)])),
        };
        let mut call = Call {
            server,
            subject: Subject::Tool(tool.into()),
            tier,
            offer,
            standing,
            ..base
        };
        if dice.one_in(12) {
            call.findings.rules.push(Finding {
                at: "/path".into(),
                says: "is outside of `/srv`".into(),
                rule: None,
            });
        }
        call
    }

    // ---- what people and servers do

    fn stop(&mut self) {
        let scope = self.any_scope();
        let stopped = self.store().stop(stop(scope.clone()));
        self.stopped(scope, stopped);
    }

    /// In force, whatever it returned.
    fn stopped(&mut self, scope: StopScope, stopped: Result<(), Fault>) {
        self.now.stops.insert(scope);
        self.may.push(self.now.clone());
        match stopped {
            Ok(()) => self.synced(),
            Err(fault) => self.broke(&fault),
        }
        assert_eq!(Model::of(self.store()), self.now);
        self.judge();
    }

    fn resume(&mut self) {
        let scope = self.any_scope();
        let there = self.now.stops.contains(&scope);
        let mut lifted = self.now.clone();
        lifted.stops.remove(&scope);
        match self.store().resume(&scope, "ann") {
            Ok(said) => {
                assert_eq!(said, there);
                if there {
                    assert!(!self.broken);
                    self.now = lifted;
                    self.may.push(self.now.clone());
                    self.synced();
                }
            }
            Err(fault) => {
                // It stays in force here; the record of its end may be there.
                self.may.push(lifted);
                self.broke(&fault);
            }
        }
        assert_eq!(Model::of(self.store()), self.now);
        self.judge();
    }

    /// A person lifts what holds an agent, or adds to what a run may use.
    fn help(&mut self) {
        let agent = AgentName::parse(AGENTS[self.dice.below(2)]).unwrap();
        let run = RunId::from_tail(RUNS[self.dice.below(3)]);
        let helped = if self.dice.one_in(2) {
            let halted = self.store().halts().iter().any(|halt| halt.agent == agent);
            let lifted = self.store().clear(&agent, "ann");
            lifted.map(|lifted| assert_eq!(lifted, halted))
        } else {
            let added = Amounts::ZERO.with(Dimension::Calls, 2);
            let helping = Helping { added, alone: None };
            self.store().extend(&run, &helping, "ann").map(drop)
        };
        if let Err(fault) = helped {
            self.broke(&fault);
        }
    }

    fn pin(&mut self) {
        let (server, tool) = self.any_tool();
        let text = DEFINITIONS[self.dice.below(3)];
        let mut pinned = self.now.clone();
        let accepted = pinned.pin(&server, tool, print(text));
        match self.store().pin(&server, tool, &raw(text), print(text)) {
            Ok(said) => {
                assert_eq!(said, accepted);
                assert!(!self.broken || pinned == self.now);
                if pinned != self.now {
                    self.now = pinned;
                    self.may.push(self.now.clone());
                    self.written = self.may.len() - 1;
                }
            }
            Err(fault) => self.half_done(pinned, &fault),
        }
    }

    fn accept(&mut self) {
        let (server, tool) = self.any_tool();
        let mut accepted = self.now.clone();
        let seen = accepted.offered(&server, tool);
        let there = accepted.accept(&server, tool);
        // What nobody offers cannot have been seen.
        let seen = seen.unwrap_or(tollgate::domain::Fingerprint([0; 32]));
        match self.store().accept(&server, tool, seen, "ann") {
            Ok(said) => {
                assert_eq!(said, there);
                if there {
                    assert!(!self.broken);
                    self.now = accepted;
                    self.may.push(self.now.clone());
                    self.synced();
                }
            }
            Err(fault) => self.half_done(accepted, &fault),
        }
    }

    /// A step that failed may be in the memory of a store that admits nothing
    /// any more, and may be found by the next.
    fn half_done(&mut self, would_be: Model, fault: &Fault) {
        self.may.push(would_be);
        self.now = Model::of(self.store());
        self.broke(fault);
    }

    fn any_scope(&mut self) -> StopScope {
        let nth = self.dice.below(2);
        match self.dice.below(7) {
            0 => StopScope::Everything,
            1 | 2 => StopScope::Agent(AgentName::parse(AGENTS[nth]).unwrap()),
            3 | 4 => StopScope::Server(server(SERVERS[nth])),
            _ => StopScope::Run(RunId::from_tail(["1", "2"][nth])),
        }
    }

    fn any_tool(&mut self) -> (ServerName, &'static str) {
        let tool = TOOLS[self.dice.below(3)];
        (server(SERVERS[self.dice.below(2)]), tool)
    }

    // ---- what the machine does

    fn clock_jumps(&mut self) {
        let now = self.clock.now();
        let to = match self.dice.below(3) {
            0 => now - Duration::from_secs(3600),
            1 => now - Duration::from_millis(1),
            _ => {
                self.days = true;
                now + Duration::from_secs(86_400)
            }
        };
        self.clock.jump_to(to);
    }

    /// It is years ahead for a few calls and then right again: what was used is.
    fn clock_strays(&mut self) {
        let right = self.clock.now();
        self.clock
            .jump_to(right + Duration::from_secs(3650 * 86_400));
        for _ in 0..=self.dice.below(3) {
            match self.dice.below(3) {
                0 => self.settle(),
                _ if self.running.len() == FLYING => self.settle(),
                _ => {
                    self.admit();
                    self.strayed += 1;
                }
            }
        }
        self.clock.jump_to(right);
        self.look();
    }

    fn trouble_ahead(&mut self) {
        match self.dice.below(4) {
            0 => {
                // No harm: every write takes several.
                self.disk.set_shortest(1 + self.dice.below(200));
                return;
            }
            1 => {
                let step = [Step::Write, Step::Sync, Step::Create][self.dice.below(3)];
                let nth = 1 + self.dice.next() % 6;
                self.disk.fail(step, nth, ErrorKind::Other);
            }
            _ => self.disk.set_fuse(1 + self.dice.next() % 20),
        }
        self.armed = true;
    }

    /// While the disk takes its time, nothing passes that the stop covers.
    fn slow_stop(&mut self) {
        let scope = self.any_scope();
        if self.broken || self.armed || self.now.stops.contains(&scope) {
            return;
        }
        let calls: Vec<Call> = (0..4).map(|_| self.any_call()).collect();
        let mut expected = self.now.clone();
        expected.stops.insert(scope.clone());
        self.disk.hold_syncs(true);
        let (store, disk) = (self.store(), &self.disk);
        let stopped = std::thread::scope(|threads| {
            let stopping = threads.spawn(|| store.stop(stop(scope.clone())));
            // In force before anything is written: no need to wait for the disk.
            let there = |_| {
                std::thread::yield_now();
                store.stops().all().iter().any(|stop| stop.scope == scope)
            };
            let in_force = (0..10_000_000).any(there);
            let judged: Vec<bool> = calls.iter().map(|call| passes(store, call)).collect();
            disk.hold_syncs(false);
            assert!(in_force, "{scope} waits for the disk");
            let wanted = calls
                .iter()
                .map(|call| expected.passes(call) && self.has_room(call) && !self.follows(call));
            let wanted: Vec<bool> = wanted.collect();
            assert_eq!(judged, wanted, "{calls:?}");
            stopping.join().unwrap()
        });
        assert_eq!(stopped, Ok(()));
        self.stopped(scope, stopped);
    }

    fn keep(&mut self) {
        match self.store().keep() {
            Ok(()) => assert_eq!(self.store().unkept(), None),
            Err(fault) => self.broke(&fault),
        }
    }

    fn end_in_order(&mut self) {
        self.store().close();
        self.crash(Crash::Kill);
    }

    fn crash(&mut self, how: Crash) {
        let found = match how {
            Crash::Kill => self.disk.kill(),
            Crash::PowerCut => self.disk.power_cut(&mut self.dice),
        };
        let halts = (!self.broken).then(|| self.store().halts());
        // What the old process would still do, it does not do any more.
        self.disk.set_fuse(0);
        self.store = None;
        self.disk = found;
        self.running.clear();
        for fate in self.fates.values_mut() {
            if *fate == Fate::Running {
                *fate = Fate::Lost;
            }
        }
        let how = match self.open() {
            Crash::Kill => how,
            Crash::PowerCut => Crash::PowerCut,
        };
        let found = Model::of(self.store());
        let first = match how {
            Crash::Kill => self.written,
            Crash::PowerCut => 0,
        };
        assert!(
            self.may[first..].contains(&found),
            "{how:?}: found {found:?}, not one of {:?}",
            &self.may[first..]
        );
        if let (Crash::Kill, Some(before)) = (how, halts) {
            let (now, after) = (self.clock.now().as_microsecond(), self.store().halts());
            // One of a time to come is of the time that has proved right once a record, such
            // as that of a start, comes a day later.
            let stays = |halt: &&Halt| halt.at <= now;
            assert!(before.iter().filter(stays).all(|halt| after.contains(halt)));
            let known = |halt: &Halt| before.iter().any(|one| one.agent == halt.agent);
            assert!(after.iter().all(known), "{before:?}, {after:?}");
        }
        self.now = found.clone();
        self.may = vec![found];
        self.written = 0;
        self.as_recorded(how);
        self.look();
    }

    /// Opens, also when it is cut short several times; says how, at worst.
    fn open(&mut self) -> Crash {
        let mut worst = Crash::Kill;
        for again in 0.. {
            let doomed = again < 3 && self.dice.one_in(4);
            if doomed {
                self.disk.set_fuse(self.dice.next() % 25);
            }
            match LocalStore::open(self.setup()) {
                Ok(store) if !self.disk.blown() => {
                    self.store = Some(store);
                    break;
                }
                // It opened with its last step, or not.
                Ok(_) => {}
                Err(fault) => assert!(self.disk.blown(), "{fault:?}"),
            }
            self.disk = match self.dice.one_in(2) {
                true => self.disk.kill(),
                false => {
                    worst = Crash::PowerCut;
                    self.disk.power_cut(&mut self.dice)
                }
            };
        }
        // A fuse that did not blow is taken out.
        self.disk.set_fuse(u64::MAX / 2);
        self.broken = false;
        self.armed = false;
        worst
    }

    fn setup(&self) -> Setup {
        let state = match &self.home {
            Some(home) => home.path().to_path_buf(),
            None => PathBuf::from("/state"),
        };
        Setup {
            disk: Arc::new(self.disk.clone()),
            segment_bytes: SEGMENT,
            pace: Pace::Inline,
            // Only when a step of the history says so.
            keep_every: self.home.as_ref().map(|_| Duration::from_secs(100_000)),
            ..Setup::new(Path::new(&state), self.clock.clone())
        }
    }

    fn broke(&mut self, fault: &Fault) {
        assert!(self.armed || self.broken, "{fault:?}");
        // Where a segment could not be made, the disk is full for what can be refused,
        // and what ends something is recorded.
        self.broken |= !fault.says.contains("the disk is full");
    }

    /// Everything up to here survives a power cut.
    fn synced(&mut self) {
        self.may = vec![self.now.clone()];
        self.written = 0;
        self.safe = self.fates.clone();
    }

    // ---- what must hold

    /// What the store says of itself.
    fn look(&self) {
        if self.broken {
            return;
        }
        let store = self.store();
        assert_eq!(Model::of(store), self.now);
        let flying = store.in_flight();
        let flying: BTreeSet<&CallId> = flying.iter().map(|flying| &flying.call).collect();
        assert_eq!(flying, self.running.keys().collect());
        for run in RUNS {
            let level = self.level(&RunId::from_tail(run));
            let allowed = level.allowed(&self.terms.limits[0]);
            assert!(
                level.total() <= allowed + self.strayed,
                "{level:?} in run {run}"
            );
        }
        if self.armed {
            return;
        }
        store.check().unwrap();
        assert_eq!(store.verify().unwrap().broken, None);
    }

    /// What the journal says after a crash, read line by line.
    fn as_recorded(&mut self, how: Crash) {
        let all = Query {
            limit: Some(usize::MAX),
            ..Query::default()
        };
        let records = lines(&self.store().query(&all).unwrap());
        let (stops, mut told, used) = read(&records);
        assert_eq!(stops, self.now.stops);
        for run in RUNS.map(RunId::from_tail) {
            let (known, used) = (self.level(&run).total(), used.get(&run).copied());
            let used = used.unwrap_or(0);
            assert!(
                known == used || (self.days && known < used),
                "{run:?}: {known}, not {used}"
            );
        }
        for (call, fate) in &self.fates {
            let told = told.remove(call).unwrap_or_default();
            let told: Vec<&str> = told.iter().map(String::as_str).collect();
            let sure = match how {
                Crash::Kill => Some(*fate),
                Crash::PowerCut => self.safe.get(call).copied(),
            };
            assert!(
                fits(&told, *fate, sure),
                "{how:?}: {call} {fate:?} {sure:?}: {told:?}"
            );
        }
        assert!(told.is_empty(), "nobody made these calls: {told:?}");
        // What is found now was synced by the start.
        for (call, fate) in &mut self.fates {
            let word = records
                .iter()
                .rev()
                .find(|record| record["call"] == call.as_str() && record["kind"] != "notice");
            *fate = fate.found(word.map(|record| &record["outcome"]));
        }
        self.safe = self.fates.clone();
    }
}
