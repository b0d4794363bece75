//! A sign-in in two steps: the client gets a token for the right password, and sends it back with a code, or
//! after its user has added a second factor.

use chrono::{NaiveDateTime, TimeDelta};
use pydantic_email::fold;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::enrolment::digest_of;
use super::factor_check::{FactorInput, ShownFor, Waiting};
use super::password::VerifiedAccount;
use super::{SessionRequest, choose_session_scopes};
use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::auth::session::{Device, IssuedToken, SignInKind};
use crate::credential::pending_sign_in::generate_pending_token;
use crate::credential::token::{PlainToken, TokenDigest};
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::store::{Account, Awaited, Challenge, Factor, Writing};

/// How long a sign-in waits for its second factor.
const WAITING_LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// How long it waits for a user who has to install an app.
const ENROLMENT_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// How many codes it takes.
pub(super) const MAX_TRIES: i64 = 5;

/// A sign-in with the right password that waits for a second factor.
#[derive(Debug)]
pub struct PendingSignIn {
    /// What the client sends back with the code, and the service returns only once.
    pub secret: PlainToken,
    /// How long it waits.
    pub lifetime: TimeDelta,
    /// What it takes: `totp`, `webauthn`, `recovery_code`; or what its user may add: `totp`, `webauthn`.
    pub methods: Vec<&'static str>,
}

/// How far a sign-in has come.
#[derive(Debug)]
pub enum SignInStep {
    /// The user is signed in.
    Done(IssuedToken),
    /// The password is right, and a code of a second factor is missing: see [`Auth::continue_sign_in`].
    SecondFactor(PendingSignIn),
    /// The password is right, and the user has to add a second factor: see [`Auth::find_enrolment`].
    Enrolment(PendingSignIn),
}

/// The second step of a sign-in.
#[derive(Clone, Debug)]
pub struct SecondStep<'a> {
    /// The token of the sign-in that waits.
    pub token: &'a str,
    /// The code.
    pub input: &'a FactorInput,
    /// Whether a browser sends it.
    pub is_browser: bool,
    /// Whether the next sign-ins on this device need no code.
    pub remembers_device: bool,
}

/// What the client has asked for with the password, as it is stored. It holds no secret.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    scope: Option<String>,
    device_id: Option<String>,
    device_name: Option<String>,
    /// Whether the session is that of a browser, and if so, whether it is kept.
    browser: Option<bool>,
    /// The digest of the hash of the password, which must not change meanwhile.
    password: String,
}

impl State {
    fn new(account: &Account, request: &SessionRequest) -> Self {
        Self {
            scope: request.scope.clone(),
            device_id: request.device.id.clone(),
            device_name: request.device.name.clone(),
            browser: match request.kind {
                SignInKind::Client => None,
                SignInKind::Browser { is_kept } => Some(is_kept),
            },
            password: digest_of_hash(account),
        }
    }

    fn into_request(self) -> SessionRequest {
        SessionRequest {
            scope: self.scope,
            device: Device {
                id: self.device_id,
                name: self.device_name,
            },
            kind: match self.browser {
                None => SignInKind::Client,
                Some(is_kept) => SignInKind::Browser { is_kept },
            },
        }
    }
}

fn digest_of_hash(account: &Account) -> String {
    TokenDigest::new(account.hashed_password.as_str().as_bytes()).to_hex()
}

impl Auth {
    /// Checks the code that came with the password.
    ///
    /// # Errors
    /// The same as [`Auth::continue_sign_in`].
    pub(super) async fn pass_at_once(
        &self,
        context: &AuditContext,
        verified: VerifiedAccount,
        typed: &SecretString,
    ) -> Result<VerifiedAccount, Error> {
        let VerifiedAccount {
            account, attempt, ..
        } = &verified;
        let passed = match FactorInput::parse(typed.expose_secret()) {
            Some(input) => {
                self.pass_factor(context, account, &input, ShownFor::SignIn)
                    .await
            }
            None => Err(Error::WrongCode { tries_left: None }),
        };
        match passed {
            Ok(methods) => Ok(VerifiedAccount {
                methods: methods.after_password,
                ..verified
            }),
            Err(error) => {
                // The password stays counted until the second factor passes.
                let user_id = account.user.id;
                self.0
                    .throttle
                    .fail(context, attempt, Some(user_id))
                    .await?;
                Err(error)
            }
        }
    }

