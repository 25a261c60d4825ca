//! Moments, for who does not know what time it is: when, and how long until then.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit, tz::TimeZone};

/// A moment, to the second that is not before it: who comes back then is not early.
pub(super) fn shown(at: Timestamp) -> String {
    let up = TimestampRound::new()
        .smallest(Unit::Second)
        .mode(RoundMode::Ceil);
    let at = at.round(up).unwrap_or(at).to_zoned(TimeZone::UTC);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// The same with how long that is from now on: `… UTC (in 11 s)`.
pub(super) fn from_now(at: Timestamp, now: Timestamp) -> String {
    let micros = at.as_microsecond().saturating_sub(now.as_microsecond());
    let seconds = u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000);
    let wait = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        7_200..172_800 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    };
    format!("{} (in {wait})", shown(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_never_told_too_early() {
        let now: Timestamp = "2026-11-22T05:40:16Z".parse().unwrap();
        for (at, says) in [
            (
                "2026-11-22T05:40:26.1Z",
                "2026-11-22 05:40:27 UTC (in 11 s)",
            ),
            ("2026-11-22T05:42:53Z", "2026-11-22 05:42:53 UTC (in 3 min)"),
            ("2026-11-22T23:00:00Z", "2026-11-22 23:00:00 UTC (in 18 h)"),
            (
                "2026-12-01T00:00:00Z",
                "2026-12-01 00:00:00 UTC (in 9 days)",
            ),
            ("2026-11-22T05:40:00Z", "2026-11-22 05:40:00 UTC (in 0 s)"),
        ] {
            assert_eq!(from_now(at.parse().unwrap(), now), says);
        }
    }
}
