//! Migration from other programs: imports users with their password hashes and ids, and valid login
//! tokens, from their tables or from files.
//!
//! A thread reads the source row by row and converts the rows to users. It is read three times: to find
//! what its rows have in common, to predict the outcome, which changes nothing, and to store the users.
//! They are stored in batches, one per transaction, so an interrupted import can be repeated.

mod columns;
mod csv_records;
mod database;
mod files;
mod ids;
mod importer;
mod known;
mod layouts;
mod map;
mod present;
mod record;
mod report;
mod rows;
mod scan;
mod source;
mod strength;
mod summary;
mod times;
mod users;
mod values;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use tokio::sync::mpsc;

pub use ids::{IdConflict, NewId};
pub use importer::{
    BatchOutcome, ImportMode, ImportedToken, ImportedUser, Outcome, TokenOutcome, UserDecision,
};
pub use layouts::{Format, TableChoice};
pub use map::IdMap;
pub use record::SourceId;
pub use report::{Problem, Report};
pub(crate) use summary::grouped;

use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::DatabaseUrl;
use crate::error::Error;
use crate::password::Cost;
use crate::store::{Sequence, StoreConnection, StoreError, Writing};
use importer::Importer;
use scan::Scan;
use source::{Batch, Message, Reader};

/// The maximum number of batches that wait for the database.
const MAX_BATCHES_AHEAD: usize = 4;

/// How long a source may deliver nothing: a view may compute endlessly, but sorting the tokens of millions
/// of users takes a database minutes.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(600);

/// The problem of a source that is a database of this program.
const OWN_DATABASE: &str = "is a database of Tokenhouse; copy it instead";

/// Seconds to wait before a failed batch is retried.
const RETRY_DELAYS: [u64; 4] = [1, 2, 4, 8];

/// The options of an import.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source: a database URL, or the path of a file.
    pub source: String,
    /// The format of the source; detected if `None`.
    pub format: Option<Format>,
    /// The tables of a database; found if they are `None`.
    pub tables: TableChoice,
    /// Whether users with values that cannot be read are imported disabled, instead of left out.
    pub disable_unreadable: bool,
    /// The domain of the addresses that users without one get, so that they sign in with their user names.
    pub usernames: Option<String>,
    /// The time zone of timestamps without an offset.
    pub timezone: Tz,
    /// The maximum lifetime of tokens.
    pub max_lifetime: TimeDelta,
    /// The lifetime of tokens for which the source states no end. Without it, a source with such tokens is
    /// refused.
    pub token_lifetime: Option<TimeDelta>,
    /// Hashes of a higher cost never match.
    pub max_cost: Cost,
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
    /// The target cannot be read; nothing was stored.
    #[error("{0}; nothing was imported")]
    Prediction(StoreError),
    /// The users cannot be stored.
    #[error("{0}; the users imported before remain, run the import again to continue")]
    Target(#[from] Error),
    /// Users with the same ids were created after the prediction.
    #[error(
        "new users got ids of the source meanwhile; nothing was imported, run the import again"
    )]
    IdsTaken,
    /// The map of ids cannot be written.
    #[error("{0}; run the import again with another file, which lists all users")]
    Map(String),
}

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the source.
    Reading,
    /// Comparing it with the target.
    Comparing,
    /// Storing users.
    Storing,
}

/// The progress of an import.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What the import is doing.
    pub phase: Phase,
    /// The number of processed users.
    pub done: u64,
    /// The total number of users, if it is known.
    pub total: Option<u64>,
}

/// The predicted outcome of an import, with what is needed to store the users accordingly.
pub struct Plan {
    /// The report that an import results in, if nothing else changes the target.
    pub report: Report,
    options: Options,
    importer: Importer,
    now: NaiveDateTime,
    ids: PlannedIds,
}

/// The ids to keep, compared with those that the target has assigned.
#[derive(Clone, Copy, Default)]
struct PlannedIds {
    /// The largest id that the target had assigned.
    assigned: i64,
    /// The smallest kept id above it.
    smallest_new: Option<i64>,
}