    /// Lets a sign-in with the right password wait for a code, or for a user without a second factor to add one.
    /// The attempt at the password stays counted until that passes, so that the password alone resets no count.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails; [`Error::Unavailable`].
    pub(super) async fn await_factor(
        &self,
        context: &AuditContext,
        verified: &VerifiedAccount,
        request: &SessionRequest,
    ) -> Result<SignInStep, Error> {
        let VerifiedAccount {
            account, attempt, ..
        } = verified;
        let user_id = account.user.id;
        let secret = generate_pending_token()?;
        let state = serde_json::to_string(&State::new(account, request))
            .map_err(|_error| Error::Internal)?;
        let (digest, now) = (secret.digest().to_hex(), self.0.clock.now());
        let (awaited, lifetime, outcome) = match account.has_factor {
            true => (Awaited::Code, WAITING_LIFETIME, SignInOutcome::CodeRequired),
            false => (
                Awaited::Factor,
                ENROLMENT_LIFETIME,
                SignInOutcome::FactorRequired,
            ),
        };
        let times = (now, now + lifetime);
        let store = move |tx: &mut Writing<'_>| {
            Challenge::insert(tx, &digest, user_id, awaited, &state, times)?;
            Ok::<_, Error>(Factor::list_confirmed(tx, user_id)?)
        };
        let factors = self.0.store.writing(store).await?;
        self.0
            .throttle
            .fail(context, attempt, Some(user_id))
            .await?;
        self.0.metrics.sign_in(outcome);
        let event = Event::refused(Action::Login).on_user(user_id);
        let event = event.with("reason", outcome.reason());
        let context = context.by_password(user_id);
        self.0.audit.record_denial(&context, event).await?;
        let pending = |methods| PendingSignIn {
            secret,
            lifetime,
            methods,
        };
        Ok(match awaited {
            Awaited::Code => SignInStep::SecondFactor(pending(self.methods_of(&factors))),
            Awaited::Factor => SignInStep::Enrolment(pending(self.new_methods())),
        })
    }

    /// Continues a sign-in that waits, in a browser if it began there: the code is checked, and a session
    /// begins as it was asked for with the password.
    ///
    /// # Errors
    /// [`Error::BadMfaToken`] if the token is unknown, expired or used, has had too many codes, or the user
    /// was changed meanwhile; [`Error::WrongCode`]; [`Error::TooManyAttempts`]; otherwise the same as
    /// [`Auth::create_access_token`].
    pub async fn continue_sign_in(
        &self,
        context: &AuditContext,
        step: SecondStep<'_>,
    ) -> Result<IssuedToken, Error> {
        let SecondStep {
            token,
            input,
            is_browser,
            remembers_device,
        } = step;
        let digest = digest_of(token)?;
        let waiting = self.take_try(&digest, self.0.clock.now()).await?;
        let tries_left = MAX_TRIES - waiting.tries;
        let (account, state) = self.resume(waiting, is_browser).await?;
        if !self.asks_for_code(&account) {
            return Err(Error::BadMfaToken);
        }
        let (id, name) = (account.user.id, state.device_name.as_deref());
        let device = match remembers_device {
            true => self.new_device(context, id, name)?,
            false => None,
        };
        let (device, secret) = device.unzip();
        let waiting = Waiting {
            digest,
            tries_left,
            device,
        };
        let methods = self
            .pass_factor(context, &account, input, ShownFor::Waiting(waiting))
            .await?;
        let methods = methods.after_password;
        let issued = self.begin_waiting(context, account, state, methods).await?;
        Ok(IssuedToken {
            device: secret,
            ..issued
        })
    }

    /// The account of a sign-in that waits, and what was asked for with the password.
    ///
    /// # Errors
    /// [`Error::BadMfaToken`] if the user was changed meanwhile, or the sign-in began elsewhere;
    /// [`Error::Unavailable`].
    pub(super) async fn resume(
        &self,
        waiting: Challenge,
        is_browser: bool,
    ) -> Result<(Account, State), Error> {
        let Challenge { user_id, state, .. } = waiting;
        let state: State = serde_json::from_str(&state).map_err(|_error| Error::BadMfaToken)?;
        let find = move |conn: &mut _| Account::find(conn, user_id);
        let account = self.0.store.read(find).await?.ok_or(Error::BadMfaToken)?;
        let is_same = account.user.disabled_at.is_none()
            && digest_of_hash(&account) == state.password
            && state.browser.is_some() == is_browser;
        match is_same {
            true => Ok((account, state)),
            false => Err(Error::BadMfaToken),
        }
    }

    /// Begins the session of a sign-in whose second factor has passed.
    ///
    /// # Errors
    /// [`Error::BadMfaToken`] if the user was changed meanwhile; otherwise the same as
    /// [`Auth::create_access_token`].
    pub(super) async fn begin_waiting(
        &self,
        context: &AuditContext,
        account: Account,
        state: State,
        methods: &'static str,
    ) -> Result<IssuedToken, Error> {
        let name = fold(&account.user.email);
        let verified = VerifiedAccount {
            attempt: self.0.throttle.resume_attempt(context, &name).await?,
            account,
            methods,
            appended_code: None,
            trusted_device: None,
        };
        let request = state.into_request();
        let issued = self.create_access_token(context, &verified, &request);
        issued.await?.ok_or(Error::BadMfaToken)
    }

    /// What a sign-in of a user with these factors takes besides the password.
    pub(in crate::auth) fn methods_of(&self, factors: &[Factor]) -> Vec<&'static str> {
        let has_app = factors.iter().any(Factor::is_app);
        let has_passkey = factors.iter().any(|factor| !factor.is_app());
        let methods = [
            ("totp", has_app),
            ("webauthn", has_passkey && self.offers_passkeys()),
            ("recovery_code", true),
        ];
        let taken = methods.into_iter().filter(|(_, is_taken)| *is_taken);
        taken.map(|(method, _)| method).collect()
    }

    /// What a user without a factor may add.
    fn new_methods(&self) -> Vec<&'static str> {
        match self.offers_passkeys() {
            true => vec!["totp", "webauthn"],
            false => vec!["totp"],
        }
    }

    async fn take_try(&self, digest: &str, now: NaiveDateTime) -> Result<Challenge, Error> {
        let digest = digest.to_owned();
        let take = move |tx: &mut Writing<'_>| {
            Ok::<_, Error>(Challenge::take_try(tx, &digest, MAX_TRIES, now)?)
        };
        self.0.store.writing(take).await?.ok_or(Error::BadMfaToken)
    }

    /// Refuses scopes that the user does not hold, and records that.
    ///
    /// # Errors
    /// [`Error::InvalidScope`]; [`Error::Unavailable`].
    pub(super) async fn check_scopes(
        &self,
        context: &AuditContext,
        verified: &VerifiedAccount,
        scope: Option<&str>,
    ) -> Result<(String, bool), Error> {
        let user = &verified.account.user;
        match choose_session_scopes(&user.scopes, scope) {
            Ok(chosen) => Ok(chosen),
            Err(error) => {
                let outcome = SignInOutcome::Scope;
                self.0.metrics.sign_in(outcome);
                let event = Event::refused(Action::Login).on_user(user.id);
                let event = event.with("reason", outcome.reason());
                self.0.audit.record_denial(context, event).await?;
                self.0.throttle.release(verified.attempt.clone()).await?;
                Err(error)
            }
        }
    }
}
