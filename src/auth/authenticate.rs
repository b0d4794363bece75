//! Who has this name and this password?

use std::time::Instant;

use pydantic_email::{EmailAddress, fold};
use secrecy::{ExposeSecret, SecretString};

use super::Auth;
use super::audit::{Action, Event, Origin};
use super::throttle::Attempt;
use crate::error::Error;
use crate::metrics::SignIn;
use crate::network::Network;
use crate::password::{self, Cost, HashClass, PreparedVerification};
use crate::store::{Account, StoreError, StoredHash, stored_hash_classes};

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
    pub(crate) fn check_room(&self, network: Network) -> Result<(), Error> {
        Ok(self.0.hasher.check_room(network)?)
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
        self.check_room(origin.network())?;
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

    /// Whether the password is that of the hash; never without a hash. Every refusal takes as long as
    /// one by the dearest hash that is stored.
    pub(super) async fn verify(
        &self,
        origin: &Origin,
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
        let network = origin.network();
        let matches = self.0.hasher.verify(network, prepared, password).await?;
        self.0.metrics.hashes.observe(begun.elapsed());
        Ok(matches)
    }

    /// Looks which classes of hashes are stored, and has refusals take as long as those by the dearest.
    /// While the database does not answer, that is what was found last.
    pub(super) async fn pad_refusals(&self) {
        let Ok(classes) = self.0.store.read(stored_hash_classes).await else {
            return;
        };
        let max_cost = self.0.config.max_cost;
        let hasher = &self.0.hasher;
        let compared = classes
            .into_iter()
            .filter(|class| class.is_within(max_cost));
        let dearest = HashClass::dearest_of_each_kind(compared).into_iter();
        let rounds = dearest.map(|class| hasher.rounds_of(class)).max();
        hasher.pad_refusals_to(rounds.unwrap_or(0));
    }

    /// Hashes a password that was checked.
    pub(super) async fn hash(
        &self,
        origin: &Origin,
        password: &SecretString,
    ) -> Result<String, Error> {
        let cost = self.0.config.cost;
        let password = password.expose_secret().as_bytes();
        match password::prepare_hash(password, cost) {
            Ok((computation, hash)) => {
                let begun = Instant::now();
                let digest = self.0.hasher.compute(origin.network(), computation).await?;
                self.0.metrics.hashes.observe(begun.elapsed());
                Ok(hash.finish(&digest))
            }
            Err(error) => {
                log::error!("a checked password cannot be hashed: {}", error.code());
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
        let hash = account.hashed_password.as_str();
        let is_due = password::needs_rehash(hash, self.0.config.cost)
            || password::is_to_be_replaced(hash, password.expose_secret().as_bytes());
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
