//! Signing in: the password is verified, then a login token is issued.

mod enrolment;
mod factor_check;
mod passkey;
mod password;
mod second_factor;

use chrono::TimeDelta;
use secrecy::SecretString;

pub use self::enrolment::PendingEnrolment;
pub use self::factor_check::FactorInput;
pub(super) use self::factor_check::ShownFor;
#[cfg(feature = "mail")]
pub(super) use self::password::REFUSAL_DELAY;
pub use self::password::VerifiedAccount;
pub use self::second_factor::{PendingSignIn, SecondStep, SignInStep};
use super::session::{Authentication, Beginning, SignInKind, claim_if_needed, is_multi_factor};
use super::{Auth, Device, IssuedToken};
use crate::audit::{Action, AuditContext, Event};
use crate::config::{RefreshMode, Verification};
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::scope;
#[cfg(feature = "mail")]
use crate::store::NewOutboxMail;
use crate::store::{AccessToken, Claims, NewSession, SessionKind};

/// The scope with which a client asks for a refresh token (section 11 of `OpenID` Connect Core). No user
/// holds it, and no token has it.
const OFFLINE_ACCESS: &str = "offline_access";

/// A request to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The e-mail address or user name, in any spelling.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The session that begins.
    pub session: SessionRequest,
    /// The code of a second factor, as the user typed it; ignored for a user who has none.
    pub otp: Option<SecretString>,
    /// The secret of a trusted device, which replaces the code.
    pub device_token: Option<SecretString>,
    /// Whether the session has to begin with a second factor, whatever the settings say: no trusted device
    /// replaces it, and a user without one adds one first.
    pub needs_factor: bool,
}

impl SignIn {
    /// A request for all scopes of the user, from a device that says nothing about itself.
    pub fn new(name: &str, password: SecretString) -> Self {
        Self {
            name: name.to_owned(),
            password,
            session: SessionRequest::default(),
            otp: None,
            device_token: None,
            needs_factor: false,
        }
    }
}

/// The session that a sign-in asks for: by default, one with all scopes of the user, from a device that says nothing
/// about itself.
#[derive(Clone, Debug, Default)]
pub struct SessionRequest {
    /// The scopes, separated by spaces; all of the user's if `None` or empty.
    pub scope: Option<String>,
    /// The device.
    pub device: Device,
    /// Which kind of session begins.
    pub kind: SignInKind,
}

/// The result of the transaction of a sign-in with the right password.
enum Stored {
    Token(AccessToken),
    /// No token, because the user was changed since the password was verified.
    AccountChanged,
    /// No token, because the account has reached its limit of sign-ins, for this long.
    TooManySignIns(TimeDelta),
}

/// What a sign-in stores.
struct NewSignIn {
    session: NewSession,
    /// The notice of a new device.
    #[cfg(feature = "mail")]
    notice: Option<NewOutboxMail>,
}

impl Auth {
    /// Signs a user in: calls [`Auth::authenticate`] and [`Auth::create_access_token`], then renews
    /// the password hash if necessary. If the user has a second factor, and the request no code of it,
    /// the sign-in waits for [`Auth::continue_sign_in`]; if the user must have one, for
    /// [`Auth::find_enrolment`].
    ///
    /// # Errors
    /// The same as both; [`Error::WrongCode`] for a request with a wrong code.
    pub async fn sign_in(
        &self,
        context: &AuditContext,
        request: SignIn,
    ) -> Result<SignInStep, Error> {
        let (verified, step) = self.try_sign_in(context, &request).await?;
        let (verified, step) = match step {
            Some(step) => (verified, step),
            // The user was changed since the password was verified, perhaps only by a concurrent sign-in
            // that renewed the hash. The result of the second attempt is final.
            None => {
                self.0.throttle.withdraw(&verified.attempt).await;
                let (verified, step) = self.try_sign_in(context, &request).await?;
                (verified, step.ok_or(Error::BadCredentials)?)
            }
        };
        // A sign-in that waits ends when the hash changes.
        if let SignInStep::Done(_) = step {
            let password = verified.password(request.password);
            self.renew_hash(context, verified.account, password).await;
        }
        Ok(step)
    }

