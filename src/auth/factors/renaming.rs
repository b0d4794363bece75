//! Users rename second factors.

use std::sync::Arc;

use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::auth::caller::lock_caller;
use crate::auth::session::new_name;
use crate::auth::validation::Field;
use crate::error::Error;
use crate::store::{Factor, Principal};

impl Auth {
    /// Gives a factor of the principal's user another name, and returns the factor.
    ///
    /// # Errors
    /// [`Error::FactorNotFound`] when the user has no such factor, or it was not confirmed; otherwise the same as
    /// [`Auth::rename_session`].
    pub async fn rename_factor(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        id: i64,
        name: Field<String>,
    ) -> Result<Factor, Error> {
        let name = new_name(name)?;
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.add(context, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            let renamed = Factor::rename(tx, user.id, id, &name)?;
            let event = Event::new(Action::FactorRename).on_user(user.id);
            events.record(event.with("factor", id));
            renamed.ok_or(Error::FactorNotFound)
        })
        .await
    }
}
