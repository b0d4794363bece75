//! What a writer does around its transaction so that every cache stays exact.

use diesel::QueryResult;

use super::own_commit::OwnCommit;
use super::revocation::Revocation;
use crate::store::StoreConnection;

/// The steps of one transaction.
pub(in crate::store) enum Fence {
    /// On SQLite nothing needs to be done, but the cache of this process can stay in use.
    Sqlite(OwnCommit),
    Postgres(Revocation),
}

/// How a transaction has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Ended {
    Committed,
    RolledBack,
    /// The connection was lost: the server may commit later.
    Unknown,
}

impl Fence {
    /// Runs before the transaction begins.
    ///
    /// # Errors
    /// If the database does not answer. The connection must not be used again then.
    pub(in crate::store) fn begin(&mut self, conn: &mut StoreConnection) -> QueryResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(revocation) => revocation.begin(conn),
        }
    }

    /// Runs in the transaction, as its first step.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(in crate::store) fn after_begin(&mut self, conn: &mut StoreConnection) -> QueryResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(revocation) => revocation.announce_end(conn),
        }
    }

    /// Runs in the transaction, as its last step.
    pub(in crate::store) fn before_commit(&mut self, conn: &mut StoreConnection) {
        if let Self::Sqlite(own) = self {
            own.before_commit(conn);
        }
    }

    /// Runs after the transaction, before the change is acknowledged.
    ///
    /// # Errors
    /// Same as [`Self::begin`]; a committed change stays committed.
    pub(in crate::store) fn end(
        &mut self,
        conn: &mut StoreConnection,
        ended: Ended,
    ) -> QueryResult<()> {
        match self {
            Self::Sqlite(own) => {
                if ended == Ended::Committed {
                    own.after_commit(conn);
                }
                Ok(())
            }
            Self::Postgres(revocation) => revocation.end(conn, ended),
        }
    }
}
