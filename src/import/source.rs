//! The thread that reads a source.

use std::iter;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::Options;
use super::database::SourceDatabase;
use super::files::{self, UserFile};
use super::layouts::{self, Format};
use super::record::{LeftOut, Place, Reason};
use super::rows::{RawRow, RowRules};
use super::users::{ReadUser, Rules, TokenCounts};
use super::values::Value;
use crate::config::DatabaseUrl;
use crate::password::Cost;

/// The maximum number of tokens of a user.
const MAX_TOKENS: usize = 1_000;

/// A message of the thread.
pub(super) enum Message {
    /// The format of the source, the number of users if it is known, and the names of columns that are not
    /// read.
    Opened {
        format: Format,
        users: Option<u64>,
        not_read: Vec<String>,
    },
    /// Users.
    Batch(Batch),
}

/// A part of the source.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) users: Vec<ReadUser>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) tokens: TokenCounts,
}

impl Batch {
    pub(super) fn size(&self) -> usize {
        self.users.len() + self.left_out.len()
    }
}

/// Reads the source, and sends its users in batches.
pub(super) struct Reader {
    options: Options,
    row_rules: RowRules,
    rules: Rules,
    sender: mpsc::Sender<Message>,
    batch: Batch,
}

impl Reader {
    pub(super) fn new(
        options: Options,
        max_cost: Cost,
        now: NaiveDateTime,
        sender: mpsc::Sender<Message>,
    ) -> Self {
        let rules = Rules {
            max_lifetime: options.max_lifetime,
            token_lifetime: options.token_lifetime,
            now,
            max_cost,
        };
        let row_rules = RowRules {
            timezone: options.timezone,
            now,
            disable_unreadable: options.disable_unreadable,
            usernames: options.usernames.clone(),
        };
        Self {
            options,
            row_rules,
            rules,
            sender,
            batch: Batch::default(),
        }
    }

    /// Reads the source to its end, or until the receiver is gone.
    pub(super) fn run(mut self) -> Result<(), String> {
        let source = self.options.source.clone();
        match files::format_of(&source, self.options.format) {
            Some((format, path)) => self.read_file(path, format)?,
            None => {
                let url = database_url(&source)?;
                self.read_database(&url)
                    .map_err(|problem| format!("the source: {problem}"))?;
            }
        }
        self.flush();
        Ok(())
    }

    fn too_many_rows(&self) -> String {
        let max = self.options.max_rows;
        format!("has more than {max} rows; raise --max-rows")
    }

    fn read_file(&mut self, path: &Path, format: Format) -> Result<(), String> {
        let file = UserFile::open(path, format, self.options.max_rows)?;
        let file = file.ok_or_else(|| format!("the source: {}", self.too_many_rows()))?;
        self.send(Message::Opened {
            format,
            users: Some(file.users),
            not_read: file.not_read.iter().cloned().collect(),
        });
        file.read(&mut |rows| match rows {
            Ok(rows) => {
                let (kept, dropped) = rows.split_at(rows.len().min(MAX_TOKENS));
                self.take(kept, dropped.len())
            }
            Err(left_out) => self.leave_out(left_out),
        })
    }

    fn read_database(&mut self, url: &DatabaseUrl) -> Result<(), String> {
        let mut database = SourceDatabase::open(url)?;
        let layout = layouts::find(&mut database, self.options.format, &self.options.tables)?;
        // A view may be endless, so counting stops at the maximum number of rows.
        let mut counts = Vec::new();
        let tokens = layout.tokens.iter().map(|tokens| &tokens.table);
        for table in iter::once(&layout.users).chain(tokens) {
            let count = database.count(table, self.options.max_rows)?;
            counts.push(count.ok_or_else(|| self.too_many_rows())?);
        }
        self.send(Message::Opened {
            format: layout.format,
            users: counts.first().copied(),
            not_read: layout.columns.not_read.clone(),
        });
        let limit = self.options.max_rows.saturating_add(1);
        let query = layout.query(database.is_postgres(), limit);
        let (mut rows, mut dropped) = (Vec::<RawRow>::new(), 0);
        let (mut previous, mut read_rows) = (None, 0_u64);
        let read = database.read(&query, |row| {
            read_rows += 1;
            if read_rows > self.options.max_rows {
                return false;
            }
            let row = layout.row(row);
            let is_next = rows
                .first()
                .is_some_and(|first| !first.is_of_same_user(&row));
            let should_continue = !is_next || self.take_user(&rows, dropped, &mut previous);
            if is_next {
                rows.clear();
                dropped = 0;
            }
            if rows.len() < MAX_TOKENS {
                rows.push(row);
            } else {
                dropped += 1;
            }
            should_continue
        });
        read?;
        if read_rows > self.options.max_rows {
            return Err(self.too_many_rows());
        }
        if !rows.is_empty() {
            self.take_user(&rows, dropped, &mut previous);
        }
        Ok(())
    }

