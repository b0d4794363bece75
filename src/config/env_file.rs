//! The file of settings that a process starts with: who may have written it, and what it says.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::dotenv::{self, Assignment};
use super::error::{ConfigError, ConfigErrors};

/// Bytes that a file of settings has at most.
const MAX_BYTES: u64 = 1 << 20;

/// The file of settings of a process.
#[derive(Debug)]
pub enum EnvFile {
    /// There is none.
    Absent,
    /// It was read.
    Read(ReadFile),
    /// The `.env` of the working directory is not read, for this reason: another user may have
    /// written it.
    NotRead(ConfigError),
}

/// A file of settings that was read. Does not print what it says.
pub struct ReadFile {
    path: PathBuf,
    settings: Vec<(String, SecretString, usize)>,
}

impl ReadFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names, values, and the lines they are on, in their order.
    pub(super) fn settings(&self) -> impl Iterator<Item = &(String, SecretString, usize)> {
        self.settings.iter()
    }
}

impl std::fmt::Debug for ReadFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadFile").field(&self.path).finish()
    }
}

impl EnvFile {
    /// The file `.env` of the working directory, and of no other. One that another user may have
    /// written is [`EnvFile::NotRead`].
    ///
    /// # Errors
    /// Every line that cannot be read, or that the file cannot be.
    pub fn of_working_directory() -> Result<Self, ConfigErrors> {
        let path = std::env::current_dir().unwrap_or_default().join(".env");
        // A folder of this name is a virtual environment of Python.
        if !fs::metadata(&path).is_ok_and(|about| about.is_file()) {
            return Ok(Self::Absent);
        }
        match open_trusted(&path) {
            Ok(file) => Ok(Self::Read(read(path, file)?)),
            Err(Refusal::Untrusted(error)) => Ok(Self::NotRead(error)),
            Err(Refusal::Unreadable(error)) => Err(error.into()),
        }
    }

    /// The file of this path.
    ///
    /// # Errors
    /// Every line that cannot be read; that the file cannot be, or that another user may have
    /// written it.
    pub fn at(path: &Path) -> Result<Self, ConfigErrors> {
        match open_trusted(path) {
            Ok(file) => Ok(Self::Read(read(path.to_owned(), file)?)),
            Err(Refusal::Untrusted(error) | Refusal::Unreadable(error)) => Err(error.into()),
        }
    }
}

enum Refusal {
    Untrusted(ConfigError),
    Unreadable(ConfigError),
}

/// Opens a file that only the user of this process and root can have written. A symbolic link
/// counts too: who makes one chooses what is read.
fn open_trusted(path: &Path) -> Result<File, Refusal> {
    let error = |problem: &str| ConfigError::new(path.display().to_string(), problem);
    let unreadable = |cause: std::io::Error| {
        Refusal::Unreadable(error(&format!("cannot be read: {}", cause.kind())))
    };
    let untrusted = |problem| Refusal::Untrusted(error(problem));
    let foreign = "is not read: it belongs to another user";
    if !is_ours(&fs::symlink_metadata(path).map_err(unreadable)?) {
        return Err(untrusted(foreign));
    }
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !is_ours(&about) {
        return Err(untrusted(foreign));
    }
    if about.mode() & 0o022 != 0 {
        return Err(untrusted(
            "is not read: other users can write to it; chmod go-w",
        ));
    }
    Ok(file)
}

/// Whether a file belongs to the effective user of this process, or to root.
fn is_ours(about: &Metadata) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&about.uid())
}

fn read(path: PathBuf, file: File) -> Result<ReadFile, ConfigErrors> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| ConfigError::new(&name, format!("cannot be read: {}", cause.kind())))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::new(name, "cannot be read: it is larger than a mebibyte").into());
    }
    let text = str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ConfigError::new(&name, format!("line {line}: is not UTF-8"))
    })?;
    let (assignments, bad) = dotenv::parse(text);
    if !bad.is_empty() {
        let errors = bad.into_iter().map(|dotenv::BadLine { line, problem }| {
            ConfigError::new(&name, format!("line {line}: {problem}"))
        });
        return Err(ConfigErrors(errors.collect()));
    }
    let settings = assignments.into_iter();
    let settings = settings.map(|Assignment { name, value, line }| (name, value.into(), line));
    Ok(ReadFile {
        path,
        settings: settings.collect(),
    })
}
