//! Resetting a forgotten password, by a link or a code from a mail, or by a link that an administrator or
//! operator passes on.

use pydantic_email::fold;
use secrecy::SecretString;

use super::admin::Administrator;
use super::mail::{MailRequest, MailedLink, PrintedLink, ProofInput, Proven};
use super::revoked_credentials::RevokedCredentials;
use super::validation::{Field, check_email, check_password};
use super::{Auth, mail_tokens};
use crate::audit::{Action, AuditContext, Event};
use crate::credential::mail_token::MailPurpose;
use crate::error::{Error, ErrorCollector};
use crate::mail::Kind;
use crate::store::{Account, Ends, TokenOwner, User};

/// A new password, and the proof that the account may get it.
pub struct ResetInput {
    /// The link or code.
    pub proof: ProofInput,
    /// A password within the policy.
    pub password: Field<SecretString>,
    /// Whether the API keys end too; they do when omitted.
    pub end_keys: Field<Option<bool>>,
}

impl Auth {
    /// Queues a mail with a link to reset the password of the user with this address. Does the same, in the
    /// same time, if no user has it: then nothing is sent.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a text that is no address; [`Error::MailOff`]; [`Error::Unavailable`].
    pub async fn request_reset(
        &self,
        context: &AuditContext,
        email: Field<String>,
    ) -> Result<(), Error> {
        self.require_mail()?;
        let email = email.and_then(check_email)?;
        self.queue_asked(context, &email, Kind::ResetPassword).await
    }

    /// Sets the password of the user who brings the link or code. Ends all sessions and, unless `end_keys`
    /// says otherwise, all keys, and clears the failures of the account. Does not sign in.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field, and for a common password: then the link stays
    /// good. [`Error::BadMailToken`]; [`Error::TooManyAttempts`] when the client's network has tried too many
    /// codes; [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn reset_password(
        &self,
        context: &AuditContext,
        input: ResetInput,
    ) -> Result<(), Error> {
        let policy = self.0.config.password_policy;
        let mut errors = ErrorCollector::new();
        let proof = input.proof.check_with(&mut errors);
        let check_shape = |password| check_password("password", password, policy);
        let password = errors.take(input.password.and_then(check_shape));
        let end_keys = errors.take(input.end_keys);
        let (Some(proof), Some(password), Some(end_keys)) = (proof, password, end_keys) else {
            return Err(errors.into());
        };
        let action = Action::PasswordReset;
        let Proven { token, user_id } = self
            .find_proven(context, MailPurpose::Reset, proof, action)
            .await?;
        let now = self.0.clock.now();
        let find = move |conn: &mut _| User::find(conn, user_id);
        let user = self.0.store.read(find).await?;
        // A hash is computed only for a link that is good.
        let Some(user) = user.filter(|_| token.is_good(now)) else {
            return Err(self.refuse_proof(context, action, Some(user_id)).await?);
        };
        let hashed = self.hash_reset_password(context, &password, &user).await?;
        let keeps_keys = end_keys == Some(false);
        let (auth, by, client) = (self.clone(), context.by_mail(user_id), context.clone());
        let ends = Ends::Users(vec![user_id]);
        let reset = self.change(&by, ends, move |tx, events| {
            let user = User::lock(tx, user_id)?.filter(|user| user.disabled_at.is_none());
            let user = user.ok_or(Error::BadMailToken)?;
            if fold(&user.email) != token.address_key || !token.spend(tx, now)? {
                return Err(Error::BadMailToken);
            }
            Account::set_hash(tx, user_id, &hashed)?;
            auth.0.throttle.clear_failures(tx, &token.address_key)?;
            let ended = match keeps_keys {
                true => RevokedCredentials::sessions_of_user(tx, user_id)?,
                false => RevokedCredentials::all_of_user(tx, user_id, now)?,
            };
            mail_tokens::end_resets(tx, user_id)?;
            events.record(ended.add_to(Event::new(action).on_user(user_id)));
            auth.tell_of_password(tx, &client, &user)
        });
        self.or_refuse_proof(context, action, user_id, reset.await)
            .await
    }

    /// Queues a mail with a link to reset the password of a user.
    ///
    /// # Errors
    /// [`Error::MailOff`]; otherwise the same as [`Auth::delete_user`].
    pub async fn mail_reset_link(&self, admin: &Administrator, id: i64) -> Result<(), Error> {
        self.require_mail()?;
        admin.check_is_not_key()?;
        let (auth, context) = (self.clone(), admin.context.clone());
        let ends = Ends::Users(Vec::new());
        let queued = self.administer(admin, id, ends, move |tx, events, user| {
            if user.disabled_at.is_some() {
                return Err(Error::Disabled);
            }
            let mail = MailRequest::to_user(Kind::ResetPassword, id, &user.email);
            auth.queue_mail(tx, &context, mail)?;
            events.record(
                Event::new(Action::PasswordResetLink)
                    .on_user(id)
                    .with("mail", true),
            );
            Ok(())
        });
        queued.await?;
        self.wake_mail();
        Ok(())
    }

    /// Makes a link with which a user can set another password, for the administrator or operator to pass
    /// on. It replaces the link in a mail.
    ///
    /// # Errors
    /// [`Error::NoPublicUrl`]; [`Error::Disabled`]; otherwise the same as [`Auth::delete_user`].
    pub async fn print_reset_link(
        &self,
        admin: &Administrator,
        id: i64,
    ) -> Result<PrintedLink, Error> {
        admin.check_is_not_key()?;
        let link = MailedLink::generate(MailPurpose::Reset)?;
        let url = link.url(self)?;
        let auth = self.clone();
        let ends = Ends::Users(Vec::new());
        let stored = self.administer(admin, id, ends, move |tx, events, user| {
            if user.disabled_at.is_some() {
                return Err(Error::Disabled);
            }
            let address = (user.email.as_str(), fold(&user.email));
            mail_tokens::end_resets(tx, id)?;
            let expires_at = link.store(
                tx,
                &auth,
                TokenOwner::User(id),
                (address.0, &address.1),
                false,
            )?;
            events.record(
                Event::new(Action::PasswordResetLink)
                    .on_user(id)
                    .with("mail", false),
            );
            Ok(expires_at)
        });
        let expires_at = stored.await?;
        Ok(PrintedLink { url, expires_at })
    }
}
