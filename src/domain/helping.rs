//! Another helping: the command with which a person adds to a limit of a run.

use super::{
    Dimension, RunId,
    money::{Currency, show_money},
};

/// As it can be typed. It adds as much as the limit itself, `at`, or what is `missing` if
/// that is more.
#[must_use]
pub fn extend_command(
    run: &RunId,
    dimension: Dimension,
    at: u64,
    missing: u64,
    currency: Currency,
) -> String {
    let much = at.max(missing);
    let much = match dimension {
        Dimension::Cost | Dimension::Amount => format!("\"{}\"", show_money(much, currency)),
        Dimension::Time | Dimension::Elapsed => format!("{}s", much.div_ceil(1_000_000)),
        Dimension::Steps
        | Dimension::Calls
        | Dimension::Count
        | Dimension::Bytes
        | Dimension::Tokens => much.to_string(),
    };
    format!("tollgate runs extend {run} --{} {much}", dimension.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helping_is_as_much_as_the_limit_or_what_is_missing() {
        let run = RunId::from_tail("7Q2K");
        let command = |dimension, at, missing| {
            let command = extend_command(&run, dimension, at, missing, Currency::USD);
            command
                .strip_prefix("tollgate runs extend r-7Q2K ")
                .map(str::to_owned)
        };
        for (dimension, at, missing, says) in [
            (Dimension::Cost, 1_000_000, 1, "--cost \"1.00 USD\""),
            (
                Dimension::Amount,
                1_000_000,
                2_500_000,
                "--amount \"2.50 USD\"",
            ),
            (Dimension::Steps, 25, 1, "--steps 25"),
            (Dimension::Tokens, 5, 12, "--tokens 12"),
            (Dimension::Time, 120_000_000, 1, "--time 120s"),
            (Dimension::Elapsed, 1_500_000, 1, "--elapsed 2s"),
        ] {
            assert_eq!(command(dimension, at, missing).as_deref(), Some(says));
        }
    }
}
