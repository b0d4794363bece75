//! Login tokens: issued at sign-in, checked at every use, ended at sign-out.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::SecretString;

use super::Auth;
use super::audit::{Action, Event, Origin};
use super::authenticate::ProvenAccount;
use crate::credential::Candidates;
use crate::credential::token::{PlainToken, generate_token};
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::scope;
use crate::store::{AccessToken, Credential, NewAccessToken, Principal, StoreError};

/// A token just made, with the secret that is shown this once.
#[derive(Debug)]
pub struct IssuedToken {
    /// The secret.
    pub secret: PlainToken,
    /// What was stored.
    pub token: AccessToken,
    /// How long it lives.
    pub lifetime: TimeDelta,
}

/// What a sign-in with the right password has stored.
enum Stored {
    Token(AccessToken),
    /// Nothing: the user was changed since the password was verified.
    AccountChanged,
    /// Only that the password was right: the account has used up its sign-ins, for this long.
    TooManySignIns(TimeDelta),
}

impl Auth {
    /// Signs a user in: [`Auth::authenticate`], then [`Auth::create_access_token`].
    ///
    /// # Errors
    /// As those two.
    pub async fn sign_in(
        &self,
        origin: &Origin,
        name: &str,
        password: SecretString,
        scope: Option<&str>,
    ) -> Result<IssuedToken, Error> {
        let proven = self.authenticate(origin, name, &password).await?;
        let (proven, issued) = match self.create_access_token(origin, &proven, scope).await? {
            Some(issued) => (proven, issued),
            // Somebody changed the user meanwhile, perhaps only another sign-in that renewed the
            // hash: what holds now decides, and the second answer is final.
            None => {
                self.withdraw(&proven.attempt).await;
                let proven = self.authenticate(origin, name, &password).await?;
                let issued = self.create_access_token(origin, &proven, scope).await?;
                (proven, issued.ok_or(Error::BadCredentials)?)
            }
        };
        self.renew_hash(origin, proven.account, password).await;
        Ok(issued)
    }

    /// Makes a login token and stores it in place of the user's earlier one, which ends with that.
    /// It gets the scopes that `scope` names, or all of the user's.
    ///
    /// `None` when the user was disabled, deleted, or given another password since `proven` was
    /// read: a sign-in that began before that must not finish after it.
    ///
    /// # Errors
    /// [`Error::InvalidScope`] for a scope that the user does not hold; [`Error::TooManyAttempts`] when
    /// the account has used up its sign-ins; [`Error::Internal`] without randomness,
    /// [`Error::Unavailable`] without a database.
    pub async fn create_access_token(
        &self,
        origin: &Origin,
        proven: &ProvenAccount,
        scope: Option<&str>,
    ) -> Result<Option<IssuedToken>, Error> {
        let ProvenAccount { account, attempt } = proven.clone();
        let origin = origin.by_password(account.user.id);
        let scopes = match choose_scopes(&account.user.scopes, scope) {
            Ok(scopes) => scopes,
            Err(error) => {
                let event = Event::refused(Action::Login).on_user(account.user.id);
                self.0.metrics.sign_in(SignInOutcome::Scope);
                self.note_refusal(&origin, event.with("reason", SignInOutcome::Scope.reason()))
                    .await?;
                self.excuse(attempt).await?;
                return Err(error);
            }
        };
        let (secret, lifetime) = self.new_token()?;
        let (user, now) = (account.user.clone(), self.0.clock.now());
        let token = NewAccessToken {
            user_id: account.user.id,
            access_token: secret.digest().to_hex(),
            expiration_date: now.checked_add_signed(lifetime).unwrap_or(now),
            scopes,
            created_at: now,
            authenticated_at: Some(now),
        };
        let stored = self.change(&origin, move |tx, events| {
            if !account.lock_if_unchanged(tx)? {
                return Ok(Stored::AccountChanged);
            }
            // Committed: the password was right, whatever the budget for sign-ins says.
            if let Some(wait) = attempt.sign_in(tx, now)? {
                return Ok(Stored::TooManySignIns(wait));
            }
            let event = Event::new(Action::Login).on_user(account.user.id);
            events.record(event.with("scopes", token.scopes.as_str()));
            Ok(Stored::Token(token.replace_for_user(tx)?))
        });
        let stored = stored.await;
        if stored.is_err() {
            self.take_back(&proven.attempt).await;
        }
        match stored? {
            Stored::Token(token) => {
                self.0.metrics.sign_in(SignInOutcome::Ok);
                Ok(Some(IssuedToken {
                    secret,
                    token,
                    lifetime,
                }))
            }
            Stored::AccountChanged => Ok(None),
            Stored::TooManySignIns(wait) => Err(self.refuse_sign_in(&origin, &user, wait).await?),
        }
    }

