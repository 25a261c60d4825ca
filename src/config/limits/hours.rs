//! `window` and `timezone`: when anything may be called at all.

use toml::de::DeValue;

use crate::config::decode::Field;
use crate::config::error::{Code, quoted};
use crate::domain::{Place, Window, Zone};

/// More than this nobody reads, and every call asks all of them.
const MOST: usize = 32;

pub(super) fn zone(field: &Field<'_>) -> Option<Zone> {
    let text = field.text()?;
    let zone = Zone::parse(text);
    if zone.is_none() {
        let message = format!("{} is not a time zone", quoted(text));
        field.file.report(
            field
                .problem(Code::UnknownWord, message)
                .label("no time zone has this name")
                .hint("names are those of the IANA: `Europe/Paris`, `America/New_York`, `UTC`"),
        );
    }
    zone
}

/// Reads one window, or a list of which any may be open.
pub(super) fn decode(field: &Field<'_>, zone: &Zone) -> Option<(Window, Place)> {
    let window = match field.value() {
        DeValue::Array(_) => {
            let windows = field.list_of(|one| read(one, zone))?;
            let message = match windows.len() {
                0 => "an empty list of windows is never open".to_owned(),
                1..=MOST => return Some((Window::any(windows)?, field.at())),
                many => format!("{many} windows are more than {MOST}"),
            };
            field.file.report(field.problem(Code::BadWindow, message));
            return None;
        }
        _ => read(field, zone)?,
    };
    Some((window, field.at()))
}

fn read(field: &Field<'_>, zone: &Zone) -> Option<Window> {
    let text = field.text()?;
    match Window::parse(text, zone) {
        Ok(window) => Some(window),
        Err(label) => {
            let message = format!("{} is not a window", quoted(text));
            field
                .file
                .report(field.problem(Code::BadWindow, message).label(label));
            None
        }
    }
}
