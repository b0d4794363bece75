//! Finds the commit of the sources for `tokenhouse --version`: from the environment variable
//! `BUILD_COMMIT`, from git in a release build, or from the package on crates.io.
//!
//! A debug build does not ask git, because every commit would build it again.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The paths whose changes make a build differ from its commit.
const SOURCES: [&str; 6] = [
    "build.rs",
    "Cargo.lock",
    "Cargo.toml",
    "crates",
    "migrations",
    "src",
];

/// The longest `BUILD_COMMIT`, in bytes.
const MAX_COMMIT: usize = 60;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    if env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = from_environment()
        .or_else(from_package)
        .or_else(|| is_release.then(from_git).flatten())
        .unwrap_or_else(|| {
            String::from(if is_release {
                "unknown commit"
            } else {
                "debug build"
            })
        });
    let tls = match env::var_os("CARGO_FEATURE_POSTGRES_TLS") {
        Some(_) => "with TLS to Postgres",
        None => "without TLS to Postgres",
    };
    println!("cargo::rustc-env=BUILD_DESCRIPTION={commit}, sqlite, postgres, {tls}");
}

/// What the release script or the packager says.
fn from_environment() -> Option<String> {
    let commit = env::var("BUILD_COMMIT").ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" .,_+-".contains(&byte);
    if commit.is_empty() {
        return None;
    }
    assert!(
        commit.len() <= MAX_COMMIT && commit.bytes().all(is_plain),
        "BUILD_COMMIT: expected at most {MAX_COMMIT} letters, digits, spaces and . , _ + -"
    );
    Some(commit)
}

/// The commit and its day, and whether the sources differ from it.
fn from_git() -> Option<String> {
    // Another repository may surround an unpacked archive.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(root).ok()? != fs::canonicalize(env::var_os("CARGO_MANIFEST_DIR")?).ok()? {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        // Cargo would build again every time if a path did not exist.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let commit = git(&["log", "-1", "--format=%H %cs"])?;
    let (hash, day) = commit.split_once(' ')?;
    let changes = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    let modified = if changes.is_empty() { "" } else { ", modified" };
    Some(format!("{} {day}{modified}", hash.get(..7)?))
}

/// The commit in the file that `cargo package` adds.
fn from_package() -> Option<String> {
    let file = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = file.split_once("\"sha1\": \"")?;
    let hash = rest.get(..7)?;
    let is_hash = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| hash.to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
