//! Whom the programs run as that tests start.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// Who runs a program, by number.
#[derive(Clone, Copy)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// An ordinary user when we are root, the first of these names that exists; nobody else than
    /// ourselves otherwise.
    ///
    /// # Errors
    /// One sentence, when we are root and none of them exists.
    pub fn ordinary(names: &[&str]) -> Result<Option<Self>, String> {
        if !is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = names.iter().find_map(|name| find(&accounts, name));
        match found {
            Some(account) => Ok(Some(account)),
            None => Err(format!(
                "it does not run as root, and /etc/passwd has no user {}",
                names.join(" or ")
            )),
        }
    }

    /// Makes a folder this account's own, with all that is in it.
    ///
    /// # Errors
    /// When that is not ours to do.
    pub fn give(self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => self.give(&path)?,
                false => chown(&path, Some(self.uid), Some(self.gid))?,
            }
        }
        chown(folder, Some(self.uid), Some(self.gid))
    }
}

/// Whether we may do everything.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn find(accounts: &str, name: &str) -> Option<Account> {
    let mut fields = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let fields = fields.find(|fields| fields.len() > 3 && fields[0] == name)?;
    Some(Account {
        uid: fields[2].parse().ok()?,
        gid: fields[3].parse().ok()?,
    })
}
