//! One use of a connection from the pool: a query, or a change in a transaction.

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::StoreConnection;
use super::principal_cache::Revocation;

/// How one use of a connection ended.
pub(super) enum Attempt<T> {
    /// As it should, or with an error that leaves the connection whole.
    Done(QueryResult<T>),
    /// The connection must not be used again.
    Spoiled(QueryResult<T>),
    /// The connection was dead before anything happened: another one may do.
    NotBegun(DieselError),
}

impl<T> Attempt<T> {
    /// Something went wrong before the work was begun.
    fn not_begun(error: DieselError) -> Self {
        if is_lost(&error) {
            Self::NotBegun(error)
        } else {
            Self::Spoiled(Err(error))
        }
    }
}

/// Runs a query that may be repeated.
pub(super) fn read<T>(
    conn: &mut StoreConnection,
    query: impl FnOnce(&mut StoreConnection) -> QueryResult<T>,
) -> Attempt<T> {
    match query(conn) {
        Err(error) if is_lost(&error) => Attempt::NotBegun(error),
        outcome => Attempt::Done(outcome),
    }
}

/// Runs `work` in one transaction. On Postgres it takes effect on all processes at once, by the
/// `revocation`.
pub(super) fn change<T>(
    conn: &mut StoreConnection,
    revocation: Option<&mut Revocation>,
    work: impl FnOnce(&mut StoreConnection) -> QueryResult<T>,
) -> Attempt<T> {
    let Some(revocation) = revocation else {
        return match conn.begin_write() {
            Err(error) => Attempt::not_begun(error),
            Ok(()) => {
                let outcome = work(conn);
                Attempt::Done(conn.end_write(outcome))
            }
        };
    };
    if let Err(error) = revocation.begin(conn).and_then(|()| conn.begin_write()) {
        return Attempt::not_begun(error);
    }
    let outcome = work(conn).and_then(|value| {
        revocation.announce_end(conn)?;
        Ok(value)
    });
    let outcome = conn.end_write(outcome);
    match (revocation.end(conn, outcome.is_ok()), outcome) {
        (Ok(()), outcome) => Attempt::Done(outcome),
        (Err(_), Err(error)) | (Err(error), Ok(_)) => Attempt::Spoiled(Err(error)),
    }
}

/// Whether the other end of the connection is gone.
pub(super) fn is_lost(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _
        )
    )
}
