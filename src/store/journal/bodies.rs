//! What is too large or too secret for a record: files named after their content.
//!
//! A body is on disk before the record that names it is put. The name is a keyed hash, so
//! that a short secret can't be guessed from it; reading checks it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, Handle, Open, read_all, write_all};
use super::key::Key;
use super::line::Digest;

/// What the name of a body ends with until it is whole.
const DRAFT: &str = ".draft";

/// The most bytes that a body may have. The largest is the whole state, on which a journal
/// stands that was pruned; what servers and agents send is bounded before.
pub const BODY_LIMIT: usize = 1 << 30;

/// Why a body can't be kept or had.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than [`BODY_LIMIT`].
    TooLarge {
        /// Its size.
        length: usize,
    },
    /// There is none of that name.
    Missing,
    /// What is there is not what was kept.
    Damaged,
    /// The file system refused.
    Io(io::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooLarge { length } => {
                write!(f, "a body holds at most {BODY_LIMIT} bytes, not {length}")
            }
            BodyError::Missing => f.write_str("the body is not kept any more"),
            BodyError::Damaged => f.write_str("the body is damaged"),
            BodyError::Io(e) => write!(f, "can't reach the body: {e}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<io::Error> for BodyError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::NotFound => BodyError::Missing,
            _ => BodyError::Io(e),
        }
    }
}

/// The bodies of one journal.
#[derive(Debug)]
pub struct Bodies {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    key: Key,
}

/// Two callers may keep the same content at once. One process has the directory.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

impl Bodies {
    pub(super) fn open(disk: Arc<dyn Disk>, state: &Path, key: Key) -> io::Result<Self> {
        let dir = state.join("bodies");
        disk.create_dir(&dir)?;
        disk.sync_dir(state)?;
        Ok(Self { disk, dir, key })
    }

    /// Those that are there, for who only reads: nothing is made for them.
    pub(super) fn found(disk: Arc<dyn Disk>, state: &Path, key: Key) -> Self {
        let dir = state.join("bodies");
        Self { disk, dir, key }
    }

    /// Removes what a crash left half written, which no record names: before anybody
    /// keeps a body, or one that is being written would go as well.
    pub(super) fn sweep(disk: &dyn Disk, state: &Path) {
        let dir = state.join("bodies");
        for name in disk.list(&dir).unwrap_or_default() {
            if is_draft(&name) {
                // One that stays is in nobody's way.
                let _ = disk.remove(&dir.join(name));
            }
        }
    }

    /// Keeps a body; when this returns it survives a power cut.
    ///
    /// # Errors
    /// When it is too large or the disk refuses. Nothing of it is left then.
    pub fn keep(&self, body: &[u8]) -> Result<Digest, BodyError> {
        if body.len() > BODY_LIMIT {
            return Err(BodyError::TooLarge { length: body.len() });
        }
        let name = self.key.hash_body(body);
        let (draft, file) = self.draft(&name).map_err(BodyError::Io)?;
        let kept = self.write(&*file, &draft, body, &name);
        if kept.is_err() {
            // The disk may be full: give back what the attempt took. It may also be
            // broken, and then the first error is the one to tell.
            let _ = self.disk.remove(&draft);
        }
        kept.map(|()| name).map_err(BodyError::Io)
    }

    /// A file of our own to write into; one that a crash left is somebody else's.
    fn draft(&self, name: &Digest) -> io::Result<(PathBuf, Arc<dyn Handle>)> {
        loop {
            let nth = DRAFTS.fetch_add(1, Ordering::Relaxed);
            let path = self.dir.join(format!("{name}.{nth}{DRAFT}"));
            match self.disk.open(&path, Open::New) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return opened.map(|file| (path, file)),
            }
        }
    }

    fn write(&self, file: &dyn Handle, draft: &Path, body: &[u8], name: &Digest) -> io::Result<()> {
        write_all(file, body, 0)?;
        file.sync()?;
        self.disk.rename(draft, &self.path(name))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Reads a body and checks it against its name.
    ///
    /// # Errors
    /// When it is missing, damaged or out of reach.
    pub fn read(&self, name: &Digest) -> Result<Vec<u8>, BodyError> {
        let body = match read_all(&*self.disk, &self.path(name), BODY_LIMIT) {
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => return Err(BodyError::Damaged),
            other => other?,
        };
        if self.key.hash_body(&body) == *name {
            Ok(body)
        } else {
            Err(BodyError::Damaged)
        }
    }

    /// Whether a body begins so: what kind of body it is, unchecked and without reading
    /// all of it.
    #[must_use]
    pub fn begins(&self, name: &Digest, with: &[u8]) -> bool {
        let Ok(file) = self.disk.open(&self.path(name), Open::Read) else {
            return false;
        };
        let mut start = vec![0; with.len()];
        file.read_at(&mut start, 0).is_ok() && start == with
    }

    /// Forgets a body; content with one that is already gone.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn forget(&self, name: &Digest) -> Result<(), BodyError> {
        match self.disk.remove(&self.path(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    /// The names of all bodies, so that those that no record names can be forgotten.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn list(&self) -> Result<Vec<Digest>, BodyError> {
        let names = self.disk.list(&self.dir)?;
        Ok(names
            .iter()
            .filter_map(|name| Digest::parse(name.as_bytes()))
            .collect())
    }

    fn path(&self, name: &Digest) -> PathBuf {
        self.dir.join(name.to_string())
    }
}

/// Whether a file has a name that [`Bodies::keep`] gives to one it has not finished.
fn is_draft(name: &str) -> bool {
    let nth = |rest: &str| {
        rest.split_once('.').is_some_and(|(name, nth)| {
            Digest::parse(name.as_bytes()).is_some() && nth.parse::<u64>().is_ok()
        })
    };
    name.strip_suffix(DRAFT).is_some_and(nth)
}
