//! What a call asks for and what it has used: counts, amounts and costs, by the
//! operator's prices and paths. Exact: a number of the arguments that could not be read
//! exactly is refused, not rounded. What an answer reports is spent: it is rounded up.

use jsonpath_rust::JsonPath as _;
use serde_json::Value;

use super::spelling::misspelt_on_the_way;
use crate::{
    domain::{
        Amounts, Currency, Dimension, Finding, Path, Prices,
        money::{self, MoneyError},
        shown,
    },
    wire::Raw,
};

/// Values up to which a path is followed: each that it matches is kept until all are found.
const MOST: usize = 1_000_000;

/// Digits up to which a number with a fraction is what was written.
const EXACT: usize = 15;

/// What a call asks for, as far as its arguments and its prices say. What cannot be
/// measured is a finding: never zero.
pub fn asks(arguments: Option<&Raw>, prices: &Prices) -> Result<Amounts, Finding> {
    let mut ask = Amounts::ZERO.with(Dimension::Calls, 1);
    let mut cost = prices.call;
    let paths = paths(prices);
    if reads_arguments(prices) {
        let value = match arguments {
            None => Value::Object(serde_json::Map::new()),
            Some(raw) => raw.to::<Value>().map_err(|error| Finding {
                at: String::new(),
                says: format!("cannot be measured: {error}"),
                rule: paths
                    .into_iter()
                    .flatten()
                    .next()
                    .map(|path| path.place.clone()),
            })?,
        };
        if let Some(path) = &prices.count {
            ask.set(Dimension::Count, read(path, &value, "count", count)?);
        }
        if let Some(path) = &prices.amount {
            let sum = |path: &Path, found: &[&Value]| sum(path, found, prices);
            ask.set(Dimension::Amount, read(path, &value, "amount", sum)?);
        }
        if let Some(path) = &prices.estimate {
            let sum = |path: &Path, found: &[&Value]| sum(path, found, prices);
            cost = cost.saturating_add(read(path, &value, "cost", sum)?);
        }
    }
    let each = prices.each.saturating_mul(ask.get(Dimension::Count));
    let known = cost.saturating_add(each);
    ask.set(Dimension::Cost, known.saturating_add(prices.keep));
    Ok(ask)
}

/// Whether the prices depend on what the arguments say.
#[must_use]
pub fn reads_arguments(prices: &Prices) -> bool {
    paths(prices).into_iter().any(Option::is_some)
}

fn paths(prices: &Prices) -> [&Option<Path>; 3] {
    [&prices.count, &prices.amount, &prices.estimate]
}

/// What an answer of so many bytes has cost, where `kept` was kept back for it; and why
/// the price that it should say could not be read, if it could not.
#[must_use]
pub fn cost(
    prices: &Prices,
    kept: u64,
    answer: Option<&Raw>,
    bytes: usize,
) -> (u64, Option<String>) {
    let kib = u64::try_from(bytes.div_ceil(1024)).unwrap_or(u64::MAX);
    let size = prices.kib.saturating_mul(kib);
    let known = kept.saturating_sub(prices.keep).saturating_add(size);
    let Some(path) = &prices.actual else {
        return (known, None);
    };
    match reported(path, answer, prices) {
        Ok(cost) => (cost.saturating_add(size), None),
        // Nobody knows, so nothing of what was kept back is free again.
        Err(why) => {
            let why = format!("the price at `{}` cannot be read: {why}", path.text);
            (known.max(kept), Some(why))
        }
    }
}

/// What an answer says that it did cost. Its money is spent, so a number that cannot
/// be read exactly counts as the next that can.
fn reported(path: &Path, answer: Option<&Raw>, prices: &Prices) -> Result<u64, String> {
    let answer = answer.ok_or("there is no result")?;
    let value = answer.to::<Value>().map_err(|error| error.to_string())?;
    let found = value.query(&path.text).unwrap_or_default();
    if found.is_empty() {
        return Err("it matches nothing".to_owned());
    }
    let mut sum = 0_u64;
    for value in found {
        let cost = match value {
            Value::Number(number) => said(&number.to_string(), path, prices),
            Value::String(text) => said_in(text.trim(), path, prices),
            Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => {
                Err("it is not a number".to_owned())
            }
        };
        sum = sum.saturating_add(cost?);
    }
    Ok(sum)
}

fn said(number: &str, path: &Path, prices: &Prices) -> Result<u64, String> {
    let minor = path.minor.then_some(prices.currency);
    money::parse_reported(number, minor).map_err(|why| format!("it is {why}"))
}

/// The same of a text, which may name the currency: then it speaks of the whole, never of
/// cents.
fn said_in(text: &str, path: &Path, prices: &Prices) -> Result<u64, String> {
    let Some((number, named)) = text.split_once(' ') else {
        return said(text, path, prices);
    };
    match Currency::parse(named.trim()) {
        Some(named) if named == prices.currency => {
            money::parse_reported(number, None).map_err(|why| format!("it is {why}"))
        }
        Some(named) => Err(format!(
            "it is in {named}, but {} counts here",
            prices.currency
        )),
        None => Err(format!("it is {}", MoneyError::NotANumber)),
    }
}

