//! Addresses of parts of a schema, as far as it takes to see which can be the same.

/// Where the schemas are by which drafts say what a schema is. The validator has them.
pub(super) const SCHEMAS: [&str; 2] = ["http://json-schema.org/", "https://json-schema.org/"];

/// How their addresses end.
const ENDS: [&str; 12] = [
    "schema",
    "applicator",
    "content",
    "core",
    "format",
    "format-annotation",
    "format-assertion",
    "hyper-schema",
    "links",
    "meta-data",
    "unevaluated",
    "validation",
];

/// The end of an address. From wherever one counts, and however the beginning is written,
/// the end stays what it was; unless it is written in a way that is not plain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a>(Option<&'a str>);

impl<'a> Address<'a> {
    /// Of a text without a fragment.
    pub(super) fn of(text: &'a str) -> Self {
        let (path, has_path) = match text.split_once("://") {
            Some((_, rest)) => (rest, rest.contains('/')),
            None => (text, true),
        };
        let end = path.rsplit(['/', ':']).next().unwrap_or_default();
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@!$&'()*+,;=".contains(&byte);
        let is_sure = has_path && !matches!(end, "" | "." | "..") && end.bytes().all(is_plain);
        // A question mark can stand before the last slash as well.
        Self(Some(end).filter(|_| is_sure && !text.contains(['?', '\\'])))
    }

    /// Whether it is clear what can be the same.
    pub(super) fn is_sure(self) -> bool {
        self.0.is_some()
    }

    /// Whether both may mean the same.
    pub(super) fn may_be(self, other: Address<'_>) -> bool {
        match (self.0, other.0) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (None, _) | (_, None) => true,
        }
    }

    /// Whether it can lead to the schema of schemas, from somewhere.
    pub(super) fn ends_like_a_schema_of_schemas(self) -> bool {
        self.0
            .is_none_or(|end| ENDS.iter().any(|known| end.eq_ignore_ascii_case(known)))
    }
}
