//! Money: whole millionths of one currency. No float ever touches it.

use std::fmt;

/// Millionths in a whole.
pub const MICROS: u64 = 1_000_000;

/// An ISO 4217 code, such as `USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Default for Currency {
    fn default() -> Self {
        Self::USD
    }
}

impl Currency {
    /// What counts where nobody says otherwise.
    pub const USD: Currency = Currency(*b"USD");

    /// Three capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(code))
    }

    /// How many digits its amounts have behind the point when they are given
    /// in minor units: 2 for cents, 0 for yen, 3 for dinars.
    #[must_use]
    pub const fn minor_digits(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyError {
    /// Not digits with at most one point.
    NotANumber,
    /// Below zero.
    Negative,
    /// More precise than a millionth.
    TooFine,
    /// More than can be counted.
    TooMuch,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoneyError::NotANumber => "not a decimal number",
            MoneyError::Negative => "below zero",
            MoneyError::TooFine => "finer than a millionth",
            MoneyError::TooMuch => "more than can be counted",
        })
    }
}

/// Reads a decimal number as millionths, exactly: digits as written, also with an
/// exponent as JSON allows.
///
/// # Errors
/// When it is none, is below zero, too fine or too large.
pub fn parse_micros(text: &str) -> Result<u64, MoneyError> {
    scaled(text, 6)
}

/// Reads a decimal number of minor units (cents) as millionths of the whole.
///
/// # Errors
/// As [`parse_micros`].
pub fn parse_minor(text: &str, currency: Currency) -> Result<u64, MoneyError> {
    scaled(text, 6_i64 - i64::from(currency.minor_digits()))
}

/// Reads a decimal number that must be whole.
///
/// # Errors
/// As [`parse_micros`].
pub fn parse_whole(text: &str) -> Result<u64, MoneyError> {
    scaled(text, 0)
}

/// Reads what somebody else says that something did cost, as millionths, or with
/// `minor` in minor units: what is finer than a millionth counts as one, and what is
/// more than can be counted as the most that can.
///
/// # Errors
/// When it is no number or below zero.
pub fn parse_reported(text: &str, minor: Option<Currency>) -> Result<u64, MoneyError> {
    let digits = minor.map_or(6, |currency| 6 - i64::from(currency.minor_digits()));
    match scaled_by(text, digits, Finer::Up) {
        Err(MoneyError::TooMuch) => Ok(u64::MAX),
        read => read,
    }
}

/// What becomes of digits behind the last that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finer {
    Refused,
    Up,
}

/// The number times ten to the power of `digits`, if that is whole.
fn scaled(text: &str, digits: i64) -> Result<u64, MoneyError> {
    scaled_by(text, digits, Finer::Refused)
}