    /// One pass through the steps of a sign-in.
    async fn try_sign_in(
        &self,
        context: &AuditContext,
        request: &SignIn,
    ) -> Result<(VerifiedAccount, Option<SignInStep>), Error> {
        let SignIn { name, password, .. } = request;
        let may_split = self.0.config.factors.otp_in_password && request.otp.is_none();
        let mut verified = self
            .verify_account(context, name, password, may_split)
            .await?;
        self.require_verified(context, &verified).await?;
        if request.needs_factor || self.asks_for_factor(&verified.account) {
            let code = request.otp.as_ref().or(verified.appended_code.as_ref());
            // Without a factor, there is nothing that a code could be right for.
            match code.cloned().filter(|_| verified.account.has_factor) {
                Some(code) => verified = self.pass_at_once(context, verified, &code).await?,
                None => {
                    let scope = request.session.scope.as_deref();
                    let (scopes, _) = self.check_scopes(context, &verified, scope).await?;
                    let device = request.device_token.as_ref();
                    let device = device.filter(|_| !request.needs_factor);
                    let id = verified.account.user.id;
                    verified.trusted_device = self.find_device(id, device, &scopes).await?;
                    if verified.trusted_device.is_none() {
                        let waiting = self.await_factor(context, &verified, &request.session);
                        let waiting = waiting.await?;
                        return Ok((verified, Some(waiting)));
                    }
                }
            }
        }
        let issued = self
            .create_access_token(context, &verified, &request.session)
            .await?;
        Ok((verified, issued.map(SignInStep::Done)))
    }

    /// Whether users can sign in only after they have verified their address.
    pub(crate) fn requires_verified_address(&self) -> bool {
        self.0.config.flows.verification == Verification::SignIn
    }

    /// Refuses a user with the right password who has to verify the address first.
    async fn require_verified(
        &self,
        context: &AuditContext,
        verified: &VerifiedAccount,
    ) -> Result<(), Error> {
        let user = &verified.account.user;
        if !self.requires_verified_address() || user.email_verified_at.is_some() {
            return Ok(());
        }
        let context = verified.context(context);
        let outcome = SignInOutcome::Unverified;
        self.0.metrics.sign_in(outcome);
        let event = Event::refused(Action::Login).on_user(user.id);
        let event = event.with("reason", outcome.reason());
        self.0.audit.record_denial(&context, event).await?;
        self.0.throttle.release(verified.attempt.clone()).await?;
        Err(Error::EmailNotVerified)
    }

    /// Creates a login token, with which a session of the requested kind begins. It has the requested
    /// scopes, or all of the user's. If the user has as many sessions as the settings allow, the one that
    /// was unused longest ends.
    ///
    /// Returns `None` if the user was disabled, deleted or given another password since `verified` was
    /// read: a sign-in that starts before such a change must not finish after it.
    ///
    /// # Errors
    /// [`Error::InvalidScope`] for a scope that the user does not have; [`Error::SecondFactorRequired`] for a
    /// user who has or must have a second factor, and has shown none; [`Error::TooManyAttempts`] if the account
    /// has reached its limit of sign-ins; [`Error::Internal`] if the random generator fails;
    /// [`Error::Unavailable`] if the database does not respond.
    pub async fn create_access_token(
        &self,
        context: &AuditContext,
        verified: &VerifiedAccount,
        request: &SessionRequest,
    ) -> Result<Option<IssuedToken>, Error> {
        let account = &verified.account;
        let has_shown = is_multi_factor(verified.methods) || verified.trusted_device.is_some();
        if self.asks_for_factor(account) && !has_shown {
            return Err(Error::SecondFactorRequired);
        }
        let SessionRequest {
            scope,
            device,
            kind,
        } = request;
        let context = verified.context(context);
        let (scopes, is_refresh_requested) = self
            .check_scopes(&context, verified, scope.as_deref())
            .await?;
        let refresh = match self.0.config.sessions.refresh {
            _ if *kind != SignInKind::Client => None,
            RefreshMode::Always => Some(self.new_refresh().await?),
            RefreshMode::Asked if is_refresh_requested => Some(self.new_refresh().await?),
            RefreshMode::Asked | RefreshMode::Off => None,
        };
        let now = self.0.clock.now();
        let user_id = account.user.id;
        let beginning = Beginning {
            user_id,
            kind: kind.of_session(),
            is_kept: kind.is_kept(),
            scopes,
            device,
            authentication: Some(Authentication {
                at: now,
                methods: verified.methods,
            }),
            refresh,
        };
        let (secret, session) = self.new_session(&context, beginning, now)?;
        #[cfg(feature = "mail")]
        let notice = self.notice_of_device(&context, &account.user).await?;
        // A single session always replaces another one, and that of a device usually does.
        let replaces = self.0.config.sessions.per_user == 1 || device.id.is_some();
        let store = async |ends_another| {
            let beginning = NewSignIn {
                session: session.clone(),
                #[cfg(feature = "mail")]
                notice: notice.clone(),
            };
            self.store_session(&context, verified, beginning, ends_another)
                .await
        };
        let stored = claim_if_needed(replaces, store).await;
        if stored.is_err() {
            self.0.throttle.take_back(&verified.attempt).await;
        }
        match stored?.ok_or(Error::Internal)? {
            Stored::Token(token) => {
                self.0.metrics.sign_in(SignInOutcome::Ok);
                let mut issued = IssuedToken::of(secret, &token, session.refresh.as_ref());
                issued.scopes = self.usable_scopes(&account.user, verified.methods, issued.scopes);
                Ok(Some(issued))
            }
            Stored::AccountChanged => Ok(None),
            Stored::TooManySignIns(wait) => Err(self
                .0
                .throttle
                .refuse_sign_in(&context, &account.user, wait)
                .await?),
        }
    }
}

