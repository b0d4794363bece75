//! The thread that reads a source.

use chrono::NaiveDateTime;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::Options;
use super::database::SourceDatabase;
use super::files;
use super::layouts::{self, Format};
use super::users::{LeftOut, RawRow, ReadUser, Rules, TokenCounts};
use crate::config::DatabaseUrl;
use crate::password::Cost;
use crate::store::StoreError;

/// The maximum number of tokens of a user.
const MAX_TOKENS: usize = 1_000;

/// A message of the thread.
pub(super) enum Message {
    /// The format of the source, and the number of users if it is known.
    Opened { format: Format, users: Option<u64> },
    /// Users.
    Batch(Batch),
}

/// A part of the source.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) users: Vec<ReadUser>,
    pub(super) left_out: Vec<LeftOut>,
    /// Malformed lines of a file.
    pub(super) unreadable: Vec<u64>,
    pub(super) tokens: TokenCounts,
}

impl Batch {
    fn size(&self) -> usize {
        self.users.len() + self.left_out.len() + self.unreadable.len()
    }
}

/// Reads the source, and sends its users in batches.
pub(super) struct Reader {
    options: Options,
    rules: Rules,
    sender: mpsc::Sender<Message>,
    batch: Batch,
    /// The number of rows read.
    rows: u64,
}

impl Reader {
    pub(super) fn new(
        options: Options,
        max_cost: Cost,
        now: NaiveDateTime,
        sender: mpsc::Sender<Message>,
    ) -> Self {
        let rules = Rules {
            timezone: options.timezone,
            token_lifetime: options.token_lifetime,
            now,
            max_cost,
        };
        Self {
            options,
            rules,
            sender,
            batch: Batch::default(),
            rows: 0,
        }
    }

    /// Reads the source to its end, or until the receiver is gone.
    pub(super) fn run(mut self) -> Result<(), String> {
        let source = self.options.source.clone();
        match files::format_of(&source, self.options.format) {
            Some((format, path)) => {
                let users = files::count_lines(path, format)?;
                self.send(Message::Opened {
                    format,
                    users: Some(users),
                });
                files::read(path, format, &mut |row| {
                    self.rows += 1;
                    match row {
                        _ if self.rows > self.options.max_rows => false,
                        Ok(row) => self.take(&[row]),
                        Err(line) => self.take_unreadable(line),
                    }
                })?;
            }
            None => self.read_database(&source)?,
        }
        self.flush();
        if self.rows > self.options.max_rows {
            return Err(self.too_many_rows());
        }
        Ok(())
    }

    fn too_many_rows(&self) -> String {
        let max = self.options.max_rows;
        format!("the source: has more than {max} rows; raise --max-rows")
    }

    fn read_database(&mut self, source: &str) -> Result<(), String> {
        let url = without_driver(source);
        let is_postgres = url.starts_with("postgres");
        let url = DatabaseUrl::parse(SecretString::from(url)).map_err(|problem| {
            if is_postgres {
                return format!("the source: {problem}");
            }
            "the source: expected sqlite://FILE, postgres://USER:PASSWORD@HOST/NAME, FILE.csv or \
             FILE.jsonl"
                .to_owned()
        })?;
        let describe = |error: StoreError| format!("the source: {error}");
        let mut database = SourceDatabase::open(&url).map_err(describe)?;
        let format = match self.options.format {
            Some(format) => format,
            None => layouts::guess(&mut database).map_err(describe)?.ok_or(
                "the source: has none of the tables auth_user, user and users; set --from",
            )?,
        };
        let columns = database.columns(format.table()).map_err(describe)?;
        if columns.is_empty() {
            return Err(format!("the source: has no table {}", format.table()));
        }
        if columns.iter().any(|column| column == "email_key") {
            return Err("the source: is a database of Tokenhouse; copy it instead".to_owned());
        }
        // A view may be endless, so counting stops at the maximum number of rows.
        let mut counts = Vec::new();
        for table in layouts::tables(format) {
            if !database.columns(table).map_err(describe)?.is_empty() {
                let count = database
                    .count(table, self.options.max_rows)
                    .map_err(describe)?;
                counts.push(count.ok_or_else(|| self.too_many_rows())?);
            }
        }
        let users = counts.first().copied();
        self.send(Message::Opened { format, users });
        let query = layouts::query(&mut database, format).map_err(describe)?;
        let mut rows: Vec<RawRow> = Vec::new();
        let read = database.read(&query, |row| {
            self.rows += 1;
            if self.rows > self.options.max_rows {
                return false;
            }
            let row = RawRow::from_database(row);
            let is_next = rows.first().is_some_and(|first| first.id != row.id);
            let should_continue = !is_next || self.take(&rows);
            if is_next {
                rows.clear();
            }
            if rows.len() < MAX_TOKENS {
                rows.push(row);
            } else {
                self.batch.tokens.leave_out("too-many");
            }
            should_continue
        });
        read.map_err(describe)?;
        if !rows.is_empty() {
            self.take(&rows);
        }
        Ok(())
    }

    /// Takes a user. Returns whether to continue.
    fn take(&mut self, rows: &[RawRow]) -> bool {
        match self.rules.read_user(rows, &mut self.batch.tokens) {
            Ok(user) => self.batch.users.push(user),
            Err(left_out) => self.batch.left_out.push(left_out),
        }
        self.flush_when_full()
    }

    fn take_unreadable(&mut self, line: u64) -> bool {
        self.batch.unreadable.push(line);
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

/// Removes the driver from a URL of SQLAlchemy, such as `postgresql+asyncpg://`.
fn without_driver(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = scheme.split('+').next().unwrap_or_default();
            format!("{scheme}://{rest}")
        }
        None => url.to_owned(),
    }
}
