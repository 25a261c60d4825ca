//! What follows from the records: the stops, the pins, the open calls, and
//! where records are found.
//!
//! Pure: records in, state out, no clock and no disk. So the state in memory,
//! the one that is kept beside the journal and one that is built anew from the
//! journal are the same, and [`State::entries`] is how they are compared.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    change::{Attempt, Change, Closing, Definition, OpenCall, PinKey},
    circuits::Circuits,
    conduct::Conduct,
    entry::{self, Entries, Key},
    entry_limits,
    index::{Block, Index},
    journal::{Placed, Seq, start_of},
    map::Map,
    sweeping::Sweeping,
    usage::Usage,
};
use crate::domain::{CallId, Scope, ServerName, Stop};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The last record that was applied.
    last: Option<Placed>,
    /// In the order of their scopes.
    stops: Vec<Stop>,
    pins: Map<ServerName, BTreeMap<String, Pinned>>,
    open: Map<CallId, OpenCall>,
    index: Index,
    pub(super) usage: Usage,
    pub(super) circuits: Circuits,
    pub(super) conduct: Conduct,
    /// What people were told, and when they were last.
    noticed: BTreeMap<String, i64>,
    sweeping: Sweeping,
    touched: Touched,
}

/// A tool whose definition was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) accepted: Definition,
    /// When, as RFC 3339.
    pub(super) since: String,
    /// By whom; none at first sight.
    pub(super) by: Option<String>,
    /// What the server offers instead.
    pub(super) offered: Option<Definition>,
}

/// What changed since it was last asked. Open calls are not tracked: there are
/// few at any moment, and all of them change all the time.
#[derive(Debug, Clone, Default)]
struct Touched {
    stops: bool,
    pins: BTreeSet<PinKey>,
    noticed: BTreeSet<String>,
    sweeping: bool,
    /// The first block that changed.
    blocks: Option<u64>,
    /// Blocks whose first records are gone.
    pruned: BTreeSet<u64>,
}

/// What the entries below some keys are now; what is kept below them and not
/// named here is gone.
pub(super) type Delta = Vec<(Key, Entries)>;

impl State {
    /// The state that these entries describe, up to `last`.
    pub(super) fn from_entries(entries: &Entries, last: Placed) -> Result<Self, String> {
        let mut state = Self {
            last: Some(last),
            ..Self::default()
        };
        for (key, value) in entries {
            let part = entry::decode(key, value, entries)
                .ok_or_else(|| format!("the entry {} can't be read", entry::show(key)))?;
            match part {
                entry::Part::Stop(stop) => state.put_stop(stop),
                entry::Part::Pin(key, pinned) => {
                    state
                        .pins
                        .entry(key.server)
                        .or_default()
                        .insert(key.tool, pinned);
                }
                entry::Part::Open(call, open) => {
                    state.open.insert(call, open);
                }
                entry::Part::Block(number, bytes) => {
                    state
                        .index
                        .put_back(number, bytes)
                        .ok_or_else(|| format!("block {number} can't be read"))?;
                }
                // Read with its pin.
                entry::Part::Text => {}
                entry::Part::Limits => entry_limits::put(&mut state, key, value)
                    .ok_or_else(|| format!("the entry {} can't be read", entry::show(key)))?,
            }
        }
        for (call, open) in &state.open {
            state.usage.reserve(open);
            for scope in probed(open) {
                state.circuits.probes(scope, call.clone());
            }
        }
        Ok(state)
    }