fn read(
    path: &Path,
    value: &Value,
    what: &str,
    of: impl Fn(&Path, &[&Value]) -> Result<u64, String>,
) -> Result<u64, Finding> {
    let mut left = MOST;
    let measured = if has_more(value, &mut left) {
        Err(format!("would be followed through more than {MOST} values"))
    } else if let Some(key) = misspelt_on_the_way(&path.text, value) {
        let key = shown(key);
        Err(format!(
            "does not look at `{key}`, which is spelt almost the same"
        ))
    } else {
        match value.query(&path.text).unwrap_or_default().as_slice() {
            [] => Err("matches nothing".to_owned()),
            found => of(path, found),
        }
    };
    measured.map_err(|why| Finding {
        at: String::new(),
        says: format!("the {what} cannot be measured: `{}` {why}", path.text),
        rule: Some(path.place.clone()),
    })
}

/// Whether there are more values than are left.
fn has_more(value: &Value, left: &mut usize) -> bool {
    let Some(less) = left.checked_sub(1) else {
        return true;
    };
    *left = less;
    match value {
        Value::Array(items) => items.iter().any(|value| has_more(value, left)),
        Value::Object(members) => members.values().any(|value| has_more(value, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// How many things there are. A path that can match several says it by how many it
/// matches; a path to one value says it by that value.
fn count(path: &Path, found: &[&Value]) -> Result<u64, String> {
    let several = ["*", "..", "?", ":", ","]
        .iter()
        .any(|sign| path.text.contains(sign));
    match found {
        [one] if !several => match one {
            Value::Number(number) => {
                money::parse_whole(&exact(number)?).map_err(|why| format!("is {why}"))
            }
            // Whatever a server makes of none: it may be all.
            Value::Array(items) if items.is_empty() => Err("is empty".to_owned()),
            Value::Array(items) => Ok(items.len() as u64),
            Value::Object(members) if members.is_empty() => Err("is empty".to_owned()),
            Value::Object(members) => Ok(members.len() as u64),
            Value::String(text) => one_thing(text),
            Value::Bool(_) | Value::Null => Err("is no number and no list".to_owned()),
        },
        found => Ok(found.len() as u64),
    }
}

/// A text names one thing, unless it looks like a number of them or a list.
fn one_thing(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        Err("is empty".to_owned())
    } else if text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok() {
        Err("is a number in quotes, which may be how many or which one".to_owned())
    } else if text.contains([',', ';', '\n']) {
        Err("is a text that may name several".to_owned())
    } else {
        Ok(1)
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
    use crate::domain::Place;

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
    fn an_answer_says_what_it_did_cost_or_the_estimate_counts() {
        let prices = Prices {
            actual: path("$._meta.cost", false),
            kib: 1_000,
            ..free()
        };
        let said = raw(r#"{"content":[],"_meta":{"cost":0.25}}"#);
        assert_eq!(cost(&prices, 100_000, Some(&said), 1025), (252_000, None));
        let silent = raw(r#"{"content":[]}"#);
        let (charged, unread) = cost(&prices, 100_000, Some(&silent), 10);
        assert_eq!(charged, 101_000);
        assert_eq!(
            unread.as_deref(),
            Some("the price at `$._meta.cost` cannot be read: it matches nothing")
        );
    }

    #[test]
    fn a_reported_price_that_is_not_exact_is_charged_all_the_same() {
        let prices = Prices {
            actual: path("$.cost", false),
            ..free()
        };
        let charged = |price: &str| {
            let answer = raw(&format!("{{\"cost\":{price}}}"));
            cost(&prices, 100_000, Some(&answer), 10)
        };
        for (price, micros) in [
            ("0.30000000000000004", 300_001),
            ("0.0000125", 13),
            ("1e30", u64::MAX),
            ("\"0.05 USD\"", 50_000),
            ("\"0.05\"", 50_000),
            ("0", 0),
        ] {
            assert_eq!(charged(price), (micros, None), "{price}");
        }
        for (price, why) in [
            ("-5", "it is below zero"),
            ("\"0.05 EUR\"", "it is in EUR, but USD counts here"),
            ("\"five\"", "it is not a decimal number"),
            ("null", "it is not a number"),
        ] {
            let (micros, said) = charged(price);
            let said = said.unwrap();
            assert_eq!(micros, 100_000, "{price}");
            assert!(said.ends_with(why), "{price}: {said}");
        }
    }

    #[test]
    fn what_is_kept_back_for_an_unknown_price_is_freed_by_a_known_one_only() {
        let prices = Prices {
            call: 10_000,
            keep: 400_000,
            kib: 1_000,
            ..free()
        };
        let kept = asks(None, &prices).unwrap().get(Dimension::Cost);
        assert_eq!(kept, 410_000);
        let answer = raw("{}");
        assert_eq!(cost(&prices, kept, Some(&answer), 2048), (12_000, None));
        let reports = Prices {
            actual: path("$.cost", false),
            ..prices
        };
        assert_eq!(cost(&reports, kept, Some(&answer), 2048).0, kept);
        let much = 1024 * 1024;
        assert_eq!(cost(&reports, kept, Some(&answer), much).0, 1_034_000);
    }
}
