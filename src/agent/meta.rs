//! What a request says of itself in `_meta`, and how capabilities are read.

use crate::{
    domain::Capabilities,
    wire::{Raw, keys},
};

/// The `_meta` of one request, as far as it is for us.
#[derive(Debug, Clone, Default)]
pub(super) struct Meta {
    /// The version it names: there means that the request stands alone.
    pub(super) version: Option<String>,
    /// The capabilities it declares, if it declares any.
    pub(super) capabilities: Option<Raw>,
    /// The log level it wants.
    pub(super) log_level: Option<String>,
    /// Where it wants to hear of progress.
    pub(super) progress: Option<Raw>,
    /// Whether it has any of the stateless era's keys.
    pub(super) modern: bool,
}

impl Meta {
    pub(super) fn of(params: Option<&Raw>) -> Self {
        let Some(meta) = params.and_then(|params| params.get("_meta")) else {
            return Self::default();
        };
        let text = |key: &str| {
            let value = meta.get(key)?;
            value.as_str().map(std::borrow::Cow::into_owned)
        };
        let version = text(keys::PROTOCOL_VERSION);
        let capabilities = meta.get(keys::CLIENT_CAPABILITIES);
        Self {
            modern: version.is_some()
                || capabilities.is_some()
                || meta.get(keys::PROTOCOL_VERSION).is_some(),
            version,
            capabilities,
            log_level: text(keys::LOG_LEVEL),
            progress: meta.get("progressToken").filter(|token| {
                token
                    .text()
                    .starts_with(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            }),
        }
    }

    /// The same, for what outlives its line.
    pub(super) fn detached(self) -> Self {
        Self {
            capabilities: self.capabilities.map(|declared| declared.detached()),
            progress: self.progress.map(|token| token.detached()),
            ..self
        }
    }
}

/// Reads declared client capabilities.
pub(super) fn capabilities(declared: Option<&Raw>) -> Capabilities {
    let Some(declared) = declared else {
        return Capabilities::default();
    };
    let elicitation = declared.get("elicitation");
    let mode = |name: &str| {
        elicitation
            .as_ref()
            .is_some_and(|elicitation| elicitation.get(name).is_some())
    };
    let sampling = declared.get("sampling");
    let part = |name: &str| {
        sampling
            .as_ref()
            .is_some_and(|sampling| sampling.get(name).is_some())
    };
    Capabilities {
        // An empty object means forms.
        form: mode("form") || (elicitation.is_some() && !mode("url")),
        url: mode("url"),
        sampling: sampling.is_some(),
        sampling_tools: part("tools"),
        sampling_context: part("context"),
        roots: declared.get("roots").is_some(),
    }
}

/// The levels of log messages, from the chattiest.
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// Where a level stands; `None` for what is none.
pub(super) fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|level| *level == name)
}

/// Whether a message of this level is wanted.
pub(super) fn wanted(params: &Raw, at_least: &str) -> bool {
    let said = params.get("level");
    let said = said.as_ref().and_then(Raw::as_str);
    match (said.as_deref().and_then(level), level(at_least)) {
        (Some(said), Some(least)) => said >= least,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::parse(text.to_owned().into()).unwrap()
    }

    #[test]
    fn an_empty_elicitation_capability_means_forms() {
        let read = |text: &str| {
            let read = capabilities(Some(&raw(text)));
            (read.form, read.url)
        };
        assert_eq!(read(r#"{"elicitation":{}}"#), (true, false));
        assert_eq!(read(r#"{"elicitation":{"url":{}}}"#), (false, true));
        assert_eq!(
            read(r#"{"elicitation":{"form":{},"url":{}}}"#),
            (true, true)
        );
        assert_eq!(read("{}"), (false, false));
    }

    #[test]
    fn a_message_below_the_wanted_level_is_not_wanted() {
        assert!(!wanted(&raw(r#"{"level":"info"}"#), "warning"));
        assert!(wanted(&raw(r#"{"level":"error"}"#), "warning"));
    }
}
