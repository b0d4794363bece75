//! Whether a Postgres database is set up so that no other role of the server disturbs or reads it.

use super::{Finding, Level, finding};
use crate::config::Config;
use crate::store::{self, PostgresExposure};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    match store::inspect_exposure(&config.database) {
        Ok(Some(exposure)) => judge(&exposure),
        Ok(None) => Vec::new(),
        Err(error) => vec![finding(Level::Problem, ROLES, error.to_string())],
    }
}

const ROLES: &str = "roles";

fn judge(exposure: &PostgresExposure) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |is_so: bool, level, about, says: String| {
        if is_so {
            findings.push(finding(level, about, says));
        }
    };
    say(
        exposure.public_can_connect,
        Level::Warning,
        ROLES,
        "every role of the server may connect to the database: REVOKE CONNECT ON DATABASE … FROM \
         PUBLIC"
            .to_owned(),
    );
    say(
        exposure.public_can_create_temporary_tables,
        Level::Warning,
        ROLES,
        "every role that may connect may fill the disk with temporary tables: REVOKE TEMPORARY ON \
         DATABASE … FROM PUBLIC"
            .to_owned(),
    );
    say(
        exposure.public_can_create,
        Level::Warning,
        ROLES,
        "every role that may connect may make tables and functions beside Tokenhouse's: REVOKE \
         CREATE ON SCHEMA … FROM PUBLIC"
            .to_owned(),
    );
    say(
        exposure.is_superuser,
        Level::Warning,
        ROLES,
        "the role in DATABASE_URL is a superuser, so a fault in Tokenhouse is one in the whole \
         server: use a role of its own that owns the database"
            .to_owned(),
    );
    say(
        !exposure.other_roles.is_empty(),
        Level::Warning,
        ROLES,
        format!(
            "other roles can read or change the tables, with all secrets in them: {}",
            exposure.other_roles.join(", ").escape_debug()
        ),
    );
    say(
        exposure.encoding != "UTF8",
        Level::Problem,
        "encoding",
        format!(
            "the database is in {} and cannot hold every name: create it again with ENCODING 'UTF8'",
            exposure.encoding
        ),
    );
    say(
        exposure.isolation != "read committed",
        Level::Warning,
        "isolation",
        format!(
            "default_transaction_isolation is '{}' for this database or role; Tokenhouse uses \
             'read committed' whatever it is, and changes by hand should too",
            exposure.isolation
        ),
    );
    if findings.is_empty() {
        findings.push(finding(
            Level::Ok,
            ROLES,
            "no other role can reach the database",
        ));
    }
    findings
}