    /// Applies one record: where it stands, when it was made, what it changes.
    pub(super) fn apply(&mut self, placed: Placed, at: jiff::Timestamp, change: Change) {
        let micros = at.as_microsecond();
        // An outcome does not say its run, but is found by it.
        let run = match &change {
            Change::Closed(call, _) => self.open.get(call).map(|open| open.run.as_str()),
            _ => None,
        };
        let ids = change.ids().chain(run);
        let block = self.index.add(placed.seq, placed.place, micros, ids);
        self.touched.blocks = Some(self.touched.blocks.map_or(block, |first| first.min(block)));
        self.last = Some(placed);
        self.sweep(micros);
        self.usage.clock_is(micros);
        self.conduct.clock_is(micros);
        match change {
            Change::Nothing => {}
            Change::Refused(_, refused) => self.refused(&refused, micros),
            Change::Opened(call, mut open) => {
                open.at = micros;
                self.opened(call, open);
            }
            Change::Closed(call, closing) => self.closed(&call, &closing, micros),
            Change::Asked(call, _, more) => {
                if let Some(open) = self.open.get_mut(&call) {
                    self.usage.reserve_more(open, &more);
                    open.charge.add(&more);
                }
            }
            Change::Answered(..) => {}
            Change::BreakerOpened(scope, opened) => self.circuits.opened(scope, opened, micros),
            Change::BreakerClosed(scope) => self.circuits.closed(&scope),
            Change::Halted(halt) => self.conduct.halted(&halt),
            Change::Cleared(agent) => self.conduct.cleared(&agent, micros),
            Change::Extended(extension) => {
                self.usage.extended(&extension.run, &extension.added);
                if let Some(until) = extension.alone {
                    self.conduct.extended(&extension.agent, until, micros);
                }
            }
            Change::Noticed(what) => {
                self.touched.noticed.insert(what.clone());
                self.noticed.insert(what, micros);
            }
            Change::Stopped(stop) => {
                self.put_stop(stop);
                self.touched.stops = true;
            }
            Change::Resumed(scope) => {
                self.stops.retain(|stop| stop.scope != scope);
                self.touched.stops = true;
            }
            Change::Pinned(key, accepted) => {
                let since = format!("{at:.6}");
                let pinned = Pinned {
                    accepted,
                    since,
                    by: None,
                    offered: None,
                };
                self.touched.pins.insert(key.clone());
                self.pins
                    .entry(key.server)
                    .or_default()
                    .insert(key.tool, pinned);
            }
            Change::Offered(key, definition) => {
                self.change_pin(key, |pinned| pinned.offered = Some(definition));
            }
            Change::Restored(key) => self.change_pin(key, |pinned| pinned.offered = None),
            Change::Accepted(key, print, by) => self.change_pin(key, |pinned| {
                // A record that names something else than what is offered
                // accepts nothing.
                if let Some(offered) = pinned.offered.take_if(|offered| offered.print == print) {
                    pinned.accepted = offered;
                    pinned.since = format!("{at:.6}");
                    pinned.by = Some(by);
                }
            }),
            Change::Pruned(first, segment) => self.forget_before(first, segment),
        }
    }

    /// Forgets where the records before `first` are, which begins a segment.
    pub(super) fn forget_before(&mut self, first: Seq, segment: u32) {
        let changed = self.index.forget_before(first, start_of(segment));
        self.touched.pruned.extend(changed);
    }

    /// A call was not let through.
    fn refused(&mut self, refused: &Attempt, at: i64) {
        let Some(attempt) = refused.attempt else {
            return;
        };
        // A run begins with the first call that is judged: so a person can add to it, and
        // it counts among those that the agent began.
        if self.usage.run(&refused.run, at).is_none() {
            self.usage.begun(&refused.run, &refused.agent, at);
            self.conduct.began_in_vain(&refused.agent, at);
        }
        self.conduct.attempted(&refused.agent, attempt, at);
        if !refused.cancelled {
            self.conduct.ended(&refused.agent, true, at);
        }
    }

    /// A call was let through.
    fn opened(&mut self, call: CallId, open: OpenCall) {
        let new_run = self.usage.run(&open.run, open.at).is_none();
        self.conduct.attempted(&open.agent, open.attempt, open.at);
        self.conduct.began(&open.agent, new_run, open.at);
        if open.tool {
            let tool = tool_hash(&open.server, &open.name);
            if !self.conduct.knows(&open.agent, tool) {
                self.conduct.meets(open.agent.clone(), tool);
            }
        }
        self.usage.opened(&open);
        for scope in probed(&open) {
            self.circuits.probes(scope, call.clone());
        }
        self.open.insert(call, open);
    }

