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
//! other server has resources. One that is very long, and what a server lists beyond very
//! many, is listed and does not count: see `templates.rs`. Nor is a very long URI held
//! against templates: if it begins like one, and was not listed before that was known, it
//! is nobody's.
//!
//! What was known first is kept over a restart by keeping no more of a listing than comes
//! first: see [`Resources::keep_own`]. Not kept is the order of what does not meet in one
//! URI or in one beginning of templates, as for the third rule, and of what one server has
//! listed again after a while.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    owners::{self, Claims, Key},
    templates::{Heads, LONGEST, LONGEST_URI, MOST, Template},
    uri,
};
use crate::{domain::ServerName, ports::Listing, wire::Raw};

/// Who lists which resources and templates.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) uris: Claims,
    pub(super) templates: Claims,
    parts: BTreeMap<ServerName, Arc<Part>>,
    heads: Heads,
}

pub(super) type Listings = BTreeMap<ServerName, Arc<Listing>>;

/// What was made of one server's listing. It stays for as long as the server lists the
/// same, whatever others list.
#[derive(Debug)]
struct Part {
    has_resources: bool,
    /// Of each entry, in the order of the list.
    uris: Vec<Option<Key>>,
    templates: Vec<Option<Key>>,
    /// The templates that count.
    counted: Vec<Arc<Template>>,
    /// How many say a scheme and do not count.
    uncounted: usize,
    /// Since when it has anything of each scheme.
    schemes: HashMap<Key, u64>,
}

/// Entries of a listing, and what was made of each.
type Of = for<'a> fn(&'a Listing, &'a Part) -> (&'a [Raw], &'a [Option<Key>]);

impl Resources {
    /// Of these listings, and what is hidden of each and why.
    pub(super) fn new(
        before: Option<(&Resources, &Listings)>,
        listings: &Listings,
    ) -> (Self, Vec<(ServerName, String)>) {
        let known = before.map(|(known, _)| known);
        let mut new = Self {
            uris: Claims::after(known.map(|known| &known.uris)),
            templates: Claims::after(known.map(|known| &known.templates)),
            ..Self::default()
        };
        for (server, listing) in listings {
            let same = before.and_then(|(known, listings)| {
                let was = listings.get(server)?;
                let part = known.parts.get(server)?;
                is_same(was, listing).then_some((known, part))
            });
            let part = match same {
                Some((known, part)) => {
                    new.uris.carry(&known.uris, server);
                    new.templates.carry(&known.templates, server);
                    part.clone()
                }
                None => Arc::new(new.read(known, listing)),
            };
            new.parts.insert(server.clone(), part);
        }
        new.heads = Heads::new(
            new.parts
                .iter()
                .flat_map(|(server, part)| part.counted.iter().map(move |one| (server, one))),
        );
        let hidden = new.hidden(listings);
        (new, hidden)
    }

    /// Reads one server's listing.
    fn read(&mut self, before: Option<&Resources>, listing: &Listing) -> Part {
        let server = &listing.server;
        let (uris, templates) = (uris(listing), texts(&listing.templates, "uriTemplate"));
        let keys = |texts: &[Option<String>]| -> Vec<Option<Key>> {
            let texts = texts.iter().map(Option::as_deref);
            texts.map(|text| text.map(owners::key)).collect()
        };
        let (uri_keys, template_keys) = (keys(&uris), keys(&templates));
        let of_uris = uri_keys.iter().flatten().copied();
        self.uris
            .add(before.map(|before| &before.uris), server, of_uris);
        let of_templates = template_keys.iter().flatten().copied();
        self.templates
            .add(before.map(|before| &before.templates), server, of_templates);
        let mut part = Part {
            has_resources: listing.capabilities.get("resources").is_some(),
            counted: Vec::new(),
            uncounted: 0,
            schemes: HashMap::new(),
            uris: uri_keys,
            templates: template_keys,
        };
        for (claims, texts, keys) in [
            (&self.uris, &uris, &part.uris),
            (&self.templates, &templates, &part.templates),
        ] {
            for (text, key) in texts.iter().flatten().zip(keys.iter().flatten()) {
                if let Some(since) = claims.since(key, server) {
                    let scheme = owners::key(uri::scheme(text));
                    let first = part.schemes.entry(scheme).or_insert(since);
                    *first = since.min(*first);
                }
            }
        }
        for (text, key) in templates
            .iter()
            .flatten()
            .zip(part.templates.iter().flatten())
        {
            let since = self.templates.since(key, server);
            let (Some(head), Some(since)) = (uri::head(text), since) else {
                continue;
            };
            if part.counted.len() < MOST && text.len() <= LONGEST {
                part.counted.push(Arc::new(Template {
                    head: head.into(),
                    text: text.as_str().into(),
                    key: *key,
                    since,
                }));
            } else {
                part.uncounted += 1;
            }
        }
        part
    }

