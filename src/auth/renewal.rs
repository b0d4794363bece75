//! Signed-in users show once more who they are (RFC 9470 section 4): the session goes on with a new login token,
//! and with the time and the methods of this proof.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::SecretString;

use super::caller::lock_caller;
use super::owner::ProvenOwner;
use super::passkeys::{PasskeyOptions, Signatory};
use super::session::{BY_PASSWORD, FactorMethods, IssuedToken, with_second_factor};
use super::sign_in::{FactorInput, ShownFor};
use super::{Auth, VerifiedAccount};
use crate::audit::{Action, AuditContext, Event};
#[cfg(feature = "pages")]
use crate::config::MfaMode;
use crate::credential::browser_cookie::generate_browser_cookie;
use crate::credential::token::generate_token;
use crate::error::Error;
#[cfg(feature = "pages")]
use crate::store::Factor;
use crate::store::{AccessToken, Account, Credential, Ends, Principal, SessionKind};

/// What a signed-in user shows: at least one of both.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// The password.
    pub password: Option<SecretString>,
    /// The code of a second factor, a recovery code, or what a passkey has signed
    /// ([`Auth::ask_for_passkey_again`]).
    pub factor: Option<FactorInput>,
}

/// A session that goes on with a new login token.
#[derive(Debug)]
pub struct RenewedSession {
    /// The token, which ends when the one before would have.
    pub token: IssuedToken,
    /// Whether the session is that of a browser that keeps it beyond its window.
    pub is_kept: bool,
}

impl Auth {
    /// Renews the session of a principal whose user shows once more who they are. Its earlier login tokens end,
    /// those for guarded hosts and the refresh token aside.
    ///
    /// # Errors
    /// [`Error::RecentSignInRequired`] for an empty proof; [`Error::WrongPassword`]; [`Error::WrongCode`], also
    /// for a user without a second factor; [`Error::LoginTokenRequired`] for an API key;
    /// [`Error::InvalidToken`] if the session has ended in the meantime; [`Error::TooManyAttempts`];
    /// [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn renew_session(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        proof: Proof,
    ) -> Result<RenewedSession, Error> {
        let Credential::LoginToken(token) = &principal.credential else {
            return Err(Error::LoginTokenRequired);
        };
        let action = Action::SessionRenew;
        let Proof { password, factor } = proof;
        if password.is_none() && factor.is_none() {
            return Err(Error::RecentSignInRequired);
        }
        let by_password = password.is_some();
        let proven = match password {
            Some(password) => {
                let verified = self.reauthenticate(context, principal, &password, action);
                Some(verified.await?)
            }
            None => None,
        };
        let methods = match factor {
            Some(input) => {
                let verified = proven.as_ref();
                let shown = self.show_factor(context, principal, token, verified, &input);
                Some(shown.await?)
            }
            None => None,
        };
        let amr = shown(&token.session.amr, by_password, methods);
        let proven = ProvenOwner::from(proven);
        let attempt = proven.attempt();
        let renewed = self.renew(context, principal, token, proven, amr).await;
        self.decide_proof(attempt, renewed).await
    }

    /// Checks the code. If it is wrong, a password beside it stays counted, as in a sign-in.
    async fn show_factor(
        &self,
        context: &AuditContext,
        principal: &Principal,
        token: &AccessToken,
        proven: Option<&VerifiedAccount>,
        input: &FactorInput,
    ) -> Result<FactorMethods, Error> {
        let id = principal.user.id;
        let account = match proven {
            Some(verified) => verified.account.clone(),
            None => {
                let find = move |conn: &mut _| Account::find(conn, id);
                self.0.store.read(find).await?.ok_or(Error::InvalidToken)?
            }
        };
        let shown_for = ShownFor::Session(token.session.id);
        let passed = self.pass_factor(context, &account, input, shown_for);
        let passed = passed.await.map_err(|error| match error {
            // The user was changed in the meantime.
            Error::BadMfaToken => Error::InvalidToken,
            error => error,
        });
        if let (Err(_), Some(verified)) = (&passed, proven) {
            let throttle = &self.0.throttle;
            throttle.fail(context, &verified.attempt, Some(id)).await?;
        }
        passed
    }

    async fn renew(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        token: &AccessToken,
        proven: ProvenOwner,
        amr: String,
    ) -> Result<RenewedSession, Error> {
        let secret = match token.session.kind {
            SessionKind::Browser => generate_browser_cookie()?,
            _ => generate_token()?,
        };
        let now = self.0.clock.now();
        let (digest, methods) = (secret.digest().to_hex(), amr.clone());
        let (caller, old) = (Arc::clone(principal), token.clone());
        let ends = Ends::Users(vec![principal.user.id]);
        let renewed = self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &caller, now)?;
            proven.confirm_in(tx, now)?;
            let began = old.renew(tx, &digest, &methods, now)?;
            let began = began.ok_or(Error::InvalidToken)?;
            let event = Event::new(Action::SessionRenew).on_user(user.id);
            let event = event.with("session", old.session.id);
            events.record(event.with("amr", methods.as_str()));
            Ok((user, began))
        });
        let (user, began) = renewed.await?;
        let expires_at = token.expires_at();
        Ok(RenewedSession {
            is_kept: self.is_kept(&token.session.kind, token.session.expires_at - began),
            token: IssuedToken {
                secret,
                session_id: token.session.id,
                scopes: self.usable_scopes(&user, &amr, token.scopes.clone()),
                expires_at,
                lifetime: left(expires_at, now),
                refresh: None,
                device: None,
            },
        })
    }

    /// Whether a session of this kind and lifetime is one that a browser keeps.
    fn is_kept(&self, kind: &SessionKind, lifetime: TimeDelta) -> bool {
        let usual = self.0.config.sessions.browser_lifetime;
        let is_longer = lifetime.to_std().is_ok_and(|lifetime| lifetime > usual);
        *kind == SessionKind::Browser && is_longer
    }

    /// Whether a browser keeps its session beyond its window.
    #[cfg(feature = "pages")]
    pub(crate) fn is_kept_by_browser(&self, token: &AccessToken) -> bool {
        let lifetime = token.session.expires_at - token.created_at;
        self.is_kept(&token.session.kind, lifetime)
    }

    /// Asks for a signature with a passkey of the principal's user, as the proof in [`Auth::renew_session`].
    ///
    /// # Errors
    /// [`Error::PasskeysOff`]; [`Error::FactorNotFound`] for a user without a passkey;
    /// [`Error::LoginTokenRequired`] for an API key; [`Error::TooManyAttempts`] when the client's network has
    /// asked too often; [`Error::Unavailable`].
    pub async fn ask_for_passkey_again(
        &self,
        context: &AuditContext,
        principal: &Principal,
    ) -> Result<PasskeyOptions, Error> {
        self.require_passkeys()?;
        let session = principal.session().ok_or(Error::LoginTokenRequired)?;
        self.0.throttle.count_passkey_options(context).await?;
        let signatory = Signatory::SignedIn {
            id: principal.user.id,
            session: session.id,
        };
        self.ask_for_signature(signatory).await
    }

    /// What the user can show besides the password, as in [`PendingSignIn::methods`](super::PendingSignIn);
    /// nothing for a user whose sign-ins ask for the password only.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    #[cfg(feature = "pages")]
    pub(crate) async fn factor_methods(&self, user_id: i64) -> Result<Vec<&'static str>, Error> {
        if self.0.config.factors.mode == MfaMode::Off {
            return Ok(Vec::new());
        }
        let list = move |conn: &mut _| Factor::list_confirmed(conn, user_id);
        let factors = self.0.store.read(list).await?;
        Ok(match factors.is_empty() {
            true => Vec::new(),
            false => self.methods_of(&factors),
        })
    }
}

