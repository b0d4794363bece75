//! Savepoints: parts of a transaction that are undone on their own.

use diesel::connection::TransactionManager;

use super::connection::Transactions;
use super::{Revoking, StoreError};

impl Revoking<'_> {
    /// Runs `work` in a savepoint: what it did is undone when it returns `Err`, and the transaction
    /// goes on.
    ///
    /// # Errors
    /// If the savepoint cannot be set or ended: then the transaction cannot go on.
    pub(crate) fn in_savepoint<T, E>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        Transactions::begin_transaction(self.conn())?;
        let outcome = work(self);
        match &outcome {
            Ok(_) => Transactions::commit_transaction(self.conn())?,
            Err(_) => Transactions::rollback_transaction(self.conn())?,
        }
        Ok(outcome)
    }
}