/// Checks that the source is not the target itself, before either is opened: closing a file drops the
/// locks that SQLite holds on it elsewhere in the process (POSIX, `fcntl`).
///
/// # Errors
/// A text for the operator.
pub fn check_source(options: &Options, target: &DatabaseUrl) -> Result<(), String> {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let source = source::file_of(options).and_then(|file| identity(&file));
    if source.is_some() && source == target.sqlite_path().and_then(identity) {
        return Err(format!("the source: {OWN_DATABASE}"));
    }
    Ok(())
}

/// Predicts an import: reads the source and the target, and changes nothing. Without a target, it is
/// empty.
///
/// # Errors
/// [`ImportError::Source`] and [`ImportError::Prediction`].
pub async fn predict(
    mut target: Option<StoreConnection>,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Plan, ImportError> {
    let started = Instant::now();
    let now = Clock::system().now();
    let mut scan = Scan::default();
    let mut show = |phase, done, total| progress(Progress { phase, done, total });
    let mut estimate = None;
    let mut done = 0;
    let mut reading = Reading::start(&options, now)?;
    while let Some(message) = reading.next().await? {
        match message {
            Message::Opened { users, .. } => estimate = users,
            Message::Batch(batch) => {
                scan.add(&batch);
                done += batch.size() as u64;
            }
        }
        show(Phase::Reading, done, estimate);
    }
    let mut importer = Importer::new(options.mode, scan.end());
    let (total, _) = importer.totals();
    let mut ids = PlannedIds::default();
    if let Some(conn) = &mut target {
        ids.assigned = Sequence::last_user_id(conn).map_err(unreadable)?;
    }
    let mut report = Report::new(
        options.mode.dry_run,
        options.token_lifetime,
        options.max_lifetime,
        now,
    );
    let mut reading = Reading::start(&options, now)?;
    while let Some(message) = reading.next().await? {
        match message {
            Message::Opened {
                format, not_read, ..
            } => report.open(format, not_read),
            Message::Batch(batch) => {
                let users = users_of(&batch);
                let outcome = importer.predict(target.as_mut(), &users);
                let outcome = outcome.map_err(unreadable)?;
                ids.add(&outcome);
                report.add(&batch, &outcome);
            }
        }
        show(Phase::Comparing, report.users.read, Some(total));
    }
    report.decide_refusal();
    report.end(started.elapsed());
    Ok(Plan {
        report,
        options,
        importer,
        now,
        ids,
    })
}

/// Stores the users as predicted, and reports the outcome. Writes the ids of all users of the source who
/// exist then to the new file `map`.
///
/// # Errors
/// [`ImportError::Source`], [`ImportError::Target`], [`ImportError::IdsTaken`] and [`ImportError::Map`].
pub async fn store(
    auth: &Auth,
    plan: Plan,
    map: Option<&Path>,
    mut progress: impl FnMut(Progress),
) -> Result<Report, ImportError> {
    let started = Instant::now();
    let Plan {
        options,
        mut importer,
        now,
        ids,
        ..
    } = plan;
    importer.start_storing();
    let (total, largest_id) = importer.totals();
    ids.reserve(auth, largest_id).await?;
    let mut map = map
        .map(IdMap::create)
        .transpose()
        .map_err(ImportError::Map)?;
    let mut report = Report::new(false, options.token_lifetime, options.max_lifetime, now);
    let mut reading = Reading::start(&options, now)?;
    while let Some(message) = reading.next().await? {
        match message {
            Message::Opened {
                format, not_read, ..
            } => report.open(format, not_read),
            Message::Batch(batch) => {
                let outcome = store_batch(auth, &mut importer, &batch).await?;
                if let Some(map) = &mut map {
                    write_ids(map, &batch, &outcome).map_err(ImportError::Map)?;
                }
                report.add(&batch, &outcome);
            }
        }
        progress(Progress {
            phase: Phase::Storing,
            done: report.users.read,
            total: Some(total),
        });
    }
    if let Some(map) = map {
        map.end().map_err(ImportError::Map)?;
    }
    report.end(started.elapsed());
    Ok(report)
}

fn unreadable(error: diesel::result::Error) -> ImportError {
    ImportError::Prediction(error.into())
}

impl PlannedIds {
    fn add(&mut self, outcome: &BatchOutcome) {
        for decision in &outcome.users {
            if let Outcome::Imported(NewId::Kept(id)) = decision.outcome
                && id > self.assigned
                && self.smallest_new.is_none_or(|smallest| id < smallest)
            {
                self.smallest_new = Some(id);
            }
        }
    }

    /// Ensures that all other new users get ids above those of the source.
    async fn reserve(self, auth: &Auth, largest_id: i64) -> Result<(), ImportError> {
        if largest_id == 0 {
            return Ok(());
        }
        let smallest_new = self.smallest_new;
        let reserve = move |tx: &mut Writing<'_>| {
            let assigned = Sequence::reserve_user_ids(tx, largest_id)?;
            Ok::<_, Error>(smallest_new.is_none_or(|id| id > assigned))
        };
        let mut delays = RETRY_DELAYS.into_iter();
        loop {
            match (auth.store().writing(reserve).await, delays.next()) {
                (Ok(true), _) => return Ok(()),
                (Ok(false), _) => return Err(ImportError::IdsTaken),
                (Err(Error::Unavailable), Some(delay)) => {
                    tokio::time::sleep(Duration::from_secs(delay)).await;
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
    }
}

/// Stores a batch, with retries while the database is busy. If an attempt succeeds despite an error, the
/// retry finds its users.
async fn store_batch(
    auth: &Auth,
    importer: &mut Importer,
    batch: &Batch,
) -> Result<BatchOutcome, Error> {
    for delay in RETRY_DELAYS {
        let outcome = importer.store(auth, users_of(batch)).await;
        if !matches!(outcome, Err(Error::Unavailable)) {
            return outcome;
        }
        tokio::time::sleep(Duration::from_secs(delay)).await;
    }
    importer.store(auth, users_of(batch)).await
}

fn users_of(batch: &Batch) -> Vec<ImportedUser> {
    batch.users.iter().map(|read| read.user.clone()).collect()
}

/// Writes the users of a batch who exist now.
fn write_ids(map: &mut IdMap, batch: &Batch, outcome: &BatchOutcome) -> Result<(), String> {
    for (read, decision) in batch.users.iter().zip(&outcome.users) {
        let is_there = matches!(
            decision.outcome,
            Outcome::Imported(_) | Outcome::AlreadyThere { .. }
        );
        let user = &read.user;
        if let Some(id) = outcome.ids.get(&user.email.key()).filter(|_| is_there) {
            let old_id = user.source_id.as_ref().map(ToString::to_string);
            map.add(&old_id.unwrap_or_default(), *id, &user.email.to_string())?;
        }
    }
    map.flush()
}

/// A thread that reads the source.
struct Reading {
    receiver: mpsc::Receiver<Message>,
    thread: Option<std::thread::JoinHandle<Result<(), String>>>,
}

impl Reading {
    fn start(options: &Options, now: NaiveDateTime) -> Result<Self, ImportError> {
        let (sender, receiver) = mpsc::channel(MAX_BATCHES_AHEAD);
        let reader = Reader::new(options.clone(), options.max_cost, now, sender);
        let thread = std::thread::Builder::new()
            .name("import".to_owned())
            .spawn(move || reader.run())
            .map_err(|error| ImportError::Source(format!("cannot start a thread: {error}")))?;
        let thread = Some(thread);
        Ok(Self { receiver, thread })
    }

    /// The next message; `None` after the last one.
    async fn next(&mut self) -> Result<Option<Message>, ImportError> {
        let message = tokio::time::timeout(SOURCE_TIMEOUT, self.receiver.recv()).await;
        // The thread is not joined: it may wait forever.
        let message = message.map_err(|_elapsed| {
            let waited = SOURCE_TIMEOUT.as_secs();
            ImportError::Source(format!("the source: no data for {waited} s"))
        })?;
        if message.is_some() {
            return Ok(message);
        }
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(Ok(Err(problem))) => Err(ImportError::Source(problem)),
            Some(Err(_panic)) => {
                let problem = "the reading thread panicked".to_owned();
                Err(ImportError::Source(problem))
            }
            Some(Ok(Ok(()))) | None => Ok(None),
        }
    }
}
