//! sled, held at arm's length: it may panic, lose what it was given, or never
//! answer again after an error. Nothing else in tollgate knows that it is used.
//!
//! Entries and the head go into one transaction. Its own flush does not reach
//! the disk on Linux, so the file is synced here. After the first error a handle
//! is dropped and never asked again: a read could hang for ever.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ::sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use ::sled::{Config, Db, Tree};

use super::entry::{Entries, Key};

/// How often a lock that a killed process still holds is tried again.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);
/// What sled may keep in memory: the working set is ours.
const CACHE: u64 = 4 << 20;
const HEAD: &[u8] = b"head";

/// An open database.
pub(super) struct Sled {
    entries: Tree,
    meta: Tree,
    db: Db,
    file: File,
}

/// Why one can't be opened.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another process has it.
    InUse,
    /// It is damaged, or the file system refuses.
    Bad(String),
}

/// Everything that a database holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) entries: Entries,
    pub(super) head: Option<Vec<u8>>,
}

impl Sled {
    /// Opens the database in `dir`, or makes a new one, and reads all of it.
    pub(super) fn open(dir: &Path) -> Result<(Self, Content), Trouble> {
        let bad = |e: std::io::Error| Trouble::Bad(e.to_string());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(bad)?;
        let db = Self::open_db(dir)?;
        let sled = caught(|| {
            Ok((
                db.open_tree("state").map_err(|e| text(&e))?,
                db.open_tree("meta").map_err(|e| text(&e))?,
            ))
        });
        let (entries, meta) = sled.map_err(Trouble::Bad)?;
        let sled = Self {
            entries,
            meta,
            db,
            file: File::open(dir.join("db")).map_err(bad)?,
        };
        let content = sled.read().map_err(Trouble::Bad)?;
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(bad)?;
        Ok((sled, content))
    }

    fn open_db(dir: &Path) -> Result<Db, Trouble> {
        let config = Config::new()
            .path(dir)
            .cache_capacity(CACHE)
            // No thread of sled's own: it would panic where nobody catches it.
            .flush_every_ms(None);
        for _ in 0..TRIES {
            match caught(|| config.open().map_err(|e| text(&e))) {
                Ok(db) => return Ok(db),
                Err(why) if why.contains("could not acquire lock") => thread::sleep(PAUSE),
                Err(why) => return Err(Trouble::Bad(why)),
            }
        }
        Err(Trouble::InUse)
    }

    /// Reads everything.
    pub(super) fn read(&self) -> Result<Content, String> {
        caught(|| {
            let mut entries = Entries::new();
            for entry in &self.entries {
                let (key, value) = entry.map_err(|e| text(&e))?;
                entries.insert(key.to_vec(), value.to_vec());
            }
            let head = self.meta.get(HEAD).map_err(|e| text(&e))?;
            Ok(Content {
                entries,
                head: head.map(|head| head.to_vec()),
            })
        })
    }

    /// Makes these changes and the new head, all or none, and has them on disk.
    pub(super) fn commit(
        &self,
        changes: &[(Key, Option<Vec<u8>>)],
        head: &[u8],
    ) -> Result<(), String> {
        caught(|| {
            let committed: Result<(), TransactionError<()>> = (&self.entries, &self.meta)
                .transaction(|(entries, meta)| {
                    for (key, value) in changes {
                        match value {
                            Some(value) => entries.insert(key.as_slice(), value.as_slice())?,
                            None => entries.remove(key.as_slice())?,
                        };
                    }
                    meta.insert(HEAD, head)?;
                    Ok::<(), ConflictableTransactionError<()>>(())
                });
            match committed {
                Ok(()) => {}
                Err(TransactionError::Storage(error)) => return Err(text(&error)),
                Err(TransactionError::Abort(())) => return Err("it was aborted".to_owned()),
            }
            self.db.flush().map_err(|e| text(&e))?;
            self.file.sync_data().map_err(|e| e.to_string())
        })
    }

    /// Lets go of a database that failed.
    pub(super) fn discard(self) {
        // Whatever it says now does not matter.
        let _ = caught(|| {
            drop(self);
            Ok(())
        });
    }
}

fn text(error: &::sled::Error) -> String {
    error.to_string()
}

/// Runs something of sled's; a panic of it is an error like any other.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", said.unwrap_or("without a word")))
    })
}
