//! Second factors are removed: by their users, by administrators for users who have lost them, and those that
//! were never confirmed after a while.

use std::sync::Arc;

use secrecy::SecretString;

use super::{UNCONFIRMED_LIFETIME, check_level};
use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::auth::admin::Administrator;
use crate::auth::caller::lock_caller;
use crate::auth::factor_change::FactorChange;
use crate::auth::session::BY_PASSWORD;
use crate::auth::trusted_devices::end_everywhere;
use crate::error::Error;
use crate::store::{
    Challenge, Ends, Factor, Principal, RecoveryCodes, Revoking, Sessions, TrustedDevices, Writing,
};

impl Auth {
    /// Removes a factor of the principal's user. With the last one, the recovery codes end, and no session
    /// counts as one with two factors any more.
    ///
    /// # Errors
    /// [`Error::FactorNotFound`]; otherwise the same as [`Auth::begin_totp`].
    pub async fn remove_factor(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        id: i64,
        current_password: Option<SecretString>,
    ) -> Result<(), Error> {
        let action = Action::FactorRemove;
        let proven = self
            .prove_owner(context, principal, current_password, action)
            .await?;
        let attempt = proven.attempt();
        let (auth, caller, now) = (self.clone(), Arc::clone(principal), self.0.clock.now());
        let by = context.clone();
        let ends = Ends::Users(vec![principal.user.id]);
        let removed = self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &caller, now)?;
            proven.confirm_in(tx, now)?;
            check_level(tx, &caller)?;
            let removed = Factor::delete(tx, user.id, id)?.ok_or(Error::FactorNotFound)?;
            if !removed.is_confirmed() {
                return Ok(());
            }
            TrustedDevices::end_of_user(tx, user.id)?;
            if is_last(tx, user.id)? {
                forget(tx, user.id)?;
                Sessions::lower_amr(tx, user.id, BY_PASSWORD)?;
            }
            events.record(Event::new(action).on_user(user.id).with("factor", id));
            auth.tell_of_factor(tx, &by, &user, FactorChange::Removed)?;
            Ok(())
        });
        self.decide_proof(attempt, removed.await).await
    }

    /// Removes a factor of a user who has lost it, or all of them with the recovery codes if `factor` is
    /// `None`, and ends all sessions of the user. Returns how many factors counted until now.
    ///
    /// # Errors
    /// [`Error::FactorNotFound`]; otherwise the same as [`Auth::delete_user`].
    pub async fn reset_factors(
        &self,
        admin: &Administrator,
        id: i64,
        factor: Option<i64>,
    ) -> Result<usize, Error> {
        admin.check_is_not_key()?;
        let auth = self.clone();
        let by = admin.context().clone();
        let reset = self.administer(admin, id, Ends::Users(vec![id]), move |tx, events, user| {
            let removed = match factor {
                None => Factor::delete_all(tx, user.id)?,
                Some(factor) => {
                    let removed = Factor::delete(tx, user.id, factor)?;
                    let removed = removed.ok_or(Error::FactorNotFound)?;
                    usize::from(removed.is_confirmed())
                }
            };
            if is_last(tx, user.id)? {
                forget(tx, user.id)?;
            }
            let sessions = end_everywhere(tx, user.id, None)?;
            auth.0.throttle.clear_factor_tries(tx, user.id)?;
            let event = Event::new(Action::FactorReset).on_user(user.id);
            let event = event.with("factors", removed).with("sessions", sessions);
            events.record(match factor {
                Some(factor) => event.with("factor", factor),
                None => event,
            });
            if removed > 0 {
                auth.tell_of_factor(tx, &by, user, FactorChange::Removed)?;
            }
            Ok(removed)
        });
        reset.await
    }

    /// Deletes the factors that were never confirmed, the sign-ins that wait no longer, and the devices that are
    /// trusted no longer; none while the clock is not trusted ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub async fn prune_factors(&self) -> Result<(), Error> {
        if !self.check_clock().await? {
            return Ok(());
        }
        let now = self.0.clock.now();
        let store = &self.0.store;
        let before = now - UNCONFIRMED_LIFETIME;
        let factors = move |tx: &mut Writing<'_>, limit| Factor::prune(tx, before, limit);
        store.delete_in_batches(factors, |_rows| ()).await?;
        let waiting = move |tx: &mut Writing<'_>, limit| Challenge::prune(tx, now, limit);
        store.delete_in_batches(waiting, |_rows| ()).await?;
        let devices = move |tx: &mut Writing<'_>, limit| TrustedDevices::prune(tx, now, limit);
        store.delete_in_batches(devices, |_rows| ()).await?;
        Ok(())
    }
}

/// Whether a user, one of whose factors was removed, has no other one that counts.
fn is_last(tx: &mut Revoking<'_>, user_id: i64) -> Result<bool, Error> {
    Ok(Factor::list_confirmed(tx, user_id)?.is_empty())
}

/// Ends what has no meaning without a second factor.
fn forget(tx: &mut Revoking<'_>, user_id: i64) -> Result<(), Error> {
    RecoveryCodes::delete_all(tx, user_id)?;
    Ok(Challenge::end_of_user(tx, user_id)?)
}
