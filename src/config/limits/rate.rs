//! `rate` and `runs`: so many in a time, so many at once.

use std::time::Duration;

use toml::de::DeValue;

use super::quantity::count;
use crate::config::decode::{Field, Vocabulary};
use crate::config::error::{Code, quoted};
use crate::domain::{Over, Rate};

pub(in crate::config) const RATE: Vocabulary = Vocabulary {
    keys: &["burst", "per"],
    later: &[],
    elsewhere: &[],
};

const UNITS: [(&str, u64); 4] = [("s", 1), ("min", 60), ("h", 3600), ("d", 24 * 3600)];

pub(super) fn decode(field: &Field<'_>, over: Over) -> Option<Rate> {
    let (per, burst) = match field.value() {
        DeValue::Table(_) => {
            let table = field.table(&RATE, "a rate or a table")?;
            let burst = table.get("burst").map(|field| count(&field, 1));
            let Some(per) = table.get("per") else {
                let message = format!("{} does not say how often", field.subject());
                field.file.report(
                    field
                        .key_problem(Code::MissingKey, message)
                        .hint("add `per`, for example per = \"120/min\""),
                );
                return None;
            };
            (read(&per), burst)
        }
        _ => (read(field), None),
    };
    let (calls, per) = per?;
    Some(Rate {
        over,
        calls,
        per,
        // As many as a whole time allows.
        burst: burst.unwrap_or(Some(calls))?,
        place: Some(field.at()),
    })
}

/// Reads `runs`: a rate without a burst, of as many as are remembered.
pub(super) fn runs(field: &Field<'_>) -> Option<Rate> {
    let (calls, per) = read(field)?;
    if usize::try_from(calls).is_ok_and(|calls| calls > Rate::RUNS) {
        let most = Rate::RUNS;
        field.file.report(
            field
                .problem(Code::NeverMatches, "so many runs are not remembered")
                .label(format!("at most {most} at a time"))
                .hint("take a shorter time, or write \"none\""),
        );
        return None;
    }
    Some(Rate {
        over: Over::Agent,
        calls,
        per,
        burst: calls,
        place: Some(field.at()),
    })
}

/// Reads `120/min`.
fn read(field: &Field<'_>) -> Option<(u32, Duration)> {
    let DeValue::String(text) = field.value() else {
        field.file.report(
            field
                .wrong_type("a rate")
                .label("write for example \"120/min\""),
        );
        return None;
    };
    let label = match parse(text) {
        Ok(rate) => return Some(rate),
        Err(label) => label,
    };
    let message = format!("{} is not a rate", quoted(text));
    field
        .file
        .report(field.problem(Code::BadRate, message).label(label));
    None
}

fn parse(text: &str) -> Result<(u32, Duration), &'static str> {
    const SHAPE: &str =
        "write a whole number and s, min, h or d: \"10/s\", \"120/min\", \"30/h\", \"500/d\"";
    let (number, unit) = text.split_once('/').ok_or(SHAPE)?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(SHAPE)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SHAPE);
    }
    let calls: u32 = number.parse().map_err(|_| "more than can be counted")?;
    match u64::from(calls) {
        0 => Err("nothing would ever pass"),
        // Less than a microsecond for each: no clock here tells them apart.
        calls if calls > seconds * 1_000_000 => Err("more than a million in a second"),
        _ => Ok((calls, Duration::from_secs(*seconds))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        let rate = |calls, seconds| Ok((calls, Duration::from_secs(seconds)));
        assert_eq!(parse("10/s"), rate(10, 1));
        assert_eq!(parse("120/min"), rate(120, 60));
        assert_eq!(parse("30/h"), rate(30, 3600));
        assert_eq!(parse("500/d"), rate(500, 86_400));
        for bad in [
            "",
            "10",
            "/s",
            "10/",
            "10/m",
            "10 / s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "0/s",
            "2000000/s",
            "99999999999/d",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
