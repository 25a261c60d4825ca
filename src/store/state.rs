//! What follows from the records: the stops, the pins, the open calls, and
//! where records are found.
//!
//! Pure: records in, state out, no clock and no disk. So the state in memory,
//! the one that is kept beside the journal and one that is built anew from the
//! journal are the same, and [`State::entries`] is how they are compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    change::{Change, Definition, OpenCall, PinKey},
    entry::{self, Entries, Key},
    index::{Block, Index},
    journal::{Placed, Seq, start_of},
};
use crate::{
    domain::{Call, CallId, ServerName, Stop, Subject},
    gate::Facts,
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The last record that was applied.
    last: Option<Placed>,
    /// In the order of their scopes.
    stops: Vec<Stop>,
    pins: HashMap<ServerName, BTreeMap<String, Pinned>>,
    open: HashMap<CallId, OpenCall>,
    index: Index,
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
            }
        }
        Ok(state)
    }

    /// Applies one record: where it stands, when it was made, what it changes.
    pub(super) fn apply(&mut self, placed: Placed, at: jiff::Timestamp, change: Change) {
        let micros = at.as_microsecond();
        // An outcome does not say its run, but is found by it.
        let run = match &change {
            Change::Closed(call) => self.open.get(call).map(|open| open.run.as_str()),
            _ => None,
        };
        let ids = change.ids().chain(run);
        let block = self.index.add(placed.seq, placed.place, micros, ids);
        self.touched.blocks = Some(self.touched.blocks.map_or(block, |first| first.min(block)));
        self.last = Some(placed);
        match change {
            Change::Nothing | Change::Refused(..) => {}
            Change::Opened(call, open) => {
                self.open.insert(call, open);
            }
            Change::Closed(call) => {
                self.open.remove(&call);
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

    /// What the gates may look at; `stops` are those in force.
    pub(super) fn facts<'a>(&'a self, call: &Call, stops: &'a [Stop]) -> Facts<'a> {
        let pinned = match &call.subject {
            Subject::Tool(name) => self.pinned(&call.server, name),
            Subject::Prompt(_)
            | Subject::Resource(_)
            | Subject::Completion(_)
            | Subject::Subscribe(_)
            | Subject::Unsubscribe(_) => None,
        };
        Facts {
            stops,
            pinned: pinned.map(|pinned| pinned.accepted.print),
        }
    }

    pub(super) fn stops(&self) -> &[Stop] {
        &self.stops
    }

    pub(super) fn pinned(&self, server: &ServerName, tool: &str) -> Option<&Pinned> {
        self.pins.get(server)?.get(tool)
    }

    pub(super) fn pins(&self) -> impl Iterator<Item = (&ServerName, &String, &Pinned)> {
        self.pins
            .iter()
            .flat_map(|(server, tools)| tools.iter().map(move |(tool, pin)| (server, tool, pin)))
    }

    pub(super) fn open(&self) -> &HashMap<CallId, OpenCall> {
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
