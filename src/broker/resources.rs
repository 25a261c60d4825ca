//! Whose a resource is.
//!
//! Servers say which URIs they have, one by one or by templates, and nothing keeps two
//! from saying the same. The alphabet never decides:
//!
//! 1. A URI that is listed is the first's that listed it, unless a template of another
//!    server that fits it was known before.
//! 2. Else it is the server's whose template fits best: the longest text before the first
//!    expression; of equally long ones the one that was known first. So a server that comes
//!    later has what fits its longer template, which is how two servers share a scheme.
//! 3. Else it is the server's that was known first to have anything of its scheme; nobody's
//!    if two were known at the same time.
//!
//! A template that does not say as much as a scheme fits anything, and counts only where no
//! other server has resources.
//!
//! What was known first is kept over a restart by keeping no more of a listing than comes
//! first: see [`Resources::keep_own`]. Not kept is the order of what does not meet in one
//! URI or in one beginning of templates, as for the third rule, and of what one server has
//! listed again after a while.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    owners::{self, Claims},
    uri,
};
use crate::{domain::ServerName, ports::Listing, wire::Raw};

/// Who lists which resources and templates.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) uris: Claims,
    pub(super) templates: Claims,
}

type Listings = BTreeMap<ServerName, Arc<Listing>>;

/// A template that fits.
struct Fitting<'a> {
    server: &'a ServerName,
    /// How long its text is before the first expression.
    head: usize,
    since: u64,
}

impl Resources {
    /// Of these listings, and what is hidden of each and why.
    pub(super) fn new(
        before: Option<&Resources>,
        listings: &Listings,
    ) -> (Self, Vec<(ServerName, String)>) {
        let mut hidden = Vec::new();
        let mut claims = |of: fn(&Listing) -> &Vec<Raw>, key: &str, before: Option<&Claims>| {
            let listed = listings.iter().flat_map(|(server, listing)| {
                let keys = of(listing)
                    .iter()
                    .filter_map(|entry| owners::text(entry, key));
                keys.map(move |key| (server, key))
            });
            let claims = Claims::new(before, listed);
            for (server, listing) in listings {
                let keys = of(listing)
                    .iter()
                    .filter_map(|entry| owners::text(entry, key));
                for key in keys {
                    if let Some(owner) = claims.first(&key).filter(|owner| *owner != server) {
                        let why = owners::belongs(&key, owner);
                        hidden.push((server.clone(), format!("a resource is hidden: {why}")));
                    }
                }
            }
            claims
        };
        let uris = claims(
            |listing| &listing.resources,
            "uri",
            before.map(|before| &before.uris),
        );
        let templates = claims(
            |listing| &listing.templates,
            "uriTemplate",
            before.map(|before| &before.templates),
        );
        (Self { uris, templates }, hidden)
    }

