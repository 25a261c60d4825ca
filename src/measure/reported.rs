//! What a call has used, as far as its answer says. That is spent: it is rounded up.

use serde_json::Value;

use super::path::{TooMuch, Way};
use crate::{
    domain::{
        Currency, Path, Prices,
        money::{self, MoneyError},
    },
    wire::Raw,
};

/// Bytes up to which an answer, or the place of its price, is read as a whole: others wait
/// while it is.
const ANSWER: usize = 256 * 1024;

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
    let way = Way::of(&path.text).ok_or("it is no path")?;
    // To a place that has a name one gets without reading what stands beside it.
    let (answer, found) = match way.names() {
        Some(names) => {
            let mut names = names.into_iter();
            let place = names.try_fold(answer.clone(), |within, name| within.get(name));
            let place = place.ok_or("it matches nothing")?;
            (read_whole(&place)?, None)
        }
        None => (read_whole(answer)?, Some(way)),
    };
    let found = match found {
        None => vec![&answer],
        Some(way) => way.follow(&answer).map_err(|TooMuch| "it leads too far")?,
    };
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

fn read_whole(answer: &Raw) -> Result<Value, String> {
    if answer.bytes().len() > ANSWER {
        return Err("the answer is too large for it".to_owned());
    }
    answer.to::<Value>().map_err(|error| error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Dimension, Place},
        measure::price::asks,
    };

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

    #[test]
    fn an_answer_that_is_large_is_read_where_its_price_stands_only() {
        let prices = |text: &str| Prices {
            actual: path(text, false),
            ..free()
        };
        let long = "x".repeat(ANSWER);
        let answer = raw(&format!(
            "{{\"text\":\"{long}\",\"_meta\":{{\"cost\":0.25}}}}"
        ));
        let plain = cost(&prices("$._meta.cost"), 100_000, Some(&answer), 10);
        assert_eq!(plain, (250_000, None));
        let (charged, why) = cost(&prices("$..cost"), 100_000, Some(&answer), 10);
        assert_eq!(charged, 100_000);
        assert!(why.unwrap().contains("too large"));
        let answer = raw(&format!("{{\"cost\":\"{long}\"}}"));
        let (charged, why) = cost(&prices("$.cost"), 100_000, Some(&answer), 10);
        assert_eq!(charged, 100_000);
        assert!(why.is_some());
    }
}
