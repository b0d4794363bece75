//! Why the database gave no answer.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the database gave no answer. Never holds a value that was stored or asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The row would break a UNIQUE rule.
    #[error("the row exists")]
    Conflict,
    /// The database cannot be reached, is too slow, or refused the query.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A copy of the database could not be made or put back.
    #[error("{0}")]
    Backup(String),
    /// The tables could not be brought up to date.
    #[error("the migration failed: {0}")]
    Migration(String),
}

impl StoreError {
    /// There is no connection to the database.
    pub(super) fn no_connection() -> Self {
        Self::Unavailable("no connection".to_owned())
    }

    /// The database did not answer within the timeout.
    pub(super) fn timeout() -> Self {
        Self::Unavailable("no answer in time".to_owned())
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            // The message names tables and columns; values stand in the details, left out here.
            DieselError::DatabaseError(kind, info) => {
                let first = info.message().lines().next().unwrap_or_default();
                Self::Unavailable(format!("{kind:?}: {first}"))
            }
            DieselError::NotFound => Self::Unavailable("a row is missing".to_owned()),
            _ => Self::Unavailable("the query could not be made or its answer not read".to_owned()),
        }
    }
}
