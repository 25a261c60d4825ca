//! What was used when: one scope's use in slots of time.
//!
//! Nothing here knows a limit. A limit asks what was used since a moment, so one
//! that is written at noon counts the morning as well, and the record of what was
//! used does not depend on the configuration.
//!
//! Two widths: minutes for the last hour, quarters of an hour for the last month.
//! Days begin at whole quarters in every zone. A slot counts until all of it is too
//! old, so an hour may count a minute more than an hour, never less.

use std::collections::VecDeque;

use crate::domain::{Amounts, Dimension};

/// How wide slots are, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Width {
    Minute,
    Quarter,
}

impl Width {
    pub(super) const ALL: [Width; 2] = [Width::Minute, Width::Quarter];

    pub(super) const fn micros(self) -> i64 {
        match self {
            Width::Minute => 60_000_000,
            Width::Quarter => 900_000_000,
        }
    }

    /// How long slots are kept at least.
    const fn kept(self) -> i64 {
        match self {
            Width::Minute => 62 * 60_000_000,
            Width::Quarter => 32 * 24 * 3_600_000_000,
        }
    }

    /// How many are kept at most. An hour needs 61 minutes and a month 2,977 quarters.
    const fn most(self) -> usize {
        match self {
            Width::Minute => 128,
            Width::Quarter => 4096,
        }
    }

    /// The slot that a moment is in.
    pub(super) const fn slot(self, at: i64) -> i64 {
        at.div_euclid(self.micros())
    }

    /// When that slot ends.
    pub(super) const fn end(self, at: i64) -> i64 {
        (self.slot(at) + 1) * self.micros()
    }
}

/// The slots of one width, in order; those in which nothing was used are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Slots(VecDeque<(i64, Amounts)>);

impl Slots {
    fn add(&mut self, slot: i64, used: &Amounts) {
        // Nearly always the last; earlier when the clock went back.
        let behind = self.0.iter().rev().take_while(|(n, _)| *n > slot).count();
        let place = self.0.len() - behind;
        match place.checked_sub(1).and_then(|last| self.0.get_mut(last)) {
            Some((n, sum)) if *n == slot => sum.add(used),
            Some(_) | None => self.0.insert(place, (slot, *used)),
        }
    }

