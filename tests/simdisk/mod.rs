//! A disk in memory that forgets what was not synced, fails when told to, and can be cut
//! off from its power between any two steps.

pub mod journal;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tollgate::store::journal::{Disk, Handle, Open};

const SECTOR: usize = 512;

/// How long a test waits for a step that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Draws numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Every case of one kind in the long rounds (tests/crashes/run), every `nth` otherwise.
pub fn every(nth: usize) -> usize {
    match std::env::var_os("TOLLGATE_EVERY_CASE") {
        Some(_) => 1,
        None => nth,
    }
}

/// Where the last `most` bytes of some lines are cut: at all of them or at every seventh,
/// and around every end of a line.
pub fn cuts(lines: &[u8], most: usize) -> impl Iterator<Item = usize> {
    let ends_near = |at: usize| {
        let near = &lines[at.saturating_sub(2)..lines.len().min(at + 1)];
        near.contains(&b'\n')
    };
    let first = lines.len().saturating_sub(most);
    (first..lines.len()).filter(move |at| at % every(7) == 0 || ends_near(*at))
}

/// What a step does to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Create,
    Write,
    Sync,
    Truncate,
    Reserve,
    Rename,
    Remove,
    SyncDir,
}

#[derive(Debug, Clone)]
pub struct SimDisk {
    shared: Arc<(Mutex<World>, Condvar)>,
}

#[derive(Debug, Clone, Default)]
struct World {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Sectors that were cut off or removed: new files may get them.
    grave: Vec<Vec<u8>>,
    steps: u64,
    counts: BTreeMap<&'static str, u64>,
    fuse: Option<u64>,
    fault: Option<(Step, u64, io::ErrorKind)>,
    shortest: Option<usize>,
    room: Option<u64>,
    hold_syncs: bool,
}

#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    reserved: u64,
}

impl SimDisk {
    pub fn new() -> Self {
        Self::of(World::default())
    }

    fn of(world: World) -> Self {
        Self {
            shared: Arc::new((Mutex::new(world), Condvar::new())),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.0.lock().unwrap()
    }

    /// After this many more steps nothing works any more.
    pub fn set_fuse(&self, steps: u64) {
        let mut world = self.world();
        world.fuse = Some(world.steps + steps);
    }

    pub fn blown(&self) -> bool {
        let world = self.world();
        world.fuse.is_some_and(|fuse| world.steps >= fuse)
    }

    /// The `nth` step of this kind from now on fails, once.
    pub fn fail(&self, step: Step, nth: u64, kind: io::ErrorKind) {
        self.world().fault = Some((step, nth, kind));
    }

    /// No write takes more than this many bytes.
    pub fn set_shortest(&self, bytes: usize) {
        self.world().shortest = Some(bytes);
    }

    /// How many bytes can still be reserved.
    pub fn set_room(&self, bytes: u64) {
        self.world().room = Some(bytes);
    }

    /// While held, syncs wait.
    pub fn hold_syncs(&self, hold: bool) {
        self.world().hold_syncs = hold;
        self.shared.1.notify_all();
    }

    pub fn count(&self, step: Step) -> u64 {
        let world = self.world();
        world.counts.get(name(step)).copied().unwrap_or(0)
    }

    /// Waits until there were this many steps of a kind.
    pub fn wait_for(&self, step: Step, count: u64) {
        let fewer = |world: &mut World| world.counts.get(name(step)).copied().unwrap_or(0) < count;
        let waited = self
            .shared
            .1
            .wait_timeout_while(self.world(), PATIENCE, fewer);
        let (world, timeout) = waited.unwrap();
        // A test that fails drops a store, which needs the disk.
        drop(world);
        assert!(
            !timeout.timed_out(),
            "no {count} times `{}` by now",
            name(step)
        );
    }

    /// What the next process finds after this one was killed.
    pub fn kill(&self) -> Self {
        let world = self.world();
        Self::of(World {
            files: world.files.clone(),
            names: world.names.clone(),
            synced_names: world.synced_names.clone(),
            grave: world.grave.clone(),
            ..World::default()
        })
    }

    /// What the next process finds after the power was cut.
    pub fn power_cut(&self, dice: &mut Dice) -> Self {
        let world = self.world();
        let mut names = world.synced_names.clone();
        for (path, file) in &world.names {
            if world.synced_names.get(path) != Some(file) && dice.one_in(2) {
                names.insert(path.clone(), *file);
            }
        }
        for path in world.synced_names.keys() {
            if !world.names.contains_key(path) && dice.one_in(2) {
                names.remove(path);
            }
        }
        let style = dice.below(6);
        let files: Vec<Content> = world
            .files
            .iter()
            .map(|content| content.after_power_cut(style, &world.grave, dice))
            .collect();
        Self::of(World {
            files,
            synced_names: names.clone(),
            names,
            grave: world.grave.clone(),
            ..World::default()
        })
    }

    /// Changes a file behind everybody's back, on the platter.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let file = world.names[path];
        change(&mut world.files[file].now);
        world.files[file].synced = world.files[file].now.clone();
    }

