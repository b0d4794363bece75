//! The content of the database, read with SQL: the other side of the comparison.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{PgConnection, QueryResult, SqliteConnection};

/// A user with their credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredUser {
    pub(crate) id: i64,
    pub(crate) hashed_password: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) is_disabled: bool,
    /// The digest of the login token.
    pub(crate) token: Option<String>,
    /// The digests of the keys, and whether they are live, by id.
    pub(crate) keys: BTreeMap<i64, (String, bool)>,
}

impl StoredUser {
    /// The digests of the credentials that are accepted.
    pub(crate) fn live_digests(&self) -> impl Iterator<Item = &String> {
        let keys = self.keys.values().filter(|(_, is_live)| *is_live);
        self.token.iter().chain(keys.map(|(digest, _)| digest))
    }
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
    pub(crate) users: HashMap<String, StoredUser>,
    /// The changes, by the id of the request.
    pub(crate) events: HashMap<String, Vec<EventRow>>,
    /// What is wrong with the database independent of the clients.
    pub(crate) damage: Vec<String>,
}

type UserRow = (i64, String, String, String, bool, Option<String>);
const USERS: &str = "SELECT CAST(users.id AS BIGINT), email, hashed_password, users.scopes, \
     disabled_at IS NOT NULL, access_token \
     FROM users LEFT JOIN access_tokens ON access_tokens.user_id = users.id";

type KeyRow = (i64, i64, String, bool);
const KEYS: &str = "SELECT CAST(user_id AS BIGINT), CAST(id AS BIGINT), key_digest, \
     revoked_at IS NULL FROM api_keys";

const EVENTS: &str = "SELECT id, client_request_id, action, target, detail \
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
            sql::<(BigInt, Text, Text, Text, Bool, Nullable<Text>)>(USERS).load($conn)?,
            sql::<(BigInt, BigInt, Text, Bool)>(KEYS).load($conn)?,
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
        keys: Vec<KeyRow>,
        events: Vec<EventRow>,
        gaps: Vec<String>,
    ) -> Self {
        let mut keys_by_user: HashMap<i64, BTreeMap<i64, (String, bool)>> = HashMap::new();
        for (user, id, digest, is_live) in keys {
            let keys = keys_by_user.entry(user).or_default();
            keys.insert(id, (digest, is_live));
        }
        let mut snapshot = Self {
            damage: gaps,
            ..Self::default()
        };
        for (id, email, hashed_password, scopes, is_disabled, token) in users {
            let user = StoredUser {
                id,
                hashed_password,
                scopes: scopes.split_whitespace().map(str::to_owned).collect(),
                is_disabled,
                token,
                keys: keys_by_user.remove(&id).unwrap_or_default(),
            };
            snapshot.users.insert(email, user);
        }
        for event in events {
            let events = snapshot.events.entry(event.request_id.clone()).or_default();
            events.push(event);
        }
        snapshot
    }
}

fn read_sqlite(conn: &mut SqliteConnection) -> QueryResult<Snapshot> {
    let tables: Vec<String> = sql::<Text>("SELECT name FROM sqlite_schema").load(conn)?;
    let is_migrated = tables.iter().any(|table| table == "login_failures");
    let mut snapshot = match is_migrated {
        true => read_tables!(conn),
        false => Snapshot::default(),
    };
    for check in SQLITE_CHECKS {
        let damage = sql::<Text>(check).load::<String>(conn)?;
        snapshot.damage.extend(damage);
    }
    Ok(snapshot)
}
