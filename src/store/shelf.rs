//! What servers listed the last time, one file each, so that a list is answered
//! at once after a start and a dead server's tools stay listed.
//!
//! A cache: what cannot be read or belongs to another command is listed anew.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    domain::{Era, Fault, Guise, Met, ServerName},
    ports::{Listing, Shelf},
    wire::Raw,
};

const VERSION: u32 = 1;

/// See the module.
#[derive(Debug)]
pub struct FileShelf {
    dir: PathBuf,
    /// What each server is started with: a listing of another command is not
    /// its listing.
    origins: BTreeMap<ServerName, String>,
}

#[derive(Serialize, Deserialize)]
struct File<'a> {
    v: u32,
    origin: String,
    era: Era,
    /// Before there was this, each was told of nobody.
    #[serde(default)]
    told: Guise,
    met: Option<Met>,
    #[serde(borrow)]
    capabilities: &'a RawValue,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    instructions: Option<String>,
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    prompts: Vec<&'a RawValue>,
    #[serde(borrow)]
    resources: Vec<&'a RawValue>,
    #[serde(borrow)]
    templates: Vec<&'a RawValue>,
}

impl FileShelf {
    /// A shelf in a directory of its own, made when it is first needed.
    #[must_use]
    pub fn new(dir: &Path, origins: BTreeMap<ServerName, String>) -> Self {
        Self {
            dir: dir.to_owned(),
            origins,
        }
    }

    fn path(&self, server: &ServerName) -> PathBuf {
        self.dir.join(format!("{server}.json"))
    }

    fn read(&self, server: &ServerName, origin: &str) -> Option<Listing> {
        let text = fs::read(self.path(server)).ok()?;
        let file: File<'_> = serde_json::from_slice(&text).ok()?;
        if file.v != VERSION || file.origin != origin {
            return None;
        }
        let own = |raw: &RawValue| Raw::parse(raw.get().to_owned().into());
        let all = |entries: &[&RawValue]| -> Option<Vec<Raw>> {
            entries.iter().map(|raw| own(raw)).collect()
        };
        Some(Listing {
            server: server.clone(),
            era: file.era,
            told: file.told,
            met: file.met.unwrap_or_else(|| {
                let mut met = Met::default();
                met.learns(file.told.era, file.era);
                met
            }),
            capabilities: own(file.capabilities)?,
            info: file.info.and_then(own),
            instructions: file.instructions,
            tools: all(&file.tools)?,
            prompts: all(&file.prompts)?,
            resources: all(&file.resources)?,
            templates: all(&file.templates)?,
        })
    }

    fn write(&self, listing: &Listing) -> std::io::Result<()> {
        let Some(origin) = self.origins.get(&listing.server) else {
            return Ok(());
        };
        let text = serde_json::to_vec(&serde_json::json!({
            "v": VERSION,
            "origin": origin,
            "era": listing.era,
            "told": listing.told,
            "met": listing.met,
        }))?;
        // The definitions are copied as they are written, not through a value
        // that would reorder them.
        let mut out = text;
        out.pop();
        let mut member = |name: &str, value: &str| {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        };
        member("capabilities", listing.capabilities.text());
        member("info", listing.info.as_ref().map_or("null", Raw::text));
        let said = serde_json::to_string(&listing.instructions)?;
        member("instructions", &said);
        for (name, entries) in [
            ("tools", &listing.tools),
            ("prompts", &listing.prompts),
            ("resources", &listing.resources),
            ("templates", &listing.templates),
        ] {
            let joined: Vec<&str> = entries.iter().map(Raw::text).collect();
            member(name, &format!("[{}]", joined.join(",")));
        }
        out.push(b'}');
        fs::create_dir_all(&self.dir)?;
        let path = self.path(&listing.server);
        let draft = path.with_extension("json.new");
        let mut file = fs::File::create(&draft)?;
        file.write_all(&out)?;
        drop(file);
        fs::rename(draft, path)
    }
}

impl Shelf for FileShelf {
    fn listings(&self) -> BTreeMap<ServerName, Arc<Listing>> {
        self.origins
            .iter()
            .filter_map(|(server, origin)| {
                let listing = self.read(server, origin)?;
                Some((server.clone(), Arc::new(listing)))
            })
            .collect()
    }

    fn keep(&self, listing: &Listing) -> Result<(), Fault> {
        self.write(listing).map_err(|error| {
            Fault::new(format!(
                "cannot write {}: {error}",
                self.path(&listing.server).display()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Capabilities;

    fn raw(text: &str) -> Raw {
        Raw::parse(text.to_owned().into()).unwrap()
    }

    #[test]
    fn a_listing_comes_back_as_it_was_kept_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerName::parse("files").unwrap();
        let listing = Listing {
            server: server.clone(),
            era: Era::Legacy,
            told: Guise {
                era: Era::Legacy,
                can: Capabilities {
                    roots: true,
                    ..Capabilities::default()
                },
            },
            met: Met::only(Era::Legacy),
            capabilities: raw(r#"{"tools":{}}"#),
            info: None,
            instructions: Some("read\n\"me\"".into()),
            tools: vec![raw(r#"{"z":1e400, "name":"a"}"#)],
            prompts: vec![],
            resources: vec![],
            templates: vec![],
        };
        let shelf = |origin: &str| {
            FileShelf::new(
                dir.path(),
                BTreeMap::from([(server.clone(), origin.into())]),
            )
        };
        shelf("one").keep(&listing).unwrap();
        assert_eq!(*shelf("one").listings()[&server], listing);
        assert!(shelf("another command").listings().is_empty());
        // Of before it was kept what a server is told.
        let path = dir.path().join("files.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut kept: serde_json::Map<_, _> =
            serde_json::from_str::<serde_json::Value>(&text.replace("1e400", "1"))
                .unwrap()
                .as_object()
                .unwrap()
                .clone();
        kept.remove("told");
        kept.remove("met");
        fs::write(&path, serde_json::to_string(&kept).unwrap()).unwrap();
        let old = shelf("one").listings()[&server].clone();
        assert_eq!(old.told, Guise::default());
        assert_eq!(old.met, Met::only(Era::Legacy));
    }
}
