//! A disk that forgets what was not synced, played from a journal.
//!
//! What was written to a file is sure to be there once the file was synced; that there is such a
//! file, or none any more, once its folder was. Of the rest anything may be there after a power
//! cut: nothing, all, or any of its sectors.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use rand::RngExt;
use rand::rngs::StdRng;

use super::journal::{Deed, Name, Record};

/// What a disk writes as a whole, in bytes.
const SECTOR: u64 = 512;

/// Whether syncs count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    Kept,
    /// Those of the log are taken for done and are not: a disk that lies.
    OfLogIgnored,
}

/// What becomes of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Dropped,
    /// Each sector is written or not, as chance has it.
    Torn,
    /// All of it is written.
    Kept,
}

/// A file, whatever it is called.
#[derive(Default)]
struct File<'a> {
    synced: Vec<u8>,
    pending: Vec<Deed<'a>>,
}

/// See the module.
pub(crate) struct Disk<'a> {
    syncs: Syncs,
    files: Vec<File<'a>>,
    /// What the folder holds now, by the numbers of the files.
    folder: BTreeMap<Name, usize>,
    /// What it is sure to hold, and what was changed since.
    synced_folder: BTreeMap<Name, usize>,
    pending: Vec<(Name, Option<usize>)>,
}

impl<'a> Disk<'a> {
    /// An empty one.
    pub(crate) fn new(syncs: Syncs) -> Self {
        Self {
            syncs,
            files: Vec::new(),
            folder: BTreeMap::new(),
            synced_folder: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    /// Does what was done.
    pub(crate) fn play(&mut self, record: Record<'a>) {
        match (record.name, record.deed) {
            (Name::Folder, Deed::Sync) => {
                for (name, file) in self.pending.drain(..) {
                    put(&mut self.synced_folder, name, file);
                }
            }
            (Name::Folder, _) => {}
            (name, Deed::Create) => {
                self.files.push(File::default());
                self.link(name, Some(self.files.len() - 1));
            }
            (name, Deed::Unlink) => self.link(name, None),
            (Name::Wal, Deed::Sync) if self.syncs == Syncs::OfLogIgnored => {}
            (name, deed) => {
                if let Some(file) = self.folder.get(&name).map(|file| &mut self.files[*file]) {
                    match deed {
                        Deed::Sync => file.sync(),
                        deed => file.pending.push(deed),
                    }
                }
            }
        }
    }

    fn link(&mut self, name: Name, file: Option<usize>) {
        put(&mut self.folder, name, file);
        self.pending.push((name, file));
    }

    /// Writes down the files as they are after a power cut, the database at `path`, in place of
    /// those of an earlier cut.
    pub(crate) fn cut(&self, path: &Path, fate: Fate, rng: &mut StdRng) -> io::Result<()> {
        let kept = match fate {
            Fate::Dropped => 0,
            // File systems keep the order of changes to a folder.
            Fate::Torn => rng.random_range(0..=self.pending.len()),
            Fate::Kept => self.pending.len(),
        };
        let mut folder = self.synced_folder.clone();
        for (name, file) in &self.pending[..kept] {
            put(&mut folder, *name, *file);
        }
        let at = |suffix: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(suffix);
            path
        };
        for name in [Name::Main, Name::Wal, Name::Rollback] {
            let path = at(name.suffix());
            match folder.get(&name) {
                Some(file) => fs::write(path, self.files[*file].after_cut(fate, rng))?,
                None => remove(&path)?,
            }
        }
        // Nobody syncs this one, so anything may be in it, if it is there at all.
        if fate == Fate::Torn && rng.random_bool(0.5) {
            let noise: Vec<u8> = (0..32_768).map(|_| rng.random()).collect();
            fs::write(at("-shm"), noise)
        } else {
            remove(&at("-shm"))
        }
    }
}

impl File<'_> {
    fn sync(&mut self) {
        for deed in self.pending.drain(..) {
            apply(&mut self.synced, deed);
        }
    }

