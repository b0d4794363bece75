//! Who has this name and this password?

use std::time::Instant;

use pydantic_email::{EmailAddress, fold};
use secrecy::SecretString;

use super::Auth;
use super::audit::{Action, Event, Origin};
use super::throttle::Attempt;
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::network::Network;
use crate::password::{HashError, StoredHash};
use crate::store::{Account, StoreError, stored_hash_classes};

/// An account whose password was shown.
#[derive(Clone, Debug)]
pub struct ProvenAccount {
    /// The account.
    pub account: Account,
    pub(super) attempt: Attempt,
}

impl Auth {
    /// Whether one more password of a client of this network would be hashed in time.
    ///
    /// # Errors
    /// [`Error::Busy`] when more wait than that.
    pub(crate) fn check_capacity(&self, network: Network) -> Result<(), Error> {
        Ok(self.0.hasher.check_capacity(network)?)
    }

    /// Finds the user with this e-mail address, in any spelling, and this password.
    ///
    /// Every refusal costs one verification and, outside of a flood, one event in the trail, so
    /// that its time does not tell whether there is such a user.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] whatever is wrong, also when the account has to wait;
    /// [`Error::TooManyAttempts`] when the address has to, or was told to wait with its sign-ins;
    /// [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn authenticate(
        &self,
        origin: &Origin,
        name: &str,
        password: &SecretString,
    ) -> Result<ProvenAccount, Error> {
        self.check_capacity(origin.network())?;
        let email = EmailAddress::parse(name).ok();
        let canonical = email.as_ref().map_or_else(|| fold(name), EmailAddress::key);
        self.check_sign_ins(origin, &canonical)?;
        let attempt = self.count_attempt(origin, &canonical).await?;
        let found = match email {
            Some(_) => {
                let find = move |conn: &mut _| Account::find_by_email_key(conn, &canonical);
                let found = self.0.store.read(find).await;
                self.or_withdraw(&attempt, found.map_err(Error::from))
                    .await?
            }
            None => None,
        };
        let account = found
            .as_ref()
            .filter(|account| account.user.disabled_at.is_none() && attempt.is_allowed);
        let hash = account.map(|account| &account.hashed_password);
        let matches = self.verify(origin, password, hash).await;
        let matches = self.or_withdraw(&attempt, matches).await?;
        match account.filter(|_| matches) {
            Some(account) => Ok(ProvenAccount {
                account: account.clone(),
                attempt,
            }),
            None => {
                let how = refusal(found.as_ref(), &attempt);
                self.0.metrics.sign_in(how);
                let user_id = found.as_ref().map(|account| account.user.id);
                self.fail(origin, &attempt, user_id).await?;
                self.note_refusal(origin, refused_login(found.as_ref(), how))
                    .await?;
                Err(Error::BadCredentials)
            }
        }
    }

    /// [`PasswordHasher::verify`](crate::password::PasswordHasher::verify), with its duration in the
    /// metrics.
    pub(super) async fn verify(
        &self,
        origin: &Origin,
        password: &SecretString,
        hash: Option<&StoredHash>,
    ) -> Result<bool, Error> {
        let started = Instant::now();
        let matches = self.0.hasher.verify(origin.network(), password, hash);
        let matches = matches.await?;
        self.0.metrics.hashes.observe(started.elapsed());
        Ok(matches)
    }

    /// Finds the classes of the stored hashes, and pads refusals to the most expensive one. If the
    /// database does not answer, the last result stays in force.
    pub(super) async fn pad_refusals(&self) {
        if let Ok(classes) = self.0.store.read(stored_hash_classes).await {
            self.0.hasher.pad_refusals(classes);
        }
    }

    /// Hashes a validated password.
    pub(super) async fn hash(
        &self,
        origin: &Origin,
        password: &SecretString,
    ) -> Result<String, Error> {
        let started = Instant::now();
        match self.0.hasher.hash(origin.network(), password).await {
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

    /// Replaces the stored hash when it is cheaper or dearer than new ones are, or another program's.
    /// The user is signed in already, so nothing that goes wrong here is more than a line in the log.
    pub(super) async fn renew_hash(
        &self,
        origin: &Origin,
        account: Account,
        password: SecretString,
    ) {
        let hasher = &self.0.hasher;
        let is_due = hasher.needs_rehash(&account.hashed_password, &password);
        if !is_due {
            return;
        }
        let id = account.user.id;
        let Ok(renewed) = self.hash(origin, &password).await else {
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

/// What the trail says of it. The name that was typed is not in it: it may be a password.
fn refused_login(found: Option<&Account>, how: SignInOutcome) -> Event {
    let event = Event::refused(Action::Login).with("reason", how.reason());
    match found {
        Some(account) => event.on_user(account.user.id),
        None => event,
    }
}
