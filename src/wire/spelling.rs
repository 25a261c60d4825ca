//! Keys that some readers take for another one: Go's JSON, for one, matches names without
//! case, and the last that fits wins.

use std::borrow::Cow;

use super::{Member, Raw, json, unquote};

/// The first of these names that a member of an object has in another spelling.
#[must_use]
pub fn misspelt(object: &Raw, names: &[&'static str]) -> Option<&'static str> {
    object
        .members()
        .iter()
        .find_map(|member| meant(object, member, names))
}

/// An object without the members that have one of these names in another spelling.
#[must_use]
pub fn without_misspelt<'v>(object: &'v Raw, names: &[&'static str]) -> Cow<'v, Raw> {
    if misspelt(object, names).is_none() {
        return Cow::Borrowed(object);
    }
    let text = object.text();
    let kept: Vec<&str> = object
        .members()
        .iter()
        .filter(|member| meant(object, member, names).is_none())
        .filter_map(|member| text.get(member.key.start..member.value.end))
        .collect();
    Cow::Owned(Raw::trusted(format!("{{{}}}", kept.join(",")).into()))
}

/// Which of the names a member has in another spelling.
fn meant(object: &Raw, member: &Member, names: &[&'static str]) -> Option<&'static str> {
    let key = object.bytes().get(member.key.clone())?;
    let mut names = names.iter().copied();
    names.find(|name| reads_as(key, name) && !json::key_is(key, name))
}

/// Whether a key, as it is written, is `name` to somebody.
pub(super) fn reads_as(quoted: &[u8], name: &str) -> bool {
    let inner = quoted.get(1..quoted.len().saturating_sub(1));
    let inner = inner.unwrap_or_default();
    if inner.len() <= name.len() {
        return inner.eq_ignore_ascii_case(name.as_bytes());
    }
    // Longer for its escapes, six bytes for a letter at most, or for letters that fold to
    // one of ASCII.
    if inner.len() > 6 * name.len() {
        return false;
    }
    let key = std::str::from_utf8(quoted).ok().and_then(unquote);
    key.is_some_and(|key| key == name || is_other_spelling(&key, name))
}

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
    fn members_in_another_spelling_are_found_and_taken_out_and_the_others_stay() {
        let raw = |text: &'static str| Raw::parse(text.into()).unwrap();
        let names = ["message", "mode"];
        for (text, found, kept) in [
            (
                r#"{ "message":1 , "Message" : {"x":[]},"z": 1e400}"#,
                "message",
                r#"{"message":1,"z": 1e400}"#,
            ),
            (r#"{"m\u004fde":1,"mode":2}"#, "mode", r#"{"mode":2}"#),
            (
                r#"{"\u006d\u0065\u0053\u0073\u0061\u0067\u0065":1}"#,
                "message",
                "{}",
            ),
            (r#"{"me\u017fsage":1,"MODE":2}"#, "message", "{}"),
        ] {
            assert_eq!(misspelt(&raw(text), &names), Some(found), "{text}");
            assert_eq!(without_misspelt(&raw(text), &names).text(), kept);
        }
        for text in [
            r#"{"message":1,"mess\u0061ge":2,"x":{"Mode":1}}"#,
            "[]",
            "1",
        ] {
            assert_eq!(misspelt(&raw(text), &names), None, "{text}");
            let kept = raw(text);
            assert!(matches!(without_misspelt(&kept, &names), Cow::Borrowed(_)));
        }
    }

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
