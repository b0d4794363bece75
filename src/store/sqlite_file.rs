//! The files of an SQLite database: their names, identities and modes.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::{Connection, ConnectionError, SqliteConnection};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::private_file;

/// Allows only harmless functions in the file's own views and triggers. The file may be damaged or
/// malicious.
pub(super) const READ_ONLY: &str = "PRAGMA busy_timeout = 5000; \
     PRAGMA query_only = ON; \
     PRAGMA trusted_schema = OFF; \
     PRAGMA cell_size_check = ON; \
     PRAGMA mmap_size = 0";

/// The identity of a file, independent of its name: the device and the inode. The system reuses it
/// for no other file while any process has this one open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The file that a name currently refers to. Follows links, as SQLite does.
    pub(super) fn from_path(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A file that SQLite keeps next to the database: `-wal` or `-shm`.
pub(super) fn sidecar_path(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The URI of an existing file, so that SQLite never creates one. `access` is one of SQLite's
/// parameters, such as `mode=rw`.
pub(super) fn sqlite_uri(path: &Path, access: &str) -> String {
    /// Encodes everything else.
    const REST: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    let path = path.to_string_lossy();
    format!("file:{}?{access}", utf8_percent_encode(&path, REST))
}

/// Opens an existing file for reading, and reads its first page. `access` is as for [`sqlite_uri`].
/// Blocks. Without a timeout, because reading a whole table may take long.
///
/// # Errors
/// SQLite's reason if the file cannot be opened or is no database.
pub(super) fn open_read_only(
    path: &Path,
    access: &str,
) -> Result<SqliteConnection, ConnectionError> {
    let mut conn = SqliteConnection::establish(&sqlite_uri(path, access))?;
    conn.batch_execute(READ_ONLY)
        .and_then(|()| conn.batch_execute("SELECT name FROM sqlite_master LIMIT 1"))
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// Creates the file if there is none, and denies access to all users but its owner. SQLite gives
/// its sidecar files the same mode.
pub(super) fn protect_file(path: &Path) -> io::Result<()> {
    // An existing file is not opened: closing it would drop the locks that SQLite holds on it
    // elsewhere in this process (POSIX, `fcntl`).
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match private_file::create(path) {
                Ok(_file) => return Ok(()),
                // Another process created it first. A dangling link fails here.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::metadata(path)?,
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        log::warn!(
            "{}: was accessible to other users, set to mode 0600",
            path.display()
        );
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Makes a file's name survive a power failure, by syncing its folder.
pub(super) fn sync_parent_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::sqlite_uri;

    #[test]
    fn file_name_is_never_parsed_as_parameter() {
        let uri = |path| sqlite_uri(Path::new(path), "mode=rw");
        assert_eq!(uri("/srv/t.db"), "file:/srv/t%2Edb?mode=rw");
        assert_eq!(
            uri("a?mode=memory#b%41"),
            "file:a%3Fmode%3Dmemory%23b%2541?mode=rw"
        );
    }
}
