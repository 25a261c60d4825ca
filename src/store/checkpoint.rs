//! Keeps the state beside the journal, so that a start need not read all of it.
//!
//! One thread owns what is kept. Every second or so it takes what changed out of
//! the critical section, waits until the records it follows from are synced,
//! puts a `checkpoint` record, and commits all of it at once with the record up
//! to which it holds and a digest of everything. The digest finds damage, not
//! tampering: whoever can write here can write the journal.
//!
//! Once keeping fails it is given up: the journal has everything.
//!
//! The same thread prunes the journal ([`super::retention`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{
    entry::{Entries, Key},
    journal::{Digest, Place, Placed, Seq},
    ledger::lock,
    local::Pen,
    news::News,
    record,
    retention::{self, Hands, Retention},
    section::Section,
    sled::{Content, Sled, Trouble},
    state::{Delta, State},
};
use crate::{clock::Clock, domain::Fault};

type Sum = [u8; 32];

/// What was found beside the journal, and is whole.
pub(super) struct Loaded {
    pub(super) state: State,
    /// The last record that it follows from.
    pub(super) applied: Placed,
    kept: Kept,
}

/// The database and what is known to be in it.
pub(super) struct Kept {
    sled: Sled,
    sums: BTreeMap<Key, Sum>,
    /// Over all entries.
    total: Sum,
}

impl Loaded {
    /// Reads what is kept in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self, Trouble> {
        let (sled, content) = Sled::open(dir)?;
        let (applied, sums, total) = judge(&content).map_err(Trouble::Bad)?;
        let state = State::from_entries(&content.entries, applied).map_err(Trouble::Bad)?;
        let kept = Kept { sled, sums, total };
        Ok(Self {
            state,
            applied,
            kept,
        })
    }

    /// The state to go on from, and the database to keep it in.
    pub(super) fn split(self) -> (State, Placed, Kept) {
        (self.state, self.applied, self.kept)
    }
}

impl Kept {
    /// An empty database; `dir` is not there yet.
    pub(super) fn fresh(dir: &Path) -> Result<Self, Trouble> {
        let (sled, content) = Sled::open(dir)?;
        if !content.entries.is_empty() {
            return Err(Trouble::Bad("it is not empty".to_owned()));
        }
        Ok(Self {
            sled,
            sums: BTreeMap::new(),
            total: Sum::default(),
        })
    }

    /// Works out what a delta changes in the database.
    fn plan(&mut self, delta: Delta) -> Vec<(Key, Option<Vec<u8>>)> {
        let mut changes = Vec::new();
        for (prefix, entries) in delta {
            let below = self.sums.range(prefix.clone()..);
            let gone: Vec<Key> = below
                .map(|(key, _)| key)
                .take_while(|key| key.starts_with(&prefix))
                .filter(|key| !entries.contains_key(*key))
                .cloned()
                .collect();
            for key in gone {
                if let Some(sum) = self.sums.remove(&key) {
                    mix(&mut self.total, &sum);
                }
                changes.push((key, None));
            }
            for (key, value) in entries {
                let sum = sum(&key, &value);
                let old = self.sums.insert(key.clone(), sum);
                if old == Some(sum) {
                    continue;
                }
                mix(&mut self.total, &sum);
                if let Some(old) = old {
                    mix(&mut self.total, &old);
                }
                changes.push((key, Some(value)));
            }
        }
        changes
    }
}

/// Whether the content is what was committed, and up to which record.
fn judge(content: &Content) -> Result<(Placed, BTreeMap<Key, Sum>, Sum), String> {
    let head = content.head.as_ref().ok_or("it is empty")?;
    let (applied, digest) = decode(head).ok_or("its head can't be read")?;
    let mut total = Sum::default();
    let mut sums = BTreeMap::new();
    for (key, value) in &content.entries {
        let sum = sum(key, value);
        mix(&mut total, &sum);
        sums.insert(key.clone(), sum);
    }
    if sealed(&total, &applied) != digest {
        return Err("its digest does not fit its content".to_owned());
    }
    Ok((applied, sums, total))
}

fn sum(key: &[u8], value: &[u8]) -> Sum {
    let mut hasher = blake3::Hasher::new_derive_key("tollgate 2026 state entry");
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    *hasher.finalize().as_bytes()
}

/// Keys are unique, so nothing cancels but an entry that is taken out again.
fn mix(total: &mut Sum, sum: &Sum) {
    for (byte, other) in total.iter_mut().zip(sum) {
        *byte ^= other;
    }
}

/// The digest of all entries together with the record that they belong to.
fn sealed(total: &Sum, applied: &Placed) -> Sum {
    sum(total, &encode_placed(applied))
}

