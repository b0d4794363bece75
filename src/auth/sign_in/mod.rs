//! Signing in: the password is verified, then a login token is issued.

mod password;

use chrono::TimeDelta;
use secrecy::SecretString;

pub use self::password::VerifiedAccount;
use super::{Auth, IssuedToken};
use crate::audit::{Action, AuditContext, Event};
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::scope;
use crate::store::{AccessToken, Claims, NewAccessToken};

/// The result of the transaction of a sign-in with the right password.
enum Stored {
    Token(AccessToken),
    /// No token, because the user was changed since the password was verified.
    AccountChanged,
    /// No token, because the account has reached its limit of sign-ins, for this long.
    TooManySignIns(TimeDelta),
}

impl Auth {
    /// Signs a user in: calls [`Auth::authenticate`] and [`Auth::create_access_token`], then renews
    /// the password hash if necessary.
    ///
    /// # Errors
    /// The same as both.
    pub async fn sign_in(
        &self,
        context: &AuditContext,
        name: &str,
        password: SecretString,
        scope: Option<&str>,
    ) -> Result<IssuedToken, Error> {
        let (verified, issued) = self.try_sign_in(context, name, &password, scope).await?;
        let (verified, issued) = match issued {
            Some(issued) => (verified, issued),
            // The user was changed since the password was verified, perhaps only by a concurrent sign-in
            // that renewed the hash. The result of the second attempt is final.
            None => {
                self.0.throttle.withdraw(&verified.attempt).await;
                let (verified, issued) = self.try_sign_in(context, name, &password, scope).await?;
                (verified, issued.ok_or(Error::BadCredentials)?)
            }
        };
        self.renew_hash(context, verified.account, password).await;
        Ok(issued)
    }

    /// One pass through the steps of a sign-in.
    async fn try_sign_in(
        &self,
        context: &AuditContext,
        name: &str,
        password: &SecretString,
        scope: Option<&str>,
    ) -> Result<(VerifiedAccount, Option<IssuedToken>), Error> {
        let verified = self.authenticate(context, name, password).await?;
        // A second factor belongs here: the password is verified, and there is no token yet.
        let issued = self.create_access_token(context, &verified, scope).await?;
        Ok((verified, issued))
    }

    /// Creates a login token, which replaces the user's earlier one. It has the scopes in `scope`, or all
    /// of the user's.
    ///
    /// Returns `None` if the user was disabled, deleted or given another password since `verified` was
    /// read: a sign-in that starts before such a change must not finish after it.
    ///
    /// # Errors
    /// [`Error::InvalidScope`] for a scope that the user does not have; [`Error::TooManyAttempts`] if the
    /// account has reached its limit of sign-ins; [`Error::Internal`] if the random generator fails;
    /// [`Error::Unavailable`] if the database does not respond.
    pub async fn create_access_token(
        &self,
        context: &AuditContext,
        verified: &VerifiedAccount,
        scope: Option<&str>,
    ) -> Result<Option<IssuedToken>, Error> {
        let VerifiedAccount { account, attempt } = verified.clone();
        let context = context.by_password(account.user.id);
        let scopes = match choose_scopes(&account.user.scopes, scope) {
            Ok(scopes) => scopes,
            Err(error) => {
                let event = Event::refused(Action::Login).on_user(account.user.id);
                self.0.metrics.sign_in(SignInOutcome::Scope);
                self.0
                    .audit
                    .record_denial(
                        &context,
                        event.with("reason", SignInOutcome::Scope.reason()),
                    )
                    .await?;
                self.0.throttle.release(attempt).await?;
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
        let claims = Claims {
            users: vec![account.user.id],
            counters: attempt.counters(),
            ..Claims::default()
        };
        let stored = self.change_in_memory(&context, claims, move |shared, events| {
            if !shared.is_unchanged(&account) {
                return Ok(Stored::AccountChanged);
            }
            // `Ok` commits: the password is right, even if the limit of sign-ins is reached.
            if let Some(wait) = attempt.sign_in(&mut shared.counters, now)? {
                return Ok(Stored::TooManySignIns(wait));
            }
            let event = Event::new(Action::Login).on_user(account.user.id);
            events.record(event.with("scopes", token.scopes.as_str()));
            Ok(Stored::Token(shared.replace_token(token)?))
        });
        let stored = stored.await;
        if stored.is_err() {
            self.0.throttle.take_back(&verified.attempt).await;
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
            Stored::TooManySignIns(wait) => Err(self
                .0
                .throttle
                .refuse_sign_in(&context, &user, wait)
                .await?),
        }
    }
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
