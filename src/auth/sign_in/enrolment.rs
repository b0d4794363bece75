//! Sign-ins whose users have to add a second factor first (`TOKENHOUSE_MFA=required`): the token that they get
//! for the password opens the enrolment, and then finishes the sign-in.

use chrono::NaiveDateTime;

use crate::audit::AuditContext;
use crate::auth::Auth;
use crate::auth::session::{BY_NEW_PASSKEY, BY_TWO_FACTORS, IssuedToken};
use crate::credential::pending_sign_in::is_pending_token_shaped;
use crate::credential::token::TokenDigest;
use crate::error::Error;
use crate::store::{Account, Challenge, Factor, User, Writing};

/// A user who has entered the password, and has to add a second factor before the session begins.
#[derive(Clone, Debug)]
pub struct PendingEnrolment {
    account: Account,
    /// The digest of the token.
    digest: String,
}

impl PendingEnrolment {
    /// The user.
    pub fn user(&self) -> &User {
        &self.account.user
    }

    /// Locks the row of the user until the transaction ends, and returns the current user.
    ///
    /// # Errors
    /// [`Error::BadMfaToken`] if the sign-in has ended, or the user was changed; [`Error::Unavailable`].
    pub(in crate::auth) fn lock(
        &self,
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
    ) -> Result<User, Error> {
        if !self.account.lock_if_unchanged(tx)? {
            return Err(Error::BadMfaToken);
        }
        let waits = Challenge::find_enrolment(tx, &self.digest, now)?.is_some();
        let user = User::lock_owner(tx, self.account.user.id)?;
        user.filter(|_| waits).ok_or(Error::BadMfaToken)
    }

    /// Lets the sign-in go on, in the transaction in which the factor begins to count.
    ///
    /// # Errors
    /// The same as [`Self::lock`].
    pub(in crate::auth) fn pass(
        &self,
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
    ) -> Result<(), Error> {
        match Challenge::enrol(tx, &self.digest, now)? {
            true => Ok(()),
            false => Err(Error::BadMfaToken),
        }
    }
}

impl Auth {
    /// Finds the sign-in of this token, whose user has to add a second factor; in a browser if it began there.
    ///
    /// # Errors
    /// [`Error::BadMfaToken`] if the token is unknown, expired or used, or the user was changed meanwhile;
    /// [`Error::Unavailable`].
    pub async fn find_enrolment(
        &self,
        token: &str,
        is_browser: bool,
    ) -> Result<PendingEnrolment, Error> {
        let digest = digest_of(token)?;
        let (stored, now) = (digest.clone(), self.0.clock.now());
        let find = move |conn: &mut _| Challenge::find_enrolment(conn, &stored, now);
        let waiting = self.0.store.read(find).await?.ok_or(Error::BadMfaToken)?;
        let (account, _state) = self.resume(waiting, is_browser).await?;
        Ok(PendingEnrolment { account, digest })
    }

    /// Finishes the sign-in of this token, once its user has added a factor with it: a session begins as it was
    /// asked for with the password.
    ///
    /// # Errors
    /// [`Error::BadMfaToken`] as in [`Self::find_enrolment`], and if no factor was added yet; otherwise the same
    /// as [`Auth::create_access_token`].
    pub async fn finish_enrolment(
        &self,
        context: &AuditContext,
        token: &str,
        is_browser: bool,
    ) -> Result<IssuedToken, Error> {
        let (digest, now) = (digest_of(token)?, self.0.clock.now());
        let take =
            move |tx: &mut Writing<'_>| Ok::<_, Error>(Challenge::take_enrolled(tx, &digest, now)?);
        let waiting = self.0.store.writing(take).await?;
        let waiting = waiting.ok_or(Error::BadMfaToken)?;
        let (account, state) = self.resume(waiting, is_browser).await?;
        let user_id = account.user.id;
        let list = move |conn: &mut _| Factor::list_confirmed(conn, user_id);
        let factors = self.0.store.read(list).await?;
        let methods = match factors.iter().any(Factor::is_app) {
            true => BY_TWO_FACTORS,
            false => BY_NEW_PASSKEY,
        };
        self.begin_waiting(context, account, state, methods).await
    }
}

/// The digest under which a sign-in that waits is stored.
///
/// # Errors
/// [`Error::BadMfaToken`] for a text that is no such token.
pub(super) fn digest_of(token: &str) -> Result<String, Error> {
    match is_pending_token_shaped(token.as_bytes()) {
        true => Ok(TokenDigest::new(token.as_bytes()).to_hex()),
        false => Err(Error::BadMfaToken),
    }
}
