//! Files that only their owner may read, from creation on, and why a file cannot be used.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates a file with mode 0600 and opens it for reading and writing. The files of this program
/// contain password hashes, so every file is created here.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if the name is taken, even by a dangling link: `O_EXCL` follows
/// none. Otherwise the system's error.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Why a file cannot be used, without its name.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        kind => kind.to_string(),
    }
}
