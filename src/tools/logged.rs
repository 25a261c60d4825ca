//! Whose a log message is.
//!
//! To an agent there is one server, and its `logger` is all that tells who speaks. A tool
//! server must not be able to speak as tollgate or as another server.

use crate::domain::ServerName;
use crate::wire::{self, Edit, Raw};

/// A log message with its server's name before that of its logger, as it is written. No
/// name of a server has a slash.
pub(super) fn by(server: &ServerName, params: &Raw) -> Raw {
    let params = wire::without_misspelt(params, &["logger"]);
    let own = params.get("logger");
    let own = own.as_ref().and_then(|own| own.text().strip_prefix('"'));
    let logger = match own {
        Some(own) => format!("\"{server}/{own}"),
        None => wire::quote(server.as_str()),
    };
    let mut edit = Edit::new(&params);
    edit.set("logger", logger);
    edit.raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_message_says_whose_it_is_whatever_it_says_of_itself() {
        let server = ServerName::parse("mail").unwrap();
        let logger = |params: &str| {
            let raw = Raw::parse(params.to_owned().into()).unwrap();
            by(&server, &raw).text().to_owned()
        };
        for (said, told) in [
            (
                r#"{"level":"info","logger":"tollgate","data":{"n":1e400}}"#,
                r#"{"level":"info","logger":"mail/tollgate","data":{"n":1e400}}"#,
            ),
            (
                r#"{"logger":"a\u002f\"b"}"#,
                r#"{"logger":"mail/a\u002f\"b"}"#,
            ),
            (r#"{"data":1}"#, r#"{"data":1,"logger":"mail"}"#),
            (r#"{"logger":7}"#, r#"{"logger":"mail"}"#),
            (r#"{"Logger":"tollgate"}"#, r#"{"logger":"mail"}"#),
        ] {
            assert_eq!(logger(said), told);
        }
    }
}
