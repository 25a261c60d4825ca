//! Where the demo takes place: a directory of its own that goes when it is over,
//! and the configuration it plays with.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::daemon::Failure;
use crate::ids::Ids;

/// The configuration of the repository, for those who run the demo elsewhere.
const OWN: [(&str, &str); 1] = [("tools.d/demo.toml", include_str!("../../tools.d/demo.toml"))];

/// Without it there is nothing to play with.
const NEEDED: &str = "tools.d/demo.toml";

/// A private directory for state and sockets, and a configuration.
#[derive(Debug)]
pub(super) struct Ground {
    root: PathBuf,
    pub(super) config: PathBuf,
    /// Where the configuration comes from, for people.
    pub(super) origin: String,
}

impl Ground {
    /// Takes the configuration that was named, or that of the working
    /// directory, or a copy of its own.
    pub(super) fn lay(named: Option<&Path>) -> Result<Self, Failure> {
        let root = fresh_directory()?;
        // From here on the directory goes, whatever happens.
        let mut ground = Self {
            config: root.join("config"),
            root,
            origin: "its own tools.d/demo.toml".to_owned(),
        };
        let here = Path::new(".");
        if let Some(dir) = named
            && dir.join(NEEDED).is_file()
        {
            ground.config = dir.to_owned();
            ground.origin = dir.join(NEEDED).display().to_string();
        } else if here.join(NEEDED).is_file() {
            ground.config = here.to_owned();
            ground.origin = NEEDED.to_owned();
        } else {
            ground.write_own()?;
        }
        Ok(ground)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// What the broker says on its standard error.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("broker.log")
    }

    fn write_own(&self) -> Result<(), Failure> {
        for (name, text) in OWN {
            let file = self.config.join(name);
            let written = file
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&file, text));
            written.map_err(|cause| {
                Failure::io(format_args!("can't write `{}`", file.display()), &cause)
            })?;
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // A directory that is left behind is untidy, not wrong.
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn fresh_directory() -> Result<PathBuf, Failure> {
    let ids = Ids::system().map_err(|cause| Failure::fault(format!("no random bytes: {cause}")))?;
    let dir = std::env::temp_dir().join(format!("tollgate-demo-r-{}", ids.tail()));
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(|cause| {
            Failure::io(
                format_args!("can't make the directory `{}`", dir.display()),
                &cause,
            )
        })?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_the_demo_gives_way_to_the_one_that_has_it() {
        let empty = tempfile::tempdir().unwrap();
        // Tests run in the repository, which has it.
        let ground = Ground::lay(Some(empty.path())).unwrap();
        assert_eq!(ground.config, Path::new("."));
    }

    #[test]
    fn the_own_configuration_is_valid_and_goes_with_the_ground() {
        let mut ground = Ground::lay(None).unwrap();
        ground.config = ground.root.join("config");
        ground.write_own().unwrap();
        let sources = crate::config::read(&ground.config).unwrap();
        assert_eq!(crate::config::load(&sources).unwrap().servers.len(), 1);
        let root = ground.root.clone();
        drop(ground);
        assert!(!root.exists());
    }
}
