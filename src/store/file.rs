//! The files of an SQLite database: their names, which file a name stands for, and their modes.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::private_file;

/// Which file it is, whatever its name: the device and the inode. The system gives them to no
/// other file while some process has this one open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The file that a name stands for now. Links are followed, as SQLite does.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|about| Self::from(&about))
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
        }
    }
}

/// One of the files that SQLite has beside that of the database: `-wal` or `-shm`.
pub(super) fn sidecar_path(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What SQLite is told to open: a file that is there, and never a new one. `access` is one of
/// SQLite's parameters, such as `mode=rw`.
pub(super) fn sqlite_uri(path: &Path, access: &str) -> String {
    /// What a path keeps in a URI.
    const REST: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    let path = path.to_string_lossy();
    format!("file:{}?{access}", utf8_percent_encode(&path, REST))
}

/// Makes the file if there is none, and keeps everyone but its owner out of it. SQLite gives the
/// journal files beside it the same mode.
pub(super) fn protect_file(path: &Path) -> io::Result<()> {
    // A file that is there is not opened: closing it would drop the locks that SQLite holds on it
    // elsewhere in this process (POSIX, `fcntl`).
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match private_file::create(path) {
                Ok(_file) => return Ok(()),
                // Another process was faster. A link that leads nowhere fails here.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::metadata(path)?,
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    if about.permissions().mode() & 0o077 != 0 {
        log::warn!(
            "{}: was open to other users, set to mode 0600",
            path.display()
        );
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Makes a name safe from a power cut: it is when its folder is.
pub(super) fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::sqlite_uri;

    #[test]
    fn no_name_of_a_file_is_read_as_a_parameter() {
        let uri = |path| sqlite_uri(Path::new(path), "mode=rw");
        assert_eq!(uri("/srv/t.db"), "file:/srv/t%2Edb?mode=rw");
        assert_eq!(
            uri("a?mode=memory#b%41"),
            "file:a%3Fmode%3Dmemory%23b%2541?mode=rw"
        );
    }
}
