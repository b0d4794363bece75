//! Verifying the password of a user, for a sign-in or before a sensitive change.

use std::ops::Range;
use std::time::{Duration, Instant};

use pydantic_email::{EmailAddress, fold};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::auth::session::BY_PASSWORD;
use crate::error::Error;
use crate::metrics::SignInOutcome;
#[cfg(feature = "server")]
use crate::network::Network;
use crate::password::{HashError, StoredHash};
use crate::store::{Account, Principal, StoreError, stored_hash_classes, username_key};
use crate::throttle::Attempt;

/// The random delay of a refusal. All refusals compute equally long, but the reason still shows in the
/// queries around that and in the processor's caches, by up to 0.2 ms. The delay is many times as long,
/// and the limits leave too few attempts per account to average it out.
pub(in crate::auth) const REFUSAL_DELAY: Range<Duration> =
    Duration::ZERO..Duration::from_millis(10);

/// An account whose password was verified.
#[derive(Clone, Debug)]
pub struct VerifiedAccount {
    /// The account.
    pub account: Account,
    pub(in crate::auth) attempt: Attempt,
    /// How the user has authenticated: values of RFC 8176 section 2, separated by spaces.
    pub(in crate::auth) methods: &'static str,
    /// The code that was read from the end of the password.
    pub(in crate::auth) appended_code: Option<SecretString>,
    /// The id of the trusted device from which the sign-in comes.
    pub(in crate::auth) trusted_device: Option<i64>,
}

impl VerifiedAccount {
    fn new(account: Account, attempt: Attempt) -> Self {
        Self {
            account,
            attempt,
            methods: BY_PASSWORD,
            appended_code: None,
            trusted_device: None,
        }
    }

    /// The context of what follows, authenticated as the user has been.
    pub(super) fn context(&self, context: &AuditContext) -> AuditContext {
        match self.methods.starts_with(BY_PASSWORD) {
            true => context.by_password(self.account.user.id),
            false => context.by_passkey(self.account.user.id),
        }
    }

    /// The password, of what the user has typed.
    pub(super) fn password(&self, typed: SecretString) -> SecretString {
        match (&self.appended_code, split_code(&typed)) {
            (Some(_), Some((password, _code))) => password,
            _ => typed,
        }
    }
}

/// Digits of a code at the end of a password.
const CODE_DIGITS: usize = 6;

/// A password with the code of a second factor at its end (`TOKENHOUSE_OTP_IN_PASSWORD`); `None` for one that
/// does not end in one.
fn split_code(password: &SecretString) -> Option<(SecretString, SecretString)> {
    let text = password.expose_secret();
    let (before, code) = text.split_at_checked(text.len().checked_sub(CODE_DIGITS)?)?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| (before.into(), code.into()))
}

impl Auth {
    /// Whether the hash queue has room for a password of a client in this network.
    ///
    /// # Errors
    /// [`Error::Busy`] if it is full.
    #[cfg(feature = "server")]
    pub(crate) fn check_capacity(&self, network: Network) -> Result<(), Error> {
        Ok(self.0.hasher.check_capacity(network)?)
    }