    /// A call is over.
    fn closed(&mut self, call: &CallId, closing: &Closing, at: i64) {
        let Some(open) = self.open.remove(call) else {
            return;
        };
        let charged = closing.charged.unwrap_or(open.charge);
        self.usage.closed(call, &open, &charged, at);
        match closing.failed {
            // An agent may cancel what it likes; it must neither be taken for one whose
            // calls fail nor shake off that they do.
            Some(_) if closing.cancelled => {}
            Some(failed) => self.conduct.ended(&open.agent, failed, at),
            // It goes on with what its agent answers, or does not.
            None => {}
        }
        for scope in guarded(&open) {
            self.circuits.ended(&scope, call);
            let trouble = match scope {
                Scope::Server(_) => closing.trouble.0,
                Scope::Tool(..) => closing.trouble.1,
                Scope::Everything | Scope::Agent(_) => false,
            };
            if trouble {
                self.circuits.failed(scope, at);
            }
        }
    }

    /// The tool of an open call waits for an answer of the call's agent, or works again. No
    /// record says so: it is over when the call is.
    pub(super) fn asks(&mut self, call: &CallId, waits: bool, now: i64) {
        if let Some(open) = self.open.get(call) {
            self.usage.asks(call, open, waits, now);
        }
    }

    /// A call that began while the clock was ahead is worked on from now on, once it is
    /// back: else less than nothing would be counted, and hide how long others take.
    pub(super) fn clock_is(&mut self, now: i64) {
        if self.usage.works_ahead(now) {
            for (call, open) in &self.open {
                self.usage.works_from(call, open, now);
            }
        }
    }

    /// Forgets what is too old to matter, by the time of the records: a replay
    /// forgets the same. What lies ahead of a record then was made while the clock was
    /// ahead, before the time that has proved right: from now on it is of that time.
    fn sweep(&mut self, at: i64) {
        let before = self.sweeping;
        let now = self.sweeping.moves_on(at);
        self.touched.sweeping |= self.sweeping != before;
        let Some(now) = now else {
            return;
        };
        self.usage.sweep(now, at);
        self.circuits.sweep(now, at);
        self.conduct.sweep(now, at);
        self.conduct.forget_met(|agent| self.usage.knows(agent));
        let touched = &mut self.touched;
        self.noticed.retain(|what, told| {
            let kept = now - *told < NOTICE_KEPT;
            let ahead = *told > at;
            if ahead {
                *told = now;
            }
            if ahead || !kept {
                touched.noticed.insert(what.clone());
            }
            kept
        });
    }

    /// How far it is swept.
    pub(super) fn sweeping(&self) -> Sweeping {
        self.sweeping
    }

    /// For what is read back.
    pub(super) fn put_sweeping(&mut self, sweeping: Sweeping) {
        self.sweeping = sweeping;
    }

    /// When people were last told of something.
    pub(super) fn noticed(&self, what: &str) -> Option<i64> {
        self.noticed.get(what).copied()
    }

    pub(super) fn notices(&self) -> &BTreeMap<String, i64> {
        &self.noticed
    }

    /// For what is read back.
    pub(super) fn put_notice(&mut self, what: String, at: i64) {
        self.noticed.insert(what, at);
    }

    fn change_pin(&mut self, key: PinKey, change: impl FnOnce(&mut Pinned)) {
        let tools = self.pins.get_mut(&key.server);
        if let Some(pinned) = tools.and_then(|tools| tools.get_mut(&key.tool)) {
            change(pinned);
            self.touched.pins.insert(key);
        }
    }

    fn put_stop(&mut self, stop: Stop) {
        self.stops.retain(|known| known.scope != stop.scope);
        let place = self.stops.partition_point(|known| known.scope < stop.scope);
        self.stops.insert(place, stop);
    }

    /// The last record that was applied.
    pub(super) fn last(&self) -> Option<Placed> {
        self.last
    }

    pub(super) fn stops(&self) -> &[Stop] {
        &self.stops
    }

    pub(super) fn pinned(&self, server: &ServerName, tool: &str) -> Option<&Pinned> {
        self.pins.get(server)?.get(tool)
    }

