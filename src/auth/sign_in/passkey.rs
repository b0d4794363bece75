//! Passkeys at a sign-in: what browsers are asked for, and sign-ins without a password.

use pydantic_email::fold;

use super::SessionRequest;
use super::password::VerifiedAccount;
use super::second_factor::MAX_TRIES;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::auth::Auth;
use crate::auth::passkeys::{PasskeyAnswer, PasskeyOptions, Signatory, Verdict};
use crate::auth::session::IssuedToken;
use crate::credential::pending_sign_in::is_pending_token_shaped;
use crate::credential::token::TokenDigest;
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::store::{Account, Challenge, Writing};

impl Auth {
    /// Asks for a signature with a passkey, to continue the sign-in of this token.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`]; [`Error::BadMfaToken`] as in [`Auth::continue_sign_in`];
    /// [`Error::FactorNotFound`] for a user without a passkey; [`Error::TooManyAttempts`] when the client's
    /// network has asked too often; [`Error::Unavailable`].
    pub async fn ask_for_second_passkey(
        &self,
        context: &AuditContext,
        token: &str,
    ) -> Result<PasskeyOptions, Error> {
        self.require_passkeys()?;
        if !is_pending_token_shaped(token.as_bytes()) {
            return Err(Error::BadMfaToken);
        }
        self.0.throttle.count_passkey_options(context).await?;
        let digest = TokenDigest::new(token.as_bytes()).to_hex();
        let (waiting, now) = (digest.clone(), self.0.clock.now());
        let find = move |conn: &mut _| Challenge::find_user(conn, &waiting, MAX_TRIES, now);
        let user_id = self.0.store.read(find).await?.ok_or(Error::BadMfaToken)?;
        let signatory = Signatory::User {
            id: user_id,
            waiting: &digest,
        };
        self.ask_for_signature(signatory).await
    }

    /// Asks for a signature with any passkey that the browser has for this service, to sign in without a
    /// password.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`] unless passkeys stand alone; [`Error::TooManyAttempts`] when the client's network
    /// has asked too often; [`Error::Unavailable`].
    pub async fn ask_for_passkey(&self, context: &AuditContext) -> Result<PasskeyOptions, Error> {
        self.require_lone_passkeys()?;
        self.0.throttle.count_passkey_options(context).await?;
        self.ask_for_signature(Signatory::Anyone).await
    }

    /// Signs the user of a passkey in, without a password: the authenticator has verified the user.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`] unless passkeys stand alone; [`Error::BadPasskey`] for every signature that is not
    /// accepted, also that of a disabled user; [`Error::TooManyAttempts`] when the client's network has
    /// failed too often; otherwise the same as [`Auth::create_access_token`].
    pub async fn sign_in_with_passkey(
        &self,
        context: &AuditContext,
        answer: &PasskeyAnswer,
        request: &SessionRequest,
    ) -> Result<IssuedToken, Error> {
        self.require_lone_passkeys()?;
        self.0.throttle.count_passkey(context).await?;
        let verdict = self.check_signature(Signatory::Anyone, answer);
        let signed = match verdict.await? {
            Verdict::Right(signed) => signed,
            Verdict::Wrong {
                reason,
                user_id,
                is_unknown,
            } => {
                self.refuse_passkey(context, user_id, reason).await?;
                return Err(Error::BadPasskey { is_unknown });
            }
        };
        let user_id = signed.user_id();
        let refused = Error::BadPasskey { is_unknown: false };
        let find = move |conn: &mut _| Account::find(conn, user_id);
        let account = self.0.store.read(find).await?;
        let account = account.filter(|account| account.user.disabled_at.is_none());
        let Some(account) = account else {
            let reason = SignInOutcome::Disabled.reason();
            self.refuse_passkey(context, Some(user_id), reason).await?;
            return Err(refused);
        };
        let name = fold(&account.user.email);
        let verified = VerifiedAccount {
            attempt: self.0.throttle.resume_attempt(context, &name).await?,
            account,
            methods: signed.alone(),
            appended_code: None,
            trusted_device: None,
        };
        self.require_verified(context, &verified).await?;
        let by = verified.context(context);
        let (auth, account, now) = (self.clone(), verified.account.clone(), self.0.clock.now());
        let told = by.clone();
        let record = move |tx: &mut Writing<'_>, events: &mut Events| {
            // First, as in every transaction that locks the row of a user.
            let is_stored = account.lock_if_unchanged(tx)?
                && signed.record(&auth, tx, events, (&told, &account.user), now)?;
            is_stored.then_some(()).ok_or(refused)
        };
        self.0.audit.writing(&by, record).await?;
        let issued = self.create_access_token(context, &verified, request);
        issued.await?.ok_or(Error::BadPasskey { is_unknown: false })
    }

    /// Records a signature that was not accepted.
    async fn refuse_passkey(
        &self,
        context: &AuditContext,
        user_id: Option<i64>,
        reason: &'static str,
    ) -> Result<(), Error> {
        let outcome = SignInOutcome::WrongCode;
        self.0.metrics.sign_in(outcome);
        let event = Event::refused(Action::Login).with("reason", outcome.reason());
        let event = event.with("passkey", reason);
        let event = match user_id {
            Some(id) => event.on_user(id),
            None => event,
        };
        self.0.audit.record_denial(context, event).await
    }
}
