//! Mails as files, for development.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use lettre::Message;

use super::letter::Outcome;
use crate::private_file;

/// Writes a mail into a file of the folder, which is created if it is missing. The name of the file has the
/// time and the purpose. Its links are secrets, so only the owner may read it.
pub(super) fn write(
    folder: &Path,
    purpose: &str,
    message: &Message,
    now: DateTime<Utc>,
) -> Outcome {
    match store(folder, purpose, message, now) {
        Ok(file) => Outcome::Accepted(format!("written to {file}")),
        Err(error) => {
            let reason = private_file::reason(&error);
            Outcome::Temporary(format!("the folder cannot be written: {reason}"))
        }
    }
}

fn store(
    folder: &Path,
    purpose: &str,
    message: &Message,
    now: DateTime<Utc>,
) -> io::Result<String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let time = now.format("%Y%m%dT%H%M%S%6f");
    let mut number = 0;
    loop {
        // Two mails of a moment, as when the clock stands.
        let file = match number {
            0 => format!("{time}-{purpose}.eml"),
            number => format!("{time}-{purpose}-{number}.eml"),
        };
        // A reader of the folder sees complete mails only.
        let unfinished = folder.join(format!(".{file}.part"));
        match private_file::create(&unfinished) {
            Ok(mut written) => {
                written.write_all(&message.formatted())?;
                match fs::hard_link(&unfinished, folder.join(&file)) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    linked => {
                        fs::remove_file(&unfinished)?;
                        return linked.map(|()| file);
                    }
                }
                fs::remove_file(&unfinished)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        number += 1;
    }
}
