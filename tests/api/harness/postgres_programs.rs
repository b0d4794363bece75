//! Where the programs of Postgres are, and how they get there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::packages;

/// What has to be there to make and start a server, and to read it whole.
const PROGRAMS: [&str; 5] = ["initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore"];

/// The folder with the programs. Root on a Debian gets them installed if they are missing.
///
/// # Errors
/// One sentence that says what to do.
pub fn find_or_install() -> Result<PathBuf, String> {
    packages::find_or_install(find, "postgresql", &PROGRAMS.join("/"))
}

/// Looks on the PATH, where Debian puts every version (the newest is taken), and where
/// `pg_config` says.
fn find() -> Option<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&on_path);
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| String::from_utf8_lossy(&output.stdout).trim().into());
    on_path
        .chain(debian_folders())
        .chain(configured)
        .find(|folder: &PathBuf| {
            PROGRAMS
                .iter()
                .all(|program| folder.join(program).is_file())
        })
}

fn debian_folders() -> Vec<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten();
    let mut numbers: Vec<u32> = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let folder = |number| Path::new("/usr/lib/postgresql").join(format!("{number}/bin"));
    numbers.into_iter().map(folder).collect()
}
