//! The databases of a service for tests, one after the other: files in a folder, or schemas.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use super::Folder;
use crate::config::{DatabaseConfig, DatabaseUrl};
use crate::private_file;
use crate::store;
#[cfg(feature = "cli")]
use crate::store::TemporarySchemas;

/// Databases that are removed when this is dropped.
pub(crate) enum Databases {
    /// SQLite files. A reset copies the file of the seed.
    Files(Folder),
    /// Postgres schemas. A reset creates the users of the seed again.
    #[cfg(feature = "cli")]
    Schemas(TemporarySchemas),
}

impl Databases {
    /// Prepares the database with this number, and returns its URL and whether it has the users of the
    /// seed. Blocks.
    ///
    /// # Errors
    /// When the file or the schema cannot be created.
    pub(super) fn prepare(&self, number: u64) -> io::Result<(DatabaseUrl, bool)> {
        match self {
            Self::Files(folder) => {
                let (seed, file) = (seed_file(folder), database_file(folder, number));
                let is_seeded = seed.exists();
                if is_seeded {
                    io::copy(&mut File::open(seed)?, &mut private_file::create(&file)?)?;
                }
                Ok((DatabaseUrl::Sqlite(file), is_seeded))
            }
            #[cfg(feature = "cli")]
            Self::Schemas(schemas) => {
                let url = schemas.create(number).map_err(io::Error::other)?;
                Ok((url, false))
            }
        }
    }

    /// Keeps a copy of the first database, with the users of the seed. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_seed(&self, database: &DatabaseConfig) -> io::Result<()> {
        match self {
            Self::Files(folder) => store::backup(database, &seed_file(folder))
                .map(drop)
                .map_err(io::Error::other),
            #[cfg(feature = "cli")]
            Self::Schemas(_) => Ok(()),
        }
    }

    /// Removes the database with this number. What remains is removed at the end. Blocks.
    pub(super) fn remove(&self, number: u64) {
        match self {
            Self::Files(folder) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut name = database_file(folder, number).into_os_string();
                    name.push(suffix);
                    // SQLite has removed some of them.
                    let _ = fs::remove_file(name);
                }
            }
            #[cfg(feature = "cli")]
            Self::Schemas(schemas) => schemas.remove(number),
        }
    }

    /// Removes all databases, even if they are in use. Blocks.
    #[cfg(feature = "cli")]
    pub(super) fn remove_all(&self) {
        match self {
            Self::Files(folder) => folder.remove(),
            Self::Schemas(schemas) => schemas.remove_all(),
        }
    }
}

fn database_file(folder: &Folder, number: u64) -> PathBuf {
    folder.path().join(format!("{number}.db"))
}

/// A copy of the database from right after the start.
fn seed_file(folder: &Folder) -> PathBuf {
    folder.path().join("seed.db")
}