    /// A token that nobody has yet, and how long one lives.
    pub(super) fn new_token(&self) -> Result<(PlainToken, TimeDelta), Error> {
        let secret = generate_token()?;
        let lifetime = TimeDelta::from_std(self.0.config.token_lifetime).unwrap_or(TimeDelta::MAX);
        Ok((secret, lifetime))
    }

    /// Finds whose login token or API key this is. A credential is good until the moment it
    /// expires, not in it.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] for one that is unknown, expired, revoked or of a disabled user;
    /// [`Error::Unavailable`] when the database does not answer: never a guess.
    pub async fn check_token(&self, presented: &[u8]) -> Result<Arc<Principal>, Error> {
        let candidates = Candidates::parse(presented).ok_or(Error::InvalidToken)?;
        match self.recall_principal(&candidates) {
            Some(outcome) => outcome,
            None => self.find_principal(candidates).await,
        }
    }

    /// As [`Self::check_token`], if the answer can be told without waiting; most can.
    pub(crate) fn recall_principal(
        &self,
        candidates: &Candidates,
    ) -> Option<Result<Arc<Principal>, Error>> {
        let now = self.0.clock.now();
        let principal = self.recall_any(candidates, now)?;
        Some(self.admit(principal, now))
    }

    /// As [`Self::check_token`], from the database.
    pub(crate) async fn find_principal(
        &self,
        candidates: Candidates,
    ) -> Result<Arc<Principal>, Error> {
        match self.find_any(candidates).await? {
            Some(principal) => self.admit(principal, self.0.clock.now()),
            None => {
                self.0.metrics.checks_refused.inc();
                Err(Error::InvalidToken)
            }
        }
    }

    /// The session of a credential as it is stored, from memory if it is there: expired or not.
    pub(super) async fn look_up(
        &self,
        candidates: Candidates,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        match self.recall_any(&candidates, self.0.clock.now()) {
            Some(principal) => Ok(Some(principal)),
            None => self.find_any(candidates).await,
        }
    }

    fn recall_any(&self, candidates: &Candidates, now: NaiveDateTime) -> Option<Arc<Principal>> {
        candidates
            .iter()
            .find_map(|credential| self.0.store.cached_principal(&credential.digest, now))
    }

    async fn find_any(&self, candidates: Candidates) -> Result<Option<Arc<Principal>>, StoreError> {
        for credential in candidates.iter() {
            if let Some(principal) = self
                .0
                .store
                .fetch_principal(credential, self.0.clock.now())
                .await?
            {
                return Ok(Some(principal));
            }
        }
        Ok(None)
    }

    /// Decides at each use, also about a session from memory: time passes there too.
    fn admit(
        &self,
        principal: Arc<Principal>,
        now: NaiveDateTime,
    ) -> Result<Arc<Principal>, Error> {
        let is_good =
            principal.credential.expires_at() > now && principal.user.disabled_at.is_none();
        if !is_good {
            self.0.metrics.checks_refused.inc();
            return Err(Error::InvalidToken);
        }
        self.0.metrics.checks_ok.inc();
        if let Credential::ApiKey(used) = &principal.credential {
            self.note_key_use(&principal, used);
        }
        Ok(principal)
    }

    /// Ends the login token of a session. When this returns, no process on this database accepts
    /// it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke_token(&self, origin: &Origin, token: &AccessToken) -> Result<(), Error> {
        let token = token.clone();
        self.change(origin, move |tx, events| {
            if token.revoke(tx)? {
                events.record(Event::new(Action::Logout).on_user(token.user_id));
            }
            Ok(())
        })
        .await
    }
}

/// The scopes that a sign-in gets: those it asks for, or all that the user holds when it asks for
/// none (RFC 6749 section 3.3).
pub(super) fn choose_scopes(held: &str, wanted: Option<&str>) -> Result<String, Error> {
    let wanted =
        scope::normalise(wanted.unwrap_or_default()).map_err(|_error| Error::InvalidScope)?;
    if wanted.is_empty() {
        Ok(held.to_owned())
    } else if scope::first_missing(held, &wanted).is_some() {
        Err(Error::InvalidScope)
    } else {
        Ok(wanted)
    }
}
