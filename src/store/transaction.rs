//! Transactions that may write. Their type states what they may do, and the compiler checks it: an
//! operation that ends a credential, or changes a principal that a process may have cached, takes a
//! [`Revoking`].
//!
//! ```no_run
//! # use tokenhouse::store::{AccessToken, Store, StoreError};
//! # async fn end(store: Store, token: AccessToken) -> Result<bool, StoreError> {
//! store.revoking(move |tx| Ok(token.revoke(tx)?)).await
//! # }
//! ```
//!
//! The same in a [`Writing`] does not compile, so no process can go on accepting the token:
//!
//! ```compile_fail
//! # use tokenhouse::store::{AccessToken, Store, StoreError};
//! # async fn end(store: Store, token: AccessToken) -> Result<bool, StoreError> {
//! store.writing(move |tx| Ok(token.revoke(tx)?)).await
//! # }
//! ```

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::result::Error as DieselError;

use super::principal_cache::Revocation;
use super::{QUERY_TIMEOUT, REWRITE_TIMEOUT, Store, StoreConnection, StoreError, execute};

/// A transaction that may write but ends no credential: the caches of other processes stay in use.
pub struct Writing<'a>(&'a mut StoreConnection);

/// A transaction that may end credentials. No process uses its cache from before it begins until
/// after its commit, so it takes effect on all of them at the same moment.
pub struct Revoking<'a>(Writing<'a>);

impl Writing<'_> {
    /// The connection, for diesel's generic functions.
    pub(super) fn conn(&mut self) -> &mut StoreConnection {
        self.0
    }
}

impl Deref for Writing<'_> {
    type Target = StoreConnection;

    fn deref(&self) -> &StoreConnection {
        self.0
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut StoreConnection {
        self.0
    }
}

impl<'a> Deref for Revoking<'a> {
    type Target = Writing<'a>;

    fn deref(&self) -> &Writing<'a> {
        &self.0
    }
}

impl<'a> DerefMut for Revoking<'a> {
    fn deref_mut(&mut self) -> &mut Writing<'a> {
        &mut self.0
    }
}

impl Store {
    /// Runs `work` in one transaction: committed when it returns `Ok`, rolled back when it returns
    /// `Err`. `work` cannot end a credential; see [`Self::revoking`].
    ///
    /// # Errors
    /// What `work` returns. [`StoreError::Conflict`] when a UNIQUE constraint is violated;
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest. If the commit was in
    /// progress then, the change may or may not have been made.
    pub async fn writing<T, E>(
        &self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.transact(QUERY_TIMEOUT, None, |conn| work(&mut Writing(conn)))
            .await
    }

    /// As [`Self::writing`], for what may end a credential. When this returns, no process accepts a
    /// credential that `work` has ended.
    ///
    /// # Errors
    /// As [`Self::writing`].
    pub async fn revoking<T, E>(
        &self,
        work: impl FnOnce(&mut Revoking<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let revocation = self.principals.revocation();
        self.transact(QUERY_TIMEOUT, revocation, |conn| {
            work(&mut Revoking(Writing(conn)))
        })
        .await
    }

    /// As [`Self::revoking`], for an operator's work on whole tables, which may take up to
    /// [`REWRITE_TIMEOUT`]. No other process can write in the meantime.
    ///
    /// # Errors
    /// As [`Self::writing`].
    pub async fn rewriting<T, E>(
        &self,
        work: impl FnOnce(&mut Revoking<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let revocation = self.principals.revocation();
        self.transact(REWRITE_TIMEOUT, revocation, |conn| {
            lift_statement_timeout(conn).map_err(StoreError::from)?;
            work(&mut Revoking(Writing(conn)))
        })
        .await
    }

    async fn transact<T, E>(
        &self,
        timeout: Duration,
        mut revocation: Option<Revocation>,
        work: impl FnOnce(&mut StoreConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let mut work = Some(work);
        self.run(timeout, self.write_permit.as_ref(), move |conn| {
            execute::transact(conn, revocation.as_mut(), |conn| match work.take() {
                Some(work) => work(conn),
                // After BEGIN there is no second attempt.
                None => Err(StoreError::from(DieselError::NotFound).into()),
            })
        })
        .await
    }
}

fn lift_statement_timeout(conn: &mut StoreConnection) -> QueryResult<()> {
    match conn {
        StoreConnection::Postgres(conn) => conn.batch_execute("SET LOCAL statement_timeout = 0"),
        StoreConnection::Sqlite(_) => Ok(()),
    }
}
