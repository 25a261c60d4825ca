//! What a call asks for: counts, amounts and costs, by the operator's prices and paths.
//! Exact: a number of the arguments that could not be read exactly is refused, not rounded.

use serde_json::Value;

use super::{
    path::{MOST, TooMuch, Way},
    spelling::misspelt_on_the_way,
    taken_apart,
};
use crate::{
    domain::{
        Amounts, Dimension, Finding, Path, Prices,
        money::{self, MoneyError},
        shown,
    },
    wire::Raw,
};

pub use super::reported::cost;

/// Bytes up to which a condition is asked of everything in them at once.
const SMALL: usize = 4 * 1024;

/// Digits up to which a number with a fraction is what was written.
const EXACT: usize = 15;

/// What a call asks for, as far as its arguments and its prices say. What cannot be
/// measured is a finding: never zero.
pub fn asks(arguments: Option<&Raw>, prices: &Prices) -> Result<Amounts, Finding> {
    let mut ask = Amounts::ZERO.with(Dimension::Calls, 1);
    let mut cost = prices.call;
    let paths = paths(prices);
    if reads_arguments(prices) {
        let value = taken_apart(arguments).map_err(|why| Finding {
            at: String::new(),
            says: format!("cannot be measured: {why}"),
            rule: paths
                .into_iter()
                .flatten()
                .next()
                .map(|path| path.place.clone()),
        })?;
        if let Some(path) = &prices.count {
            ask.set(Dimension::Count, read(path, &value, "count", count)?);
        }
        if let Some(path) = &prices.amount {
            let sum = |_: &Way, found: &[&Value]| sum(path, found, prices);
            ask.set(Dimension::Amount, read(path, &value, "amount", sum)?);
        }
        if let Some(path) = &prices.estimate {
            let sum = |_: &Way, found: &[&Value]| sum(path, found, prices);
            cost = cost.saturating_add(read(path, &value, "cost", sum)?);
        }
    }
    let each = prices.each.saturating_mul(ask.get(Dimension::Count));
    let known = cost.saturating_add(each);
    ask.set(Dimension::Cost, known.saturating_add(prices.keep));
    Ok(ask)
}

/// Whether others would wait while a call is priced.
#[must_use]
pub fn is_large(arguments: Option<&Raw>, prices: &Prices) -> bool {
    let bytes = arguments.map_or(0, |raw| raw.bytes().len());
    // A condition is asked of each value, and that may mean a regular expression each time.
    let paths = || paths(prices).into_iter().flatten();
    let asks = || paths().any(|path| path.text.contains('?'));
    reads_arguments(prices) && (super::is_large(arguments) || bytes > SMALL && asks())
}

/// Whether the prices depend on what the arguments say.
fn reads_arguments(prices: &Prices) -> bool {
    paths(prices).into_iter().any(Option::is_some)
}

fn paths(prices: &Prices) -> [&Option<Path>; 3] {
    [&prices.count, &prices.amount, &prices.estimate]
}

fn read(
    path: &Path,
    value: &Value,
    what: &str,
    of: impl Fn(&Way, &[&Value]) -> Result<u64, String>,
) -> Result<u64, Finding> {
    let measured = match Way::of(&path.text) {
        None => Err("is no path".to_owned()),
        Some(way) => match misspelt_on_the_way(way.segments(), value) {
            Some(key) => Err(format!(
                "does not look at `{}`, which is spelt almost the same",
                shown(key)
            )),
            None => match way.follow(value).as_deref() {
                Err(TooMuch) => Err(format!("would be followed through more than {MOST} values")),
                Ok([]) => Err("matches nothing".to_owned()),
                Ok(found) => of(&way, found),
            },
        },
    };
    measured.map_err(|why| Finding {
        at: String::new(),
        says: format!("the {what} cannot be measured: `{}` {why}", path.text),
        rule: Some(path.place.clone()),
    })
}