    /// Like [`Self::take`], for a table: two users with one id would have each other's tokens.
    fn take_user(&mut self, rows: &[RawRow], dropped: usize, previous: &mut Option<Value>) -> bool {
        let id = rows
            .first()
            .map(|row| row.id.clone())
            .filter(|id| !id.is_empty());
        let is_duplicate = id.is_some() && id == *previous;
        *previous = id;
        match rows.first() {
            Some(row) if is_duplicate => self.leave_out(LeftOut {
                place: Place::of(row),
                reason: Reason::DuplicateId,
                column: None,
                tokens: 0,
            }),
            _ => self.take(rows, dropped),
        }
    }

    /// Takes a user who has `dropped` more tokens than these. Returns whether to continue.
    fn take(&mut self, rows: &[RawRow], dropped: usize) -> bool {
        match self.row_rules.read(rows) {
            Ok(mut user) => {
                user.bad_tokens.extend(iter::repeat_n("too-many", dropped));
                let user = self.rules.convert(user, &mut self.batch.tokens);
                self.batch.users.push(user);
                self.flush_when_full()
            }
            Err(mut left_out) => {
                left_out.tokens += dropped as u64;
                self.leave_out(left_out)
            }
        }
    }

    fn leave_out(&mut self, left_out: LeftOut) -> bool {
        self.batch.tokens.leave_out(&left_out);
        self.batch.left_out.push(left_out);
        self.flush_when_full()
    }

    fn flush_when_full(&mut self) -> bool {
        self.batch.size() < self.options.batch || self.flush()
    }

    fn flush(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        batch.size() == 0 || self.send(Message::Batch(batch))
    }

    fn send(&self, message: Message) -> bool {
        self.sender.blocking_send(message).is_ok()
    }
}

/// The file of an SQLite database.
pub(super) fn file_of(options: &Options) -> Option<PathBuf> {
    if files::format_of(&options.source, options.format).is_some() {
        return None;
    }
    let url = database_url(&options.source).ok()?;
    url.sqlite_path().map(Path::to_owned)
}

/// The URL of a database, as SQLAlchemy writes it too: with a driver, such as `postgresql+asyncpg://`, and
/// with a slash more before a relative file.
fn database_url(source: &str) -> Result<DatabaseUrl, String> {
    let url = without_driver(source);
    let is_postgres = url.starts_with("postgres");
    let url = DatabaseUrl::parse(SecretString::from(url)).map_err(|problem| {
        if is_postgres || source.starts_with("sqlite") {
            return format!("the source: {problem}");
        }
        "the source: expected sqlite://FILE, postgres://USER:PASSWORD@HOST/NAME, FILE.csv, \
         FILE.jsonl, or a seed file: FILE.json or FILE.toml"
            .to_owned()
    })?;
    if let DatabaseUrl::Sqlite(path) = &url
        && let Ok(relative) = path.strip_prefix("/")
        && !path.exists()
        && relative.is_file()
    {
        return Ok(DatabaseUrl::Sqlite(relative.to_owned()));
    }
    Ok(url)
}

/// Removes the driver.
fn without_driver(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = scheme.split('+').next().unwrap_or_default();
            format!("{scheme}://{rest}")
        }
        None => url.to_owned(),
    }
}
