//! Login tokens: issued at sign-in, checked at every use, ended at sign-out.

use chrono::TimeDelta;
use secrecy::SecretString;

use super::Auth;
use crate::error::Error;
use crate::scope;
use crate::store::{AccessToken, NewAccessToken, User};
use crate::token::{PlainToken, TokenDigest, generate_token};

/// A user who is in, and the token that shows it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub user: User,
    /// By what.
    pub token: AccessToken,
}

/// A token just made, with the secret that is shown this once.
#[derive(Debug)]
pub struct IssuedToken {
    /// The secret.
    pub secret: PlainToken,
    /// What was stored.
    pub token: AccessToken,
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
        let user = self.authenticate(name, &password).await?;
        let issued = match self.create_access_token(&user, scope).await? {
            Some(issued) => (user, issued),
            // Somebody changed the user meanwhile, perhaps only another sign-in that renewed the
            // hash: what holds now decides, and the second answer is final.
            None => {
                let user = self.authenticate(name, &password).await?;
                let issued = self.create_access_token(&user, scope).await?;
                (user, issued.ok_or(Error::BadCredentials)?)
            }
        };
        self.renew_hash(&issued.0, password).await;
        Ok(issued.1)
    }

    /// Makes a login token and stores it in place of the user's earlier one, which ends with that.
    /// It gets the user's scopes, or those among them that `scope` names.
    ///
    /// `None` when the user was disabled, deleted, or given another password since `user` was
    /// read: a sign-in that began before that must not finish after it.
    ///
    /// # Errors
    /// [`Error::Internal`] without randomness, [`Error::Unavailable`] without a database.
    pub async fn create_access_token(
        &self,
        user: &User,
        scope: Option<&str>,
    ) -> Result<Option<IssuedToken>, Error> {
        let secret = generate_token().map_err(|error| {
            log::error!("{error}");
            Error::Internal
        })?;
        let now = self.0.clock.now();
        let lifetime = TimeDelta::from_std(self.0.config.token_lifetime).unwrap_or(TimeDelta::MAX);
        let token = NewAccessToken {
            user_id: user.id,
            access_token: secret.digest().to_hex(),
            expiration_date: now.checked_add_signed(lifetime).unwrap_or(now),
            scopes: scope::narrow(&user.scopes, scope),
            created_at: now,
        };
        let hash = user.hashed_password.clone();
        let stored = self
            .0
            .store
            .write(move |conn| {
                if User::lock_if_unchanged(conn, token.user_id, &hash)? {
                    token.replace_for_user(conn).map(Some)
                } else {
                    Ok(None)
                }
            })
            .await?;
        Ok(stored.map(|token| IssuedToken { secret, token }))
    }

    /// Finds whose token this is. A token is good until the moment it expires, not in it.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] for one that is unknown, expired, revoked or of a disabled user;
    /// [`Error::Unavailable`] when the database does not answer: never a guess.
    pub async fn check_token(&self, presented: &[u8]) -> Result<Session, Error> {
        let digest = TokenDigest::of(presented);
        let found = self
            .0
            .store
            .read(move |conn| AccessToken::find_with_user(conn, digest))
            .await?;
        let now = self.0.clock.now();
        found
            .filter(|(token, user)| token.expiration_date > now && user.disabled_at.is_none())
            .map(|(token, user)| Session { user, token })
            .ok_or(Error::InvalidToken)
    }

    /// Ends the token. When this returns, no process on this database accepts it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke_token(&self, token: AccessToken) -> Result<(), Error> {
        self.0.store.write(move |conn| token.revoke(conn)).await?;
        Ok(())
    }
}