/// How many things there are. A path that can match several says it by how many it
/// matches; a path to one value says it by that value.
fn count(way: &Way, found: &[&Value]) -> Result<u64, String> {
    match found {
        [one] if way.is_single() => match one {
            Value::Number(number) => {
                money::parse_whole(&exact(number)?).map_err(|why| format!("is {why}"))
            }
            // Whatever a server makes of none: it may be all.
            Value::Array(items) if items.is_empty() => Err("is empty".to_owned()),
            Value::Array(items) => each_one(items.iter()),
            Value::Object(members) if members.is_empty() => Err("is empty".to_owned()),
            // What is touched are its keys, whatever stands behind them.
            Value::Object(members) => Ok(members.len() as u64),
            Value::String(text) => one_thing(text),
            Value::Bool(_) | Value::Null => Err("is no number and no list".to_owned()),
        },
        found => each_one(found.iter().copied()),
    }
}

/// How many there are, if each is one: a server may part a text that holds several, and
/// take each of a list.
fn each_one<'v>(values: impl ExactSizeIterator<Item = &'v Value>) -> Result<u64, String> {
    let count = values.len() as u64;
    for value in values {
        match value {
            Value::String(text) => several(text)?,
            Value::Array(_) => return Err("leads to a list among several".to_owned()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
    Ok(count)
}

/// A text names one thing, unless it looks like a number of them or a list.
fn one_thing(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        Err("is empty".to_owned())
    } else if looks_like_a_number(text) {
        Err("is a number in quotes, which may be how many or which one".to_owned())
    } else {
        several(text).map(|()| 1)
    }
}

/// Whether some reader takes a text for a number, in whatever way it is written.
fn looks_like_a_number(text: &str) -> bool {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let digits = plain.trim_start_matches(['+', '-']);
    let bases = [("0x", 16), ("0o", 8), ("0b", 2)];
    // What is longer than any number is the name of something.
    let is_based = |(prefix, base)| {
        let digits = digits.strip_prefix(prefix);
        digits.is_some_and(|digits| u64::from_str_radix(digits, base).is_ok())
    };
    let has_digits = digits.contains(|c: char| c.is_ascii_digit());
    has_digits && plain.parse::<f64>().is_ok()
        || bases.into_iter().any(is_based)
        || !digits.is_empty() && digits.chars().all(char::is_numeric)
}

fn several(text: &str) -> Result<(), String> {
    // Two addresses side by side, whatever stands between them.
    let parted = || text.contains(|c: char| c == '|' || c.is_whitespace());
    let addresses = || text.matches('@').nth(1).is_some() && parted();
    match text.contains([',', ';', '\n', '\r']) || addresses() {
        true => Err("is a text that may name several".to_owned()),
        false => Ok(()),
    }
}

/// The sum of all that it matches, in millionths.
fn sum(path: &Path, found: &[&Value], prices: &Prices) -> Result<u64, String> {
    let mut sum = 0_u64;
    for value in found {
        let text = match value {
            Value::Number(number) => exact(number)?,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err("is not a number".to_owned());
            }
        };
        let micros = if path.minor {
            money::parse_minor(&text, prices.currency)
        } else {
            money::parse_micros(&text)
        };
        let micros = micros.map_err(|why| format!("is {why}"))?;
        sum = sum
            .checked_add(micros)
            .ok_or_else(|| format!("is {}", MoneyError::TooMuch))?;
    }
    Ok(sum)
}

/// The digits of a number, if they are those that were written.
fn exact(number: &serde_json::Number) -> Result<String, String> {
    let text = number.to_string();
    if number.is_f64() {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let digits = mantissa.bytes().filter(u8::is_ascii_digit);
        if digits.skip_while(|digit| *digit == b'0').count() > EXACT {
            return Err("has too many digits to be read exactly".to_owned());
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Place};

    fn raw(text: &str) -> Raw {
        Raw::parse(text.to_owned().into()).unwrap()
    }

    fn path(text: &str, minor: bool) -> Option<Path> {
        Some(Path {
            text: text.to_owned(),
            minor,
            place: Place {
                file: "tools.d/payments.toml".into(),
                line: 7,
            },
        })
    }

    fn free() -> Prices {
        Prices::free(Currency::USD)
    }

    #[test]
    fn a_mail_to_5247_people_is_counted_and_priced() {
        let prices = Prices {
            each: 2_000,
            count: path("$.recipients[*]", false),
            ..free()
        };
        let recipients = vec!["\"a@b\""; 5247].join(",");
        let arguments = raw(&format!("{{\"recipients\":[{recipients}]}}"));
        let ask = asks(Some(&arguments), &prices).unwrap();
        assert_eq!(ask.get(Dimension::Count), 5247);
        assert_eq!(ask.get(Dimension::Cost), 10_494_000);
    }

    #[test]
    fn a_path_that_matches_nothing_is_a_finding_and_never_zero() {
        let prices = Prices {
            count: path("$.recipients[*]", false),
            ..free()
        };
        for arguments in ["{}", "{\"recipients\":[]}", "{\"recipient\":[1]}"] {
            let finding = asks(Some(&raw(arguments)), &prices).unwrap_err();
            assert_eq!(
                finding.says,
                "the count cannot be measured: `$.recipients[*]` matches nothing"
            );
            assert_eq!(finding.rule.unwrap().line, 7);
        }
        assert!(asks(None, &prices).is_err());
    }

    #[test]
    fn a_path_is_not_followed_through_more_values_than_anybody_means() {
        let prices = Prices {
            count: path("$.to[*]", false),
            ..free()
        };
        let arguments = format!("{{\"to\":[{}1]}}", "1,".repeat(MOST));
        let finding = asks(Some(&raw(&arguments)), &prices).unwrap_err();
        assert!(
            finding.says.contains("more than 1000000"),
            "{}",
            finding.says
        );
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        let read = |arguments: &str, minor| {
            let prices = Prices {
                amount: path("$.items[*].amount", minor),
                ..free()
            };
            asks(Some(&raw(arguments)), &prices).map(|ask| ask.get(Dimension::Amount))
        };
        let items = r#"{"items":[{"amount":48.10},{"amount":"0.2"},{"amount":1e2}]}"#;
        assert_eq!(read(items, false), Ok(148_300_000));
        assert_eq!(read(r#"{"items":[{"amount":4810}]}"#, true), Ok(48_100_000));
        for wrong in [
            r#"{"items":[{"amount":-1}]}"#,
            r#"{"items":[{"amount":0.00000012}]}"#,
            r#"{"items":[{"amount":1234567890.123456789}]}"#,
            r#"{"items":[{"amount":true}]}"#,
            r#"{"items":[{"amount":1,"Amount":9}]}"#,
            r#"{"items":[{"amount":1},{"AMOUNT":9}]}"#,
            r#"{"items":[{"amount":"1,5"}]}"#,
            r#"{"items":[{"amount":123456789012345678901234567890}]}"#,
        ] {
            assert!(read(wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_count_can_be_a_number_or_the_length_of_a_list() {
        let read = |arguments: &str| {
            let prices = Prices {
                count: path("$.n", false),
                ..free()
            };
            asks(Some(&raw(arguments)), &prices).map(|ask| ask.get(Dimension::Count))
        };
        assert_eq!(read(r#"{"n":20}"#), Ok(20));
        assert_eq!(read(r#"{"n":[7]}"#), Ok(1));
        assert_eq!(read(r#"{"n":"x"}"#), Ok(1));
        assert!(read(r#"{"n":2.5}"#).is_err());
        assert!(read(r#"{"n":null}"#).is_err());
        // What may be many does not count as one, and nothing not as none.
        for many in [
            "\"50\"",
            "\"1e3\"",
            "\"1,2,3\"",
            "\"a; b\"",
            "\"a\\nb\"",
            "\" \"",
            "[]",
            "{}",
        ] {
            assert!(read(&format!("{{\"n\":{many}}}")).is_err(), "{many}");
        }
    }

    #[test]
    fn a_text_among_several_is_no_way_round_a_count() {
        let read = |text: &str, arguments: &str| {
            let prices = Prices {
                count: path(text, false),
                ..free()
            };
            asks(Some(&raw(arguments)), &prices).map(|ask| ask.get(Dimension::Count))
        };
        for list in [
            r#"["a@x,b@x,c@x,d@x"]"#,
            r#"["a@x", "a@x; b@x"]"#,
            r#"["b@x\nc@x"]"#,
        ] {
            let arguments = format!("{{\"to\":{list}}}");
            assert!(read("$.to[*]", &arguments).is_err(), "{list}");
            assert!(read("$.to", &arguments).is_err(), "{list}");
        }
        let files = r#"{"files":{"a":"x, y","b":"z"}}"#;
        assert_eq!(read("$.files", files), Ok(2));
        // What numbers something is one thing among others.
        assert_eq!(read("$.to[*]", r#"{"to":["17","18"]}"#), Ok(2));
        // A name in brackets means one place, whatever is in it.
        assert_eq!(read("$['dc:ids']", r#"{"dc:ids":500}"#), Ok(500));
        assert_eq!(read("$['a,b*..?']", r#"{"a,b*..?":[1,2,3,4,5]}"#), Ok(5));
        assert_eq!(read("$.to[:]", r#"{"to":[3]}"#), Ok(1));
        assert_eq!(read("$.to[0,1]", r#"{"to":[3,4]}"#), Ok(2));
        assert_eq!(read("$..id", r#"{"a":{"id":9},"id":8}"#), Ok(2));
        assert_eq!(
            read("$.to[?@.id > 3]", r#"{"to":[{"id":9},{"id":1}]}"#),
            Ok(1)
        );
    }

    #[test]
    fn a_condition_is_asked_of_little_at_once() {
        let of = |text: &str, bytes: usize| {
            let prices = Prices {
                count: path(text, false),
                ..free()
            };
            let arguments = raw(&format!("{{\"to\":\"{}\"}}", "x".repeat(bytes)));
            is_large(Some(&arguments), &prices)
        };
        assert!(of("$.to[?@.a == 1]", 5_000));
        assert!(!of("$.to[?@.a == 1]", 3_000));
        assert!(!of("$.to[*]", 60_000));
        assert!(of("$.to[*]", 70_000));
    }

    #[test]
    fn neither_a_list_nor_addresses_side_by_side_nor_a_number_written_otherwise_are_one() {
        let read = |text: &str, arguments: &str| {
            let prices = Prices {
                count: path(text, false),
                ..free()
            };
            asks(Some(&raw(arguments)), &prices).map(|ask| ask.get(Dimension::Count))
        };
        for several in [
            r#"[["a@x","b@x"]]"#,
            r#"["c@x",["a@x"]]"#,
            r#"["a@x b@x"]"#,
            r#"["a@x|b@x"]"#,
            r#"["a@x\tb@x"]"#,
            r#"["A <a@x> B <b@x>"]"#,
            r#"["a@x\u00a0b@x"]"#,
        ] {
            let arguments = format!("{{\"to\":{several}}}");
            assert!(read("$.to[*]", &arguments).is_err(), "{several}");
            assert!(read("$.to", &arguments).is_err(), "{several}");
            assert!(read("$..to[*]", &arguments).is_err(), "{several}");
        }
        for one in [
            r#"["Ann Other <a@x>"]"#,
            r#"["a b|c"]"#,
            r#"[{"to":"a@x"}]"#,
        ] {
            let arguments = format!("{{\"to\":{one}}}");
            assert_eq!(read("$.to[*]", &arguments), Ok(1), "{one}");
        }
        for number in [
            "0x32",
            "-0X32",
            "0b11",
            "0o62",
            "1_000",
            "+50",
            "\u{ff15}\u{ff10}",
            "a@x b@x",
        ] {
            let arguments = format!("{{\"n\":\"{number}\"}}");
            assert!(read("$.n", &arguments).is_err(), "{number}");
        }
        for thing in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "x32",
            "0xyz",
            "inv_7",
            "inf",
        ] {
            let arguments = format!("{{\"n\":\"{thing}\"}}");
            assert_eq!(read("$.n", &arguments), Ok(1), "{thing}");
        }
    }
}
