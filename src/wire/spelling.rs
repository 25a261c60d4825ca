//! Keys that some readers take for another one: Go's JSON, for one, matches names without
//! case, and the last that fits wins.

/// Whether a key is not `meant`, but read as it by who does not look at case.
#[must_use]
pub fn is_other_spelling(given: &str, meant: &str) -> bool {
    given != meant && given.chars().map(folded).eq(meant.chars().map(folded))
}

/// A letter without case. Some letters beyond ASCII are one of ASCII without it: the
/// long s, the sign of Kelvin.
fn folded(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    // Those of Turkish: which of the others they are depends on who reads them, and where.
    if matches!(c, '\u{130}' | '\u{131}') {
        return 'i';
    }
    let one = |mut letters: &mut dyn Iterator<Item = char>| {
        let first = (&mut letters).next();
        first.filter(|_| letters.next().is_none())
    };
    let upper = one(&mut c.to_uppercase()).unwrap_or(c);
    one(&mut upper.to_lowercase()).unwrap_or(upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_another_spelling_of_what_differs_by_case_only() {
        for (given, meant) in [
            ("PATH", "path"),
            ("Path", "path"),
            ("max_Items", "max_items"),
            ("pa\u{17f}\u{17f}word", "password"),
            ("to\u{212a}en", "token"),
            ("\u{c4}rger", "\u{e4}rger"),
            ("\u{3c2}", "\u{3a3}"),
            ("\u{130}d", "id"),
            ("\u{130}D", "Id"),
            ("\u{131}d", "id"),
            ("\u{131}d", "\u{130}d"),
        ] {
            assert!(is_other_spelling(given, meant), "{given}");
            assert!(is_other_spelling(meant, given), "{given}");
        }
        for (given, meant) in [
            ("path", "path"),
            ("paths", "path"),
            ("", "a"),
            ("pat", "path"),
        ] {
            assert!(!is_other_spelling(given, meant), "{given}");
        }
    }
}