fn left(end: NaiveDateTime, now: NaiveDateTime) -> TimeDelta {
    (end - now).max(TimeDelta::zero())
}

/// The methods of a session whose user has shown this as well. A code alone makes no second factor of a session
/// that an operator began; a passkey does whose authenticator has verified the user.
fn shown(methods: &str, by_password: bool, factor: Option<FactorMethods>) -> String {
    let mut shown = methods.to_owned();
    if by_password && !methods.split(' ').any(|method| method == BY_PASSWORD) {
        shown = format!("{BY_PASSWORD} {methods}").trim_end().to_owned();
    }
    match factor {
        Some(factor) if shown.is_empty() && !factor.stands_alone => factor.own.join(" "),
        Some(factor) => with_second_factor(&shown, factor.own),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::{FactorMethods, shown};

    #[test]
    fn session_keeps_what_was_shown_before() {
        let code = Some(FactorMethods::CODE);
        let passkey = |stands_alone| {
            Some(FactorMethods {
                own: &["hwk", "user"],
                after_password: "pwd hwk user mfa",
                stands_alone,
            })
        };
        for (before, by_password, factor, after) in [
            ("pwd", true, None, "pwd"),
            ("pwd", false, code, "pwd otp mfa"),
            ("pwd otp mfa", true, None, "pwd otp mfa"),
            ("pwd otp mfa", false, code, "pwd otp mfa"),
            ("", true, None, "pwd"),
            ("", false, code, "otp"),
            ("", true, code, "pwd otp mfa"),
            ("otp", true, None, "pwd otp"),
            ("hwk user mfa", true, None, "pwd hwk user mfa"),
            ("pwd", false, passkey(false), "pwd hwk user mfa"),
            ("pwd otp mfa", false, passkey(true), "pwd otp mfa hwk user"),
            ("", false, passkey(false), "hwk user"),
            ("", false, passkey(true), "hwk user mfa"),
        ] {
            assert_eq!(shown(before, by_password, factor), after, "{before}");
        }
    }
}
