//! Characters that a terminal obeys, or that nobody sees: a text can hide instructions in
//! them. They are spelled out wherever people look.

use std::fmt::{self, Display, Write};

/// Format characters, separators of lines and paragraphs, what is ignored when it is
/// displayed, and selectors of variants; in order.
const UNSEEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// What makes an emoji of the character before it.
const EMOJI: char = '\u{fe0f}';

fn is_hidden(character: char) -> bool {
    let unseen = || {
        let at = UNSEEN.partition_point(|(_, last)| *last < character);
        UNSEEN.get(at).is_some_and(|(first, _)| *first <= character)
    };
    character.is_control() || (character >= '\u{ad}' && unseen())
}

/// Text for people, with what they would not see spelled out.
pub(super) struct Visible<'a>(pub(super) &'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One behind a symbol hides nothing; a row of them can be a text.
        let mut symbol = false;
        for character in self.0.chars() {
            if is_hidden(character) && !(character == EMOJI && symbol) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
            symbol = !character.is_ascii() && !character.is_alphanumeric() && !is_hidden(character);
        }
        Ok(())
    }
}

/// Whether something in a text would not be seen.
pub(super) fn hides(text: &str) -> bool {
    Visible(text).to_string() != text
}

/// JSON with the same value, in which everything hidden is escaped: it can stand only
/// within strings.
pub(super) struct Json<'a>(pub(super) &'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return f.write_str(self.0);
        }
        for character in self.0.chars() {
            // White space between tokens.
            if is_hidden(character) && !matches!(character, '\t' | '\n' | '\r') {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04x}")?;
                }
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_paint_on_the_terminal() {
        let shown = Visible("a\u{1b}[2Jb\u{202e}c").to_string();
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{202e}c");
    }

    #[test]
    fn what_nobody_would_see_is_spelled_out() {
        for hidden in [
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{2060}',
            '\u{3164}',
            '\u{fe00}',
            '\u{feff}',
            '\u{e0001}',
            '\u{e0020}',
            '\u{e007f}',
            '\u{e0100}',
            '\u{e01ef}',
        ] {
            let shown = Visible(&format!("a{hidden}b")).to_string();
            assert_eq!(shown, format!("a{}b", hidden.escape_unicode()));
        }
    }

    #[test]
    fn what_is_written_in_any_language_stays() {
        let text = "Füße 漢字 עברית العربية हिन्दी e\u{301} \u{2764}\u{fe0f} 🙂 – … «»";
        assert_eq!(Visible(text).to_string(), text);
        assert_eq!(
            Visible("\u{2764}\u{fe0f}\u{fe0f}x\u{fe0f}").to_string(),
            "\u{2764}\u{fe0f}\\u{fe0f}x\\u{fe0f}"
        );
    }

    #[test]
    fn json_says_the_same_and_hides_nothing() {
        let text = "\u{7f}\u{9b}31m\u{202e}\u{200b}\u{e0041}é🙂";
        let line = serde_json::to_string(&serde_json::json!({"a": text})).unwrap();
        let shown = Json(&line).to_string();
        assert_eq!(
            shown,
            "{\"a\":\"\\u007f\\u009b31m\\u202e\\u200b\\udb40\\udc41é🙂\"}"
        );
        let back: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(back["a"], text);
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(UNSEEN.iter().all(|(first, last)| first <= last));
        assert!(UNSEEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