pub(super) fn encode_placed(placed: &Placed) -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(&placed.seq.get().to_be_bytes());
    out.extend_from_slice(&placed.place.segment.to_be_bytes());
    out.extend_from_slice(&placed.place.offset.to_be_bytes());
    out.extend_from_slice(placed.hash.as_bytes());
    out
}

fn decode(head: &[u8]) -> Option<(Placed, Sum)> {
    let (placed, digest) = decode_placed(head)?;
    Some((placed, digest.try_into().ok()?))
}

/// What [`encode_placed`] wrote, and what stands behind it.
pub(super) fn decode_placed(bytes: &[u8]) -> Option<(Placed, &[u8])> {
    let (&1, rest) = bytes.split_first()? else {
        return None;
    };
    let (seq, rest) = rest.split_first_chunk()?;
    let (segment, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk::<64>()?;
    let placed = Placed {
        seq: Seq::new(u64::from_be_bytes(*seq)),
        place: Place {
            segment: u32::from_be_bytes(*segment),
            offset: u64::from_be_bytes(*offset),
        },
        hash: Digest::parse(hash)?,
    };
    Some((placed, rest))
}

/// Puts a damaged database out of the way. Returns where it is now.
pub(super) fn move_aside(dir: &Path) -> std::io::Result<PathBuf> {
    let mut nth = 1_u32;
    loop {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".bad-{nth}"));
        let aside = PathBuf::from(name);
        if aside.symlink_metadata().is_err() {
            std::fs::rename(dir, &aside)?;
            return Ok(aside);
        }
        nth = nth.saturating_add(1);
    }
}

/// The thread that keeps the state.
pub(super) struct Keeper {
    asks: Option<Sender<Ask>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    trouble: Arc<Mutex<Option<String>>>,
}

enum Ask {
    /// Keep the state now.
    Keep(SyncSender<Result<(), Fault>>),
    /// Read what is kept.
    Read(SyncSender<Option<Content>>),
    /// Keep it a last time and end.
    End,
}

impl Keeper {
    /// Nothing is kept, for a reason or because nobody asked for it.
    pub(super) fn none(why: Option<String>) -> Self {
        Self {
            asks: None,
            thread: Mutex::new(None),
            trouble: Arc::new(Mutex::new(why)),
        }
    }

    /// Starts keeping, or only pruning if there is nothing to keep it in. `whole` if
    /// the database has nothing yet.
    pub(super) fn start(
        kept: Result<Kept, String>,
        whole: bool,
        every: Duration,
        hands: Hands,
        retention: Arc<Mutex<Retention>>,
    ) -> std::io::Result<Self> {
        let (asks, asked) = mpsc::channel();
        let (kept, why) = match kept {
            Ok(kept) => (Some(kept), None),
            Err(why) => (None, Some(why)),
        };
        let trouble = Arc::new(Mutex::new(why));
        let Hands {
            section,
            pen,
            clock,
            news,
        } = hands;
        let mut work = Work {
            kept,
            whole,
            done: Seq::ZERO,
            section,
            pen,
            clock,
            news,
            retention,
            trouble: trouble.clone(),
        };
        let thread = thread::Builder::new()
            .name("state-keeper".into())
            .spawn(move || work.run(&asked, every))?;
        Ok(Self {
            asks: Some(asks),
            thread: Mutex::new(Some(thread)),
            trouble,
        })
    }

    /// Why nothing is kept any more.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Keeps the state now.
    pub(super) fn keep(&self) -> Result<(), Fault> {
        self.ask(Ask::Keep).unwrap_or(Ok(()))
    }

    /// What is kept, and up to which record.
    pub(super) fn read(&self) -> Result<Option<(Entries, Seq)>, Fault> {
        let Some(Some(content)) = self.ask(Ask::Read) else {
            return Ok(None);
        };
        if content.head.is_none() && content.entries.is_empty() {
            return Ok(None);
        }
        let (applied, ..) = judge(&content)
            .map_err(|why| Fault::new(format!("what is kept of the state is damaged: {why}")))?;
        Ok(Some((content.entries, applied.seq)))
    }

    /// Keeps it a last time and ends.
    pub(super) fn end(&self) {
        if let Some(asks) = &self.asks {
            // A thread that is gone has nothing more to keep.
            let _ = asks.send(Ask::End);
        }
        self.join();
    }

    fn ask<T>(&self, ask: fn(SyncSender<T>) -> Ask) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.asks.as_ref()?.send(ask(sender)).ok()?;
        receiver.recv().ok()
    }

    fn join(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A thread that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    /// Ends the thread without keeping anything: that is [`Keeper::end`].
    fn drop(&mut self) {
        self.asks = None;
        self.join();
    }
}

