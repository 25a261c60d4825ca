//! What a server of the stateless era says it will tell of, and what becomes of the rest.
//!
//! Each acknowledgement is of all that is watched, not of what is new in it. A resource
//! that it does not name is told of no more, and who heard of it is told so. A list that
//! it does not name is remarked on: nobody asked for it by name.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    instance::{Instance, lock},
    subscribe,
    watched::By,
};
use crate::{
    ports::Event,
    wire::{self, Raw, keys},
};

/// The lists of whose changes a server can tell: how a stream names each, and how a server
/// names what it offers.
const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "tools"),
    ("promptsListChanged", "prompts"),
    ("resourcesListChanged", "resources"),
];

/// Lists, as a server names what it offers.
pub(super) type Lists = BTreeSet<&'static str>;

/// A server acknowledges one of the streams that it was asked for.
pub(super) fn acknowledged(instance: &Instance, params: &Raw) {
    let stream = params
        .get("_meta")
        .and_then(|meta| meta.get(keys::SUBSCRIPTION_ID));
    let Some(stream) = stream.as_ref().and_then(wire::our_id) else {
        return;
    };
    let begun = lock(&instance.streams).acknowledged(stream, &params.detached());
    let Some(begun) = begun else {
        return;
    };
    let mut gap = begun.gap;
    if let Some(before) = begun.before {
        // Who waits for its end may not have come to know of it yet.
        match instance.is_pending(before) {
            true => subscribe::replaced(instance, before),
            false => gap = true,
        }
    }
    let unnamed = unnamed(params, lock(&instance.watched).granted());
    let lost = subscribe::lose_but(instance, |uri| !unnamed.contains_key(uri));
    if lost > 0 {
        let says = format!("tells no more of resources that are watched: {lost}");
        instance.remark(&says);
    }
    let missed = listed(instance, &lists(params));
    if gap {
        instance.tell(Event::MayHaveChanged {
            server: instance.server.clone(),
            run: lock(&instance.run).clone(),
            watched: Arc::new(lock(&instance.watched).granted()),
        });
    }
    if gap || missed {
        instance.lists_changed();
    }
}

/// Whether an acknowledgement names this resource.
pub(super) fn names(said: &Raw, uri: &str) -> bool {
    uris(said).is_some_and(|uris| {
        let mut named = wire::elements(uris.text()).filter_map(wire::unquote);
        named.any(|named| named == uri)
    })
}

/// What was granted, without what an acknowledgement names.
fn unnamed(said: &Raw, mut granted: By) -> By {
    if let Some(uris) = uris(said) {
        for named in wire::elements(uris.text()).filter_map(wire::unquote) {
            granted.remove(named.as_ref());
        }
    }
    granted
}

fn uris(said: &Raw) -> Option<Raw> {
    said.get("notifications")?.get("resourceSubscriptions")
}

/// The lists that an acknowledgement names.
fn lists(said: &Raw) -> Lists {
    let granted = said.get("notifications");
    let is_on = |list: &str| {
        let on = granted.as_ref().and_then(|granted| granted.get(list));
        on.is_some_and(|on| on.text() == "true")
    };
    let on = LISTS.into_iter().filter(|(list, _)| is_on(list));
    on.map(|(_, offered)| offered).collect()
}

/// The lists of whose changes a server said when we met that it can tell.
fn declared(instance: &Instance) -> Lists {
    let capabilities = instance.greeting.get();
    let can = |offered: &str| {
        let declared = capabilities.and_then(|greeting| greeting.capabilities.get(offered));
        let tells = declared.and_then(|declared| declared.get("listChanged"));
        tells.is_some_and(|tells| tells.text() == "true")
    };
    let all = LISTS.into_iter().map(|(_, offered)| offered);
    all.filter(|offered| can(offered)).collect()
}

/// It tells of these lists now; says whether of one that it did not tell of before.
fn listed(instance: &Instance, now: &Lists) -> bool {
    let before = lock(&instance.streams).tells_of(now.clone());
    let is_first = before.is_none();
    let before = before.unwrap_or_else(|| declared(instance));
    for offered in before.difference(now) {
        instance.remark(&format!("does not tell when its {offered} change"));
    }
    !is_first && !now.is_subset(&before)
}
