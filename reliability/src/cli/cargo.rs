//! Builds Tokenhouse.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the release binary of the sources at `root`, into `target`, and says where it is.
/// `settings` go into the environment of cargo.
///
/// # Errors
/// When it does not build; cargo has said why.
pub(super) fn build(
    root: &Path,
    target: &Path,
    settings: &[(&str, &str)],
) -> Result<PathBuf, String> {
    let status = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--bin",
            "tokenhouse",
        ])
        .arg("--target-dir")
        .arg(target)
        .envs(settings.iter().copied())
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() {
        Ok(target.join("release/tokenhouse"))
    } else {
        Err(format!("{} does not build", root.display()))
    }
}