    /// Puts a whole file there behind everybody's back.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let mut world = self.world();
        world.files.push(Content {
            now: content.to_vec(),
            synced: content.to_vec(),
            reserved: 0,
        });
        let file = world.files.len() - 1;
        world.names.insert(path.to_path_buf(), file);
        world.synced_names.insert(path.to_path_buf(), file);
    }

    pub fn vanish(&self, path: &Path) {
        let mut world = self.world();
        world.names.remove(path).unwrap();
        world.synced_names.remove(path);
    }

    pub fn content(&self, path: &Path) -> Vec<u8> {
        let world = self.world();
        world.files[world.names[path]].now.clone()
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    /// The segments that hold something.
    pub fn segments(&self) -> Vec<PathBuf> {
        let mut paths = self.paths();
        paths.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
        paths.retain(|path| !self.content(path).is_empty());
        paths
    }

    fn step(&self, step: Step) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        while world.hold_syncs && step == Step::Sync {
            world = self.shared.1.wait(world).unwrap();
        }
        world.steps += 1;
        *world.counts.entry(name(step)).or_default() += 1;
        self.shared.1.notify_all();
        if world.fuse.is_some_and(|fuse| world.steps > fuse) {
            return Err(io::Error::other("the power is gone"));
        }
        match &mut world.fault {
            Some((kind, nth, error)) if *kind == step => {
                *nth -= 1;
                if *nth == 0 {
                    let error = *error;
                    world.fault = None;
                    return Err(error.into());
                }
            }
            _ => {}
        }
        Ok(world)
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Write => "write",
        Step::Sync => "sync",
        Step::Truncate => "truncate",
        Step::Reserve => "reserve",
        Step::Rename => "rename",
        Step::Remove => "remove",
        Step::SyncDir => "sync_dir",
    }
}

impl Content {
    /// Sectors are atomic. One that was synced and not written since is as it was; one that
    /// was written over is new or old; one that is wholly new may be anything.
    fn after_power_cut(&self, style: usize, grave: &[Vec<u8>], dice: &mut Dice) -> Content {
        let (now, synced) = (&self.now, &self.synced);
        let (short, long) = (now.len().min(synced.len()), now.len().max(synced.len()));
        let length = match style {
            0 => now.len(),
            1 => synced.len(),
            2 | 3 => long,
            _ if now.len() < synced.len() => [short, long][dice.below(2)],
            _ => short + dice.below(long - short + 1),
        };
        let mut after = Vec::with_capacity(length);
        for at in (0..length).step_by(SECTOR) {
            let old = sector(synced, at);
            let new = sector(now, at);
            let wholly_new = at >= synced.len();
            let choice = match style {
                0 => 0,
                1 => 1,
                2 => 2,
                3 => 3,
                _ => dice.below(5),
            };
            let chosen = match choice {
                _ if old == new => new,
                0 => new,
                1 => old,
                2 if wholly_new => vec![0; SECTOR],
                3 if wholly_new => (0..SECTOR).map(|_| dice.next() as u8).collect(),
                4 if wholly_new && !grave.is_empty() => grave[dice.below(grave.len())].clone(),
                _ => [new, old][dice.below(2)].clone(),
            };
            after.extend_from_slice(&chosen);
        }
        after.truncate(length);
        Content {
            synced: after.clone(),
            now: after,
            reserved: 0,
        }
    }
}

fn sector(content: &[u8], at: usize) -> Vec<u8> {
    let end = content.len().min(at + SECTOR);
    let mut sector = content.get(at..end).unwrap_or_default().to_vec();
    sector.resize(SECTOR, 0);
    sector
}

impl World {
    fn bury(&mut self, file: usize, from: usize) {
        let now = &self.files[file].now;
        for at in (0..now.len()).step_by(SECTOR) {
            if at + SECTOR > from && self.grave.len() < 64 {
                self.grave.push(sector(now, at));
            }
        }
    }
}

impl Disk for SimDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        let within = world.names.keys().filter(|p| p.parent() == Some(dir));
        Ok(within
            .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn Handle>> {
        let file = if how == Open::New {
            let mut world = self.step(Step::Create)?;
            if world.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            world.files.push(Content::default());
            let file = world.files.len() - 1;
            world.names.insert(path.to_path_buf(), file);
            file
        } else {
            let world = self.world();
            *world.names.get(path).ok_or(io::ErrorKind::NotFound)?
        };
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.step(Step::Rename)?;
        let file = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.step(Step::Remove)?;
        let file = world.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        world.bury(file, 0);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.step(Step::SyncDir)?;
        world.synced_names.retain(|p, _| p.parent() != Some(dir));
        let now: Vec<_> = world
            .names
            .iter()
            .filter(|(p, _)| p.parent() == Some(dir))
            .map(|(p, f)| (p.clone(), *f))
            .collect();
        world.synced_names.extend(now);
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl Handle for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.world().files[self.file].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.disk.world();
        let now = &world.files[self.file].now;
        let rest = now.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.step(Step::Write)?;
        // The last write before the end is torn.
        let torn = world.fuse == Some(world.steps);
        let longest = if torn { bytes.len() / 2 } else { bytes.len() };
        let n = longest.min(world.shortest.unwrap_or(usize::MAX));
        let content = &mut world.files[self.file];
        let (start, end) = (offset as usize, offset as usize + n);
        if content.now.len() < end {
            content.now.resize(end, 0);
        }
        content.now[start..end].copy_from_slice(&bytes[..n]);
        if torn {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.step(Step::Sync)?;
        let content = &mut world.files[self.file];
        content.synced = content.now.clone();
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.step(Step::Truncate)?;
        world.bury(self.file, length as usize);
        let content = &mut world.files[self.file];
        content.now.resize(length as usize, 0);
        let back = content.reserved.saturating_sub(length);
        content.reserved -= back;
        if let Some(room) = &mut world.room {
            *room += back;
        }
        Ok(())
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.step(Step::Reserve)?;
        let wanted = length.saturating_sub(world.files[self.file].reserved);
        if let Some(room) = &mut world.room {
            *room = room.checked_sub(wanted).ok_or(io::ErrorKind::StorageFull)?;
        }
        world.files[self.file].reserved += wanted;
        Ok(())
    }
}
