//! Programs that tests start and do not bring along: Debian has packages of them.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::account::is_root;

/// What `find` finds. Root on a Debian gets `package` installed if it finds nothing.
///
/// # Errors
/// One sentence that says what to do. `programs` names in it what is missing.
pub fn find_or_install<T>(
    find: impl Fn() -> Option<T>,
    package: &str,
    programs: &str,
) -> Result<T, String> {
    // Two at once would be in each other's way.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = find() {
        return Ok(found);
    }
    if !is_root() {
        return Err(format!(
            "{programs} cannot be found, and only root may install it: \
             run `apt-get install {package}`, or put it on the PATH"
        ));
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", package])?;
    find().ok_or_else(|| format!("Debian's package {package} brought no {programs}"))
}

fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let command = format!("apt-get {}", arguments.join(" "));
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| format!("a program is missing, and `{command}` does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "a program is missing, and `{command}` fails:\n{complaint}"
    ))
}
