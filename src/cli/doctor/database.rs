//! Checks of the database: its connection, its tables, and on Postgres whether other roles can
//! disturb or read it.

use super::{Finding, Level, finding};
use crate::config::Config;
use crate::store::{self, PostgresExposure, SchemaComparison};

/// The maximum number of differences to list.
const MAX_DIFFERENCES: usize = 20;

const ROLES: &str = "roles";

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
