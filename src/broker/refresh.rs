//! The catalogue follows its servers.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast;

use super::{Broker, Catalog, Session, before::Before};
use crate::{
    domain::{Fault, Fingerprint, ServerName},
    ports::{Caller, Listing},
};

/// How long a first list waits for a server that is coming up.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// Warnings of one list that are told each.
const WARNINGS: usize = 20;

/// Which lists are no longer what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// `tools/list`
    pub tools: bool,
    /// `prompts/list`
    pub prompts: bool,
    /// `resources/list`, templates included
    pub resources: bool,
}

impl Broker {
    /// Takes what a server lists now.
    pub fn listed(&self, listing: Listing) {
        let listing = Arc::new(listing);
        let mut place = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let before = place.listings().get(&listing.server).cloned();
        let changed = match &before {
            Some(before) if **before == *listing => {
                drop(place);
                self.settled_beside(&listing.server);
                self.meet(&listing.server);
                return;
            }
            Some(before) => Changed {
                tools: before.tools != listing.tools,
                prompts: before.prompts != listing.prompts,
                resources: before.resources != listing.resources
                    || before.templates != listing.templates,
            },
            None => Changed {
                tools: !listing.tools.is_empty(),
                prompts: !listing.prompts.is_empty(),
                resources: !listing.resources.is_empty() || !listing.templates.is_empty(),
            },
        };
        let mut listings = place.listings().clone();
        listings.insert(listing.server.clone(), listing.clone());
        let renewed = Arc::new(self.renewed(&place, listings, None));
        let before = std::mem::replace(&mut *place, renewed.clone());
        drop(place);
        self.settled_beside(&listing.server);
        self.meet(&listing.server);
        if let Err(fault) = self.shelf.keep(&renewed.own_part(&listing, &self.policy)) {
            tracing::warn!(server = %listing.server, "its listing is not kept: {fault}");
        }
        warn_of(renewed.warnings(), before.warnings());
        if changed.tools || changed.prompts || changed.resources {
            // Nobody listening is no error.
            let _ = self.changed.send(changed);
        }
    }

    /// A person accepts what a server offers under this name now; says whether
    /// there was anything to accept.
    ///
    /// # Errors
    /// When it cannot be recorded: what was accepted before then stays.
    pub async fn accept(
        &self,
        server: ServerName,
        tool: String,
        seen: Fingerprint,
        by: String,
    ) -> Result<bool, Fault> {
        let store = self.store.clone();
        let named = (server.clone(), tool.clone());
        let accepted = tokio::task::spawn_blocking(move || store.accept(&server, &tool, seen, &by))
            .await
            .map_err(|_| Fault::new("the store gave way while recording it"))??;
        if accepted {
            let mut place = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
            let listings = place.listings().clone();
            *place = Arc::new(self.renewed(&place, listings, Some((&named.0, &named.1))));
            drop(place);
            let _ = self.changed.send(Changed {
                tools: true,
                prompts: false,
                resources: false,
            });
        }
        Ok(accepted)
    }

    /// The catalogue of other listings; `but` is read again however it was.
    fn renewed(
        &self,
        catalog: &Catalog,
        listings: BTreeMap<ServerName, Arc<Listing>>,
        but: Option<(&ServerName, &str)>,
    ) -> Catalog {
        let before = Before {
            catalog,
            but,
            news: &self.news,
            now: self.clock.elapsed(),
        };
        let store = self.store.as_ref();
        Catalog::build(listings, &self.policy, store, &self.owners, Some(&before))
    }

    /// Takes that a server cannot be listed for now.
    pub fn meet(&self, server: &ServerName) {
        self.met.send_if_modified(|met| met.insert(server.clone()));
        self.due.send_if_modified(|due| due.remove(server));
    }

    /// Servers that could not be listed because they were stopped, and may be now, are waited
    /// for again.
    pub(super) fn unmeet(&self) {
        let catalog = self.catalog();
        let stops = self.stops.borrow().clone();
        let is_held = |server: &ServerName| stops.of_server(server).is_some();
        self.met.send_modify(|met| {
            met.retain(|server| catalog.listings().contains_key(server) || is_held(server));
        });
    }

    /// Whether every server there is was listed once or could not be.
    fn all_met(&self) -> bool {
        self.met.borrow().len() >= self.policy.servers.len()
    }

    /// Whether nobody has to wait: every server was met, and none is started anew for
    /// this session.
    pub(super) fn is_ready(&self, session: &Session) -> bool {
        self.all_met() && session.due().is_empty()
    }

    /// Waits until every server that a session may see was listed once or could
    /// not be: a first list must not be empty because a server is still coming
    /// up. And for those that are started anew because it came. Bounded, so that
    /// one server holds up nobody for long.
    pub async fn ready(&self, session: &Session) {
        self.met_all(session.visible()).await;
        let due = session.due().clone();
        if !due.is_empty() {
            let mut renewed = self.due.subscribe();
            let wait = renewed.wait_for(|now| now.is_disjoint(&due));
            let _ = tokio::time::timeout(FIRST_LIST, wait).await;
            session.due().clear();
        }
    }

    /// The same for a call, which may be cancelled meanwhile: then nobody waits for it.
    pub(super) async fn ready_for(&self, session: &Session, caller: &dyn Caller) {
        tokio::select! {
            _ = caller.cancelled() => {}
            () = self.ready(session) => {}
        }
    }

    pub(super) async fn met_all(&self, servers: &[ServerName]) {
        let all = |met: &BTreeSet<ServerName>| servers.iter().all(|server| met.contains(server));
        if all(&self.met.borrow()) {
            return;
        }
        let mut met = self.met.subscribe();
        let wait = async { drop(met.wait_for(|met| all(met)).await) };
        let _ = tokio::time::timeout(FIRST_LIST, wait).await;
    }

    /// Tells when a list changes.
    #[must_use]
    pub fn watch_lists(&self) -> broadcast::Receiver<Changed> {
        self.changed.subscribe()
    }
}

/// What cannot be offered of one server, and why: a little of it, where it is much.
pub(super) fn few<'a>(whys: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut whys = whys.map(str::to_owned);
    let mut few: Vec<String> = whys.by_ref().take(WARNINGS).collect();
    match whys.count() {
        0 => {}
        more => few.push(format!("{more} more like these")),
    }
    few
}

/// Tells the operator what cannot be offered and was not told before.
pub(super) fn warn_of(now: &[(ServerName, String)], before: &[(ServerName, String)]) {
    let told: HashSet<&(ServerName, String)> = before.iter().collect();
    let mut news: BTreeMap<&ServerName, Vec<&str>> = BTreeMap::new();
    for warning in now.iter().filter(|warning| !told.contains(warning)) {
        news.entry(&warning.0).or_default().push(&warning.1);
    }
    for (server, whys) in news {
        for why in few(whys.into_iter()) {
            tracing::warn!(%server, "{why}");
        }
    }
}
