//! Just enough of URIs to know whose a resource is.

/// The scheme, as written.
pub(super) fn scheme(uri: &str) -> &str {
    uri.split_once(':').map_or(uri, |(scheme, _)| scheme)
}

/// What stands before the first expression of a template, if that says a scheme.
pub(super) fn head(template: &str) -> Option<&str> {
    let head = template.split('{').next()?;
    let (scheme, _) = head.split_once(':')?;
    (!scheme.is_empty()).then_some(head)
}

/// Whether a URI could have been made from an RFC 6570 template: its literal
/// pieces stand in the URI in order, with anything in place of the expressions.
pub(super) fn fits(template: &str, uri: &str) -> bool {
    let mut rest = uri;
    let mut first = true;
    let mut last = "";
    let mut pieces = template.split('{');
    let Some(head) = pieces.next() else {
        return false;
    };
    let literals = std::iter::once(Some(head))
        .chain(pieces.map(|piece| piece.split_once('}').map(|(_, literal)| literal)));
    for literal in literals {
        let Some(literal) = literal else {
            return false;
        };
        if first {
            let Some(tail) = rest.strip_prefix(literal) else {
                return false;
            };
            rest = tail;
            first = false;
            continue;
        }
        last = literal;
        match rest.find(literal) {
            Some(at) => rest = rest.get(at + literal.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.is_empty() || (template.contains('{') && uri.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_fits_what_could_be_made_from_it() {
        assert!(fits("test://template/{id}/data", "test://template/12/data"));
        assert!(fits("file:///{+path}", "file:///a/b"));
        assert!(!fits("test://template/{id}/data", "test://other/12/data"));
        assert!(!fits(
            "test://template/{id}/data",
            "test://template/12/datax"
        ));
        assert!(fits("x://a", "x://a"));
        assert!(!fits("x://a", "x://ab"));
        assert_eq!(scheme("file:///a"), "file");
    }

    #[test]
    fn the_head_of_a_template_says_its_scheme_or_there_is_none() {
        assert_eq!(head("repo://{owner}/{+path}"), Some("repo://"));
        assert_eq!(head("x://a"), Some("x://a"));
        for nothing in ["{+x}", "{scheme}://a", "a{+x}", "://{x}", ":{x}", ""] {
            assert_eq!(head(nothing), None, "{nothing}");
        }
    }
}
