//! Where the day and the month begin and end, in one zone.

use jiff::{RoundMode, Timestamp, ToSpan, Unit, ZonedRound};

use crate::domain::{Period, Zone};

/// Two moments, in microseconds since 1970: from the first up to the second.
pub(super) type Between = (i64, i64);

/// Reckons a day or a month once and remembers it.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    zone: Zone,
    day: Between,
    month: Between,
}

impl Default for Calendar {
    fn default() -> Self {
        Self::of(Zone::UTC)
    }
}

impl Calendar {
    pub(super) fn of(zone: Zone) -> Self {
        Self {
            zone,
            day: (0, 0),
            month: (0, 0),
        }
    }

    /// The day or month that `now` is in.
    pub(super) fn period(&mut self, period: Period, now: Timestamp) -> Between {
        let at = now.as_microsecond();
        let kept = match period {
            Period::Month => &mut self.month,
            Period::Action | Period::Run | Period::Hour | Period::Day => &mut self.day,
        };
        if !(kept.0..kept.1).contains(&at) {
            *kept = reckon(&self.zone, period, now).unwrap_or((at, at));
        }
        *kept
    }
}

fn reckon(zone: &Zone, period: Period, now: Timestamp) -> Option<Between> {
    let now = now.to_zoned(zone.tz().clone());
    let today = now
        .round(ZonedRound::new().smallest(Unit::Day).mode(RoundMode::Floor))
        .ok()?;
    let (begin, end) = match period {
        Period::Month => {
            let begin = today.first_of_month().ok()?.start_of_day().ok()?;
            let end = begin.checked_add(1.month()).ok()?.start_of_day().ok()?;
            (begin, end)
        }
        Period::Action | Period::Run | Period::Hour | Period::Day => {
            let end = today.tomorrow().ok()?.start_of_day().ok()?;
            (today, end)
        }
    };
    Some((
        begin.timestamp().as_microsecond(),
        end.timestamp().as_microsecond(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(zone: &str, now: &str) -> [String; 2] {
        between(zone, now, Period::Day)
    }

    fn between(zone: &str, now: &str, period: Period) -> [String; 2] {
        let mut calendar = Calendar::of(Zone::parse(zone).unwrap());
        let (begin, end) = calendar.period(period, now.parse().unwrap());
        [begin, end].map(|at| Timestamp::from_microsecond(at).unwrap().to_string())
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change() {
        assert_eq!(
            day("Europe/Paris", "2026-03-29T12:00:00Z"),
            ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]
        );
        assert_eq!(
            day("Europe/Paris", "2026-10-25T22:59:59Z"),
            ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]
        );
        assert_eq!(
            day("Asia/Kolkata", "2026-01-01T18:30:00Z"),
            ["2026-01-01T18:30:00Z", "2026-01-02T18:30:00Z"]
        );
    }

    #[test]
    fn a_month_begins_on_its_first_day() {
        assert_eq!(
            between("America/New_York", "2026-03-31T23:00:00Z", Period::Month),
            ["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"]
        );
        assert_eq!(
            between("UTC", "2026-02-28T23:59:59.999999Z", Period::Month),
            ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]
        );
    }

    #[test]
    fn what_is_remembered_is_reckoned_anew_when_it_is_over() {
        let mut calendar = Calendar::of(Zone::UTC);
        let mut day = |now: &str| calendar.period(Period::Day, now.parse().unwrap());
        let first = day("2026-01-01T10:00:00Z");
        assert_eq!(first, day("2026-01-01T23:59:59.999999Z"));
        assert_eq!(day("2026-01-02T00:00:00Z").0, first.1);
        assert_eq!(day("2026-01-01T10:00:00Z"), first);
    }
}
