//! Migration from other programs: imports users with their password hashes, and valid login tokens, from
//! their tables or from files.
//!
//! A thread reads the source row by row and converts the rows to users. They are stored in batches, one
//! per transaction, so an interrupted import can be repeated.

mod database;
mod files;
mod importer;
mod layouts;
mod present;
mod record;
mod report;
mod rows;
mod source;
mod strength;
mod times;
mod users;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use chrono_tz::Tz;
use tokio::sync::mpsc;

pub use importer::{
    BatchOutcome, ImportMode, ImportedToken, ImportedUser, Importer, Outcome, TokenOutcome,
};
pub use layouts::Format;
pub use record::SourceId;
pub use report::{Problem, Report};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::error::Error;
use crate::password::Cost;
use source::{Batch, Message, Reader};

/// The maximum number of batches that wait for the database.
const MAX_BATCHES_AHEAD: usize = 4;

/// How long a source may deliver nothing: a view may compute endlessly, but sorting the tokens of millions
/// of users takes a database minutes.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(600);

/// Seconds to wait before a failed batch is retried.
const RETRY_DELAYS: [u64; 4] = [1, 2, 4, 8];

/// The options of an import.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source: a database URL, or the path of a file.
    pub source: String,
    /// The format of the source; detected if `None`.
    pub format: Option<Format>,
    /// The time zone of timestamps without an offset.
    pub timezone: Tz,
    /// The maximum lifetime of tokens, and the lifetime of tokens without an expiry in the source.
    pub token_lifetime: TimeDelta,
    /// How users are imported.
    pub mode: ImportMode,
    /// The maximum number of rows of a table, or of all tables joined.
    pub max_rows: u64,
    /// The number of users per transaction.
    pub batch: usize,
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source cannot be read, or does not match these options.
    #[error("{0}")]
    Source(String),
    /// The users cannot be stored.
    #[error("{0}; the users imported before remain, run the import again to continue")]
    Target(#[from] Error),
}

/// The progress of an import.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The number of processed users.
    pub done: u64,
    /// The total number of users, if it is known.
    pub total: Option<u64>,
}

/// Imports users, and reports the outcome.
///
/// # Errors
/// [`ImportError::Source`] and [`ImportError::Target`].
pub async fn run(
    auth: &Auth,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, ImportError> {
    let started = Instant::now();
    let mut importer = Importer::new(auth.clone(), options.mode);
    let mut report = Report::new(options.mode.dry_run, options.token_lifetime);
    let (sender, mut receiver) = mpsc::channel(MAX_BATCHES_AHEAD);
    let max_cost: Cost = auth.config().max_cost;
    let reader = Reader::new(options, max_cost, Clock::system().now(), sender);
    let thread = std::thread::Builder::new()
        .name("import".to_owned())
        .spawn(move || reader.run())
        .map_err(|error| ImportError::Source(format!("cannot start a thread: {error}")))?;
    let mut total = None;
    loop {
        let message = tokio::time::timeout(SOURCE_TIMEOUT, receiver.recv()).await;
        // The thread is not joined: it may wait forever.
        let message = message.map_err(|_elapsed| {
            let waited = SOURCE_TIMEOUT.as_secs();
            ImportError::Source(format!("the source: no data for {waited} s"))
        })?;
        let Some(message) = message else {
            break;
        };
        match message {
            Message::Opened { format, users } => {
                report.format = format.name();
                total = users;
            }
            Message::Batch(batch) => {
                let outcome = import_batch(&mut importer, &batch).await?;
                report.add(&batch, &outcome);
            }
        }
        progress(Progress {
            done: report.users.read,
            total,
        });
    }
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => return Err(ImportError::Source(problem)),
        Err(_panic) => {
            return Err(ImportError::Source(
                "the reading thread panicked".to_owned(),
            ));
        }
    }
    report.end(started.elapsed());
    Ok(report)
}

/// Imports a batch, with retries while the database is busy. If an attempt succeeds despite an error, the
/// retry finds its users.
async fn import_batch(importer: &mut Importer, batch: &Batch) -> Result<BatchOutcome, Error> {
    for delay in RETRY_DELAYS {
        let outcome = importer.import(users_of(batch)).await;
        if !matches!(outcome, Err(Error::Unavailable)) {
            return outcome;
        }
        tokio::time::sleep(Duration::from_secs(delay)).await;
    }
    importer.import(users_of(batch)).await
}

fn users_of(batch: &Batch) -> Vec<ImportedUser> {
    batch.users.iter().map(|read| read.user.clone()).collect()
}
