//! How old a segment is, told from what the index knows: when the latest of each
//! few hundred records was made.
//!
//! Clocks are set, by people and by mistake, and what is pruned does not come
//! back. So no time is believed because a clock shows it once:
//!
//! - Age is measured against a time that the record has lived through: the newest
//!   that lies at least a day before the last. After a jump ahead that is still the
//!   time before the jump, until records were made at the new date for a day.
//! - A time after that of the last record, or before that of an earlier one, is
//!   none. Such records are as old as the ones behind them, which are younger.
//! - The segment in which the journal ends is never old.
//!
//! A clock that is wrong for longer than a day is what this machine calls the time.
//! What that costs is bounded by how much one day may prune.

use std::time::Duration;

use super::journal::Seq;

/// How long a date must hold until it is believed.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Some hundred records in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// The first of them.
    pub(super) first: Seq,
    /// When the latest of them was made, in microseconds.
    pub(super) latest: i64,
}

/// How many of the segments, from the first on, hold only records older than
/// `keep`. Given is the first record of each; both are in order.
pub(super) fn old(segments: &[Seq], marks: &[Mark], keep: Duration) -> usize {
    let Some(last) = marks.last() else {
        return 0;
    };
    let believed = last.latest.saturating_sub(micros(DAY));
    let Some(now) = marks.iter().rev().find(|mark| mark.latest <= believed) else {
        return 0;
    };
    let limit = now.latest.saturating_sub(micros(keep));
    let times = times(marks, last.latest);
    let behind = segments.iter().skip(1);
    behind
        .take_while(|next| {
            // The records of one mark may go on in the next segment.
            let touching = marks.partition_point(|mark| mark.first < **next);
            let latest = touching.checked_sub(1).and_then(|at| times.get(at));
            // None: an earlier prune took them out of the index.
            latest.is_none_or(|latest| *latest < limit)
        })
        .count()
}

/// When the records of each mark were made at the latest.
fn times(marks: &[Mark], last: i64) -> Vec<i64> {
    let mut highest = i64::MIN;
    let sound: Vec<bool> = marks
        .iter()
        .map(|mark| {
            let possible = mark.latest <= last;
            let sound = possible && mark.latest >= highest;
            if possible {
                highest = highest.max(mark.latest);
            }
            sound
        })
        .collect();
    let mut behind = last;
    let mut times: Vec<i64> = marks
        .iter()
        .zip(sound)
        .rev()
        .map(|(mark, sound)| {
            if sound {
                behind = mark.latest;
            }
            behind
        })
        .collect();
    times.reverse();
    times
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

    /// One mark a day, two segments of two days... each segment has two marks.
    fn old_of(days: &[i64]) -> usize {
        let marks: Vec<Mark> = (0..)
            .zip(days)
            .map(|(n, day)| Mark {
                first: Seq::new(1 + n * 10),
                latest: day * micros(DAY),
            })
            .collect();
        let segments: Vec<Seq> = marks.iter().step_by(2).map(|mark| mark.first).collect();
        old(&segments, &marks, KEEP)
    }

    #[test]
    fn a_segment_is_old_when_its_last_record_is() {
        assert_eq!(old_of(&[]), 0);
        assert_eq!(old_of(&[1]), 0);
        assert_eq!(old_of(&[1, 2, 3, 4, 94, 95]), 1, "94 - 90 > 2 only");
        assert_eq!(old_of(&[1, 2, 3, 4, 95, 96]), 2);
        assert_eq!(old_of(&[1, 2, 3, 4, 5, 6]), 0);
    }

    #[test]
    fn the_last_segment_is_never_old() {
        assert_eq!(old_of(&[1, 2, 3, 4, 500, 501]), 2);
        assert_eq!(old_of(&[1, 500]), 0);
    }

    #[test]
    fn a_jump_ahead_is_believed_after_a_day() {
        assert_eq!(old_of(&[1, 2, 3, 4, 5, 5000]), 0);
        assert_eq!(old_of(&[1, 2, 3, 4, 5, 5000, 5000, 5000]), 0);
        assert_eq!(old_of(&[1, 2, 3, 4, 5, 5000, 5000, 5001]), 2);
    }

    #[test]
    fn a_jump_ahead_that_was_set_right_holds_nothing_up_and_drives_nothing_out() {
        assert_eq!(old_of(&[1, 2, 5000, 5001, 3, 4, 5, 6]), 0);
        assert_eq!(old_of(&[1, 2, 5000, 5001, 3, 4, 95, 96]), 3);
        assert_eq!(old_of(&[1, 2, 3, 5000, 60, 61, 100, 101]), 1);
        // Nor do two jumps, for a day between them.
        assert_eq!(old_of(&[1, 2, 3, 4, 5000, 5, 6, 7, 5002]), 0);
    }

    #[test]
    fn a_jump_back_drives_nothing_out() {
        assert_eq!(old_of(&[101, 102, 103, 104, 0, 0]), 0);
        assert_eq!(old_of(&[101, 102, 103, 104, 0, 1, 2, 3]), 0);
        // What was made at the wrong date is as old as what came after it.
        assert_eq!(old_of(&[101, 102, 0, 0, 150, 151, 195, 196]), 1);
        assert_eq!(old_of(&[101, 102, 0, 0, 150, 151, 243, 244]), 3);
    }

    #[test]
    fn what_is_no_longer_in_the_index_is_old() {
        let marks = [(100, 200), (110, 201)].map(|(first, day)| Mark {
            first: Seq::new(first),
            latest: day * micros(DAY),
        });
        let segments = [1, 50, 100, 110].map(Seq::new);
        assert_eq!(old(&segments, &marks, KEEP), 2);
    }
}