    /// Whose a resource is, of these servers.
    pub(super) fn owner<'a>(
        &'a self,
        uri: &str,
        servers: &[ServerName],
        listings: &'a Listings,
    ) -> Option<&'a ServerName> {
        let having: Vec<&Listing> = servers
            .iter()
            .filter_map(|server| listings.get(server).map(Arc::as_ref))
            .filter(|listing| listing.capabilities.get("resources").is_some())
            .collect();
        if let [only] = having.as_slice() {
            return Some(&only.server);
        }
        let fitting: Vec<Fitting<'_>> = having
            .iter()
            .flat_map(|listing| self.fitting(uri, listing, servers))
            .collect();
        if let Some((server, since)) = self.uris.owner_since(uri, servers) {
            let was_before =
                |template: &Fitting<'_>| template.server != server && template.since < since;
            if !fitting.iter().any(was_before) {
                return Some(server);
            }
        }
        let best = fitting
            .iter()
            .min_by_key(|template| (Reverse(template.head), template.since));
        best.map(|template| template.server)
            .or_else(|| self.of_scheme(uri::scheme(uri), &having))
    }

    /// The templates of a server that fit a URI and are its own.
    fn fitting<'a>(
        &'a self,
        uri: &str,
        listing: &'a Listing,
        servers: &[ServerName],
    ) -> impl Iterator<Item = Fitting<'a>> {
        listing.templates.iter().filter_map(move |entry| {
            let template = owners::text(entry, "uriTemplate")?;
            let head = uri::head(&template).filter(|_| uri::fits(&template, uri))?;
            let (server, since) = self.templates.owner_since(&template, servers)?;
            (*server == listing.server).then_some(Fitting {
                server: &listing.server,
                head: head.len(),
                since,
            })
        })
    }

    /// The server that was the first to have anything of this scheme.
    fn of_scheme<'a>(&self, scheme: &str, having: &[&'a Listing]) -> Option<&'a ServerName> {
        let since = |listing: &Listing, entries: &[Raw], key: &str, claims: &Claims| {
            let texts = entries.iter().filter_map(|entry| owners::text(entry, key));
            texts
                .filter(|text| uri::scheme(text) == scheme)
                .filter_map(|text| claims.since(&text, &listing.server))
                .min()
        };
        let mut known: Vec<(u64, &ServerName)> = having
            .iter()
            .filter_map(|listing| {
                let uris = since(listing, &listing.resources, "uri", &self.uris);
                let templates = &listing.templates;
                let templates = since(listing, templates, "uriTemplate", &self.templates);
                let first = uris.into_iter().chain(templates).min()?;
                Some((first, &listing.server))
            })
            .collect();
        known.sort();
        match known.as_slice() {
            [(first, _), (second, _), ..] if first == second => None,
            [(_, server), ..] => Some(server),
            [] => None,
        }
    }

    /// Takes out of a listing what comes after another server's: the same entry, a template
    /// that begins like an earlier one, a URI that an earlier template may fit. At the next
    /// start it comes later again.
    pub(super) fn keep_own(&self, own: &mut Listing, listings: &Listings) {
        let server = own.server.clone();
        let mut heads: BTreeMap<String, u64> = BTreeMap::new();
        for listing in listings.values().filter(|other| other.server != server) {
            for entry in &listing.templates {
                let Some(template) = owners::text(entry, "uriTemplate") else {
                    continue;
                };
                let since = self.templates.since(&template, &listing.server);
                if let (Some(head), Some(since)) = (uri::head(&template), since) {
                    let known = heads.entry(head.to_owned()).or_insert(since);
                    *known = since.min(*known);
                }
            }
        }
        let is_first = |claims: &Claims, text: &str| claims.first(text) == Some(&server);
        own.templates.retain(|entry| {
            let Some(template) = owners::text(entry, "uriTemplate") else {
                return true;
            };
            let since = self.templates.since(&template, &server);
            let before = uri::head(&template).and_then(|head| heads.get(head).copied());
            let is_later = before.zip(since).is_some_and(|(before, own)| before < own);
            !is_later && is_first(&self.templates, &template)
        });
        let mut uris: Vec<(String, u64)> = own
            .resources
            .iter()
            .filter_map(|entry| owners::text(entry, "uri"))
            .filter_map(|uri| self.uris.since(&uri, &server).map(|since| (uri, since)))
            .collect();
        uris.sort();
        let later = later(&heads, &uris);
        own.resources.retain(|entry| {
            let uri = owners::text(entry, "uri");
            uri.is_none_or(|uri| !later.contains(uri.as_str()) && is_first(&self.uris, &uri))
        });
    }
}

/// Of these URIs, which are sorted, those that begin like something known before them. Both
/// may be many, and are gone through once.
fn later<'a>(heads: &BTreeMap<String, u64>, uris: &'a [(String, u64)]) -> HashSet<&'a str> {
    let mut heads = heads.iter().peekable();
    // Those that the text at hand begins with, each with the earliest up to it.
    let mut within: Vec<(&str, u64)> = Vec::new();
    let leave = |within: &mut Vec<(&str, u64)>, text: &str| {
        while within
            .pop_if(|(head, _)| !text.starts_with(*head))
            .is_some()
        {}
    };
    let mut later = HashSet::new();
    for (uri, since) in uris {
        while let Some((head, known)) = heads.next_if(|(head, _)| *head <= uri) {
            leave(&mut within, head);
            let known = within.last().map_or(*known, |(_, outer)| *known.min(outer));
            within.push((head, known));
        }
        leave(&mut within, uri);
        if within.last().is_some_and(|(_, known)| known < since) {
            later.insert(uri.as_str());
        }
    }
    later
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_something_earlier_is_later() {
        let heads = [("a:", 5), ("a:x", 9), ("a:x/y", 2), ("b:", 1)];
        let heads = heads.map(|(head, since)| (head.to_owned(), since));
        let uris = [
            ("a:w", 4),
            ("a:x", 4),
            ("a:x/a", 6),
            ("a:x/y/z", 3),
            ("a:z", 6),
            ("c:", 9),
        ];
        let uris = uris.map(|(uri, since)| (uri.to_owned(), since));
        let found = later(&heads.into(), &uris);
        assert_eq!(found, HashSet::from(["a:x/a", "a:x/y/z", "a:z"]));
    }
}