    /// What is hidden, and what does not count.
    fn hidden(&self, listings: &Listings) -> Vec<(ServerName, String)> {
        let mut hidden = Vec::new();
        let mut hide = |claims: &Claims, key: &str, of: Of| {
            for (server, mut later) in claims.later() {
                let (Some(part), Some(listing)) = (self.parts.get(server), listings.get(server))
                else {
                    continue;
                };
                let (entries, keys) = of(listing, part);
                for (entry, its) in entries.iter().zip(keys) {
                    if let Some(its) = its.filter(|its| later.remove(its))
                        && let (Some(text), Some(owner)) =
                            (owners::text(entry, key), claims.first_of(&its))
                    {
                        let why = owners::belongs(&text, owner);
                        hidden.push((server.clone(), format!("a resource is hidden: {why}")));
                    }
                }
            }
        };
        hide(&self.uris, "uri", |listing, part| {
            (&listing.resources, &part.uris)
        });
        hide(&self.templates, "uriTemplate", |listing, part| {
            (&listing.templates, &part.templates)
        });
        for (server, part) in self.parts.iter().filter(|(_, part)| part.uncounted > 0) {
            let why = format!(
                "{} of its resource templates do not count for whose a resource is: no more than {MOST} do, of {LONGEST} bytes each",
                part.uncounted
            );
            hidden.push((server.clone(), why));
        }
        hidden
    }

