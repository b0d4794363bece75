//! The content of the database, read with SQL: the other side of the comparison.

use std::collections::{BTreeSet, HashMap};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::{PgConnection, QueryResult, SqliteConnection};

#[derive(Clone, Debug, Queryable)]
pub(crate) struct UserRow {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) hashed_password: String,
    pub(crate) scopes: String,
    pub(crate) disabled: i32,
}

#[derive(Clone, Debug, Queryable)]
pub(crate) struct KeyRow {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) key_digest: String,
    pub(crate) live: i32,
}

#[derive(Clone, Debug, Queryable)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    pub(crate) request_id: String,
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) detail: String,
}

#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// By address.
    pub(crate) users: HashMap<String, UserRow>,
    /// The digests, by the id of the user.
    pub(crate) tokens: HashMap<i64, String>,
    pub(crate) keys: Vec<KeyRow>,
    /// The changes, by the id of the request.
    pub(crate) events: HashMap<String, Vec<EventRow>>,
    /// What is wrong with the database independent of the clients.
    pub(crate) damage: Vec<String>,
}

const USERS: &str = "SELECT CAST(id AS BIGINT) AS id, email, hashed_password, scopes, \
     CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END AS disabled FROM users";
const TOKENS: &str = "SELECT CAST(user_id AS BIGINT) AS user_id, access_token FROM access_tokens";
const KEYS: &str = "SELECT CAST(id AS BIGINT) AS id, CAST(user_id AS BIGINT) AS user_id, \
     key_digest, CASE WHEN revoked_at IS NULL THEN 1 ELSE 0 END AS live FROM api_keys";
const EVENTS: &str = "SELECT id, client_request_id AS request_id, action, target, detail \
     FROM audit_events WHERE result = 'ok' ORDER BY id";
const GAPS: &str = "SELECT 'no event before event ' || CAST(id AS VARCHAR(20)) \
     FROM audit_events AS event WHERE id > 1 AND NOT EXISTS \
     (SELECT 1 FROM audit_events AS previous WHERE previous.id = event.id - 1)";

const SQLITE_CHECKS: [&str; 2] = [
    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    "SELECT 'a row of ' || \"table\" || ' without its user' FROM pragma_foreign_key_check",
];

/// The files are copies, or another process has them open: this process has nothing to sync.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA synchronous = OFF";

/// Reads all tables over a connection of either kind.
macro_rules! read_tables {
    ($conn:expr) => {
        Snapshot::new(
            sql::<(BigInt, Text, Text, Text, Integer)>(USERS).load($conn)?,
            sql::<(BigInt, Text)>(TOKENS).load($conn)?,
            sql::<(BigInt, BigInt, Text, Integer)>(KEYS).load($conn)?,
            sql::<(BigInt, Text, Text, Text, Text)>(EVENTS).load($conn)?,
            sql::<Text>(GAPS).load($conn)?,
        )
    };
}

impl Snapshot {
    /// Reads everything.
    ///
    /// # Errors
    /// When it cannot be read. A file without tables reads as an empty database.
    pub(crate) fn read(url: &str) -> Result<Self, String> {
        let failed = |error: diesel::result::Error| format!("the database cannot be read: {error}");
        if let Some(path) = url.strip_prefix("sqlite://") {
            let conn = SqliteConnection::establish(path);
            let mut conn = conn.map_err(|error| format!("{path}: {error}"))?;
            conn.batch_execute(SQLITE_SETTINGS).map_err(failed)?;
            return conn.transaction(read_sqlite).map_err(failed);
        }
        let mut conn = PgConnection::establish(url).map_err(|error| error.to_string())?;
        let transaction = conn.build_transaction();
        let mut transaction = transaction.repeatable_read().read_only();
        let snapshot = transaction.run(|conn| Ok(read_tables!(conn)));
        snapshot.map_err(failed)
    }

    fn new(
        users: Vec<UserRow>,
        tokens: Vec<(i64, String)>,
        keys: Vec<KeyRow>,
        events: Vec<EventRow>,
        gaps: Vec<String>,
    ) -> Self {
        let mut by_request: HashMap<String, Vec<EventRow>> = HashMap::new();
        for event in events {
            let same = by_request.entry(event.request_id.clone()).or_default();
            same.push(event);
        }
        let users = users.into_iter().map(|user| (user.email.clone(), user));
        Self {
            users: users.collect(),
            tokens: tokens.into_iter().collect(),
            keys,
            events: by_request,
            damage: gaps,
        }
    }
}

impl UserRow {
    pub(crate) fn scope_set(&self) -> BTreeSet<String> {
        let scopes = self.scopes.split_whitespace();
        scopes.map(str::to_owned).collect()
    }
}

fn read_sqlite(conn: &mut SqliteConnection) -> QueryResult<Snapshot> {
    let mut damage: Vec<String> = Vec::new();
    for check in SQLITE_CHECKS {
        damage.extend(sql::<Text>(check).load::<String>(conn)?);
    }
    let tables: Vec<String> = sql::<Text>("SELECT name FROM sqlite_schema").load(conn)?;
    let is_migrated = tables.iter().any(|table| table == "login_failures");
    let mut snapshot = match is_migrated {
        true => read_tables!(conn),
        false => Snapshot::default(),
    };
    snapshot.damage.extend(damage);
    Ok(snapshot)
}
