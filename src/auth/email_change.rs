//! Another address for an account: confirmed from the new box, and undone from the old one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use pydantic_email::{EmailAddress, fold};
use secrecy::SecretString;

use super::caller::lock_caller;
use super::mail::{MailRequest, MailedLink, NoticeDetail, ProofInput, Proven, lifetime_of};
use super::owner::ProvenOwner;
use super::revoked_credentials::RevokedCredentials;
use super::validation::{Field, check_email};
use super::{Auth, mail_tokens};
use crate::audit::{Action, AuditContext, Event, Events};
use crate::config::RegisterAnswer;
use crate::credential::mail_token::MailPurpose;
use crate::error::{Error, ErrorCollector};
use crate::mail::{Kind, Notice};
use crate::store::{
    Account, Ends, MailToken, PendingEmail, Principal, Revoking, StoreError, TokenOwner, User,
    UserChanges, Writing,
};

/// How long a client waits that has had too many mails sent to one address.
const MAIL_PAUSE: Duration = Duration::from_secs(60);

/// What became of a request for another address.
#[derive(Clone, Debug)]
pub enum EmailChange {
    /// It waits until the link in a mail is used.
    Pending {
        /// The new address.
        email: String,
        /// How long the link is good.
        expires_in: TimeDelta,
    },
    /// It is another spelling of the same address, and in effect.
    Done(Box<User>),
}

impl Auth {
    /// Queues a mail with a link to confirm another address for the principal's user; it replaces an earlier
    /// one. Until then nothing changes, and nothing is reserved. Another spelling of the same address takes
    /// effect at once.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a text that is no address; [`Error::EmailTaken`], unless the settings do
    /// not tell that; [`Error::RecentSignInRequired`] without a password or a recent sign-in; for a wrong
    /// password, the same as [`Auth::change_password`]; [`Error::TooManyAttempts`] when the address has got
    /// too many mails; [`Error::InvalidToken`] when the credential has become invalid in the meantime;
    /// [`Error::MailOff`]; [`Error::Unavailable`].
    pub async fn request_email_change(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        email: Field<String>,
        password: Field<Option<SecretString>>,
    ) -> Result<EmailChange, Error> {
        self.require_mail()?;
        let mut errors = ErrorCollector::new();
        let email = errors.take(email.and_then(check_email));
        let password = errors.take(password);
        let (Some(email), Some(password)) = (email, password) else {
            return Err(errors.into());
        };
        let proven = self
            .prove_owner(context, principal, password, Action::EmailChangeRequest)
            .await?;
        let attempt = proven.attempt();
        let requested = self
            .store_email_request(context, principal, proven, email)
            .await;
        let change = self.decide_proof(attempt, requested).await?;
        self.wake_mail();
        Ok(change)
    }

