//! The map of ids, for apps that refer to users by id: which user has which id now.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::private_file;
use crate::private_file::reason;

/// A CSV file with the columns `old_id`, `new_id` and `email`.
pub struct IdMap {
    path: PathBuf,
    file: BufWriter<File>,
}

impl IdMap {
    /// Checks that a file can be created, without creating it.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn check(path: &Path) -> Result<(), String> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(format!(
                "{}: already exists, and is not overwritten; choose another file for --map",
                path.display()
            ));
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        match fs::metadata(folder.unwrap_or(Path::new("."))) {
            Ok(folder) if folder.is_dir() => Ok(()),
            _ => Err(format!("{}: its folder does not exist", path.display())),
        }
    }

    /// Creates the file with mode 0600. Never overwrites one.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn create(path: &Path) -> Result<Self, String> {
        Self::check(path)?;
        let file = private_file::create(path)
            .map_err(|error| format!("{}: {}", path.display(), reason(&error)))?;
        let mut map = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        };
        map.write("old_id,new_id,email")?;
        Ok(map)
    }

    /// Adds a user.
    pub(super) fn add(&mut self, old_id: &str, new_id: i64, email: &str) -> Result<(), String> {
        self.write(&format!("{},{new_id},{}", field(old_id), field(email)))
    }

    /// Writes what is buffered: an interrupted import leaves the users of all earlier batches.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        let flushed = self.file.flush();
        flushed.map_err(|error| self.describe(&error))
    }

    /// Makes the file survive a power failure.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.flush()?;
        let synced = self.file.get_ref().sync_all();
        synced.map_err(|error| self.describe(&error))
    }

    fn write(&mut self, line: &str) -> Result<(), String> {
        let written = writeln!(self.file, "{line}");
        written.map_err(|error| self.describe(&error))
    }

    fn describe(&self, error: &std::io::Error) -> String {
        format!("{}: {}", self.path.display(), reason(error))
    }
}

/// A field of a CSV file (RFC 4180). A spreadsheet would compute a field that begins like a formula, so
/// an apostrophe precedes it.
fn field(text: &str) -> String {
    let is_number = text.parse::<i64>().is_ok();
    let begins_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let safe = if begins_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if safe.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_quoted_and_never_formulas() {
        for (text, expected) in [
            ("42", "42"),
            ("-42", "-42"),
            ("ada@example.com", "ada@example.com"),
            ("=cmd|x@example.com", "'=cmd|x@example.com"),
            ("+a@example.com", "'+a@example.com"),
            ("-a@example.com", "'-a@example.com"),
            ("@a", "'@a"),
            ("a,b", "\"a,b\""),
            ("a\"b\nc", "\"a\"\"b\nc\""),
            ("=a,b", "\"'=a,b\""),
        ] {
            assert_eq!(field(text), expected, "{text}");
        }
    }
}
