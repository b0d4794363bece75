//! System accounts that programs under test run as.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// A user and a group of the system, by number.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

impl Account {
    /// An unprivileged account when this process is root: the first of these names that exists.
    /// `None` when this process is unprivileged already.
    ///
    /// # Errors
    /// One sentence, when this process is root and none of the names exists.
    pub fn unprivileged(names: &[&str]) -> Result<Option<Self>, String> {
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

    /// Makes this account the owner of a folder and of everything in it.
    ///
    /// # Errors
    /// When this process may not change the owner.
    pub fn take_ownership(self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => self.take_ownership(&path)?,
                false => chown(&path, Some(self.uid), Some(self.gid))?,
            }
        }
        chown(folder, Some(self.uid), Some(self.gid))
    }
}

/// Whether this process runs as root.
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
