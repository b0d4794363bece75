//! The library that is loaded into Tokenhouse before all others; see `shim/disk.c`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("../../shim/disk.c");

/// The library, built.
pub(crate) struct Shim {
    library: PathBuf,
}

impl Shim {
    /// Builds it in a folder, with the system's C compiler.
    ///
    /// # Errors
    /// When there is none, or it does not take the source.
    pub(crate) fn build(folder: &Path) -> Result<Self, String> {
        let (source, library) = (folder.join("disk.c"), folder.join("disk.so"));
        fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .map_err(|error| format!("cc: {error}"))?;
        if output.status.success() {
            Ok(Self { library })
        } else {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("cc does not build the shim: {said}"))
        }
    }

    /// What a process needs in its environment, to have the database at `database` recorded in
    /// `journal`, or to have calls fail as `control` says.
    pub(crate) fn settings(
        &self,
        database: &Path,
        journal: Option<&Path>,
        control: Option<&Path>,
    ) -> Vec<(String, String)> {
        let named = [
            ("LD_PRELOAD", Some(self.library.as_path())),
            ("DISK_SHIM_DATABASE", Some(database)),
            ("DISK_SHIM_JOURNAL", journal),
            ("DISK_SHIM_CONTROL", control),
        ];
        let given = named.into_iter();
        given
            .filter_map(|(name, path)| Some((name.to_owned(), path?.display().to_string())))
            .collect()
    }
}

/// Calls that can fail, as bits.
const WRITE: u32 = 1;
const SYNC: u32 = 2;
const TRUNCATE: u32 = 4;

/// Files of a database, as bits.
const MAIN_FILE: u32 = 1 << 1;
const WAL_FILE: u32 = 1 << 2;
const SHM_FILE: u32 = 1 << 3;

const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// A way in which the disk fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    calls: u32,
    files: u32,
    error: u32,
    half: bool,
}

impl Fault {
    /// Every way that is tried.
    pub(crate) const ALL: [Self; 8] = [
        Self::new("EIO, writing the log", WRITE, WAL_FILE, EIO),
        Self::new("ENOSPC, writing the log", WRITE, WAL_FILE, ENOSPC),
        Self {
            half: true,
            ..Self::new(
                "ENOSPC after half a write of the log",
                WRITE,
                WAL_FILE,
                ENOSPC,
            )
        },
        Self::new("EIO, syncing the log", SYNC, WAL_FILE, EIO),
        Self::new("EIO, writing the database", WRITE, MAIN_FILE, EIO),
        Self::new("ENOSPC, writing the database", WRITE, MAIN_FILE, ENOSPC),
        Self::new("EIO, syncing the database", SYNC, MAIN_FILE, EIO),
        Self::ANY,
    ];

    /// Whatever comes.
    pub(crate) const ANY: Self = Self::new(
        "EIO, anything of any file",
        WRITE | SYNC | TRUNCATE,
        MAIN_FILE | WAL_FILE | SHM_FILE,
        EIO,
    );

    const fn new(name: &'static str, calls: u32, files: u32, error: u32) -> Self {
        Self {
            name,
            calls,
            files,
            error,
            half: false,
        }
    }

    /// Whether it only shows while the log is copied into the database, which is seldom.
    pub(crate) fn is_of_checkpoints(self) -> bool {
        self.files == MAIN_FILE
    }
}

/// The memory that is shared with the library: eight numbers in a file.
pub(crate) struct FaultControl {
    file: File,
    pub(crate) path: PathBuf,
}

/// Where in it stands how many calls have failed.
const FAILED_AT: u64 = 28;

impl FaultControl {
    /// Makes the file; nothing fails yet.
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        file.write_all_at(&[0; 32], 0)?;
        Ok(Self { file, path })
    }

    /// Lets the call after `after` others fail, once or from then on.
    pub(crate) fn arm(&self, fault: Fault, after: u32, for_good: bool) -> io::Result<()> {
        let numbers = [
            fault.calls,
            fault.files,
            after,
            fault.error,
            u32::from(for_good),
            u32::from(fault.half),
            0,
        ];
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        self.file.write_all_at(&bytes, 4)?;
        self.file.write_all_at(&1_u32.to_ne_bytes(), 0)
    }

    /// Lets nothing fail any more, and returns how many calls have failed.
    pub(crate) fn disarm(&self) -> io::Result<u32> {
        self.file.write_all_at(&[0; 4], 0)?;
        self.failed()
    }

    /// How many calls have failed.
    pub(crate) fn failed(&self) -> io::Result<u32> {
        let mut failed = [0; 4];
        self.file.read_exact_at(&mut failed, FAILED_AT)?;
        Ok(u32::from_ne_bytes(failed))
    }
}
