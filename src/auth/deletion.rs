//! Deletes a user, at the request of the user, an administrator or the operator.

use diesel::QueryResult;

use super::Auth;
use super::audit::{Action, Event, Events};
use crate::store::{Revoking, User};

impl Auth {
    /// Deletes a user, with all tokens and keys, in the transaction of the request, and records it. A
    /// keyed digest of the address stays: an import leaves the user out from then on.
    pub(super) fn delete_in(
        &self,
        tx: &mut Revoking<'_>,
        events: &mut Events,
        id: i64,
    ) -> QueryResult<()> {
        let key = self.0.deletion_key.get(tx)?;
        if User::delete(tx, id, &key, self.0.clock.now())? {
            events.record(Event::new(Action::UserDelete).on_user(id));
        }
        Ok(())
    }
}