    /// Whose a resource is, of these servers.
    pub(super) fn owner<'a>(&'a self, uri: &str, servers: &[ServerName]) -> Option<&'a ServerName> {
        let having: Vec<&ServerName> = self
            .parts
            .iter()
            .filter(|(server, part)| part.has_resources && servers.contains(server))
            .map(|(server, _)| server)
            .collect();
        if let [only] = having.as_slice() {
            return Some(only);
        }
        let is_long = uri.len() > LONGEST_URI;
        // A template that several list is the first's.
        let fits = |server: &ServerName, template: &Template| {
            having.contains(&server)
                && !is_long
                && uri::fits(&template.text, uri)
                && self.templates.shows(server, Some(&template.key), servers)
        };
        if let Some((owner, since)) = self.uris.owner_since(&owners::key(uri), servers) {
            let mut before = self
                .heads
                .begin(uri)
                .flatten()
                .filter(|(server, template)| {
                    // In this order: few were there before, and only they are compared.
                    template.since < since && server != owner
                });
            // Of a very long one nobody knows whether it fits, and who listed it later is not
            // given what may be another's.
            let may_fit = |server: &ServerName, template: &Template| match is_long {
                true => having.contains(&server),
                false => fits(server, template),
            };
            if !before.any(|(server, template)| may_fit(server, template)) {
                return Some(owner);
            }
        }
        let best = self.heads.begin(uri).find_map(|those| {
            let mut those = those.iter();
            those.find(|(server, template)| fits(server, template))
        });
        // Whose it would be is not known then.
        let mut alike = self.heads.begin(uri).flatten();
        if is_long && alike.any(|(server, _)| having.contains(&server)) {
            return None;
        }
        best.map(|(server, _)| server)
            .or_else(|| self.of_scheme(uri::scheme(uri), &having))
    }

    /// The server that was the first to have anything of this scheme.
    fn of_scheme<'a>(&'a self, scheme: &str, having: &[&ServerName]) -> Option<&'a ServerName> {
        let scheme = owners::key(scheme);
        let parts = self.parts.iter();
        let mut known: Vec<(u64, &ServerName)> = parts
            .filter(|(server, _)| having.contains(server))
            .filter_map(|(server, part)| Some((*part.schemes.get(&scheme)?, server)))
            .collect();
        known.sort();
        match known.as_slice() {
            [(first, _), (second, _), ..] if first == second => None,
            [(_, server), ..] => Some(server),
            [] => None,
        }
    }

    /// The resources of a server that are shown to who may see these.
    pub(super) fn shown<'a>(
        &'a self,
        listing: &'a Listing,
        to: &'a [ServerName],
    ) -> impl Iterator<Item = &'a Raw> {
        let keys = self.parts.get(&listing.server).into_iter();
        let keys = keys.flat_map(|part| &part.uris);
        shown(&self.uris, &listing.server, &listing.resources, keys, to)
    }

    /// The same of its templates.
    pub(super) fn shown_templates<'a>(
        &'a self,
        listing: &'a Listing,
        to: &'a [ServerName],
    ) -> impl Iterator<Item = &'a Raw> {
        let keys = self.parts.get(&listing.server).into_iter();
        let keys = keys.flat_map(|part| &part.templates);
        let server = &listing.server;
        shown(&self.templates, server, &listing.templates, keys, to)
    }

    /// Takes out of a listing, which is one of those that this was made of, what comes
    /// after another server's: the same entry, a template that begins like an earlier one,
    /// a URI that an earlier template may fit. At the next start it comes later again.
    pub(super) fn keep_own(&self, own: &mut Listing) {
        let server = own.server.clone();
        let Some(part) = self.parts.get(&server) else {
            return;
        };
        let heads = self.heads.of_others(&server);
        let is_first = |claims: &Claims, key: &Key| claims.first_of(key) == Some(&server);
        let mut keys = part.templates.iter();
        own.templates.retain(|entry| {
            let (Some(Some(key)), Some(template)) =
                (keys.next(), owners::text(entry, "uriTemplate"))
            else {
                return true;
            };
            let since = self.templates.since(key, &server);
            let before = uri::head(&template).and_then(|head| heads.get(head).copied());
            let is_later = before.zip(since).is_some_and(|(before, own)| before < own);
            !is_later && is_first(&self.templates, key)
        });
        let texts = uris(own);
        let mut uris: Vec<(&str, u64)> = texts
            .iter()
            .zip(&part.uris)
            .filter_map(|(uri, key)| {
                let since = self.uris.since(key.as_ref()?, &server)?;
                Some((uri.as_deref()?, since))
            })
            .collect();
        uris.sort_unstable();
        let later = later(&heads, &uris);
        let mut known = texts.iter().zip(&part.uris);
        own.resources.retain(|_| match known.next() {
            Some((Some(uri), Some(key))) => {
                !later.contains(uri.as_str()) && is_first(&self.uris, key)
            }
            Some(_) | None => true,
        });
    }
}

/// Whether what a server has is what it had.
fn is_same(was: &Arc<Listing>, is: &Arc<Listing>) -> bool {
    Arc::ptr_eq(was, is)
        || (was.capabilities == is.capabilities
            && was.resources == is.resources
            && was.templates == is.templates)
}

fn uris(listing: &Listing) -> Vec<Option<String>> {
    texts(&listing.resources, "uri")
}

fn texts(entries: &[Raw], key: &str) -> Vec<Option<String>> {
    let texts = entries.iter().map(|entry| owners::text(entry, key));
    texts.collect()
}

fn shown<'a>(
    claims: &'a Claims,
    server: &'a ServerName,
    entries: &'a [Raw],
    keys: impl Iterator<Item = &'a Option<Key>>,
    to: &'a [ServerName],
) -> impl Iterator<Item = &'a Raw> {
    let entries = entries.iter().zip(keys);
    let shown = entries.filter(|(_, key)| claims.shows(server, key.as_ref(), to));
    shown.map(|(entry, _)| entry)
}

