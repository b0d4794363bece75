//! Login tokens: issued at sign-in, checked at every use, ended at sign-out.

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::SecretString;

use super::Auth;
use crate::error::Error;
use crate::scope;
use crate::store::{AccessToken, Account, NewAccessToken, Session};
use crate::token::{PlainToken, TokenDigest, generate_token};

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

impl Auth {
    /// Signs a user in: [`Auth::authenticate`], then [`Auth::create_access_token`].
    ///
    /// # Errors
    /// As those two.
    pub async fn sign_in(
        &self,
        name: &str,
        password: SecretString,
        scope: Option<&str>,
    ) -> Result<IssuedToken, Error> {
        let account = self.authenticate(name, &password).await?;
        let (account, issued) = match self.create_access_token(&account, scope).await? {
            Some(issued) => (account, issued),
            // Somebody changed the user meanwhile, perhaps only another sign-in that renewed the
            // hash: what holds now decides, and the second answer is final.
            None => {
                let account = self.authenticate(name, &password).await?;
                let issued = self.create_access_token(&account, scope).await?;
                (account, issued.ok_or(Error::BadCredentials)?)
            }
        };
        self.renew_hash(account, password).await;
        Ok(issued)
    }

    /// Makes a login token and stores it in place of the user's earlier one, which ends with that.
    /// It gets the user's scopes, or those among them that `scope` names.
    ///
    /// `None` when the user was disabled, deleted, or given another password since `account` was
    /// read: a sign-in that began before that must not finish after it.
    ///
    /// # Errors
    /// [`Error::Internal`] without randomness, [`Error::Unavailable`] without a database.
    pub async fn create_access_token(
        &self,
        account: &Account,
        scope: Option<&str>,
    ) -> Result<Option<IssuedToken>, Error> {
        let secret = generate_token().map_err(|error| {
            log::error!("{error}");
            Error::Internal
        })?;
        let now = self.0.clock.now();
        let lifetime = TimeDelta::from_std(self.0.config.token_lifetime).unwrap_or(TimeDelta::MAX);
        let token = NewAccessToken {
            user_id: account.user.id,
            access_token: secret.digest().to_hex(),
            expiration_date: now.checked_add_signed(lifetime).unwrap_or(now),
            scopes: scope::narrow(&account.user.scopes, scope),
            created_at: now,
        };
        let account = account.clone();
        let stored = self
            .0
            .store
            .write(move |conn| {
                if account.lock_if_unchanged(conn)? {
                    token.replace_for_user(conn).map(Some)
                } else {
                    Ok(None)
                }
            })
            .await?;
        Ok(stored.map(|token| IssuedToken {
            secret,
            token,
            lifetime,
        }))
    }

    /// Finds whose token this is. A token is good until the moment it expires, not in it.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] for one that is unknown, expired, revoked or of a disabled user;
    /// [`Error::Unavailable`] when the database does not answer: never a guess.
    pub async fn check_token(&self, presented: &[u8]) -> Result<Arc<Session>, Error> {
        let digest = TokenDigest::of(presented);
        match self.recall_session(&digest) {
            Some(outcome) => outcome,
            None => self.find_session(digest).await,
        }
    }

    /// As [`Self::check_token`], if the answer can be told without waiting; most can.
    pub(crate) fn recall_session(
        &self,
        digest: &TokenDigest,
    ) -> Option<Result<Arc<Session>, Error>> {
        let session = self.0.store.recall_session(digest)?;
        Some(self.admit(session))
    }

    /// As [`Self::check_token`], from the database.
    pub(crate) async fn find_session(&self, digest: TokenDigest) -> Result<Arc<Session>, Error> {
        let session = self.0.store.find_session(digest).await?;
        self.admit(session.ok_or(Error::InvalidToken)?)
    }

    /// Decides at each use, also about a session from memory: time passes there too.
    fn admit(&self, session: Arc<Session>) -> Result<Arc<Session>, Error> {
        let is_good = session.token.expiration_date > self.0.clock.now()
            && session.user.disabled_at.is_none();
        if is_good {
            Ok(session)
        } else {
            Err(Error::InvalidToken)
        }
    }

    /// Ends the token. When this returns, no process on this database accepts it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke_token(&self, token: &AccessToken) -> Result<(), Error> {
        let token = token.clone();
        self.0.store.write(move |conn| token.revoke(conn)).await?;
        Ok(())
    }
}
