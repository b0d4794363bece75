//! What is in the database: the other side of the comparison. Read past Tokenhouse, by SQL.

use std::collections::HashMap;
use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::{PgConnection, QueryResult, SqliteConnection, sql_query};

/// Where the database is.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Location {
    /// As Tokenhouse is told of it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }
}

#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct UserRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = Text)]
    pub(crate) email: String,
    #[diesel(sql_type = Text)]
    pub(crate) hashed_password: String,
    #[diesel(sql_type = Integer)]
    pub(crate) disabled: i32,
}

#[derive(Clone, Debug, QueryableByName)]
struct TokenRow {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = Text)]
    access_token: String,
}

#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct KeyRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) user_id: i64,
    #[diesel(sql_type = Text)]
    pub(crate) key_digest: String,
    #[diesel(sql_type = Integer)]
    pub(crate) live: i32,
}

#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct EventRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = Text)]
    pub(crate) request_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) action: String,
    #[diesel(sql_type = Text)]
    pub(crate) target: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// By address.
    pub(crate) users: HashMap<String, UserRow>,
    /// The digests, by the user's id.
    pub(crate) tokens: HashMap<i64, String>,
    pub(crate) keys: Vec<KeyRow>,
    /// What was done, by the id of the request.
    pub(crate) events: HashMap<String, Vec<EventRow>>,
    /// What the database finds wrong with itself.
    pub(crate) damage: Vec<String>,
}

const USERS: &str = "SELECT CAST(id AS BIGINT) AS id, email, hashed_password, \
     CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END AS disabled FROM users";
const TOKENS: &str = "SELECT CAST(user_id AS BIGINT) AS user_id, access_token FROM access_tokens";
const KEYS: &str = "SELECT CAST(id AS BIGINT) AS id, CAST(user_id AS BIGINT) AS user_id, \
     key_digest, CASE WHEN revoked_at IS NULL THEN 1 ELSE 0 END AS live FROM api_keys";
const EVENTS: &str = "SELECT id, client_request_id AS request_id, action, target FROM audit_events WHERE result = 'ok' ORDER BY id";

/// The files are copies, or another process has them open: there is nothing for us to sync.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA synchronous = OFF";

impl Snapshot {
    /// Reads all of it.
    ///
    /// # Errors
    /// When it cannot be read. A file that has no tables yet reads as an empty database.
    pub(crate) fn read(location: &Location) -> Result<Self, String> {
        let told = |error: diesel::result::Error| format!("the database cannot be read: {error}");
        match location {
            Location::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(&path.to_string_lossy())
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                conn.batch_execute(SQLITE_SETTINGS).map_err(told)?;
                conn.transaction(read_sqlite).map_err(told)
            }
            Location::Postgres(url) => {
                let mut conn = PgConnection::establish(url).map_err(|error| error.to_string())?;
                let reading = conn.build_transaction();
                reading
                    .repeatable_read()
                    .read_only()
                    .run(read_postgres)
                    .map_err(told)
            }
        }
    }

    fn of(
        users: Vec<UserRow>,
        tokens: Vec<TokenRow>,
        keys: Vec<KeyRow>,
        events: Vec<EventRow>,
    ) -> Self {
        let mut by_request: HashMap<String, Vec<EventRow>> = HashMap::new();
        for event in events {
            let same = by_request.entry(event.request_id.clone()).or_default();
            same.push(event);
        }
        let tokens = tokens.into_iter();
        Self {
            users: users
                .into_iter()
                .map(|user| (user.email.clone(), user))
                .collect(),
            tokens: tokens.map(|row| (row.user_id, row.access_token)).collect(),
            keys,
            events: by_request,
            damage: Vec::new(),
        }
    }
}

fn read_sqlite(conn: &mut SqliteConnection) -> QueryResult<Snapshot> {
    let check = "SELECT integrity_check AS line FROM pragma_integrity_check";
    let lines: Vec<Line> = sql_query(check).load(conn)?;
    let damage = lines.into_iter().map(|row| row.line);
    let mut damage: Vec<String> = damage.filter(|line| line != "ok").collect();
    let orphans = "SELECT 'a row of ' || \"table\" || ' without its user' AS line \
         FROM pragma_foreign_key_check";
    let orphans: Vec<Line> = sql_query(orphans).load(conn)?;
    damage.extend(orphans.into_iter().map(|row| row.line));
    let is_made = "SELECT name AS line FROM sqlite_schema WHERE name = 'login_failures'";
    let is_made: Vec<Line> = sql_query(is_made).load(conn)?;
    if is_made.is_empty() {
        return Ok(Snapshot {
            damage,
            ..Snapshot::default()
        });
    }
    let snapshot = Snapshot::of(
        sql_query(USERS).load(conn)?,
        sql_query(TOKENS).load(conn)?,
        sql_query(KEYS).load(conn)?,
        sql_query(EVENTS).load(conn)?,
    );
    Ok(Snapshot { damage, ..snapshot })
}

fn read_postgres(conn: &mut PgConnection) -> QueryResult<Snapshot> {
    Ok(Snapshot::of(
        sql_query(USERS).load(conn)?,
        sql_query(TOKENS).load(conn)?,
        sql_query(KEYS).load(conn)?,
        sql_query(EVENTS).load(conn)?,
    ))
}
