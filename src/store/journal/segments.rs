//! The files of the journal: `000001.jsonl`, `000002.jsonl` and so on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, Handle, Open};
use super::error::Refused;

const ENDING: &str = ".jsonl";

pub(super) fn name(segment: u32) -> String {
    format!("{segment:06}{ENDING}")
}

pub(super) fn path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(name(segment))
}

fn parse(file: &str) -> Option<u32> {
    let number: u32 = file.strip_suffix(ENDING)?.parse().ok()?;
    (name(number) == file).then_some(number)
}

/// The segments that exist, in order.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u32>, Refused> {
    let names = disk.list(dir).map_err(|e| Refused::io("list", dir, e))?;
    let mut segments: Vec<u32> = names.iter().filter_map(|n| parse(n)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Makes an empty segment with room for `bytes`; its name survives a power cut.
pub(super) fn create(
    disk: &dyn Disk,
    dir: &Path,
    segment: u32,
    bytes: u64,
) -> io::Result<Arc<dyn Handle>> {
    let path = path(dir, segment);
    let file = disk.open(&path, Open::New)?;
    if let Err(e) = file.reserve(bytes) {
        // A segment without room would make a full disk look like a failed write.
        disk.remove(&path)?;
        return Err(e);
    }
    file.sync()?;
    disk.sync_dir(dir)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_journal_would_give_are_segments() {
        assert_eq!(parse("000001.jsonl"), Some(1));
        assert_eq!(parse("1234567.jsonl"), Some(1_234_567));
        for other in ["1.jsonl", "000001.jsonl.new", "+00001.jsonl", "head"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