/// Of these URIs, which are sorted, those that begin like something known before them. Both
/// may be many, and are gone through once.
fn later<'a>(heads: &BTreeMap<&str, u64>, uris: &[(&'a str, u64)]) -> HashSet<&'a str> {
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
            later.insert(*uri);
        }
    }
    later
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Era, Guise, Met};

    #[test]
    fn what_begins_like_something_earlier_is_later() {
        let heads = [("a:", 5), ("a:x", 9), ("a:x/y", 2), ("b:", 1)];
        let uris = [
            ("a:w", 4),
            ("a:x", 4),
            ("a:x/a", 6),
            ("a:x/y/z", 3),
            ("a:z", 6),
            ("c:", 9),
        ];
        let found = later(&heads.into(), &uris);
        assert_eq!(found, HashSet::from(["a:x/a", "a:x/y/z", "a:z"]));
    }

    fn listing(name: &str, uri: &str, template: &str) -> Arc<Listing> {
        let raw = |text: String| Raw::parse(text.into()).unwrap();
        Arc::new(Listing {
            server: ServerName::parse(name).unwrap(),
            era: Era::Legacy,
            told: Guise::default(),
            met: Met::default(),
            capabilities: raw(r#"{"resources":{}}"#.to_owned()),
            info: None,
            instructions: None,
            tools: Vec::new(),
            prompts: Vec::new(),
            resources: vec![raw(format!("{{\"uri\":\"{uri}\"}}"))],
            templates: vec![raw(format!("{{\"uriTemplate\":\"{template}\"}}"))],
        })
    }

    #[test]
    fn a_very_long_uri_is_taken_from_no_template_by_who_lists_it_later() {
        let long = format!("a:x/{}", "y".repeat(LONGEST_URI));
        let (alpha, beta) = (
            listing("alpha", "a:x/1", "a:x/{y}"),
            listing("beta", &long, "b:{y}"),
        );
        let mut listings = Listings::from([(alpha.server.clone(), alpha.clone())]);
        let before = listings.clone();
        let (known, _) = Resources::new(None, &before);
        listings.insert(beta.server.clone(), beta.clone());
        let (resources, _) = Resources::new(Some((&known, &before)), &listings);
        let servers: Vec<ServerName> = listings.keys().cloned().collect();
        assert_eq!(resources.owner("a:x/2", &servers), Some(&alpha.server));
        assert_eq!(resources.owner(&long, &servers), None);
        // Who sees only the one that lists it has nobody to take it from.
        assert_eq!(resources.owner(&long, &servers[1..]), Some(&beta.server));
    }

    #[test]
    fn a_very_long_uri_is_held_against_no_template_and_is_nobodys_if_it_begins_like_one() {
        let of = |head: &str, length: usize| format!("{head}{}", "x".repeat(length - head.len()));
        let long = LONGEST_URI + 1;
        let listed = of("a:x/1", long);
        let both = [
            listing("alpha", &listed, "a:x/{y}"),
            listing("beta", "a:z", "b:{y}"),
        ];
        let both: Listings = both
            .into_iter()
            .map(|one| (one.server.clone(), one))
            .collect();
        let (resources, _) = Resources::new(None, &both);
        let servers: Vec<ServerName> = both.keys().cloned().collect();
        let owner = |uri: &str, servers: &[ServerName]| {
            let owner = resources.owner(uri, servers);
            owner.map(ToString::to_string)
        };
        let alpha = Some("alpha".to_owned());
        assert_eq!(owner(&of("a:x/", LONGEST_URI), &servers), alpha);
        assert_eq!(owner(&listed, &servers), alpha);
        assert_eq!(owner(&of("a:x/2", long), &servers), None);
        // There is nobody else whose it could be.
        assert_eq!(owner(&of("a:x/2", long), &servers[..1]), alpha);
    }
}