    /// Finds the user with this e-mail address or user name, in any spelling, and verifies the password.
    /// Attempts with a user name count as attempts with the address.
    ///
    /// Every refusal costs one verification and, except in a flood, one event in the audit trail,
    /// so that its duration does not reveal whether the user exists.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] for every kind of wrong credentials, also if the account is throttled;
    /// [`Error::TooManyAttempts`] if the address is throttled, or its sign-ins to this account;
    /// [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn authenticate(
        &self,
        context: &AuditContext,
        name: &str,
        password: &SecretString,
    ) -> Result<VerifiedAccount, Error> {
        self.verify_account(context, name, password, false).await
    }

    /// Like [`Self::authenticate`]. With `may_split`, the last six digits of the password of a user with a
    /// second factor are a code, and only the rest is verified.
    pub(super) async fn verify_account(
        &self,
        context: &AuditContext,
        name: &str,
        password: &SecretString,
        may_split: bool,
    ) -> Result<VerifiedAccount, Error> {
        let place = self.0.hasher.reserve(context.network())?;
        let email = EmailAddress::parse(name).ok();
        let username = username_key(name).filter(|_| email.is_none());
        let canonical = match (&email, &username) {
            (Some(email), _) => email.key(),
            (None, Some(username)) => self.find_address(username.clone()).await?,
            (None, None) => fold(name),
        };
        self.0.throttle.check_sign_ins(context, &canonical)?;
        // For a user name that no user has too, so that both take as long.
        let email_key = (email.is_some() || username.is_some()).then(|| canonical.clone());
        let throttle = &self.0.throttle;
        let (attempt, found) = throttle
            .count_sign_in(context, &canonical, email_key)
            .await?;
        let account = found
            .as_ref()
            .filter(|account| account.user.disabled_at.is_none() && attempt.is_allowed);
        let hash = account.map(|account| &account.hashed_password);
        drop(place);
        let is_split = may_split && account.is_some_and(|account| self.asks_for_code(account));
        let (password, appended_code) = match split_code(password).filter(|_| is_split) {
            Some((before, code)) => (before, Some(code)),
            None => (password.clone(), None),
        };
        let matches = self.verify_password(context, &password, hash).await;
        let matches = self.0.throttle.or_withdraw(&attempt, matches).await?;
        match account.filter(|_| matches) {
            Some(account) => Ok(VerifiedAccount {
                appended_code,
                ..VerifiedAccount::new(account.clone(), attempt)
            }),
            None => {
                let outcome = refusal(found.as_ref(), &attempt);
                self.0.metrics.sign_in(outcome);
                let user_id = found.as_ref().map(|account| account.user.id);
                self.0.throttle.fail(context, &attempt, user_id).await?;
                self.0
                    .audit
                    .record_denial(context, refused_login(found.as_ref(), outcome))
                    .await?;
                sleep(rand::random_range(REFUSAL_DELAY)).await;
                Err(Error::BadCredentials)
            }
        }
    }

    /// The canonical address of the user who has this user name, or the name if no user has it.
    async fn find_address(&self, username_key: String) -> Result<String, Error> {
        let find = {
            let key = username_key.clone();
            move |conn: &mut _| Account::find_email_key(conn, &key)
        };
        Ok(self.0.store.read(find).await?.unwrap_or(username_key))
    }

    /// Verifies the password of a signed-in user again, before a sensitive change.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], also if the account is throttled; [`Error::TooManyAttempts`];
    /// [`Error::InvalidToken`] if the user was deleted; [`Error::Busy`] and [`Error::Unavailable`].
    pub(in crate::auth) async fn reauthenticate(
        &self,
        context: &AuditContext,
        principal: &Principal,
        password: &SecretString,
        action: Action,
    ) -> Result<VerifiedAccount, Error> {
        self.0.throttle.check_changes(context)?;
        let place = self.0.hasher.reserve(context.network())?;
        let id = principal.user.id;
        let name = fold(&principal.user.email);
        let attempt = self.0.throttle.count_attempt(context, &name).await?;
        let find = move |conn: &mut _| Account::find(conn, id);
        let found = self.0.store.read(find).await.map_err(Error::from);
        let found = found.and_then(|found| found.ok_or(Error::InvalidToken));
        let account = self.0.throttle.or_withdraw(&attempt, found).await?;
        let hash = Some(&account.hashed_password).filter(|_| attempt.is_allowed);
        drop(place);
        let matches = self.verify_password(context, password, hash).await;
        if self.0.throttle.or_withdraw(&attempt, matches).await? {
            return Ok(VerifiedAccount::new(account, attempt));
        }
        let outcome = if attempt.is_allowed {
            SignInOutcome::WrongPassword
        } else {
            SignInOutcome::Throttled
        };
        self.0.throttle.fail(context, &attempt, Some(id)).await?;
        let event = Event::refused(action).on_user(id);
        self.0
            .audit
            .record_denial(context, event.with("reason", outcome.reason()))
            .await?;
        Err(Error::WrongPassword)
    }

    /// [`PasswordHasher::verify`](crate::password::PasswordHasher::verify), with its duration in the
    /// metrics.
    async fn verify_password(
        &self,
        context: &AuditContext,
        password: &SecretString,
        hash: Option<&StoredHash>,
    ) -> Result<bool, Error> {
        let started = Instant::now();
        let matches = self.0.hasher.verify(context.network(), password, hash);
        let matches = matches.await?;
        self.0.metrics.hashes.observe(started.elapsed());
        Ok(matches)
    }

    /// Finds the classes of the stored hashes, and pads refusals to the most expensive one. If the
    /// database does not answer, the last result stays in force.
    pub(crate) async fn pad_refusals(&self) {
        if let Ok(classes) = self.0.store.read(stored_hash_classes).await {
            self.0.hasher.pad_refusals(classes);
        }
    }

    /// Hashes a validated password.
    pub(in crate::auth) async fn hash_password(
        &self,
        context: &AuditContext,
        password: &SecretString,
    ) -> Result<String, Error> {
        let started = Instant::now();
        match self.0.hasher.hash(context.network(), password).await {
            Ok(hash) => {
                self.0.metrics.hashes.observe(started.elapsed());
                Ok(hash)
            }
            Err(HashError::Busy(busy)) => Err(busy.into()),
            Err(HashError::Password(error)) => {
                log::error!("a validated password cannot be hashed: {}", error.code());
                Err(Error::Internal)
            }
        }
    }

    /// Replaces the stored hash if it has another cost than new ones or another program's format. The user
    /// is signed in already, so an error is only logged.
    pub(in crate::auth) async fn renew_hash(
        &self,
        context: &AuditContext,
        account: Account,
        password: SecretString,
    ) {
        let hasher = &self.0.hasher;
        if !hasher.needs_rehash(&account.hashed_password, &password) {
            return;
        }
        let id = account.user.id;
        let Ok(renewed) = self.hash_password(context, &password).await else {
            log::warn!("user {id}: the password hash was not renewed");
            return;
        };
        let replaced = self
            .0
            .store
            .writing(move |tx| Ok::<_, StoreError>(account.replace_hash(tx, &renewed)?))
            .await;
        if replaced.is_err() {
            log::warn!("user {id}: the renewed password hash was not stored");
        }
    }
}

/// Why a sign-in is refused.
fn refusal(found: Option<&Account>, attempt: &Attempt) -> SignInOutcome {
    match found {
        _ if !attempt.is_allowed => SignInOutcome::Throttled,
        None => SignInOutcome::UnknownUser,
        Some(account) if account.user.disabled_at.is_some() => SignInOutcome::Disabled,
        Some(_) => SignInOutcome::WrongPassword,
    }
}

/// The event of a refused sign-in. It does not contain the typed name, which may be a password.
fn refused_login(found: Option<&Account>, outcome: SignInOutcome) -> Event {
    let event = Event::refused(Action::Login).with("reason", outcome.reason());
    match found {
        Some(account) => event.on_user(account.user.id),
        None => event,
    }
}
