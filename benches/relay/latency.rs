//! Sequential latency. All rows are up at once and take turns in short slices:
//! a disturbance of a second then meets all of them alike, where one row after
//! the other would let it fall on a single one.

use std::time::{Duration, Instant};

use crate::driver::Session;
use crate::measure::{FEW, Measure, Plan, Record};
use crate::proc::usage;
use crate::rows::{Rig, Row, Stage};
use crate::stats::percentile;

/// Calls before the measured ones of a slice: the row's turn has only begun.
const RUN_UP: usize = 20;
/// A slice ends here, however many calls it had.
const LONGEST: Duration = Duration::from_secs(1);

/// A round of slices for all rows that aren't void.
pub(crate) fn round(records: &mut [Record], plan: &Plan, rig: &Rig) {
    let mut seats = Vec::new();
    for record in records.iter_mut().filter(|record| record.void.is_none()) {
        match sit(record.row, plan, rig) {
            Ok((stage, session)) => seats.push(Seat {
                record,
                stage,
                session,
            }),
            Err(error) => record.void = Some(format!("latency: {error}")),
        }
    }
    for _ in 0..plan.slices {
        for seat in &mut seats {
            if seat.record.void.is_some() {
                continue;
            }
            if let Err(error) = seat.slice(plan, rig) {
                seat.record.void = Some(format!("latency: {error}"));
            }
        }
        if !seats.is_empty() {
            seats.rotate_left(1);
        }
    }
    for seat in seats {
        if seat.record.void.is_some() {
            continue;
        }
        let closed = seat.session.close().and_then(|()| seat.stage.close());
        if let Err(error) = closed {
            seat.record.void = Some(format!("latency: {error}"));
        }
    }
}

fn sit<'a>(row: Row, plan: &Plan, rig: &'a Rig) -> Result<(Stage<'a>, Session), String> {
    let stage = Stage::open(row, FEW, rig)?;
    let mut session = stage.connect()?;
    for _ in 0..plan.warm_up {
        session.call()?;
    }
    Ok((stage, session))
}

struct Seat<'a, 'b> {
    record: &'b mut Record,
    // Before its stage: the agent leaves first.
    session: Session,
    stage: Stage<'a>,
}

impl Seat<'_, '_> {
    fn slice(&mut self, plan: &Plan, rig: &Rig) -> Result<(), String> {
        let roots = self.stage.roots(&self.session);
        let before = usage(&roots, &rig.bench).cpu_us;
        for _ in 0..RUN_UP {
            self.session.call()?;
        }
        let started = Instant::now();
        let mut samples = Vec::with_capacity(plan.calls);
        while samples.len() < plan.calls && started.elapsed() < LONGEST {
            samples.push(self.session.call()?.as_secs_f64() * 1e6);
        }
        let cpu = usage(&roots, &rig.bench).cpu_us - before;
        let calls = (samples.len() + RUN_UP) as f64;
        self.record.note(Measure::Cpu, cpu / calls);
        for (measure, part) in [
            (Measure::P10, 0.1),
            (Measure::P50, 0.5),
            (Measure::P99, 0.99),
        ] {
            let value = percentile(&samples, part).ok_or("no call was made")?;
            self.record.note(measure, value);
        }
        Ok(())
    }
}
