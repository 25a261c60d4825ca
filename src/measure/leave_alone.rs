//! A server that says it is called too often.
//!
//! On a pipe there is no status line: servers pass on what their own service told
//! them, in the error's code or data, or in the result's `_meta`. What is understood
//! here is the number 429 in one of the usual places, and how long to wait beside it.

use std::time::Duration;

use crate::wire::Raw;

/// How long a server that does not say how long wants to be left alone.
const USUAL: Duration = Duration::from_secs(60);

const STATUS: [&str; 4] = ["status", "statusCode", "status_code", "code"];
const AFTER: [&str; 4] = ["retryAfter", "retry_after", "Retry-After", "retry-after"];

/// How long a server wants to be left alone, by its error.
#[must_use]
pub fn by_error(error: &Raw) -> Option<Duration> {
    let data = error.get("data");
    let after = data.as_ref().and_then(after);
    let busy = is_429(error, &["code"]) || data.as_ref().is_some_and(|data| is_429(data, &STATUS));
    match (busy, after) {
        (true, after) => Some(after.unwrap_or(USUAL)),
        // How long to wait is said by those who want one to wait.
        (false, after) => after,
    }
}

/// The same by a result that says that the tool failed.
#[must_use]
pub fn by_result(result: &Raw) -> Option<Duration> {
    let places = [result.get("_meta"), result.get("structuredContent")];
    places.iter().flatten().find_map(|place| {
        let after = after(place);
        match is_429(place, &STATUS) {
            true => Some(after.unwrap_or(USUAL)),
            false => after,
        }
    })
}

fn is_429(value: &Raw, keys: &[&str]) -> bool {
    keys.iter()
        .filter_map(|key| value.get(key))
        .any(|code| matches!(code.text(), "429" | "\"429\""))
}

/// Seconds, as a number or as text.
fn after(value: &Raw) -> Option<Duration> {
    let said = AFTER.iter().find_map(|key| value.get(key))?;
    let text = said.as_str();
    let text = text.as_deref().unwrap_or_else(|| said.text());
    let whole = text.split('.').next().unwrap_or_default();
    let seconds: u64 = whole.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::parse(text.to_owned().into()).unwrap()
    }

    #[test]
    fn a_429_is_understood_in_the_usual_places() {
        let seconds = |after: Option<Duration>| after.map(|after| after.as_secs());
        let error = |text: &str| seconds(by_error(&raw(text)));
        assert_eq!(error(r#"{"code":429,"message":"slow down"}"#), Some(60));
        assert_eq!(
            error(r#"{"code":-32000,"data":{"status":429,"retryAfter":7}}"#),
            Some(7)
        );
        assert_eq!(
            error(r#"{"code":-1,"data":{"Retry-After":"120"}}"#),
            Some(120)
        );
        assert_eq!(error(r#"{"code":-1,"data":{"status":500}}"#), None);
        let result = |text: &str| seconds(by_result(&raw(text)));
        assert_eq!(
            result(r#"{"_meta":{"status":429,"retry_after":2.5}}"#),
            Some(2)
        );
        assert_eq!(result(r#"{"structuredContent":{"code":"429"}}"#), Some(60));
        assert_eq!(result(r#"{"content":[{"text":"429"}]}"#), None);
    }
}
