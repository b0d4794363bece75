//! Whether what goes to the database is safe on its way.

use super::{Finding, Level, finding};
use crate::config::Config;

pub(super) fn check(config: &Config) -> Option<Finding> {
    let mode = config.database.url.open_sslmode()?;
    let says = format!(
        "DATABASE_URL: with sslmode={mode} others on the way to the server can read and change what \
         is sent; write sslmode=verify-full and sslrootcert=FILE, in a build with the feature \
         postgres-tls"
    );
    Some(finding(Level::Warning, "database connection", says))
}
