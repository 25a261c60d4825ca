//! Where paths in arguments really lead: the rule `under` is about that.
//!
//! Following links touches the disk, and a mount that hangs must hang nobody but the
//! call that names it. So the door only notes which paths there are; they are followed
//! on threads of their own, a few at most, for a while at most. Then the arguments are
//! measured again, and what was not followed by then is refused.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{Broker, Door, door, offload::Offload, under_way::Open};
use crate::{
    domain::{AgentName, Unmeasured},
    gate,
    measure::{Effort, Heavy},
};

/// How long the paths of one call may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many calls may have paths followed at a time, and so many of one agent: threads
/// that hang keep their seats.
const SEATS: (usize, usize) = (16, 4);

/// What every Unix answers for what does not exist.
const NOTHING_THERE: i32 = 2;

/// Where a path leads, if that can be known.
type Lead = dyn Fn(&Path) -> Option<PathBuf> + Send + Sync;

/// Follows paths for calls.
pub(super) struct Links {
    seats: Offload,
    follow: Arc<Lead>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            seats: Offload::new(SEATS.0, SEATS.1, PATIENCE),
            follow: Arc::new(follow),
        }
    }
}

impl Links {
    /// Where each of these paths leads, as far as that can be known; nothing when it
    /// takes too long.
    async fn behind(&self, agent: &AgentName, paths: Vec<PathBuf>) -> HashMap<PathBuf, PathBuf> {
        let follow = self.follow.clone();
        let walk = move || {
            let led = paths.into_iter().map(|path| (follow(&path), path));
            led.filter_map(|(real, path)| Some((path, real?))).collect()
        };
        self.seats.done(agent, walk).await.unwrap_or_default()
    }
}

impl Broker {
    /// Measures to the end what was not measured at the door: what takes long, and where
    /// paths lead. A call that is refused whatever comes of it is worth no long work.
    pub(super) async fn measure_on(&self, door: &mut Door) {
        if door.is_heavy {
            let gates = self.store.judge(&door.call);
            let refused = gates.last().map(|(gate, _)| *gate);
            if refused != Some(gate::MEASURED) {
                return;
            }
            self.measure_with(door, HashMap::new()).await;
        }
        let paths = std::mem::take(&mut door.unfollowed);
        if !paths.is_empty() {
            let real = self.links.behind(&door.call.by.agent, paths).await;
            self.measure_with(door, real).await;
        }
    }

    /// The same for a call that somebody may cancel meanwhile: then it stays unmeasured,
    /// which does not pass and is recorded. One that a stop found hears of that stop.
    pub(super) async fn measured(&self, door: &mut Door, open: &Open<'_>) {
        let is_cancelled = tokio::select! {
            biased;
            _ = open.caller().cancelled() => open.stopped().is_none(),
            () = self.measure_on(door) => false,
        };
        if is_cancelled {
            door.found(door::unmeasured(Unmeasured::Cancelled));
        }
    }

    /// Measures with what is known of where paths lead.
    async fn measure_with(&self, door: &mut Door, real: HashMap<PathBuf, PathBuf>) {
        let (tool, prices) = (door.tool.clone(), door.prices.clone());
        let (arguments, tier) = (door.context.arguments.clone(), door.call.tier);
        let measure = move |effort| {
            let unfollowed = RefCell::new(Vec::new());
            let behind = |path: &Path| {
                let known = real.get(path).cloned();
                if known.is_none() {
                    unfollowed.borrow_mut().push(path.to_owned());
                }
                known
            };
            let (tool, arguments) = (tool.as_deref(), arguments.as_ref());
            let measured = door::measured(tool, arguments, tier, &prices, &behind, effort);
            (measured, unfollowed.into_inner())
        };
        let agent = &door.call.by.agent;
        let measured = match door.is_heavy {
            true => {
                let beside = move || measure(Effort::Beside);
                self.offload.done(agent, beside).await
            }
            false => Some(measure(Effort::AtOnce)),
        };
        let (measured, unfollowed) = measured.unwrap_or((Err(Heavy), Vec::new()));
        door.found(measured.unwrap_or_else(|Heavy| door::unmeasured(Unmeasured::TooLong)));
        door.unfollowed = unfollowed;
    }
}

/// Follows the links of a path as far as it exists; the rest is appended. Nothing when
/// that is not where it leads: behind a link to what does not exist yet, a loop, or what
/// may not be looked at.
fn follow(path: &Path) -> Option<PathBuf> {
    // Without a slash or dot at the end: behind one even a look at a link goes on.
    let path: PathBuf = path.components().collect();
    let mut missing = Vec::new();
    let mut known = path.as_path();
    loop {
        if let Ok(real) = known.canonicalize() {
            let missing = missing.iter().rev();
            return Some(missing.fold(real, |real, part| real.join(part)));
        }
        match known.symlink_metadata() {
            Err(error) if error.raw_os_error() == Some(NOTHING_THERE) => {}
            // It is there, and who opens it goes on to somewhere else.
            Ok(_) | Err(_) => return None,
        }
        missing.push(known.file_name()?.to_owned());
        known = known.parent()?;
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.seats.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// A disk that answers when it is told to, and the telling.
    fn disk(patience: Duration) -> (Links, mpsc::Sender<()>) {
        let (answer, answers) = mpsc::channel();
        let answers = Mutex::new(answers);
        let links = Links {
            seats: Offload::new(1, 1, patience),
            follow: Arc::new(move |path| {
                let waited = answers.lock().unwrap();
                // No thread outlives its test.
                match waited.recv_timeout(Duration::from_secs(5)) {
                    Ok(()) => Some(Path::new("/real").join(path.file_name()?)),
                    Err(_) => Some("/too/late".into()),
                }
            }),
        };
        (links, answer)
    }

    fn agent() -> AgentName {
        AgentName::parse("dev").unwrap()
    }

    fn paths() -> Vec<PathBuf> {
        vec!["/srv/a".into()]
    }

    #[tokio::test]
    async fn others_go_on_while_a_path_is_followed() {
        let (links, answer) = disk(Duration::from_secs(10));
        // On one thread: were it the one that waits for the disk, nobody would answer.
        let dev = agent();
        let (found, ()) = tokio::join!(links.behind(&dev, paths()), async {
            tokio::task::yield_now().await;
            answer.send(()).unwrap();
        });
        assert_eq!(found[Path::new("/srv/a")], Path::new("/real/a"));
    }

    #[tokio::test]
    async fn a_path_on_a_disk_that_hangs_leads_nowhere_and_takes_no_second_thread() {
        let (links, answer) = disk(Duration::from_millis(20));
        assert!(links.behind(&agent(), paths()).await.is_empty());
        assert!(links.behind(&agent(), paths()).await.is_empty());
        drop(answer);
    }

    #[test]
    fn links_are_followed_as_far_as_the_path_exists() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let no_such = real.join("no/such");
        assert_eq!(follow(&no_such), Some(no_such));
        #[cfg(target_os = "linux")]
        {
            // A link to the directory of this process.
            let behind = follow(Path::new("/proc/self/no/such")).unwrap();
            assert!(behind.ends_with("no/such") && !behind.starts_with("/proc/self"));
        }
    }
}
