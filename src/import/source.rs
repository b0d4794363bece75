//! The thread that reads a source.

use std::iter;

use chrono::NaiveDateTime;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::Options;
use super::database::SourceDatabase;
use super::files;
use super::layouts::{self, Format};
use super::record::LeftOut;
use super::rows::{RawRow, RowRules};
use super::users::{ReadUser, Rules, TokenCounts};
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
            max_lifetime: options.max_lifetime,
            token_lifetime: options.token_lifetime,
            now,
            max_cost,
        };
        let row_rules = RowRules {
            timezone: options.timezone,
        };
        Self {
            options,
            row_rules,
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
                        Ok(row) => self.take(&[row], 0),
                        Err(left_out) => self.leave_out(left_out),
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
        let (mut rows, mut dropped) = (Vec::<RawRow>::new(), 0);
        let read = database.read(&query, |row| {
            self.rows += 1;
            if self.rows > self.options.max_rows {
                return false;
            }
            let row = RawRow::from_database(row);
            let is_next = rows.first().is_some_and(|first| first.id != row.id);
            let should_continue = !is_next || self.take(&rows, dropped);
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
        read.map_err(describe)?;
        if !rows.is_empty() {
            self.take(&rows, dropped);
        }
        Ok(())
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