impl Auth {
    /// Stores a new session. Only with `ends_another`, other sessions of the user may end; `None` if one
    /// would have to.
    async fn store_session(
        &self,
        context: &AuditContext,
        verified: &VerifiedAccount,
        beginning: NewSignIn,
        ends_another: bool,
    ) -> Result<Option<Stored>, Error> {
        let session = beginning.session;
        let VerifiedAccount {
            account,
            attempt,
            trusted_device,
            ..
        } = verified.clone();
        let user_id = account.user.id;
        let claims = Claims {
            users: Vec::from_iter(ends_another.then_some(user_id)),
            session_of: Some(user_id),
            counters: attempt.counters(),
            ..Claims::default()
        };
        let (auth, now) = (self.clone(), session.created_at);
        let limit = self.0.config.sessions.per_user;
        let stored = self.change_in_memory(context, claims, move |shared, events| {
            if !shared.is_unchanged(&account) {
                return Ok(Some(Stored::AccountChanged));
            }
            let device = session.device_digest.as_deref();
            if shared.sessions.lacks_room(user_id, device, limit, now) {
                return Ok(None);
            }
            // `Ok` commits: the password is right, even if the limit of sign-ins is reached.
            if let Some(wait) = attempt.sign_in(&mut shared.counters, now)? {
                return Ok(Some(Stored::TooManySignIns(wait)));
            }
            let event = Event::new(Action::Login).on_user(user_id);
            let event = event.with("scopes", session.scopes.as_str());
            let event = match is_multi_factor(&session.amr) {
                true => event.with("amr", session.amr.as_str()),
                false => event,
            };
            let event = match trusted_device {
                Some(id) => event.with("device", id),
                None => event,
            };
            events.record(match session.kind {
                SessionKind::Browser => event.with("kind", "browser"),
                _ => event,
            });
            let (token, evicted) = shared.sessions.begin(session, limit)?;
            auth.record_evicted(events, user_id, &evicted);
            #[cfg(feature = "mail")]
            shared.mails.extend(beginning.notice);
            Ok(Some(Stored::Token(token)))
        });
        stored.await
    }
}

/// Like [`choose_scopes`], and whether a refresh token is requested: by [`OFFLINE_ACCESS`], which is no
/// scope of the token.
pub(super) fn choose_session_scopes(
    held: &str,
    requested: Option<&str>,
) -> Result<(String, bool), Error> {
    let requested =
        scope::normalise(requested.unwrap_or_default()).map_err(|_error| Error::InvalidScope)?;
    let others: Vec<&str> = scope::names(&requested)
        .filter(|name| *name != OFFLINE_ACCESS)
        .collect();
    Ok((
        choose_scopes(held, Some(&others.join(" ")))?,
        scope::contains(&requested, OFFLINE_ACCESS),
    ))
}

/// Returns the scopes of a new token: the requested ones, or all of the user's if none are
/// requested (RFC 6749 section 3.3).
pub(super) fn choose_scopes(held: &str, requested: Option<&str>) -> Result<String, Error> {
    let requested =
        scope::normalise(requested.unwrap_or_default()).map_err(|_error| Error::InvalidScope)?;
    if requested.is_empty() {
        Ok(held.to_owned())
    } else if scope::first_missing(held, &requested).is_some() {
        Err(Error::InvalidScope)
    } else {
        Ok(requested)
    }
}