    async fn store_email_request(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        proven: ProvenOwner,
        email: EmailAddress,
    ) -> Result<EmailChange, Error> {
        let is_same = email.key() == fold(&principal.user.email);
        if !is_same && !self.0.throttle.take_mail(context, &email.key()).await? {
            let retry_after = MAIL_PAUSE;
            return Err(Error::TooManyAttempts { retry_after });
        }
        let ends = Ends::Users(vec![principal.user.id]);
        let (auth, by) = (self.clone(), context.clone());
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        let requested = self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            proven.confirm_in(tx, now)?;
            let new = PendingEmail {
                email: email.to_string(),
                key: email.key(),
            };
            // Where `/register` does not tell who has an account, this does not either: the reader of the
            // new box learns it.
            let tells = auth.0.config.flows.register_answer == RegisterAnswer::Tutorial;
            if tells && is_taken(tx, user.id, &new.key, now)? {
                return Err(Error::EmailTaken);
            }
            mail_tokens::end_change(tx, user.id)?;
            let event = Event::new(Action::EmailChangeRequest).on_user(user.id);
            events.record(event.with("new_email", new.email.as_str()));
            if new.key == fold(&user.email) {
                let changes = UserChanges {
                    email: Some(new.email),
                    ..UserChanges::default()
                };
                let user = User::update(tx, user.id, &changes)?.ok_or(Error::InvalidToken)?;
                return Ok(EmailChange::Done(Box::new(user)));
            }
            new.store(tx, user.id)?;
            let mail = MailRequest::to_user(Kind::ConfirmChange, user.id, &new.email);
            auth.queue_mail(tx, &by, mail)?;
            let expires_in = lifetime_of(MailPurpose::Change, &auth.0.config.flows);
            Ok(EmailChange::Pending {
                email: new.email,
                expires_in,
            })
        });
        requested.await
    }

    /// Withdraws a change that was not confirmed. Does nothing if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when the credential has become invalid in the meantime;
    /// [`Error::Unavailable`].
    pub async fn withdraw_email_change(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
    ) -> Result<(), Error> {
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        let withdrawn = self.add(context, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            if mail_tokens::end_change(tx, user.id)? {
                events.record(Event::new(Action::EmailChangeWithdraw).on_user(user.id));
            }
            Ok(())
        });
        withdrawn.await
    }

    /// Gives the account of the user who brings the link its new address, which is verified by that. Sessions
    /// and keys stay, all other links of the user end, and the old box gets one that leads back.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without a token; [`Error::BadMailToken`]; [`Error::EmailTaken`] if another
    /// user has got the address in the meantime: then nothing is pending any more; [`Error::Unavailable`].
    pub async fn confirm_email_change(
        &self,
        context: &AuditContext,
        proof: ProofInput,
    ) -> Result<User, Error> {
        let action = Action::EmailChange;
        let Proven { token, user_id } = self
            .find_by_proof(context, MailPurpose::Change, proof, action)
            .await?;
        let now = self.0.clock.now();
        let (auth, by, client) = (self.clone(), context.by_mail(user_id), context.clone());
        let key = token.address_key.clone();
        let ends = Ends::Users(vec![user_id]);
        let confirmed = self.change(&by, ends, move |tx, events| {
            let user = User::lock(tx, user_id)?.filter(|user| user.disabled_at.is_none());
            let user = user.ok_or(Error::BadMailToken)?;
            let pending = PendingEmail::find(tx, user_id)?;
            let pending = pending.filter(|pending| pending.key == token.address_key);
            if pending.is_none() || !token.spend(tx, now)? {
                return Err(Error::BadMailToken);
            }
            if is_taken(tx, user_id, &token.address_key, now)? {
                return Err(Error::EmailTaken);
            }
            auth.tell_old_address_and_offer_return(tx, &client, &user, &token.address)?;
            auth.set_proven_email(tx, events, &user, &token, (action, None), now)
        });
        let confirmed = confirmed.await;
        if let Err(Error::EmailTaken) = confirmed {
            self.end_refused_change(context, user_id, key).await?;
        }
        let user = self
            .or_refuse_proof(context, action, user_id, confirmed)
            .await;
        self.wake_mail();
        user
    }

    /// Ends a change that cannot be made any more, because another user has the address.
    async fn end_refused_change(
        &self,
        context: &AuditContext,
        user_id: i64,
        key: String,
    ) -> Result<(), Error> {
        let by = context.by_mail(user_id);
        let end = move |tx: &mut Writing<'_>, events: &mut Events| {
            let pending = PendingEmail::find(tx, user_id)?;
            if pending.is_some_and(|pending| pending.key == key) {
                mail_tokens::end_change(tx, user_id)?;
            }
            let event = Event::refused(Action::EmailChange).on_user(user_id);
            events.record(event.with("reason", "taken"));
            Ok::<_, Error>(())
        };
        self.0.audit.writing(&by, end).await
    }

    /// Returns the account of the user who brings the link to the address that the link was sent to, ends all
    /// sessions and keys, and mails a link to reset the password.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without a token; [`Error::BadMailToken`]; [`Error::EmailTaken`] if another
    /// user has the old address by now; [`Error::Unavailable`].
    pub async fn undo_email_change(
        &self,
        context: &AuditContext,
        proof: ProofInput,
    ) -> Result<User, Error> {
        let action = Action::EmailChangeUndo;
        let Proven { token, user_id } = self
            .find_by_proof(context, MailPurpose::Undo, proof, action)
            .await?;
        let now = self.0.clock.now();
        let (auth, by, client) = (self.clone(), context.by_mail(user_id), context.clone());
        let ends = Ends::Users(vec![user_id]);
        let undone = self.change(&by, ends, move |tx, events| {
            let user = User::lock(tx, user_id)?.filter(|user| user.disabled_at.is_none());
            let user = user.ok_or(Error::BadMailToken)?;
            if !token.spend(tx, now)? {
                return Err(Error::BadMailToken);
            }
            mail_tokens::end_later_undos(tx, user_id, &token)?;
            let ended = RevokedCredentials::all_of_user(tx, user_id, now)?;
            let user =
                auth.set_proven_email(tx, events, &user, &token, (action, Some(ended)), now)?;
            let mail = MailRequest::to_user(Kind::ResetPassword, user_id, &user.email);
            auth.queue_mail(tx, &client, mail)?;
            Ok(user)
        });
        let user = self
            .or_refuse_proof(context, action, user_id, undone.await)
            .await;
        self.wake_mail();
        user
    }

    /// Gives a user the address that the token was sent to, and ends the links to the one before.
    fn set_proven_email(
        &self,
        tx: &mut Revoking<'_>,
        events: &mut Events,
        user: &User,
        token: &MailToken,
        (action, ended): (Action, Option<RevokedCredentials>),
        now: NaiveDateTime,
    ) -> Result<User, Error> {
        self.move_account(tx, &fold(&user.email), &token.address_key)?;
        mail_tokens::end_all(tx, user.id)?;
        let changes = UserChanges {
            email: Some(token.address.clone()),
            email_key: Some(token.address_key.clone()),
            email_verified_at: Some(Some(now)),
            ..UserChanges::default()
        };
        let updated = User::update(tx, user.id, &changes);
        let updated = updated.map_err(|error| match StoreError::from(error) {
            StoreError::Conflict => Error::EmailTaken,
            error => error.into(),
        })?;
        let event = Event::new(action).on_user(user.id);
        let event = event
            .with("old_email", user.email.as_str())
            .with("new_email", token.address.as_str());
        events.record(match ended {
            Some(ended) => ended.add_to(event),
            None => event,
        });
        updated.ok_or(Error::BadMailToken)
    }

    /// Tells the box of the address that a user has had, and offers a link that leads back to it.
    fn tell_old_address_and_offer_return(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
        new_address: &str,
    ) -> Result<(), Error> {
        if self.sends(Notice::AddressChanged, user) {
            // From now on, and not only when the mail is sent, nobody else gets the old address. The link of
            // this token is in no mail: that of the mail replaces it.
            let link = MailedLink::generate(MailPurpose::Undo)?;
            let owner = TokenOwner::User(user.id);
            link.store(tx, self, owner, (&user.email, &fold(&user.email)), false)?;
        }
        self.tell_old_address(tx, context, user, Some(new_address))
    }

    /// Ends the links to the address of a user whom an administrator gives another one, and tells the old
    /// box of it. That cannot be undone from there: the administrator may have a reason to distrust the box.
    pub(super) fn end_links_to_old_address(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
        new_address: Option<&str>,
    ) -> Result<(), Error> {
        mail_tokens::end_all(tx, user.id)?;
        mail_tokens::end_undos(tx, user.id)?;
        self.tell_old_address(tx, context, user, new_address)
    }

    /// Tells the box of the address that a user has had.
    pub(super) fn tell_old_address(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
        new_address: Option<&str>,
    ) -> Result<(), Error> {
        let detail = NoticeDetail {
            new_address: new_address.map(str::to_owned),
            ..NoticeDetail::default()
        };
        self.queue_notice(tx, context, Notice::AddressChanged, user, detail)
    }
}

/// Whether another user has this address, or can return to it.
fn is_taken(
    tx: &mut Writing<'_>,
    user_id: i64,
    email_key: &str,
    now: NaiveDateTime,
) -> Result<bool, StoreError> {
    let found = Account::find_by_email_key(tx, email_key)?;
    let is_of_other = found.is_some_and(|account| account.user.id != user_id);
    Ok(is_of_other || MailToken::is_reserved(tx, Some(user_id), email_key, now)?)
}
