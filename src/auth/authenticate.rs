//! Who has this name and this password?

use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};

use super::Auth;
use super::audit::{Action, Event, Origin};
use super::throttle::Attempt;
use crate::email::{EmailAddress, fold};
use crate::error::Error;
use crate::metrics::SignIn;
use crate::password::{self, Busy, Computation, Cost, PreparedVerification, Verification};
use crate::store::{Account, StoredHash};

/// An account whose password was shown.
#[derive(Clone, Debug)]
pub struct ProvenAccount {
    /// The account.
    pub account: Account,
    pub(super) attempt: Attempt,
}

impl Auth {
    /// Whether one more password would be hashed in time.
    ///
    /// # Errors
    /// [`Error::Busy`] when more wait than that.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        Ok(self.0.hasher.check_room(self.0.config.cost)?)
    }

    /// Finds the user with this e-mail address, in any spelling, and this password.
    ///
    /// Every refusal costs one verification and, outside of a flood, one event in the trail, so
    /// that its time does not tell whether there is such a user.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] whatever is wrong, also when the account has to wait;
    /// [`Error::TooManyAttempts`] when the address has to; [`Error::Busy`] and
    /// [`Error::Unavailable`].
    pub async fn authenticate(
        &self,
        origin: &Origin,
        name: &str,
        password: &SecretString,
    ) -> Result<ProvenAccount, Error> {
        self.check_room()?;
        let email = EmailAddress::parse(name).ok();
        let canonical = email.as_ref().map_or_else(|| fold(name), EmailAddress::key);
        let attempt = self.count_attempt(origin, &canonical).await?;
        let found = match email {
            Some(_) => {
                let find = move |conn: &mut _| Account::find_by_email_key(conn, &canonical);
                self.0.store.read(find).await?
            }
            None => None,
        };
        let account = found
            .as_ref()
            .filter(|account| account.user.disabled_at.is_none() && attempt.is_allowed);
        let hash = account.map(|account| &account.hashed_password);
        let matches = self.verify(password, hash).await?;
        match account.filter(|_| matches) {
            Some(account) => Ok(ProvenAccount {
                account: account.clone(),
                attempt,
            }),
            None => {
                let how = refusal(found.as_ref(), &attempt);
                self.0.metrics.sign_in(how);
                let user_id = found.as_ref().map(|account| account.user.id);
                self.report_wait(origin, &attempt, user_id).await?;
                self.note_refusal(origin, refused_login(found.as_ref(), how))
                    .await?;
                Err(Error::BadCredentials)
            }
        }
    }

    /// Whether the password is that of the hash; never, after the same work, without a hash.
    pub(super) async fn verify(
        &self,
        password: &SecretString,
        hash: Option<&StoredHash>,
    ) -> Result<bool, Error> {
        let config = &self.0.config;
        let bytes = password.expose_secret().as_bytes();
        let prepared = hash
            .map(|hash| password::prepare_any_verification(bytes, hash.as_str(), config.max_cost));
        let prepared = match prepared {
            Some(Ok(prepared)) => prepared,
            Some(Err(error)) => {
                // passlib raises here and the tutorial answers 500; to the client it is a refusal.
                log::debug!(
                    "a sign-in was refused without a comparison: {}",
                    error.code()
                );
                dummy(config.cost)
            }
            None => dummy(config.cost),
        };
        let begun = Instant::now();
        let matches = match prepared {
            PreparedVerification::Bcrypt(computation, verification) => {
                self.compare(computation, verification).await?
            }
            // Goes on for as long as a bcrypt takes, so that the time does not tell that there is
            // an account with such a hash.
            PreparedVerification::Other(verification) => {
                let password = password.clone();
                let compare = move || verification.run(password.expose_secret().as_bytes());
                self.0.hasher.run_like_bcrypt(config.cost, compare).await?
            }
        };
        self.0.metrics.hashes.observe(begun.elapsed());
        Ok(matches)
    }

    /// Computes and compares. A refusal by an old, cheaper hash takes no less time than any other.
    async fn compare(
        &self,
        computation: Computation,
        verification: Verification,
    ) -> Result<bool, Busy> {
        let cost = self.0.config.cost;
        if computation.cost() >= cost {
            let digest = self.0.hasher.compute(computation).await?;
            return Ok(verification.finish(&digest) == Ok(true));
        }
        let compare = move || {
            let matches = verification.finish(&computation.run()) == Ok(true);
            if !matches {
                computation.make_up_for(cost);
            }
            matches
        };
        self.0.hasher.run(compare).await
    }

    /// Hashes a password that was checked.
    pub(super) async fn hash(&self, password: &SecretString, cost: Cost) -> Result<String, Error> {
        let password = password.expose_secret().as_bytes();
        match password::prepare_hash(password, cost) {
            Ok((computation, hash)) => {
                let begun = Instant::now();
                let digest = self.0.hasher.compute(computation).await?;
                self.0.metrics.hashes.observe(begun.elapsed());
                Ok(hash.finish(&digest))
            }
            Err(error) => {
                log::error!("a checked password cannot be hashed: {}", error.code());
                Err(Error::Internal)
            }
        }
    }

    /// Hashes the password anew when the stored hash is cheaper than new ones are, or another
    /// program's. The user is in already, so nothing that goes wrong here is more than a line in
    /// the log.
    pub(super) async fn renew_hash(&self, account: Account, password: SecretString) {
        let cost = self.0.config.cost;
        let hash = account.hashed_password.as_str();
        let is_due = password::needs_rehash(hash, cost)
            || password::is_to_be_replaced(hash, password.expose_secret().as_bytes());
        if !is_due {
            return;
        }
        let id = account.user.id;
        let Ok(renewed) = self.hash(&password, cost).await else {
            log::warn!("user {id}: the password hash was not renewed");
            return;
        };
        let replaced = self
            .0
            .store
            .note(move |conn| account.replace_hash(conn, &renewed))
            .await;
        if replaced.is_err() {
            log::warn!("user {id}: the renewed password hash was not stored");
        }
    }
}

fn dummy(cost: Cost) -> PreparedVerification {
    let (computation, verification) = password::prepare_dummy_verification(cost);
    PreparedVerification::Bcrypt(computation, verification)
}

/// Why a sign-in is refused.
fn refusal(found: Option<&Account>, attempt: &Attempt) -> SignIn {
    match found {
        _ if !attempt.is_allowed => SignIn::Throttled,
        None => SignIn::UnknownUser,
        Some(account) if account.user.disabled_at.is_some() => SignIn::Disabled,
        Some(_) => SignIn::WrongPassword,
    }
}

/// What the trail says of it. The name that was typed is not in it: it may be a password.
fn refused_login(found: Option<&Account>, how: SignIn) -> Event {
    let event = Event::refused(Action::Login).with("reason", how.reason());
    match found {
        Some(account) => event.on_user(account.user.id),
        None => event,
    }
}
