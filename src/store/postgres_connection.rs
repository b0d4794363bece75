//! How connections to Postgres are opened: the parameters of the URL, the settings of the session, and what
//! makes a server unusable.

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Bool, Text};
use diesel::{Connection, ConnectionError, PgConnection, QueryableByName, RunQueryDsl};
use secrecy::{ExposeSecret, SecretString};

use crate::config::PostgresUrl;

/// Whatever the server, the database and the role set. `search_path` stays: it selects the schema.
/// Some servers do not know the two timeouts. A weaker commit than the server's default would lose
/// acknowledged changes in a crash.
const SETTINGS: &str = "SET TIME ZONE 'UTC'; \
     SET client_encoding = 'UTF8'; \
     SET datestyle = 'ISO, MDY'; \
     SET intervalstyle = 'postgres'; \
     SET bytea_output = 'hex'; \
     SET standard_conforming_strings = on; \
     SET transform_null_equals = off; \
     SET default_transaction_isolation = 'read committed'; \
     SET default_transaction_read_only = off; \
     SET default_transaction_deferrable = off; \
     SET statement_timeout = '2s'; \
     SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SELECT set_config('idle_session_timeout', '0', false) \
         WHERE current_setting('idle_session_timeout', true) IS NOT NULL; \
     SELECT set_config('transaction_timeout', '0', false) \
         WHERE current_setting('transaction_timeout', true) IS NOT NULL; \
     SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') = 'off'";

/// What makes a server or a session unusable.
const STATE: &str = "SELECT pg_is_in_recovery() AS is_replica, \
     current_setting('session_replication_role') = 'replica' AS skips_triggers, \
     current_schema() IS NULL AS lacks_schema, \
     current_setting('server_encoding') AS encoding";

#[derive(QueryableByName)]
struct ServerState {
    #[diesel(sql_type = Bool)]
    is_replica: bool,
    #[diesel(sql_type = Bool)]
    skips_triggers: bool,
    #[diesel(sql_type = Bool)]
    lacks_schema: bool,
    #[diesel(sql_type = Text)]
    encoding: String,
}

impl ServerState {
    /// Why Tokenhouse cannot use the server, and the way out.
    fn problem(&self) -> Option<String> {
        let problem = if self.encoding != "UTF8" {
            format!(
                "database is in {} and cannot store every name: create it again with ENCODING \
                 'UTF8'",
                self.encoding
            )
        } else if self.is_replica {
            "server is a read-only replica: name the primary in DATABASE_URL, or all servers with \
             ?target_session_attrs=read-write"
                .to_owned()
        } else if self.skips_triggers {
            "session runs no triggers, because session_replication_role is replica: reset it with \
             ALTER ROLE … RESET session_replication_role, or ALTER DATABASE"
                .to_owned()
        } else if self.lacks_schema {
            "session has no schema, because search_path names none that exists: create the schema, \
             or correct search_path of the role or the URL"
                .to_owned()
        } else {
            return None;
        };
        Some(format!("this Postgres {problem}"))
    }
}

const READ_ONLY_SETTINGS: &str = "SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0; \
     SET datestyle = 'ISO, YMD'; \
     SET bytea_output = 'hex'; \
     SET default_transaction_read_only = on";

/// Parameters for libpq unless the URL contains them: by default libpq waits forever.
const PARAMETERS: &[(&str, &str)] = &[
    ("connect_timeout", "3"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("application_name", "tokenhouse"),
];

/// Opens a connection for queries and changes.
pub(super) fn establish(url: &SecretString) -> Result<PgConnection, ConnectionError> {
    let mut conn = open(url)?;
    let state: ServerState = diesel::sql_query(STATE)
        .get_result(&mut conn)
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    match state.problem() {
        None => Ok(conn),
        Some(problem) => Err(ConnectionError::BadConnection(problem)),
    }
}

/// Opens a connection for reading, to any server. Without timeouts, because reading a whole table may take
/// long.
pub(super) fn establish_read_only(url: &SecretString) -> Result<PgConnection, ConnectionError> {
    let mut conn = open(url)?;
    conn.batch_execute(READ_ONLY_SETTINGS)
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

fn open(url: &SecretString) -> Result<PgConnection, ConnectionError> {
    let url = with_parameters(url.expose_secret());
    let mut conn = PgConnection::establish(&url)?;
    conn.batch_execute(SETTINGS)
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// Adds the default parameters that the URL does not set. A connection to another machine requires
/// a server that proves its identity, unless the URL says otherwise; libpq's environment variables
/// that would weaken this are ignored.
fn with_parameters(url: &str) -> String {
    let parsed = PostgresUrl::parse(url).ok();
    let has = |name: &str| {
        let parsed = parsed.as_ref();
        parsed.is_some_and(|parsed| parsed.parameter(name).is_some())
    };
    let is_safe = parsed.as_ref().is_some_and(|parsed| {
        parsed.sslmode().is_some() || parsed.is_local(|name| std::env::var(name).ok())
    });
    let mut full = url.to_owned();
    let mut separator = match parsed.as_ref().is_some_and(PostgresUrl::has_parameters) {
        _ if url.ends_with(['?', '&']) => "",
        true => "&",
        false => "?",
    };
    let safety = (!is_safe).then_some(("sslmode", "verify-full"));
    for (name, value) in PARAMETERS.iter().copied().chain(safety) {
        if !has(name) {
            full.push_str(separator);
            full.push_str(&format!("{name}={value}"));
            separator = "&";
        }
    }
    full
}

#[cfg(test)]
mod tests {
    use super::with_parameters;

    #[test]
    fn url_parameters_override_defaults() {
        let plain = with_parameters("postgres://h/n");
        assert!(
            plain.starts_with("postgres://h/n?connect_timeout=3&keepalives_idle=10&"),
            "{plain}"
        );
        assert!(plain.ends_with("&sslmode=verify-full"), "{plain}");
        let local = with_parameters("postgres://localhost/n");
        assert!(!local.contains("sslmode"), "{local}");
        let own = with_parameters("postgres://h/n?sslmode=require&connect_timeout=9");
        assert!(
            own.starts_with("postgres://h/n?sslmode=require&connect_timeout=9&keep"),
            "{own}"
        );
        assert_eq!(own.matches("connect_timeout").count(), 1);
        let odd = with_parameters("postgres://u:a?b@localhost/n?host=/run/x&");
        assert!(
            odd.starts_with("postgres://u:a?b@localhost/n?host=/run/x&connect_timeout=3&"),
            "{odd}"
        );
    }
}