    /// How many tools of a server are pinned.
    pub(super) fn pin_count(&self, server: &ServerName) -> usize {
        self.pins.get(server).map_or(0, BTreeMap::len)
    }

    pub(super) fn pins(&self) -> impl Iterator<Item = (&ServerName, &String, &Pinned)> {
        self.pins
            .iter()
            .flat_map(|(server, tools)| tools.iter().map(move |(tool, pin)| (server, tool, pin)))
    }

    pub(super) fn open(&self) -> &Map<CallId, OpenCall> {
        &self.open
    }

    /// The blocks of records, newest first.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.index.newest_first()
    }

    /// Everything, as entries.
    pub(super) fn entries(&self) -> Entries {
        let mut entries = self.stop_entries();
        entries.extend(self.open_entries());
        for (server, tool, _) in self.pins() {
            let key = PinKey {
                server: server.clone(),
                tool: tool.clone(),
            };
            entries.extend(self.pin_entries(&key));
        }
        entries.extend(
            self.index
                .from(0)
                .map(|(number, block)| entry::block(number, block)),
        );
        entries.extend(entry_limits::all(self));
        entries
    }

    /// What changed since this was last called; everything the first time that
    /// it is asked to be whole.
    pub(super) fn delta(&mut self, whole: bool) -> Delta {
        let touched = std::mem::take(&mut self.touched);
        if whole {
            return vec![(Key::new(), self.entries())];
        }
        let mut delta = vec![(entry::OPEN.to_vec(), self.open_entries())];
        if touched.stops {
            delta.push((entry::STOP.to_vec(), self.stop_entries()));
        }
        if touched.sweeping {
            delta.push((
                entry_limits::SWEEPING.to_vec(),
                Entries::from([entry_limits::sweeping(self)]),
            ));
        }
        delta.extend(entry_limits::delta(self, touched.noticed));
        for key in touched.pins {
            let entries = self.pin_entries(&key);
            delta.push((entry::pin_key(&key), entries));
        }
        for number in touched.pruned {
            let block = self.index.get(number);
            let entries = block.map(|block| entry::block(number, block)).into_iter();
            delta.push((entry::block_key(number), entries.collect()));
        }
        if let Some(first) = touched.blocks {
            for (number, block) in self.index.from(first) {
                let (key, value) = entry::block(number, block);
                delta.push((key.clone(), Entries::from([(key, value)])));
            }
        }
        delta
    }

    fn stop_entries(&self) -> Entries {
        self.stops.iter().map(entry::stop).collect()
    }

    fn open_entries(&self) -> Entries {
        self.open
            .iter()
            .map(|(call, open)| entry::open(call, open))
            .collect()
    }

    fn pin_entries(&self, key: &PinKey) -> Entries {
        self.pinned(&key.server, &key.tool)
            .map(|pinned| entry::pin(key, pinned))
            .unwrap_or_default()
    }
}

/// Nothing asks for a notice of more than a month ago.
const NOTICE_KEPT: i64 = 32 * 24 * 3_600_000_000;

/// A tool, by a number.
pub(super) fn tool_hash(server: &ServerName, tool: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(server.as_str().as_bytes());
    hasher.update(b"\0");
    hasher.update(tool.as_bytes());
    let hash = hasher.finalize();
    let head = hash.as_bytes().first_chunk::<8>();
    head.map_or(0, |head| u64::from_be_bytes(*head))
}

/// What has a breaker of what a call is to.
fn guarded(open: &OpenCall) -> impl Iterator<Item = Scope> + use<> {
    let server = Scope::Server(open.server.clone());
    let tool = open
        .tool
        .then(|| Scope::Tool(open.server.clone(), open.name.clone()));
    std::iter::once(server).chain(tool)
}

/// What a call tries.
fn probed(open: &OpenCall) -> impl Iterator<Item = Scope> + use<> {
    let probes = open.probes;
    guarded(open).filter(move |scope| match scope {
        Scope::Server(_) => probes.0,
        Scope::Tool(..) => probes.1,
        Scope::Everything | Scope::Agent(_) => false,
    })
}
