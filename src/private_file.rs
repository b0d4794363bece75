//! Files that only their owner may read, from the moment they are made.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes a new file of mode 0600 and opens it for reading and writing. What this program writes
/// holds password hashes, so every file is made here.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when the name is taken, also by a link that leads nowhere:
/// `O_EXCL` follows none. Otherwise what the system says.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
