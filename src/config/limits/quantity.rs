//! How much: whole numbers, money, durations, sizes, and fractions of these.
//!
//! Nothing goes through a float: what is written is what counts.

use toml::de::DeValue;

use super::Units;
use crate::config::decode::Field;
use crate::config::error::{Code, quoted};
use crate::domain::{
    Dimension,
    money::{self, MICROS},
};

/// As much of a dimension as a limit allows: never nothing.
pub(super) fn quantity(field: &Field<'_>, dimension: Dimension, units: &Units) -> Option<u64> {
    let quantity = match dimension {
        Dimension::Cost | Dimension::Amount => amount(field, units)?,
        Dimension::Time | Dimension::Elapsed => {
            let duration = field.duration()?;
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
        }
        Dimension::Bytes => size(field)?,
        Dimension::Steps | Dimension::Calls | Dimension::Count | Dimension::Tokens => {
            integer(field, "a whole number")?
        }
    };
    if quantity == 0 {
        let message = format!("{} cannot be zero", field.subject());
        field.file.report(
            field
                .problem(Code::BadQuantity, message)
                .label("this would allow nothing")
                .hint("to switch a tool off, write `NAME = \"off\"` below [tools]; to lift a limit, write \"none\""),
        );
        return None;
    }
    Some(quantity)
}

/// A whole number that is at least `least`.
pub(super) fn count(field: &Field<'_>, least: u32) -> Option<u32> {
    let number = integer(field, "a whole number")?;
    let found = u32::try_from(number).ok();
    let label = match found {
        Some(number) if number >= least => return found,
        Some(_) => format!("{least} is the least that makes sense"),
        None => "this is more than can be counted".to_owned(),
    };
    let message = format!("{} cannot be {number}", field.subject());
    field
        .file
        .report(field.problem(Code::BadQuantity, message).label(label));
    None
}

/// Money in the one currency that counts, as millionths.
pub(super) fn amount(field: &Field<'_>, units: &Units) -> Option<u64> {
    let text = match field.value() {
        DeValue::String(text) => text,
        number => {
            let problem = field.wrong_type("an amount with its currency");
            let digits = match number {
                DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
                DeValue::Float(number) => Some(number.as_str()),
                _ => None,
            };
            let digits = digits.filter(|digits| money::parse_micros(digits).is_ok());
            let currency = units.shown();
            field.file.report(match digits {
                Some(digits) => problem.label(format!("write \"{digits} {currency}\"")),
                None => problem.label(format!("write \"0.30 {currency}\"")),
            });
            return None;
        }
    };
    let problem = match money::parse_money(text) {
        Ok((micros, currency)) if units.currency.is_none_or(|ours| ours == currency) => {
            return Some(micros);
        }
        Ok((_, currency)) => field
            .problem(
                Code::WrongCurrency,
                format!("this is in {currency}, but {} counts here", units.shown()),
            )
            .label("one currency counts, and nothing is converted")
            .hint("`currency` at the top of tollgate.toml says which"),
        Err(label) => field
            .problem(
                Code::BadQuantity,
                format!("{} is not an amount of money", quoted(text)),
            )
            .label(label),
    };
    field.file.report(problem);
    None
}

const SIZES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

fn size(field: &Field<'_>) -> Option<u64> {
    let DeValue::String(text) = field.value() else {
        return integer(field, "a size, for example \"64KiB\"");
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let size = text.split_at_checked(digits).and_then(|(number, unit)| {
        let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    });
    if size.is_none() {
        let message = format!("{} is not a size", quoted(text));
        field.file.report(
            field
                .problem(Code::BadQuantity, message)
                .label("write a whole number and KiB, MiB or GiB, or bytes without quotes"),
        );
    }
    size
}

fn integer(field: &Field<'_>, wanted: &str) -> Option<u64> {
    let problem = match field.value() {
        DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => return Some(number),
            Err(_) if number.as_str().starts_with('-') => field
                .problem(
                    Code::BadQuantity,
                    format!("{} is below zero", field.subject()),
                )
                .label("a limit is above zero"),
            Err(_) => field.problem(
                Code::BadQuantity,
                format!("{} is more than can be counted", field.subject()),
            ),
        },
        DeValue::String(text)
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            field.wrong_type(wanted).label("write it without quotes")
        }
        _ => field.wrong_type(wanted),
    };
    field.file.report(problem);
    None
}

/// A part of a limit, in millionths: above zero, at most all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fraction(u64);

impl Fraction {
    pub(super) fn decode(field: &Field<'_>) -> Option<Self> {
        let problem = match field.value() {
            DeValue::Float(number) => {
                let text = number.as_str();
                let digits = text.strip_prefix('+').unwrap_or(text);
                match money::parse_micros(digits) {
                    Ok(micros) if (1..=MICROS).contains(&micros) => {
                        return Some(Fraction(micros));
                    }
                    Ok(_) | Err(money::MoneyError::Negative | money::MoneyError::TooMuch) => field
                        .problem(
                            Code::BadQuantity,
                            format!("{} is not a part of the limit", field.subject()),
                        )
                        .label("a fraction is above 0 and at most 1.0"),
                    Err(error @ (money::MoneyError::NotANumber | money::MoneyError::TooFine)) => {
                        field
                            .problem(
                                Code::BadQuantity,
                                format!("{} cannot be {}", field.subject(), quoted(text)),
                            )
                            .label(error.to_string())
                    }
                }
            }
            DeValue::Integer(number) => {
                let problem = field.wrong_type("a fraction of the limit");
                match number.as_str().parse() {
                    Ok(1_u8) => problem.label("write 1.0 for all of it"),
                    Ok(percent @ 2..100) => problem.label(format!("write 0.{percent:02}")),
                    Ok(_) | Err(_) => problem.label("write 0.75 for three quarters"),
                }
            }
            _ => field
                .wrong_type("a fraction of the limit")
                .label("write 0.75 for three quarters"),
        };
        field.file.report(problem);
        None
    }

    /// So much of it, rounded down, but not to nothing.
    pub(super) fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.0) / u128::from(MICROS);
        u64::try_from(part).unwrap_or(whole).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Fraction;

    #[test]
    fn a_fraction_is_rounded_down_but_not_to_nothing() {
        assert_eq!(Fraction(750_000).of(50), 37);
        assert_eq!(Fraction(750_000).of(1), 1);
        assert_eq!(Fraction(290_000).of(100), 29);
        assert_eq!(Fraction(1_000_000).of(u64::MAX), u64::MAX);
        assert_eq!(Fraction(1).of(10), 1);
    }
}
