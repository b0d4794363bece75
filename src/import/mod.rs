//! Moving in: users with their password hashes, and live login tokens, out of another program's
//! tables or files.
//!
//! A thread reads the source, row after row, and makes users of what it finds; here they go into
//! the database, a batch in a transaction. So a run that broke off is simply made again.

mod csv;
mod database;
mod files;
mod layouts;
mod report;
mod source;
mod strength;
mod times;
mod users;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use chrono_tz::Tz;
use tokio::sync::mpsc;

pub use layouts::Format;
pub use report::{Problem, Report};

use crate::auth::{Auth, BatchOutcome, ImportMode, ImportedUser, Importer};
use crate::clock::Clock;
use crate::error::Error;
use crate::password::Cost;
use source::{Batch, Message, Reader};

/// Batches that wait for the database at most.
const BATCHES_AHEAD: usize = 4;

/// How long a source may give nothing before it is given up: a view may compute without end. To
/// sort the tokens of some million users takes a database minutes.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(600);

/// Seconds to wait before a batch is tried again that the database did not take.
const PAUSES: [u64; 4] = [1, 2, 4, 8];

/// What is to be imported, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source: a database URL, or the path of a file.
    pub source: String,
    /// What the source is; found out without it.
    pub format: Option<Format>,
    /// Where times in the source are at home that do not say so.
    pub timezone: Tz,
    /// How long tokens live at most, and those for which the source does not say it.
    pub token_lifetime: TimeDelta,
    /// How users are taken over.
    pub mode: ImportMode,
    /// Rows of a table, or of all tables joined, that are read at most.
    pub max_rows: u64,
    /// Users in one transaction.
    pub batch: usize,
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source cannot be read, or not as asked.
    #[error("{0}")]
    Source(String),
    /// Our own database does not take the users.
    #[error("{0}; what was imported until then stays, run it again to go on")]
    Target(#[from] Error),
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Users that were read and seen to.
    pub done: u64,
    /// Users in all, where that can be told.
    pub total: Option<u64>,
}

/// Imports, and tells what became of everybody.
///
/// # Errors
/// [`ImportError::Source`] and [`ImportError::Target`].
pub async fn run(
    auth: &Auth,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, ImportError> {
    let begun = Instant::now();
    let mut importer = Importer::new(auth.clone(), options.mode);
    let mut report = Report::new(options.mode.dry_run, options.token_lifetime);
    let (sender, mut receiver) = mpsc::channel(BATCHES_AHEAD);
    let max_cost: Cost = auth.config().max_cost;
    let reader = Reader::new(options, max_cost, Clock::system().now(), sender);
    let thread = std::thread::Builder::new()
        .name("import".to_owned())
        .spawn(move || reader.run())
        .map_err(|error| ImportError::Source(format!("no thread: {error}")))?;
    let mut total = None;
    loop {
        let message = tokio::time::timeout(SOURCE_TIMEOUT, receiver.recv()).await;
        // The thread is left alone: what it waits for may never come.
        let message = message.map_err(|_elapsed| {
            let waited = SOURCE_TIMEOUT.as_secs();
            ImportError::Source(format!("the source: has given nothing for {waited} s"))
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
        Err(_panic) => return Err(ImportError::Source("the reader panicked".to_owned())),
    }
    report.end(begun.elapsed());
    Ok(report)
}

/// Imports a batch, and does not give up at once when the database is busy. Should an attempt
/// succeed after all that was given up for lost, its users are found to be there already.
async fn import_batch(importer: &mut Importer, batch: &Batch) -> Result<BatchOutcome, Error> {
    for pause in PAUSES {
        let outcome = importer.import(users_of(batch)).await;
        if !matches!(outcome, Err(Error::Unavailable)) {
            return outcome;
        }
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    importer.import(users_of(batch)).await
}

fn users_of(batch: &Batch) -> Vec<ImportedUser> {
    batch.users.iter().map(|read| read.user.clone()).collect()
}