/// What the thread works with.
struct Work {
    kept: Option<Kept>,
    whole: bool,
    /// The last checkpoint's own record.
    done: Seq,
    section: Arc<Mutex<Section>>,
    pen: Arc<Pen>,
    clock: Arc<dyn Clock>,
    news: News,
    retention: Arc<Mutex<Retention>>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Work {
    fn run(&mut self, asked: &mpsc::Receiver<Ask>, every: Duration) {
        loop {
            // Whoever asks gets the answer; a fault is told by the pen as well.
            match asked.recv_timeout(every) {
                Ok(Ask::Keep(answer)) => {
                    let _ = answer.send(self.checkpoint());
                }
                Ok(Ask::Read(answer)) => {
                    let _ = answer.send(self.read());
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.checkpoint().is_ok() {
                        retention::lock(&self.retention).tick();
                    }
                }
                Ok(Ask::End) => {
                    let _ = self.checkpoint();
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn checkpoint(&mut self) -> Result<(), Fault> {
        // A sync that failed with nobody waiting is noticed here.
        if let Err(poisoned) = self.pen.journal.healthy() {
            return Err(self.pen.failed(&poisoned));
        }
        let Some(mut kept) = self.kept.take() else {
            return Ok(());
        };
        let committed = self.commit(&mut kept)?;
        match committed {
            Ok(()) => self.kept = Some(kept),
            Err(why) => self.give_up(kept, why),
        }
        Ok(())
    }

    /// The outer error is the journal's, the inner one sled's.
    fn commit(&mut self, kept: &mut Kept) -> Result<Result<(), String>, Fault> {
        let (delta, applied) = {
            let mut section = lock(&self.section);
            let Some(last) = section.state.last().filter(|last| last.seq > self.done) else {
                return Ok(Ok(()));
            };
            (section.state.delta(self.whole), last)
        };
        self.whole = false;
        // Never ahead of the journal: what is kept follows from synced records.
        self.pen.durable(applied.seq)?;
        let changes = kept.plan(delta);
        let digest = sealed(&kept.total, &applied);
        let draft = record::checkpoint(
            applied.seq.get(),
            kept.sums.len(),
            blake3::Hash::from_bytes(digest).to_hex().as_str(),
        );
        let placed = {
            let mut section = lock(&self.section);
            let keep = section.keep();
            section.commit(|entry| self.pen.put(entry), &*self.clock, draft, true, keep)
        };
        match placed {
            Ok(placed) => {
                self.pen.durable(placed.seq)?;
                self.news.tell(placed.seq);
                self.done = placed.seq;
            }
            // The disk is full, the journal whole: kept without a record of it.
            Err(_) if self.pen.journal.healthy().is_ok() => self.done = applied.seq,
            Err(fault) => return Err(fault),
        }
        let mut head = encode_placed(&applied);
        head.extend_from_slice(&digest);
        Ok(kept.sled.commit(&changes, &head))
    }

    fn read(&mut self) -> Option<Content> {
        let kept = self.kept.take()?;
        match kept.sled.read() {
            Ok(content) => {
                self.kept = Some(kept);
                Some(content)
            }
            Err(why) => {
                self.give_up(kept, why);
                None
            }
        }
    }

    fn give_up(&mut self, kept: Kept, why: String) {
        tracing::error!(
            "the state is no longer kept beside the journal: {why}; \
             tollgate goes on, and the next start takes longer"
        );
        kept.sled.discard();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(seq: u64) -> Placed {
        Placed {
            seq: Seq::new(seq),
            place: Place {
                segment: 1,
                offset: 7,
            },
            hash: Digest::NONE,
        }
    }

    /// What a commit of these entries would leave.
    fn committed(entries: &Entries) -> Content {
        let mut total = Sum::default();
        for (key, value) in entries {
            mix(&mut total, &sum(key, value));
        }
        let mut head = encode_placed(&placed(9));
        head.extend_from_slice(&sealed(&total, &placed(9)));
        Content {
            entries: entries.clone(),
            head: Some(head),
        }
    }

    #[test]
    fn content_that_is_not_what_was_committed_is_found() {
        let entries = Entries::from([
            (b"a".to_vec(), b"1".to_vec()),
            (b"b".to_vec(), b"2".to_vec()),
        ]);
        let (applied, ..) = judge(&committed(&entries)).unwrap();
        assert_eq!(applied, placed(9));
        let harms: [fn(&mut Content); 6] = [
            |content| drop(content.entries.remove(b"a".as_slice())),
            |content| drop(content.entries.insert(b"a".to_vec(), b"2".to_vec())),
            |content| drop(content.entries.insert(b"c".to_vec(), Vec::new())),
            |content| content.entries.clear(),
            |content| content.head = None,
            // A head that claims another record.
            |content| content.head.as_mut().unwrap()[8] ^= 1,
        ];
        for harm in harms {
            let mut content = committed(&entries);
            harm(&mut content);
            assert!(judge(&content).is_err());
        }
    }
}
