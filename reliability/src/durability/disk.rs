//! A disk that forgets what was not synced, rebuilt from a journal of the calls of SQLite.
//!
//! The content of a file is sure to be there once the file was synced, and the file itself, or its
//! removal, once its folder was. Of the rest anything may be there after a power cut: nothing, all, or
//! any of its sectors.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use rand::RngExt;
use rand::rngs::StdRng;
use test_support::ScratchDir;

use super::{Bench, Clients};
use crate::fixture::{DATABASE, Database};

/// The unit in which a disk writes, in bytes.
const SECTOR: u64 = 512;

/// The bytes before the data of a journal entry.
const ENTRY_HEAD: usize = 16;

/// Starts a server on a database in `folder`, with a library between SQLite and the disk. `output` is the
/// journal or the fault control, after the variable in `shim/disk.c`.
///
/// # Errors
/// When there is no C compiler, or the server does not start.
pub(super) fn start_bench(
    binary: &Path,
    folder: ScratchDir,
    output: (&str, &Path),
    clients: Clients,
) -> Result<Bench, String> {
    let (source, library) = (folder.join("disk.c"), folder.join("disk.so"));
    let text = include_str!("../../shim/disk.c");
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .output()
        .map_err(|error| format!("cc: {error}"))?;
    if !compiler.status.success() {
        let stderr = String::from_utf8_lossy(&compiler.stderr);
        return Err(format!("cc does not build the shim: {stderr}"));
    }
    let database = folder.join(DATABASE);
    let [library, database, file] =
        [&library, &database, output.1].map(|path| path.display().to_string());
    let settings = [
        ("LD_PRELOAD", library.as_str()),
        ("DISK_SHIM_DATABASE", &database),
        (output.0, &file),
    ];
    let database = Database::Sqlite(folder);
    let url = database.url();
    Bench::start(binary, database, &url, &settings, clients)
}

/// The files of a database, and their folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Main,
    Wal,
    Rollback,
    Folder,
}

/// An operation on a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation<'a> {
    Create,
    Write(u64, &'a [u8]),
    Truncate(u64),
    Sync,
    Unlink,
}

/// One journal entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    name: Name,
    operation: Operation<'a>,
    /// The length of the journal after this entry.
    pub(super) end: u64,
}

impl Entry<'_> {
    pub(super) fn is_sync(&self) -> bool {
        matches!(self.operation, Operation::Sync)
    }
}

/// Splits a journal into its entries; see `record` in `shim/disk.c`.
///
/// # Errors
/// When it is cut off or no journal.
pub(super) fn parse_journal(journal: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let mut entries = Vec::new();
    let mut rest = journal;
    while !rest.is_empty() {
        let (name, operation);
        (name, operation, rest) = parse_entry(rest).ok_or("the disk journal is malformed")?;
        entries.push(Entry {
            name,
            operation,
            end: (journal.len() - rest.len()) as u64,
        });
    }
    Ok(entries)
}

/// The first entry, and what comes after it.
fn parse_entry(journal: &[u8]) -> Option<(Name, Operation<'_>, &[u8])> {
    let (head, rest) = journal.split_at_checked(ENTRY_HEAD)?;
    let length = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let offset = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let (data, rest) = rest.split_at_checked(length)?;
    let operation = match head[0] {
        b'C' => Operation::Create,
        b'W' => Operation::Write(offset, data),
        b'T' => Operation::Truncate(offset),
        b'S' => Operation::Sync,
        b'U' => Operation::Unlink,
        _ => return None,
    };
    let name = match head[1] {
        1 => Name::Main,
        2 => Name::Wal,
        4 => Name::Rollback,
        5 => Name::Folder,
        _ => return None,
    };
    Some((name, operation, rest))
}

/// What becomes of the unsynced content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsynced {
    Dropped,
    /// Each sector is written or not, at random.
    Torn,
    Kept,
}

#[derive(Default)]
struct File<'a> {
    synced: Vec<u8>,
    pending: Vec<Operation<'a>>,
}

/// Which file has which name, by index; `None` after its removal.
type Folder = BTreeMap<Name, Option<usize>>;

#[derive(Default)]
pub(super) struct Disk<'a> {
    /// Whether syncs of the log have no effect: a lying disk.
    pub(super) ignores_log_syncs: bool,
    files: Vec<File<'a>>,
    folder: Folder,
    synced_folder: Folder,
    /// The changes of the folder since its last sync.
    pending: Vec<(Name, Option<usize>)>,
}

impl<'a> Disk<'a> {
    /// Repeats an operation of the journal.
    pub(super) fn replay(&mut self, entry: Entry<'a>) {
        match (entry.name, entry.operation) {
            (Name::Folder, Operation::Sync) => self.synced_folder.extend(self.pending.drain(..)),
            (Name::Folder, _) => {}
            (name, Operation::Create) => {
                self.files.push(File::default());
                self.link(name, Some(self.files.len() - 1));
            }
            (name, Operation::Unlink) => self.link(name, None),
            (Name::Wal, Operation::Sync) if self.ignores_log_syncs => {}
            (name, operation) => {
                if let Some(Some(file)) = self.folder.get(&name) {
                    self.files[*file].replay(operation);
                }
            }
        }
    }

    fn link(&mut self, name: Name, file: Option<usize>) {
        self.folder.insert(name, file);
        self.pending.push((name, file));
    }

