//! What others named, in commands that people are told to run.

/// Longer names are not copied from a sentence.
const LONGEST: usize = 256;

/// The argument as a shell takes it, quoted where it has to be. None if it holds what is
/// not seen as it is, or ends the quotation of the command around it: nobody should run
/// what they cannot read.
#[must_use]
pub fn as_argument(text: &str) -> Option<String> {
    let seen = |c: char| c == ' ' || (c.is_ascii_graphic() && c != '`');
    let is_short = !text.is_empty() && text.len() <= LONGEST;
    (is_short && text.chars().all(seen)).then(|| quoted(text))
}

/// The same for what is a person's own, a path for one: whatever it holds.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ones_own_is_one_word_whatever_it_holds() {
        assert_eq!(quoted("/home/j\u{f6}rg"), "'/home/j\u{f6}rg'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_name_is_one_word_for_the_shell_or_is_not_named() {
        assert_eq!(
            as_argument("my.files.read-2/a_b").unwrap(),
            "my.files.read-2/a_b"
        );
        assert_eq!(
            as_argument("s.x; touch /tmp/a").unwrap(),
            "'s.x; touch /tmp/a'"
        );
        assert_eq!(as_argument("s.$(a)'b").unwrap(), r"'s.$(a)'\''b'");
        for hidden in [
            "",
            "s.a\nb",
            "s.`a`",
            "s.a\u{202e}b",
            "s.a\u{1b}[2J",
            "s.größe",
        ] {
            assert_eq!(as_argument(hidden), None, "{hidden:?}");
        }
    }
}
