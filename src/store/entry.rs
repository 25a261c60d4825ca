//! The state as keys and values: small ones, so that sled is at ease with them.
//!
//! A key starts with the letter of its kind, numbers in it are big-endian; a
//! value starts with the version of its form and has less than 4 KiB.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    change::{Definition, OpenCall, PinKey},
    index::Block,
    state::Pinned,
};
use crate::{
    domain::{AgentName, Amounts, CallId, Fingerprint, RunId, ServerName, Stop, StopScope},
    wire::Raw,
};

pub(super) type Key = Vec<u8>;
pub(super) type Entries = BTreeMap<Key, Vec<u8>>;

/// What the keys of open calls start with.
pub(super) const OPEN: &[u8] = b"o";
/// What the keys of stops start with.
pub(super) const STOP: &[u8] = b"s";

const VERSION: u8 = 1;
/// The most bytes of a definition in one entry.
const CHUNK: usize = 3 << 10;

/// One entry, understood.
pub(super) enum Part<'a> {
    Stop(Stop),
    Pin(PinKey, Pinned),
    Open(CallId, OpenCall),
    Block(u64, &'a [u8]),
    /// A piece of a definition, which belongs to a pin.
    Text,
    /// What was used and how agents behaved; see `entry_limits`.
    Limits,
}

#[derive(Serialize, Deserialize)]
struct KeptStop {
    agent: Option<AgentName>,
    server: Option<ServerName>,
    run: Option<RunId>,
    by: String,
    text: Option<String>,
    at: String,
}

#[derive(Serialize, Deserialize)]
struct KeptPin {
    server: ServerName,
    tool: String,
    accepted: (String, usize),
    since: String,
    by: Option<String>,
    offered: Option<(String, usize)>,
}

#[derive(Serialize, Deserialize)]
struct KeptCall {
    run: RunId,
    agent: AgentName,
    server: ServerName,
    name: String,
    tool: bool,
    at: i64,
    charge: Amounts,
    step: u64,
    turn: Option<u64>,
    attempt: u64,
    probes: (bool, bool),
}

pub(super) fn stop(stop: &Stop) -> (Key, Vec<u8>) {
    let mut kept = KeptStop {
        agent: None,
        server: None,
        run: None,
        by: stop.by.clone(),
        text: stop.text.clone(),
        at: stop.at.clone(),
    };
    match &stop.scope {
        StopScope::Everything => {}
        StopScope::Agent(agent) => kept.agent = Some(agent.clone()),
        StopScope::Server(server) => kept.server = Some(server.clone()),
        StopScope::Run(run) => kept.run = Some(run.clone()),
    }
    let key = [STOP, stop.scope.to_string().as_bytes()].concat();
    (key, value(&kept))
}

pub(super) fn open(call: &CallId, open: &OpenCall) -> (Key, Vec<u8>) {
    let kept = KeptCall {
        run: open.run.clone(),
        agent: open.agent.clone(),
        server: open.server.clone(),
        name: open.name.to_string(),
        tool: open.tool,
        at: open.at,
        charge: open.charge,
        step: open.step,
        turn: open.turn,
        attempt: open.attempt,
        probes: open.probes,
    };
    ([OPEN, call.as_str().as_bytes()].concat(), value(&kept))
}

pub(super) fn block(number: u64, block: &Block) -> (Key, Vec<u8>) {
    let mut value = vec![VERSION];
    block.encode(&mut value);
    (block_key(number), value)
}

pub(super) fn block_key(number: u64) -> Key {
    [b"b", number.to_be_bytes().as_slice()].concat()
}

/// What all keys of one pin start with. A tool's name may be long: it is hashed.
pub(super) fn pin_key(key: &PinKey) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.server.as_str().as_bytes());
    hasher.update(b"\0");
    hasher.update(key.tool.as_bytes());
    let hash = hasher.finalize();
    let short = hash.as_bytes().iter().take(16);
    b"p".iter().chain(short).copied().collect()
}

