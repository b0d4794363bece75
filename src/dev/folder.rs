//! The folder of a database that is thrown away.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::credential::hex;
use crate::private_file;

/// How the names of the folders begin.
pub(super) const PREFIX: &str = "tokenhouse-test-";

/// The file that the process locks as long as it uses the folder.
pub(super) const LOCK: &str = "lock";

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

    /// Removes the folder, early or when this is dropped.
    pub(crate) fn remove(&self) {
        // A folder that remains is harmless.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}
