//! Durations as people write them: `500ms`, `30s`, `10m`, `2h`, `1d`.

use std::time::Duration;

/// Longer than anybody waits, and far from where adding it to a clock overflows.
const LONGEST: Duration = Duration::from_secs(3660 * 24 * 3600);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a whole number and its unit.
///
/// # Errors
/// A phrase for the label.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "write a whole number and a unit: 500ms, 30s, 10m, 2h or 1d";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(SHAPE)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(SHAPE)?;
    if number.is_empty() {
        return Err(SHAPE);
    }
    let duration = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*millis))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or("more than ten years")?;
    if duration.is_zero() {
        return Err("zero would end everything before it starts");
    }
    Ok(duration)
}

/// The same notation for messages, in the largest unit that fits.
#[must_use]
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    UNITS
        .iter()
        .rev()
        .find(|(_, unit)| millis.is_multiple_of(u128::from(*unit)))
        .map_or_else(
            || format!("{millis}ms"),
            |(name, unit)| format!("{}{name}", millis / u128::from(*unit)),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse("1d"), Ok(Duration::from_secs(86_400)));
        for bad in [
            "",
            "s",
            "30",
            "30 s",
            "1.5h",
            "-3s",
            "0s",
            "30S",
            "1h30m",
            "３0s",
            "5years",
            "99999999999999999999s",
            "99999999999d",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["500ms", "1s", "90s", "10m", "2h", "1d", "36h"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