pub(super) fn pin(key: &PinKey, pinned: &Pinned) -> Entries {
    let base = pin_key(key);
    let mut entries = Entries::new();
    let mut keep = |slot: u8, definition: &Definition| {
        let chunks = definition.text.bytes().chunks(CHUNK);
        let count = chunks.len();
        for (nth, chunk) in chunks.enumerate() {
            let value = [&[VERSION], chunk].concat();
            entries.insert(chunk_key(&base, slot, nth), value);
        }
        (definition.print.to_string(), count)
    };
    let kept = KeptPin {
        server: key.server.clone(),
        tool: key.tool.clone(),
        accepted: keep(b'a', &pinned.accepted),
        since: pinned.since.clone(),
        by: pinned.by.clone(),
        offered: pinned.offered.as_ref().map(|offered| keep(b'o', offered)),
    };
    entries.insert(base, value(&kept));
    entries
}

fn chunk_key(base: &[u8], slot: u8, nth: usize) -> Key {
    let nth = u32::try_from(nth).unwrap_or(u32::MAX).to_be_bytes();
    [base, &[slot], &nth].concat()
}

/// Understands one entry; a pin's definitions are looked up in `all`.
pub(super) fn decode<'a>(key: &[u8], value: &'a [u8], all: &Entries) -> Option<Part<'a>> {
    let (kind, rest) = key.split_first()?;
    let (&VERSION, value) = value.split_first()? else {
        return None;
    };
    match kind {
        b's' => decode_stop(value).map(Part::Stop),
        b'o' => {
            let call = CallId::parse(std::str::from_utf8(rest).ok()?)?;
            let kept: KeptCall = serde_json::from_slice(value).ok()?;
            let open = OpenCall {
                run: kept.run,
                agent: kept.agent,
                server: kept.server,
                name: kept.name.into(),
                tool: kept.tool,
                at: kept.at,
                charge: kept.charge,
                step: kept.step,
                turn: kept.turn,
                attempt: kept.attempt,
                probes: kept.probes,
            };
            Some(Part::Open(call, open))
        }
        b'b' => Some(Part::Block(
            u64::from_be_bytes(rest.try_into().ok()?),
            value,
        )),
        b'A' | b'R' | b'a' | b'c' | b'f' | b'n' | b'q' | b'r' | b'w' => Some(Part::Limits),
        b'p' if rest.len() > 16 => Some(Part::Text),
        b'p' => {
            let kept: KeptPin = serde_json::from_slice(value).ok()?;
            let definition = |slot: u8, (print, count): &(String, usize)| {
                let mut text = Vec::new();
                for nth in 0..*count {
                    let chunk = all.get(&chunk_key(key, slot, nth))?;
                    text.extend_from_slice(chunk.get(1..)?);
                }
                Some(Definition {
                    print: Fingerprint::parse(print)?,
                    text: Raw::parse(text.into())?,
                })
            };
            let pinned = Pinned {
                accepted: definition(b'a', &kept.accepted)?,
                since: kept.since,
                by: kept.by,
                offered: match &kept.offered {
                    Some(offered) => Some(definition(b'o', offered)?),
                    None => None,
                },
            };
            let key = PinKey {
                server: kept.server,
                tool: kept.tool,
            };
            Some(Part::Pin(key, pinned))
        }
        _ => None,
    }
}

fn decode_stop(value: &[u8]) -> Option<Stop> {
    let kept: KeptStop = serde_json::from_slice(value).ok()?;
    let scope = match (kept.agent, kept.server, kept.run) {
        (None, None, None) => StopScope::Everything,
        (Some(agent), None, None) => StopScope::Agent(agent),
        (None, Some(server), None) => StopScope::Server(server),
        (None, None, Some(run)) => StopScope::Run(run),
        _ => return None,
    };
    Some(Stop {
        scope,
        by: kept.by,
        text: kept.text,
        at: kept.at,
    })
}

pub(super) fn value(kept: &impl Serialize) -> Vec<u8> {
    let mut value = vec![VERSION];
    // Plain structs of strings: serialising them cannot fail, and an empty
    // value could not be read back, which is noticed.
    if let Ok(json) = serde_json::to_vec(kept) {
        value.extend_from_slice(&json);
    }
    value
}

/// A key, for people.
pub(super) fn show(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