fn scaled_by(text: &str, digits: i64, finer: Finer) -> Result<u64, MoneyError> {
    use MoneyError::{Negative, NotANumber, TooFine, TooMuch};
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => {
            let exponent: i64 = exponent.parse().map_err(|_| NotANumber)?;
            (number, exponent)
        }
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digit = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digit(whole) || !digit(fraction) || number.ends_with('.') {
        return Err(NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    let all = format!("{whole}{fraction}");
    let mantissa = all.trim_start_matches('0');
    if mantissa.is_empty() {
        return Ok(0);
    }
    if negative {
        return Err(Negative);
    }
    let length = i64::try_from(fraction.len()).map_err(|_| TooFine)?;
    // At the ends of what can be counted it is too fine or too much in any case.
    let shift = exponent.saturating_add(digits).saturating_sub(length);
    // A whole number may end in zeros that a negative shift takes away again.
    let (mantissa, shift, more) = if shift < 0 {
        let cut = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
        let split = mantissa.len().saturating_sub(cut);
        let (kept, gone) = mantissa.split_at_checked(split).ok_or(TooFine)?;
        let is_finer = kept.is_empty() || gone.bytes().any(|byte| byte != b'0');
        if is_finer && finer == Finer::Refused {
            return Err(TooFine);
        }
        (if kept.is_empty() { "0" } else { kept }, 0, is_finer)
    } else {
        (mantissa, shift, false)
    };
    let value: u64 = mantissa.parse().map_err(|_| TooMuch)?;
    let value = value.checked_add(u64::from(more)).ok_or(TooMuch)?;
    let factor = u32::try_from(shift)
        .ok()
        .and_then(|shift| 10_u64.checked_pow(shift))
        .ok_or(TooMuch)?;
    value.checked_mul(factor).ok_or(TooMuch)
}

/// Reads `0.30 USD`.
///
/// # Errors
/// A phrase that says what is wrong.
pub fn parse_money(text: &str) -> Result<(u64, Currency), String> {
    let (number, code) = text
        .split_once(' ')
        .ok_or_else(|| "write an amount and a currency: \"0.30 USD\"".to_owned())?;
    let currency = Currency::parse(code.trim())
        .ok_or_else(|| "a currency is three capital letters: \"0.30 USD\"".to_owned())?;
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain {
        return Err("write digits and at most one point: \"0.30 USD\"".to_owned());
    }
    let micros = parse_micros(number).map_err(|error| error.to_string())?;
    Ok((micros, currency))
}

/// Millionths for people: `0.30 USD`, with more digits only where they matter.
#[must_use]
pub fn show_money(micros: u64, currency: Currency) -> String {
    let mut out = String::with_capacity(16);
    write_money(micros, currency, &mut out);
    out
}

/// The same, appended.
pub fn write_money(micros: u64, currency: Currency, out: &mut String) {
    write_micros(micros, out);
    out.push(' ');
    out.extend(currency.0.map(char::from));
}

/// The same without the currency.
#[must_use]
pub fn show_micros(micros: u64) -> String {
    let mut out = String::with_capacity(12);
    write_micros(micros, &mut out);
    out
}

fn write_micros(micros: u64, out: &mut String) {
    let (whole, rest) = (micros / MICROS, micros % MICROS);
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(whole));
    out.push('.');
    // Six digits: those of the rest behind a leading one.
    let six = digits.format(MICROS + rest).get(1..).unwrap_or_default();
    let needed = six.trim_end_matches('0').len().max(2);
    out.push_str(six.get(..needed).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_as_it_is_written() {
        assert_eq!(parse_micros("0.30"), Ok(300_000));
        assert_eq!(parse_micros("40"), Ok(40_000_000));
        assert_eq!(parse_micros("0.000001"), Ok(1));
        assert_eq!(parse_micros("1.50000000000"), Ok(1_500_000));
        assert_eq!(parse_micros("48.1e0"), Ok(48_100_000));
        assert_eq!(parse_micros("481E-1"), Ok(48_100_000));
        assert_eq!(parse_micros("0.1e400"), Err(MoneyError::TooMuch));
        assert_eq!(parse_micros("0e99999"), Ok(0));
        assert_eq!(parse_micros("-0"), Ok(0));
        assert_eq!(parse_micros("-1"), Err(MoneyError::Negative));
        assert_eq!(parse_micros("0.0000001"), Err(MoneyError::TooFine));
        assert_eq!(
            parse_micros("18446744073709551615"),
            Err(MoneyError::TooMuch)
        );
        for bad in ["", ".", "1.", ".5", "1,5", "0x1", "1e", "NaN", " 1", "1 "] {
            assert_eq!(parse_micros(bad), Err(MoneyError::NotANumber), "{bad}");
        }
    }

    #[test]
    fn an_exponent_without_end_is_refused_and_not_computed() {
        for least in [
            "1.1234567e-9223372036854775808",
            "1.123456e-9223372036854775808",
            "1e-9223372036854775808",
        ] {
            assert!(parse_micros(least).is_err(), "{least}");
            assert_eq!(parse_reported(least, None), Ok(1), "{least}");
        }
        let most = "1e9223372036854775807";
        assert_eq!(parse_micros(most), Err(MoneyError::TooMuch));
        assert_eq!(parse_reported(most, None), Ok(u64::MAX));
    }

    #[test]
    fn what_is_reported_is_rounded_up_and_never_lost() {
        for (text, micros) in [
            ("0.30000000000000004", 300_001),
            ("0.0000125", 13),
            ("1.25e-5", 13),
            ("1e-9", 1),
            ("0", 0),
            ("0.5", 500_000),
            ("1e30", u64::MAX),
            ("18446744073709.551615", u64::MAX),
            ("18446744073709.5516151", u64::MAX),
            ("18446744073710", u64::MAX),
        ] {
            assert_eq!(parse_reported(text, None), Ok(micros), "{text}");
        }
        assert_eq!(parse_reported("1.00001", Some(Currency::USD)), Ok(10_001));
        assert_eq!(parse_reported("-5", None), Err(MoneyError::Negative));
        assert_eq!(parse_reported("x", None), Err(MoneyError::NotANumber));
    }

    #[test]
    fn cents_are_hundredths_and_yen_are_whole() {
        let jpy = Currency::parse("JPY").unwrap();
        assert_eq!(parse_minor("4810", Currency::USD), Ok(48_100_000));
        assert_eq!(parse_minor("4810", jpy), Ok(4_810_000_000));
        assert_eq!(parse_minor("0.5", Currency::USD), Ok(5_000));
        assert_eq!(parse_whole("20.0"), Ok(20));
        assert_eq!(parse_whole("200e-1"), Ok(20));
        assert_eq!(parse_whole("20.5"), Err(MoneyError::TooFine));
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for (micros, text) in [
            (0, "0.00 USD"),
            (300_000, "0.30 USD"),
            (1, "0.000001 USD"),
            (10_494_000, "10.494 USD"),
            (800_000_000, "800.00 USD"),
        ] {
            assert_eq!(show_money(micros, Currency::USD), text);
            assert_eq!(parse_money(text), Ok((micros, Currency::USD)));
        }
        for bad in [
            "0.30",
            "0.30 usd",
            "USD 0.30",
            "-1 USD",
            "1e3 USD",
            "0.30 DOLLARS",
        ] {
            assert!(parse_money(bad).is_err(), "{bad}");
        }
    }
}
