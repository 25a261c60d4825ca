//! The rows at one table: all are up at once and take turns in short slices.
//! A disturbance of a second then meets all of them alike, where one row after
//! the other would let it fall on a single one.

use std::collections::BTreeMap;

use crate::driver::Session;
use crate::measure::Measure;
use crate::proc::usage;
use crate::rows::{Rig, Row, Stage};

/// A row and what was measured of it. One error anywhere makes it void.
pub(crate) struct Record {
    pub(crate) row: Row,
    pub(crate) void: Option<String>,
    /// One value a slice; those of all rows at one place belong together.
    values: BTreeMap<Measure, Vec<f64>>,
}

impl Record {
    pub(crate) fn new(row: Row) -> Record {
        Record {
            row,
            void: None,
            values: BTreeMap::new(),
        }
    }

    pub(crate) fn note(&mut self, measure: Measure, value: f64) {
        self.values.entry(measure).or_default().push(value);
    }

    pub(crate) fn values(&self, measure: Measure) -> &[f64] {
        self.values.get(&measure).map_or(&[], Vec::as_slice)
    }
}

pub(crate) struct Table<'a, 'b> {
    rig: &'a Rig,
    seats: Vec<Seat<'a, 'b>>,
}

/// A row's place, with an agent connected.
pub(crate) struct Seat<'a, 'b> {
    pub(crate) record: &'b mut Record,
    // Before its stage: the agent leaves first.
    session: Option<Session>,
    pub(crate) stage: Stage<'a>,
}

impl<'a, 'b> Table<'a, 'b> {
    /// Sets up all rows that aren't void, each with so many tools.
    pub(crate) fn set(records: &'b mut [Record], tools: usize, rig: &'a Rig) -> Table<'a, 'b> {
        let mut seats = Vec::new();
        for record in records.iter_mut().filter(|record| record.void.is_none()) {
            let stage = Stage::open(record.row, tools, rig);
            let set = stage.and_then(|stage| Ok((stage.connect()?, stage)));
            match set {
                Ok((session, stage)) => seats.push(Seat {
                    record,
                    session: Some(session),
                    stage,
                }),
                Err(error) => record.void = Some(format!("setting up {tools} tools: {error}")),
            }
        }
        Table { rig, seats }
    }

    /// Each row in turn, so often; the one that begins changes.
    pub(crate) fn turns(
        &mut self,
        part: &str,
        times: usize,
        slice: impl Fn(&mut Seat<'a, 'b>) -> Result<(), String>,
    ) {
        for _ in 0..times {
            for seat in &mut self.seats {
                if let Err(error) = slice(seat) {
                    seat.record.void = Some(format!("{part}: {error}"));
                }
            }
            self.seats.retain(|seat| seat.record.void.is_none());
            if !self.seats.is_empty() {
                self.seats.rotate_left(1);
            }
        }
    }

    pub(crate) fn note_resident(&mut self, measure: Measure) {
        let rig = self.rig;
        self.turns("memory", 1, |seat| {
            let resident = usage(&seat.roots(), &rig.bench).resident_kib / 1024.0;
            seat.record.note(measure, resident);
            Ok(())
        });
    }

    /// All leave; every process has to end well.
    pub(crate) fn clear(mut self) {
        self.turns("closing", 1, Seat::leave);
        for seat in self.seats {
            if let Err(error) = seat.stage.close() {
                seat.record.void = Some(format!("closing: {error}"));
            }
        }
    }
}

impl Seat<'_, '_> {
    pub(crate) fn session(&mut self) -> Result<&mut Session, String> {
        self.session.as_mut().ok_or_else(|| "no agent".into())
    }

    pub(crate) fn leave(&mut self) -> Result<(), String> {
        self.session.take().map_or(Ok(()), Session::close)
    }

    /// The processes whose trees are the row: the agent's child and the daemon.
    pub(crate) fn roots(&self) -> Vec<u32> {
        let session = self.session.as_ref().map(Session::process_id);
        session.into_iter().chain(self.stage.daemon_id()).collect()
    }
}
