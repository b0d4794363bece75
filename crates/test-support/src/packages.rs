//! Programs that tests need and that Debian packages provide.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::account::is_root;

/// Returns the result of `find`. When it finds nothing, root on a Debian system installs `package`
/// and tries again. `programs` names the missing programs in the error.
///
/// # Errors
/// One sentence that says what to do.
pub fn find_or_install<T>(
    find: impl Fn() -> Option<T>,
    package: &str,
    programs: &str,
) -> Result<T, String> {
    // Two concurrent installations would block each other.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = find() {
        return Ok(found);
    }
    if !is_root() {
        return Err(format!(
            "{programs} not found, and only root may install it: \
             run `apt-get install {package}`, or put it on the PATH"
        ));
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", package])?;
    find().ok_or_else(|| format!("the Debian package {package} does not contain {programs}"))
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
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "a program is missing, and `{command}` fails:\n{stderr}"
    ))
}