    fn after_cut(&self, fate: Fate, rng: &mut StdRng) -> Vec<u8> {
        let mut content = self.synced.clone();
        let deeds = self.pending.iter().filter(|_| fate != Fate::Dropped);
        for deed in deeds {
            match deed {
                Deed::Write(offset, data) if fate == Fate::Torn => {
                    for (from, sector) in sectors(*offset, data) {
                        if rng.random_bool(0.5) {
                            apply(&mut content, Deed::Write(from, sector));
                        }
                    }
                }
                Deed::Truncate(_) if fate == Fate::Torn && rng.random_bool(0.5) => {}
                deed => apply(&mut content, *deed),
            }
        }
        content
    }
}

fn put(folder: &mut BTreeMap<Name, usize>, name: Name, file: Option<usize>) {
    match file {
        Some(file) => _ = folder.insert(name, file),
        None => _ = folder.remove(&name),
    }
}

fn apply(content: &mut Vec<u8>, deed: Deed<'_>) {
    match deed {
        Deed::Write(offset, data) => {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = from.saturating_add(data.len());
            if content.len() < end {
                content.resize(end, 0);
            }
            content[from..end].copy_from_slice(data);
        }
        Deed::Truncate(length) => content.resize(usize::try_from(length).unwrap_or(0), 0),
        Deed::Create | Deed::Sync | Deed::Unlink => {}
    }
}

/// The parts of a write that lie in one sector each, and where.
fn sectors(offset: u64, data: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut offset, mut rest, mut parts) = (offset, data, Vec::new());
    while !rest.is_empty() {
        let left = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(rest.len());
        let (part, more) = rest.split_at(left.min(rest.len()));
        parts.push((offset, part));
        offset += part.len() as u64;
        rest = more;
    }
    parts
}

fn remove(path: &std::ffi::OsStr) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::Scratch;

    const RECORDS: [(Name, Deed<'static>); 7] = [
        (Name::Main, Deed::Create),
        (Name::Main, Deed::Write(0, b"old")),
        (Name::Main, Deed::Sync),
        (Name::Folder, Deed::Sync),
        (Name::Main, Deed::Write(0, b"new")),
        (Name::Wal, Deed::Create),
        (Name::Wal, Deed::Write(0, b"log")),
    ];

    fn disk(records: &[(Name, Deed<'static>)]) -> Disk<'static> {
        let mut disk = Disk::new(Syncs::Kept);
        for (name, deed) in records {
            let (name, deed) = (*name, *deed);
            disk.play(Record { name, deed, end: 0 });
        }
        disk
    }

    #[test]
    fn what_was_not_synced_is_there_or_not() {
        let scratch = Scratch::new("replay").unwrap();
        let (main, wal) = (scratch.path().join("db"), scratch.path().join("db-wal"));
        let mut rng = StdRng::seed_from_u64(1);
        let disk = disk(&RECORDS);
        disk.cut(&main, Fate::Kept, &mut rng).unwrap();
        assert_eq!(fs::read(&main).unwrap(), b"new");
        assert_eq!(fs::read(&wal).unwrap(), b"log");
        disk.cut(&main, Fate::Dropped, &mut rng).unwrap();
        assert_eq!(fs::read(&main).unwrap(), b"old");
        assert!(!wal.exists());
    }

    #[test]
    fn a_file_is_there_once_its_folder_was_synced() {
        let scratch = Scratch::new("replay").unwrap();
        let main = scratch.path().join("db");
        let mut rng = StdRng::seed_from_u64(1);
        disk(&RECORDS[..3])
            .cut(&main, Fate::Dropped, &mut rng)
            .unwrap();
        assert!(!main.exists());
    }

    #[test]
    fn writes_are_torn_at_sectors() {
        let data = [7; 1000];
        let parts = sectors(500, &data);
        let lengths: Vec<_> = parts.iter().map(|(at, part)| (*at, part.len())).collect();
        assert_eq!(lengths, [(500, 12), (512, 512), (1024, 476)]);
    }
}
