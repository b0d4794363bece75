//! Reads the settings file, unless another user can write to it.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::dotenv::{self, Assignment};
use super::{ConfigError, ConfigErrors};
use crate::private_file::reason;

/// The maximum size of a settings file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The settings file of a process.
#[derive(Debug)]
pub enum EnvFile {
    /// There is no file.
    Absent,
    /// The file was read.
    Read(ReadFile),
    /// The `.env` in the working directory is ignored, because another user can write to it.
    Ignored(ConfigError),
}

/// A settings file. `Debug` does not show its values.
pub struct ReadFile {
    path: PathBuf,
    settings: Vec<(String, SecretString, usize)>,
}

impl ReadFile {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names, values and line numbers, in order.
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
    /// The file `.env` in the working directory, not in its parents. One to which another user can write
    /// is [`EnvFile::Ignored`].
    ///
    /// # Errors
    /// Every malformed line, or the reason why the file cannot be read.
    pub fn from_working_directory() -> Result<Self, ConfigErrors> {
        let path = std::env::current_dir().unwrap_or_default().join(".env");
        // A folder with this name is a Python virtual environment.
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Self::Absent);
        }
        match open_trusted(&path) {
            Ok(file) => Ok(Self::Read(read(path, file)?)),
            Err(Refusal::Untrusted(error)) => Ok(Self::Ignored(error)),
            Err(Refusal::Unreadable(error)) => Err(error.into()),
        }
    }

    /// The file at this path.
    ///
    /// # Errors
    /// Every malformed line, or the reason why the file is not read, such as that another user can
    /// write to it.
    pub fn from_path(path: &Path) -> Result<Self, ConfigErrors> {
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

/// Opens a file that only the user of this process and root can write to. The same applies to a
/// symbolic link, whose owner chooses the file.
fn open_trusted(path: &Path) -> Result<File, Refusal> {
    let error = |problem: &str| ConfigError::new(path.display().to_string(), problem);
    let unreadable = |cause: std::io::Error| {
        Refusal::Unreadable(error(&format!("cannot be read: {}", reason(&cause))))
    };
    let untrusted = |problem| Refusal::Untrusted(error(problem));
    let foreign = "not read: it belongs to another user";
    if !is_ours(&fs::symlink_metadata(path).map_err(unreadable)?) {
        return Err(untrusted(foreign));
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !is_ours(&metadata) {
        return Err(untrusted(foreign));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(untrusted(
            "not read: other users can write to it; run chmod go-w",
        ));
    }
    Ok(file)
}

/// Whether a file belongs to the effective user of this process, or to root.
fn is_ours(metadata: &Metadata) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid())
}

fn read(path: PathBuf, file: File) -> Result<ReadFile, ConfigErrors> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| ConfigError::new(&name, format!("cannot be read: {}", reason(&cause))))?;
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
