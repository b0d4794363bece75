//! Verifying the address of a user: the user shows a link or code that was sent to it.

use std::sync::Arc;

use pydantic_email::fold;

use super::admin::Administrator;
use super::mail::{MailRequest, ProofInput, Proven};
use super::revoked_credentials::RevokedCredentials;
use super::validation::{Field, check_email};
use super::{Auth, mail_tokens};
use crate::audit::{Action, AuditContext, Event, Events};
use crate::config::Verification;
use crate::credential::mail_token::MailPurpose;
use crate::error::Error;
use crate::mail::Kind;
use crate::store::{Ends, Principal, Revoking, User, UserChanges, Writing};

impl Auth {
    /// Queues a mail with a link to verify this address, or without one that of the caller. Does the same,
    /// in the same time, if no user has it, or it is verified: then nothing is sent.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a text that is no address; [`Error::NotAuthenticated`] for neither an
    /// address nor a caller; [`Error::MailOff`]; [`Error::Unavailable`].
    pub async fn request_verification(
        &self,
        context: &AuditContext,
        caller: Option<&Principal>,
        email: Field<Option<String>>,
    ) -> Result<(), Error> {
        self.require_mail()?;
        let email = match (email?, caller) {
            (Some(email), _) => email,
            (None, Some(caller)) => caller.user.email.clone(),
            (None, None) => return Err(Error::NotAuthenticated),
        };
        let email = check_email(email)?;
        self.queue_asked(context, &email, Kind::VerifyAddress).await
    }

    /// Verifies the address of the user who brings the link or code, and returns the user.
    ///
    /// The first verification ends the sessions and keys that there are: they may be of somebody who has
    /// registered a stranger's address. They stay if the link is brought in a session of the user, the
    /// `caller`, since then one person has both.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::BadMailToken`];
    /// [`Error::AlreadyVerified`] for a link that was used; [`Error::TooManyAttempts`] when the client's
    /// network has tried too many codes; [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn verify_email(
        &self,
        context: &AuditContext,
        caller: Option<Arc<Principal>>,
        proof: ProofInput,
    ) -> Result<User, Error> {
        let action = Action::EmailVerify;
        let Proven { token, user_id } = self
            .find_by_proof(context, MailPurpose::Verify, proof, action)
            .await?;
        let is_own =
            caller.is_some_and(|caller| caller.user.id == user_id && caller.session().is_some());
        let now = self.0.clock.now();
        let by = context.by_mail(user_id);
        let ends = Ends::Users(vec![user_id]);
        let verified = self.change(&by, ends, move |tx, events| {
            let user = User::lock(tx, user_id)?.filter(|user| user.disabled_at.is_none());
            let user = user.filter(|user| fold(&user.email) == token.address_key);
            let user = user.ok_or(Error::BadMailToken)?;
            if user.email_verified_at.is_some() && (token.is_used() || token.is_good(now)) {
                return Err(Error::AlreadyVerified);
            }
            if !token.spend(tx, now)? {
                return Err(Error::BadMailToken);
            }
            let ended = match is_own {
                true => RevokedCredentials::default(),
                false => RevokedCredentials::all_of_user(tx, user_id, now)?,
            };
            mark_verified(tx, events, &user, ended, now)
        });
        self.or_refuse_proof(context, action, user_id, verified.await)
            .await
    }

    /// Declares the address of a user verified, for an operator who knows it. Returns whether it was not
    /// before. Sessions and keys stay.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`].
    pub async fn declare_verified(&self, admin: &Administrator, id: i64) -> Result<bool, Error> {
        let now = self.0.clock.now();
        let ends = Ends::Users(vec![id]);
        let declared = self.administer(admin, id, ends, move |tx, events, user| {
            if user.email_verified_at.is_some() {
                return Ok(false);
            }
            mark_verified(tx, events, user, RevokedCredentials::default(), now)?;
            Ok(true)
        });
        declared.await
    }

    /// Queues the mail that a new user has to answer, if the settings give verification a meaning.
    pub(super) fn queue_first_verification(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
    ) -> Result<(), Error> {
        if self.0.config.flows.verification == Verification::Off {
            return Ok(());
        }
        let mail = MailRequest::to_user(Kind::VerifyAddress, user.id, &user.email);
        self.queue_mail(tx, context, mail)
    }
}

fn mark_verified(
    tx: &mut Revoking<'_>,
    events: &mut Events,
    user: &User,
    ended: RevokedCredentials,
    now: chrono::NaiveDateTime,
) -> Result<User, Error> {
    let changes = UserChanges {
        email_verified_at: Some(Some(now)),
        ..UserChanges::default()
    };
    let updated = User::update(tx, user.id, &changes)?.ok_or(Error::UserNotFound)?;
    mail_tokens::end_verifications(tx, user.id)?;
    events.record(ended.add_to(Event::new(Action::EmailVerify).on_user(user.id)));
    Ok(updated)
}
