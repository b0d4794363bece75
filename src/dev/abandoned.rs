//! Removes the folders of processes that were killed.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::folder::{LOCK, PREFIX};

/// A younger folder may belong to a process that has not locked it yet.
const MIN_AGE: Duration = Duration::from_secs(60);

/// Removes the folders that no process uses any more.
pub(crate) fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    let is_named = |name: &OsStr| name.to_string_lossy().starts_with(PREFIX);
    for entry in entries.flatten() {
        if is_named(&entry.file_name()) && is_abandoned(&entry.path()) {
            // Another process may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether no process uses this folder of the same user any more.
fn is_abandoned(folder: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let is_own = |metadata: Metadata| metadata.is_dir() && metadata.uid() == user;
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