    pub(super) fn get(&self, slot: i64) -> Option<&Amounts> {
        let place = self.0.binary_search_by_key(&slot, |(n, _)| *n).ok()?;
        self.0.get(place).map(|(_, used)| used)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(i64, Amounts)> {
        self.0.iter()
    }

    /// Lets go of those that are furthest from `slot`, when there are too many. A
    /// clock that jumps ahead and back drives out nothing that matters.
    fn bound(&mut self, slot: i64, most: usize) -> Vec<i64> {
        let mut gone = Vec::new();
        while self.0.len() > most {
            let first = self.0.front().map_or(0, |(n, _)| slot.abs_diff(*n));
            let last = self.0.back().map_or(0, |(n, _)| slot.abs_diff(*n));
            let far = match first >= last {
                true => self.0.pop_front(),
                false => self.0.pop_back(),
            };
            gone.extend(far.map(|(n, _)| n));
        }
        gone
    }

    fn since(&self, slot: i64) -> Amounts {
        let mut sum = Amounts::ZERO;
        for (_, used) in self.0.iter().rev().take_while(|(n, _)| *n >= slot) {
            sum.add(used);
        }
        sum
    }

    fn take_after(&mut self, slot: i64) -> VecDeque<(i64, Amounts)> {
        let kept = self.0.partition_point(|(n, _)| *n <= slot);
        self.0.split_off(kept)
    }

    /// Forgets what is older than `slot`; says what.
    fn forget(&mut self, slot: i64) -> Vec<i64> {
        let mut gone = Vec::new();
        while let Some((n, _)) = self.0.front().filter(|(n, _)| *n < slot) {
            gone.push(*n);
            self.0.pop_front();
        }
        gone
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    minutes: Slots,
    quarters: Slots,
    /// Sums that were asked for lately, by what they begin with. Follows from the
    /// slots.
    sums: Vec<(Width, i64, Amounts)>,
}

/// How many sums are kept: days and months, of the calendar and up to now.
const SUMS: usize = 5;

impl Series {
    /// Charges what was used at a moment. Says which slots changed.
    pub(super) fn charge(&mut self, at: i64, used: &Amounts, mut changed: impl FnMut(Width, i64)) {
        for width in Width::ALL {
            let slot = width.slot(at);
            self.put(width, slot, used);
            changed(width, slot);
            let gone = self.slots_mut(width).bound(slot, width.most());
            if !gone.is_empty() {
                self.sums.clear();
            }
            gone.into_iter().for_each(|slot| changed(width, slot));
        }
    }

    /// Puts use into one slot.
    pub(super) fn put(&mut self, width: Width, slot: i64, used: &Amounts) {
        self.slots_mut(width).add(slot, used);
        for (of, from, sum) in &mut self.sums {
            if *of == width && slot >= *from {
                sum.add(used);
            }
        }
    }

    /// What was used since a moment, counted in whole slots.
    pub(super) fn since(&mut self, width: Width, from: i64) -> Amounts {
        let slot = width.slot(from);
        let known = |(of, start, _): &&(Width, i64, Amounts)| *of == width && *start == slot;
        if let Some((_, _, sum)) = self.sums.iter().find(known) {
            return *sum;
        }
        let sum = self.slots(width).since(slot);
        if self.sums.len() >= SUMS {
            self.sums.remove(0);
        }
        self.sums.push((width, slot, sum));
        sum
    }

    /// When so much of what was used in the last `window` will be forgotten.
    pub(super) fn frees(
        &self,
        width: Width,
        from: i64,
        window: i64,
        dimension: Dimension,
        much: u64,
    ) -> Option<i64> {
        let first = width.slot(from);
        let mut freed = 0_u64;
        for (slot, used) in self.slots(width).iter().filter(|(n, _)| *n >= first) {
            freed = freed.saturating_add(used.get(dimension));
            if freed >= much {
                return Some((slot + 1) * width.micros() + window);
            }
        }
        None
    }

    /// Forgets what no period asks for any more, and moves to `now` what lies ahead of
    /// `at`; says which slots changed.
    pub(super) fn sweep(&mut self, now: i64, at: i64) -> Vec<(Width, i64)> {
        let mut gone = Vec::new();
        for width in Width::ALL {
            let to = width.slot(now);
            for (slot, used) in self.slots_mut(width).take_after(width.slot(at)) {
                self.slots_mut(width).add(to, &used);
                self.sums.clear();
                gone.extend([(width, slot), (width, to)]);
            }
            let slot = width.slot(now - width.kept());
            let forgotten = self.slots_mut(width).forget(slot);
            gone.extend(forgotten.into_iter().map(|slot| (width, slot)));
        }
        gone
    }

    pub(super) fn is_empty(&self) -> bool {
        self.minutes.0.is_empty() && self.quarters.0.is_empty()
    }

    pub(super) fn slots(&self, width: Width) -> &Slots {
        match width {
            Width::Minute => &self.minutes,
            Width::Quarter => &self.quarters,
        }
    }

    fn slots_mut(&mut self, width: Width) -> &mut Slots {
        match width {
            Width::Minute => &mut self.minutes,
            Width::Quarter => &mut self.quarters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn cost(micros: u64) -> Amounts {
        Amounts::ZERO.with(Dimension::Cost, micros)
    }

    #[test]
    fn an_hour_forgets_a_minute_at_a_time() {
        let mut series = Series::default();
        let noon = 1_000 * 60 * MINUTE;
        series.charge(noon + 30_000_000, &cost(1), |_, _| {});
        series.charge(noon + 10 * MINUTE, &cost(2), |_, _| {});
        let used = |series: &mut Series, now: i64| {
            let since = series.since(Width::Minute, now - 60 * MINUTE);
            since.get(Dimension::Cost)
        };
        assert_eq!(used(&mut series, noon + 10 * MINUTE), 3);
        // Sixty minutes after the first, and its minute is not over.
        assert_eq!(used(&mut series, noon + 60 * MINUTE + 59_999_999), 3);
        assert_eq!(used(&mut series, noon + 61 * MINUTE), 2);
        let free = |much| {
            let from = noon + 10 * MINUTE - 60 * MINUTE;
            series.frees(Width::Minute, from, 60 * MINUTE, Dimension::Cost, much)
        };
        assert_eq!(free(1), Some(noon + 61 * MINUTE));
        assert_eq!(free(3), Some(noon + 71 * MINUTE));
        assert_eq!(free(4), None);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let mut series = Series::default();
        series.charge(100 * MINUTE, &cost(1), |_, _| {});
        series.charge(40 * MINUTE, &cost(2), |_, _| {});
        series.charge(100 * MINUTE, &cost(4), |_, _| {});
        assert_eq!(
            series
                .since(Width::Minute, 90 * MINUTE)
                .get(Dimension::Cost),
            5
        );
        assert_eq!(series.since(Width::Minute, 0).get(Dimension::Cost), 7);
    }

    #[test]
    fn a_sum_that_is_kept_is_the_sum_of_the_slots() {
        let mut series = Series::default();
        for n in 0..200_i64 {
            series.charge(n * 7 * MINUTE, &cost(1), |_, _| {});
            for from in [0, 15 * MINUTE, n * MINUTE] {
                for width in Width::ALL {
                    let kept = series.since(width, from);
                    assert_eq!(kept, series.slots(width).since(width.slot(from)));
                }
            }
        }
    }
}
