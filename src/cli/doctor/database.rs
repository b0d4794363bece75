//! Checks of the database: its connection, its tables, and on Postgres whether other roles can
//! disturb or read it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use chrono::Utc;

use super::{Finding, Level, finding};
use crate::config::Config;
use crate::store::{self, PostgresExposure, SchemaComparison};

/// The maximum number of differences to list.
const MAX_DIFFERENCES: usize = 20;

const ROLES: &str = "roles";

/// How long a file is searched for damage without `--deep`.
const DAMAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The maximum difference between the clocks of this machine and of the database server, in seconds.
const MAX_SKEW: i64 = 60;

/// Whether the SQLite file is damaged. A large file is searched for a while only, unless `is_deep`.
pub(super) fn check_file(config: &Config, is_deep: bool) -> Vec<Finding> {
    let Some(path) = config.database.url.sqlite_path() else {
        return Vec::new();
    };
    let subject = "database file";
    let (sender, receiver) = mpsc::channel();
    let database = config.database.clone();
    // Ends with the process if it takes too long.
    thread::spawn(move || sender.send(store::find_damage(&database)));
    let timeout = if is_deep {
        Duration::MAX
    } else {
        DAMAGE_TIMEOUT
    };
    let damage = match receiver.recv_timeout(timeout) {
        Ok(Ok(damage)) => damage,
        Ok(Err(error)) => return vec![finding(Level::Problem, subject, error.to_string())],
        Err(_elapsed) => {
            let message =
                "too large to be searched for damage at once: use tokenhouse doctor --deep";
            return vec![finding(Level::Warning, subject, message)];
        }
    };
    if damage.is_empty() {
        return vec![finding(Level::Ok, subject, "not damaged")];
    }
    let restore = format!(
        "{} is damaged: stop every process, keep a copy of the file, and run tokenhouse restore with \
         the latest backup",
        path.display()
    );
    let details = damage.into_iter().map(|line| format!("damage: {line}"));
    let messages = [restore].into_iter().chain(details);
    messages
        .map(|message| finding(Level::Problem, subject, message))
        .collect()
}

/// Whether the Postgres server accepts changes, and agrees about the time.
pub(super) fn check_server(config: &Config) -> Vec<Finding> {
    let Ok(Some(server)) = store::inspect_server(&config.database) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if server.is_replica {
        let message =
            "DATABASE_URL names a replica, which accepts no changes: name the primary server";
        findings.push(finding(Level::Problem, "database", message));
    }
    let skew = (Utc::now().timestamp() - server.time).abs();
    if skew > MAX_SKEW {
        let message = format!(
            "the clocks of this machine and of the database server differ by {skew} s: synchronise both"
        );
        findings.push(finding(Level::Warning, "clock", message));
    }
    findings
}

/// Whether the connection to the database is encrypted and authenticated.
pub(super) fn check_transport(config: &Config) -> Option<Finding> {
    let mode = config.database.url.open_sslmode()?;
    let message = format!(
        "DATABASE_URL: with sslmode={mode} an attacker in the network can read and change the \
         traffic; set sslmode=verify-full and sslrootcert=FILE, in a build with the feature \
         postgres-tls"
    );
    Some(finding(Level::Warning, "database connection", message))
}

/// Whether the tables, triggers and other objects match the migrations.
pub(super) fn check_schema(config: &Config) -> Vec<Finding> {
    let subject = "tables";
    match store::compare_schema(&config.database) {
        Ok(SchemaComparison::Equal) => {
            vec![finding(Level::Ok, subject, "as the migrations create them")]
        }
        Ok(SchemaComparison::Differs(differences)) => {
            let listed = differences.into_iter().take(MAX_DIFFERENCES);
            let findings = listed.map(|difference| {
                let message = format!("{difference}: changed manually; check and revert it");
                finding(Level::Problem, subject, message)
            });
            findings.collect()
        }
        Ok(_) => {
            let message = "not compared with the migrations, because the role may not create \
                           schemas in this database; run doctor as its owner once";
            vec![finding(Level::Warning, subject, message)]
        }
        Err(error) => {
            let message = format!("cannot be compared with the migrations: {error}");
            vec![finding(Level::Problem, subject, message)]
        }
    }
}

/// Whether searches for users have an index.
pub(super) fn check_search(config: &Config) -> Option<Finding> {
    if !matches!(store::has_search_index(&config.database), Ok(false)) {
        return None;
    }
    let message = "a search for users reads all of them, because the role may not create the extension                    pg_trgm: run CREATE EXTENSION pg_trgm SCHEMA public as a superuser, then tokenhouse                    migrate as the owner of the tables";
    Some(finding(Level::Warning, "search", message))
}

/// Whether other roles of the Postgres server have access.
pub(super) fn check_postgres(config: &Config) -> Vec<Finding> {
    match store::inspect_exposure(&config.database) {
        Ok(Some(exposure)) => judge(&exposure),
        Ok(None) => Vec::new(),
        Err(error) => vec![finding(Level::Problem, ROLES, error.to_string())],
    }
}

fn judge(exposure: &PostgresExposure) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut warn = |applies: bool, subject, message: String| {
        if applies {
            findings.push(finding(Level::Warning, subject, message));
        }
    };
    warn(
        exposure.public_can_connect,
        ROLES,
        "every role of the server may connect to the database: REVOKE CONNECT ON DATABASE … FROM \
         PUBLIC"
            .to_owned(),
    );
    warn(
        exposure.public_can_create_temporary_tables,
        ROLES,
        "every role that may connect may fill the disk with temporary tables: REVOKE TEMPORARY ON \
         DATABASE … FROM PUBLIC"
            .to_owned(),
    );
    warn(
        exposure.public_can_create,
        ROLES,
        "every role that may connect may create tables and functions next to those of Tokenhouse: \
         REVOKE CREATE ON SCHEMA … FROM PUBLIC"
            .to_owned(),
    );
    warn(
        exposure.is_superuser,
        ROLES,
        "the role in DATABASE_URL is a superuser, so a flaw in Tokenhouse affects the whole \
         server: use a separate role that owns the database"
            .to_owned(),
    );
    warn(
        !exposure.other_roles.is_empty(),
        ROLES,
        format!(
            "other roles can read or change the tables and all their secrets: {}",
            exposure.other_roles.join(", ").escape_debug()
        ),
    );
    warn(
        exposure.isolation != "read committed",
        "isolation",
        format!(
            "default_transaction_isolation is '{}' for this database or role; Tokenhouse always \
             uses 'read committed', and so should manual changes",
            exposure.isolation
        ),
    );
    if exposure.encoding != "UTF8" {
        let message = format!(
            "the database is in {} and cannot store every name: create it again with ENCODING \
             'UTF8'",
            exposure.encoding
        );
        findings.push(finding(Level::Problem, "encoding", message));
    }
    if findings.is_empty() {
        findings.push(finding(
            Level::Ok,
            ROLES,
            "no other role can access the database",
        ));
    }
    findings
}
