//! Transactions that may write. Their type states what they may do, and the compiler enforces it:
//! an operation that ends a credential, or changes a principal that a process may have cached,
//! takes a [`Revoking`].
//!
//! ```no_run
//! # use tokenhouse::store::{AccessToken, Store, StoreError};
//! # async fn end(store: Store, token: AccessToken) -> Result<bool, StoreError> {
//! store.revoking(move |tx| Ok(token.revoke(tx)?)).await
//! # }
//! ```
//!
//! The same in a [`Writing`] does not compile, so no process can continue to accept the token:
//!
//! ```compile_fail
//! # use tokenhouse::store::{AccessToken, Store, StoreError};
//! # async fn end(store: Store, token: AccessToken) -> Result<bool, StoreError> {
//! store.writing(move |tx| Ok(token.revoke(tx)?)).await
//! # }
//! ```

use std::ops::{Deref, DerefMut};

use super::StoreConnection;

/// A transaction that may write but ends no credential: the caches of other processes stay in use.
pub struct Writing<'a>(&'a mut StoreConnection);

/// A transaction that may end credentials. No process uses its cache from before it begins until
/// after its commit, so it takes effect on all of them at the same moment.
pub struct Revoking<'a>(Writing<'a>);

impl<'a> Writing<'a> {
    /// A transaction that has begun on this connection.
    pub(super) fn new(conn: &'a mut StoreConnection) -> Self {
        Self(conn)
    }

    /// The connection, for diesel's generic functions.
    pub(super) fn conn(&mut self) -> &mut StoreConnection {
        self.0
    }
}

impl<'a> AsMut<Writing<'a>> for Writing<'a> {
    fn as_mut(&mut self) -> &mut Writing<'a> {
        self
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

impl<'a> Revoking<'a> {
    /// A transaction that has begun on this connection, after all processes have paused.
    pub(super) fn new(conn: &'a mut StoreConnection) -> Self {
        Self(Writing::new(conn))
    }
}

impl<'a> AsMut<Writing<'a>> for Revoking<'a> {
    fn as_mut(&mut self) -> &mut Writing<'a> {
        &mut self.0
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
