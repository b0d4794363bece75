//! Transactions that may write. Their type states what they may do, and the compiler enforces it:
//! an operation that ends a credential, or changes a principal that a process may have cached,
//! takes a [`Revoking`]. It names the users whose credentials it may end, so that only those are
//! fenced, and an operation on another user fails.
//!
//! ```no_run
//! # use tokenhouse::store::{AccessToken, Ends, Store, StoreError};
//! # async fn end(store: Store, token: AccessToken) -> Result<bool, StoreError> {
//! let ends = Ends::Users(vec![token.user_id]);
//! store.revoking(ends, move |tx| Ok(token.revoke(tx)?)).await
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

use diesel::QueryResult;
use diesel::result::Error as DieselError;

use super::StoreConnection;

/// Whose credentials a change may end or alter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Those of the users and apps with these ids; none if there are no ids.
    Users(Vec<i64>),
    /// Those of any user or app.
    Everyone,
}

impl Ends {
    fn includes(&self, user_id: i64) -> bool {
        match self {
            Self::Users(ids) => ids.contains(&user_id),
            Self::Everyone => true,
        }
    }
}

/// A transaction that may write but ends no credential: the caches of other processes stay in use.
pub struct Writing<'a>(&'a mut StoreConnection);

/// A transaction that may end credentials of certain users. No process answers for them from its
/// cache from before it begins until after its commit, so it takes effect on all of them at the same
/// moment.
pub struct Revoking<'a> {
    tx: Writing<'a>,
    ends: &'a Ends,
}

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
    /// A transaction that has begun on this connection, after all processes have suspended the users
    /// in `ends`.
    pub(super) fn new(conn: &'a mut StoreConnection, ends: &'a Ends) -> Self {
        Self {
            tx: Writing::new(conn),
            ends,
        }
    }

    /// Checks that the transaction may end or alter the credentials of this user. Every operation
    /// that does so calls this.
    ///
    /// # Errors
    /// If the user was not declared: a process may still use its cache for the user. The transaction
    /// must be rolled back.
    pub(super) fn require(&self, user_id: i64) -> QueryResult<()> {
        if self.ends.includes(user_id) {
            return Ok(());
        }
        Err(undeclared(&format!("user {user_id}")))
    }

    /// Like [`Self::require`], for an operation on the credentials of all users.
    pub(super) fn require_everyone(&self) -> QueryResult<()> {
        match self.ends {
            Ends::Everyone => Ok(()),
            Ends::Users(_) => Err(undeclared("every user")),
        }
    }
}

/// This is a mistake in the program, and no answer of the database.
fn undeclared(who: &str) -> DieselError {
    let problem = format!("a change of the credentials of {who} was not declared");
    log::error!("database: {problem}, and is rolled back");
    DieselError::QueryBuilderError(problem.into())
}

impl<'a> AsMut<Writing<'a>> for Revoking<'a> {
    fn as_mut(&mut self) -> &mut Writing<'a> {
        &mut self.tx
    }
}

impl<'a> Deref for Revoking<'a> {
    type Target = Writing<'a>;

    fn deref(&self) -> &Writing<'a> {
        &self.tx
    }
}

impl<'a> DerefMut for Revoking<'a> {
    fn deref_mut(&mut self) -> &mut Writing<'a> {
        &mut self.tx
    }
}
