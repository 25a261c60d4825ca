//! Resource templates by what they begin with, so that a resource is compared only with
//! those that it begins like.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use super::owners::Key;
use crate::domain::ServerName;

/// Templates of one server that count. Each may be compared with every resource that
/// anybody asks for.
pub(super) const MOST: usize = 1_000;

/// Bytes of a template that counts.
pub(super) const LONGEST: usize = 2_048;

/// Bytes of a URI that is held against templates: each of them would be sought in all of it,
/// while everybody waits.
pub(super) const LONGEST_URI: usize = 8 * 1024;

/// A template that says at least a scheme.
#[derive(Debug)]
pub(super) struct Template {
    /// What stands before the first expression.
    pub(super) head: Arc<str>,
    pub(super) text: Arc<str>,
    pub(super) key: Key,
    /// In which of the lists it was first.
    pub(super) since: u64,
}

/// Those that begin with the same text, the first known first.
type Those = Vec<(ServerName, Arc<Template>)>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Heads(BTreeMap<Arc<str>, Those>);

impl Heads {
    /// Of these, which come by server and in the order of its list.
    pub(super) fn new<'a>(all: impl Iterator<Item = (&'a ServerName, &'a Arc<Template>)>) -> Self {
        let mut heads: BTreeMap<Arc<str>, Those> = BTreeMap::new();
        for (server, template) in all {
            let those = heads.entry(template.head.clone()).or_default();
            those.push((server.clone(), template.clone()));
        }
        for those in heads.values_mut() {
            those.sort_by_key(|(_, template)| template.since);
        }
        Self(heads)
    }

    /// Those that a URI begins like, the longest beginning first. What it begins with
    /// sorts before it, and anything between has part of its beginning: so each look goes
    /// back at least to what both have in common.
    pub(super) fn begin<'a: 'u, 'u>(
        &'a self,
        uri: &'u str,
    ) -> impl Iterator<Item = &'a Those> + 'u {
        let mut until = Bound::Included(uri);
        std::iter::from_fn(move || {
            loop {
                let mut before = self.0.range::<str, _>((Bound::Unbounded, until));
                let (head, those) = before.next_back()?;
                if uri.starts_with(&**head) {
                    until = Bound::Excluded(head);
                    return Some(those);
                }
                until = Bound::Included(in_common(uri, head));
            }
        })
    }

    /// What templates of other servers begin with, and since when.
    pub(super) fn of_others(&self, server: &ServerName) -> BTreeMap<&str, u64> {
        let first = |those: &Those| {
            let mut others = those.iter().filter(|(other, _)| other != server);
            others.next().map(|(_, template)| template.since)
        };
        let heads = self.0.iter();
        heads
            .filter_map(|(head, those)| Some((&**head, first(those)?)))
            .collect()
    }
}

/// What both texts begin with.
fn in_common<'a>(one: &'a str, other: &str) -> &'a str {
    let both = one.chars().zip(other.chars());
    let same = both.take_while(|(one, other)| one == other);
    let end = same.map(|(letter, _)| letter.len_utf8()).sum();
    one.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(head: &str) -> Arc<Template> {
        Arc::new(Template {
            head: head.into(),
            text: format!("{head}{{x}}").into(),
            key: [0; 32],
            since: 0,
        })
    }

    #[test]
    fn what_a_uri_begins_with_is_found_the_longest_first() {
        let server = ServerName::parse("a").unwrap();
        let heads = [
            "a:", "a:x", "a:x/", "a:x/y", "a:x/yy", "a:w", "a:x0", "a:ä", "a:äö", "b:", "a:x/y/zz",
        ]
        .map(template);
        let all = Heads::new(heads.iter().map(|head| (&server, head)));
        for uri in [
            "a:x/y/z",
            "a:x/yyy",
            "a:äöü",
            "a:ä",
            "a:",
            "a",
            "b:x",
            "c:x",
            "",
            "a:x/y/zzz",
            "a:ñ",
        ] {
            let mut wanted: Vec<&str> = heads
                .iter()
                .map(|one| &*one.head)
                .filter(|head| uri.starts_with(head))
                .collect();
            wanted.sort_by_key(|head| std::cmp::Reverse(head.len()));
            let found: Vec<&str> = all.begin(uri).map(|those| &*those[0].1.head).collect();
            assert_eq!(found, wanted, "{uri}");
        }
    }
}
