//! Where the programs of Postgres are, and how they get there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What has to be there to make and start a server.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// The folder with the programs. Root on a Debian gets them installed if they are missing.
///
/// # Errors
/// One sentence that says what to do.
pub fn find_or_install(root: bool) -> Result<PathBuf, String> {
    if let Some(folder) = find() {
        return Ok(folder);
    }
    if !root {
        return Err(
            "initdb, pg_ctl and postgres are nowhere to be found, and only root may \
             install them: run `apt-get install postgresql`, or put them on the PATH"
                .to_owned(),
        );
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", "postgresql"])?;
    find().ok_or_else(|| "Debian's package postgresql brought no initdb".to_owned())
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

fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let command = format!("apt-get {}", arguments.join(" "));
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| {
            format!("its programs are missing, and `{command}` does not run: {error}")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "its programs are missing, and `{command}` fails:\n{complaint}"
    ))
}