    /// Writes the files after a power cut, with the database at `path`, over those of an earlier cut.
    pub(super) fn cut(&self, path: &Path, unsynced: Unsynced, rng: &mut StdRng) -> io::Result<()> {
        let kept = match unsynced {
            Unsynced::Dropped => 0,
            // File systems keep the order of changes to a folder.
            Unsynced::Torn => rng.random_range(0..=self.pending.len()),
            Unsynced::Kept => self.pending.len(),
        };
        let mut folder = self.synced_folder.clone();
        folder.extend(self.pending[..kept].iter().copied());
        let files = [
            (Name::Main, ""),
            (Name::Wal, "-wal"),
            (Name::Rollback, "-journal"),
        ];
        for (name, suffix) in files {
            let path = with_suffix(path, suffix);
            match folder.get(&name) {
                Some(Some(file)) => fs::write(path, self.files[*file].after_cut(unsynced, rng))?,
                _ => remove(&path)?,
            }
        }
        // This file is never synced, so it may be missing or hold anything.
        let shm = with_suffix(path, "-shm");
        if unsynced == Unsynced::Torn && rng.random_bool(0.5) {
            let noise: Vec<u8> = (0..32_768).map(|_| rng.random()).collect();
            fs::write(shm, noise)
        } else {
            remove(&shm)
        }
    }
}

impl<'a> File<'a> {
    fn replay(&mut self, operation: Operation<'a>) {
        match operation {
            Operation::Sync => {
                let pending = self.pending.drain(..);
                pending.for_each(|operation| apply(&mut self.synced, operation));
            }
            operation => self.pending.push(operation),
        }
    }

    fn after_cut(&self, unsynced: Unsynced, rng: &mut StdRng) -> Vec<u8> {
        let mut content = self.synced.clone();
        if unsynced == Unsynced::Dropped {
            return content;
        }
        let is_torn = unsynced == Unsynced::Torn;
        for operation in &self.pending {
            match operation {
                Operation::Write(offset, data) if is_torn => {
                    for (offset, sector) in sectors(*offset, data) {
                        if rng.random_bool(0.5) {
                            apply(&mut content, Operation::Write(offset, sector));
                        }
                    }
                }
                Operation::Truncate(_) if is_torn && rng.random_bool(0.5) => {}
                operation => apply(&mut content, *operation),
            }
        }
        content
    }
}

fn apply(content: &mut Vec<u8>, operation: Operation<'_>) {
    match operation {
        Operation::Write(offset, data) => {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = from.saturating_add(data.len());
            if content.len() < end {
                content.resize(end, 0);
            }
            content[from..end].copy_from_slice(data);
        }
        Operation::Truncate(length) => content.resize(usize::try_from(length).unwrap_or(0), 0),
        Operation::Create | Operation::Sync | Operation::Unlink => {}
    }
}

/// The parts of a write in each sector, with their offsets.
fn sectors(mut offset: u64, mut data: &[u8]) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    while !data.is_empty() {
        let left = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(data.len());
        let (part, rest) = data.split_at(left.min(data.len()));
        parts.push((offset, part));
        offset += part.len() as u64;
        data = rest;
    }
    parts
}

fn with_suffix(path: &Path, suffix: &str) -> OsString {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path
}

fn remove(path: &OsStr) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const OPERATIONS: [(Name, Operation<'static>); 7] = [
        (Name::Main, Operation::Create),
        (Name::Main, Operation::Write(0, b"old")),
        (Name::Main, Operation::Sync),
        (Name::Folder, Operation::Sync),
        (Name::Main, Operation::Write(0, b"new")),
        (Name::Wal, Operation::Create),
        (Name::Wal, Operation::Write(0, b"log")),
    ];

    /// The main file and the log after a power cut at the end of these operations.
    fn after_cut(
        operations: &[(Name, Operation<'static>)],
        unsynced: Unsynced,
    ) -> [Option<Vec<u8>>; 2] {
        let scratch = ScratchDir::new("disk");
        let mut disk = Disk::default();
        for (name, operation) in operations.iter().copied() {
            disk.replay(Entry {
                name,
                operation,
                end: 0,
            });
        }
        let mut rng = StdRng::seed_from_u64(1);
        disk.cut(&scratch.join("db"), unsynced, &mut rng).unwrap();
        ["db", "db-wal"].map(|name| fs::read(scratch.join(name)).ok())
    }

    #[test]
    fn unsynced_content_is_kept_or_dropped() {
        let [main, wal] = after_cut(&OPERATIONS, Unsynced::Kept);
        assert_eq!([main.unwrap(), wal.unwrap()], [b"new", b"log"]);
        let [main, wal] = after_cut(&OPERATIONS, Unsynced::Dropped);
        assert_eq!((main.unwrap(), wal), (b"old".to_vec(), None));
        // The file itself is there once its folder was synced.
        assert_eq!(after_cut(&OPERATIONS[..3], Unsynced::Dropped), [None, None]);
    }

    #[test]
    fn torn_writes_are_split_at_sectors() {
        let data = [7; 1000];
        let parts = sectors(500, &data);
        let lengths: Vec<_> = parts.iter().map(|(at, part)| (*at, part.len())).collect();
        assert_eq!(lengths, [(500, 12), (512, 512), (1024, 476)]);
    }
}
