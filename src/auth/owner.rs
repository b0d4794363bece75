//! What users show before a sensitive change: the password, or a recent sign-in.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::SecretString;

use super::{Auth, VerifiedAccount};
use crate::audit::{Action, AuditContext};
use crate::error::Error;
use crate::store::{Credential, Principal, Writing};
use crate::throttle::Attempt;

/// How long after a sign-in an operation does not require the current password.
const RECENT_SIGN_IN_TIMEOUT: TimeDelta = TimeDelta::minutes(15);

/// A caller who has shown enough, and the account if that was the password.
pub(super) struct ProvenOwner(Option<VerifiedAccount>);

impl ProvenOwner {
    /// A caller who has entered the password for a sign-in that is not finished.
    pub(super) fn by_pending_sign_in() -> Self {
        Self(None)
    }

    /// The attempt at the password, to decide after the change; see [`Auth::decide_proof`].
    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.0.as_ref().map(|verified| verified.attempt.clone())
    }

    /// Checks in the transaction of the change that the password is still the same.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] if it was changed, or the user disabled; [`Error::Unavailable`].
    pub(super) fn confirm_in(self, tx: &mut Writing<'_>, now: NaiveDateTime) -> Result<(), Error> {
        let Some(VerifiedAccount {
            account, attempt, ..
        }) = self.0
        else {
            return Ok(());
        };
        if !account.lock_if_unchanged(tx)? {
            return Err(Error::InvalidToken);
        }
        Ok(attempt.succeed(tx, now)?)
    }
}

impl From<Option<VerifiedAccount>> for ProvenOwner {
    fn from(verified: Option<VerifiedAccount>) -> Self {
        Self(verified)
    }
}

impl Auth {
    /// Checks that the caller has signed in at most 15 minutes ago, or sends the password.
    ///
    /// # Errors
    /// [`Error::RecentSignInRequired`] without either; for a wrong password, the same as
    /// [`Auth::change_password`].
    pub(super) async fn prove_owner(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        password: Option<SecretString>,
        action: Action,
    ) -> Result<ProvenOwner, Error> {
        match password {
            Some(password) => {
                let verified = self.reauthenticate(context, principal, &password, action);
                Ok(ProvenOwner(Some(verified.await?)))
            }
            None if self.is_recently_signed_in(principal) => Ok(ProvenOwner(None)),
            None => Err(Error::RecentSignInRequired),
        }
    }

    /// Returns the outcome of a change unchanged, and decides the attempt at the password if it was refused.
    pub(super) async fn decide_proof<T>(
        &self,
        attempt: Option<Attempt>,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match attempt {
            Some(attempt) => self.0.throttle.or_release(attempt, outcome).await,
            None => outcome,
        }
    }

    /// Whether the user has entered the password for this session recently, so that no operation requires
    /// it.
    pub(crate) fn is_recently_signed_in(&self, principal: &Principal) -> bool {
        is_recent_sign_in(&principal.credential, self.0.clock.now())
    }
}

/// Whether the user has recently entered the password for this credential.
fn is_recent_sign_in(credential: &Credential, now: NaiveDateTime) -> bool {
    match credential {
        Credential::LoginToken(token) => token
            .authenticated_at
            .is_some_and(|at| at <= now && now - at <= RECENT_SIGN_IN_TIMEOUT),
        Credential::ApiKey(_) => false,
    }
}
