//! What was done to the files of a database, in order; see `note` in `shim/disk.c`.

use std::path::Path;

/// The bytes before the data of an entry.
const HEAD: usize = 16;

/// Files of a database, and the folder that they are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Main,
    Wal,
    Rollback,
    Folder,
}

impl Name {
    fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Main),
            2 => Some(Self::Wal),
            4 => Some(Self::Rollback),
            5 => Some(Self::Folder),
            _ => None,
        }
    }

    /// What follows the path of the database.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Main | Self::Folder => "",
            Self::Wal => "-wal",
            Self::Rollback => "-journal",
        }
    }
}

/// Something that was done to a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed<'a> {
    Create,
    Write(u64, &'a [u8]),
    Truncate(u64),
    Sync,
    Unlink,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) name: Name,
    pub(crate) deed: Deed<'a>,
    /// Where the journal ended when it had been done.
    pub(crate) end: u64,
}

impl Record<'_> {
    /// Whether something was made sure.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.deed, Deed::Sync)
    }
}

/// The whole journal.
pub(crate) struct Journal(Vec<u8>);

impl Journal {
    /// Reads it.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path);
        bytes
            .map(Self)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The entries.
    ///
    /// # Errors
    /// When it is cut off or not a journal.
    pub(crate) fn records(&self) -> Result<Vec<Record<'_>>, String> {
        let mut records = Vec::new();
        let mut at = 0;
        while at < self.0.len() {
            let (record, end) = self.record(at).ok_or("the journal of the disk is broken")?;
            records.push(record);
            at = end;
        }
        Ok(records)
    }

    fn record(&self, at: usize) -> Option<(Record<'_>, usize)> {
        let head = self.0.get(at..at + HEAD)?;
        let length = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
        let offset = u64::from_le_bytes(head[8..16].try_into().ok()?);
        let end = at + HEAD + length;
        let data = self.0.get(at + HEAD..end)?;
        let deed = match head[0] {
            b'C' => Deed::Create,
            b'W' => Deed::Write(offset, data),
            b'T' => Deed::Truncate(offset),
            b'S' => Deed::Sync,
            b'U' => Deed::Unlink,
            _ => return None,
        };
        let record = Record {
            name: Name::of(head[1])?,
            deed,
            end: end as u64,
        };
        Some((record, end))
    }
}
