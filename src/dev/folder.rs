//! The folder of a database that is thrown away.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::credential::hex;
use crate::private_file;

/// How the names of the folders begin.
const PREFIX: &str = "tokenhouse-test-";

/// The file that the process locks as long as it uses the folder.
const LOCK: &str = "lock";

/// A younger folder may belong to a process that has not locked it yet.
const MIN_AGE: Duration = Duration::from_secs(60);

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Locked; the system unlocks it even if the process is killed.
    _lock: File,
}

impl Folder {
    /// Creates a folder for temporary files that only this user may enter.
    ///
    /// # Errors
    /// When the folder for temporary files cannot be written.
    pub(crate) fn create() -> io::Result<Self> {
        let mut name = [0; 32];
        hex::write(&rand::random::<[u8; 16]>(), &mut name);
        let name = format!("{PREFIX}{}", String::from_utf8_lossy(&name));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = private_file::create(&path.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, _lock: lock })
    }

    /// The path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder early.
    #[cfg(feature = "server")]
    pub(crate) fn remove(&self) {
        // A folder that remains is harmless.
        let _ = fs::remove_dir_all(&self.path);
    }

    /// Removes the folders of processes that were killed.
    #[cfg(feature = "cli")]
    pub(crate) fn remove_abandoned() {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
            return;
        };
        let is_ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
        for entry in entries
            .flatten()
            .filter(|entry| is_ours(&entry.file_name()))
        {
            if is_abandoned(&entry.path()) {
                // Another process may be removing it too.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that remains is harmless.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether no process uses this folder of the same user any more.
#[cfg(feature = "cli")]
fn is_abandoned(folder: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let is_own = |metadata: fs::Metadata| metadata.is_dir() && metadata.uid() == user;
    if !fs::symlink_metadata(folder).is_ok_and(is_own) {
        return false;
    }
    let Ok(lock) = File::open(folder.join(LOCK)) else {
        return false;
    };
    let modified = lock.metadata().and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age >= MIN_AGE)
        && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}
