//! Codes that a browser takes from the sign-in page to a guarded host. They begin nothing: the browser gets
//! another secret of the session that it has, which counts at that host only.

use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;

use super::Auth;
use super::caller::lock_caller;
use crate::audit::{Action, AuditContext, Event};
use crate::credential::browser_cookie::generate_browser_cookie;
use crate::credential::token::{PlainToken, TokenDigest, generate_token};
use crate::error::Error;
use crate::store::{Ends, Principal, SignInCode, User};

/// How long a code is valid: the browser takes it there at once.
const CODE_LIFETIME: TimeDelta = TimeDelta::seconds(30);

/// The most codes of a session that wait to be used. A browser that opens many tabs at once stays below; one
/// that is sent back and forth does not.
const MAX_WAITING_CODES: i64 = 20;

/// Where a code leads.
#[derive(Clone, Debug)]
pub(crate) struct CodeRequest {
    /// The host, with the port unless that is 443.
    pub(crate) audience: String,
    /// The hex SHA-256 of the nonce that the browser has at the host.
    pub(crate) nonce_digest: String,
    /// The URL that the browser wants to see.
    pub(crate) return_url: String,
}

/// What became of a code.
pub(crate) enum Redeemed {
    /// The browser has a token for the host now.
    Signed {
        /// The secret for the cookie of the host.
        secret: PlainToken,
        /// See [`CodeRequest::return_url`].
        return_url: String,
    },
    /// The browser has another nonce than the one that began: another sign-in in it began later, or another
    /// browser began.
    OtherNonce {
        /// See [`CodeRequest::return_url`].
        return_url: String,
    },
    /// The code is unknown, used or expired, or for another host.
    Nothing,
}

impl fmt::Debug for Redeemed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed { .. } => "Signed(..)",
            Self::OtherNonce { .. } => "OtherNonce(..)",
            Self::Nothing => "Nothing",
        })
    }
}

impl Auth {
    /// Issues a code that extends the session of `principal`, a signed-in browser, to a host.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when too many codes wait to be used, or the budget for changes is used up;
    /// [`Error::InvalidToken`] when the session has ended in the meantime; [`Error::Internal`] if the random
    /// generator fails; [`Error::Unavailable`].
    pub(crate) async fn issue_sign_in_code(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        request: CodeRequest,
    ) -> Result<PlainToken, Error> {
        let session = principal.session().ok_or(Error::InvalidToken)?.id;
        let code = generate_token()?;
        let now = self.0.clock.now();
        let stored = SignInCode {
            digest: code.digest().to_hex(),
            session_id: session,
            audience: request.audience,
            nonce_digest: request.nonce_digest,
            return_url: request.return_url,
            expires_at: now + CODE_LIFETIME,
        };
        let (context, principal) = (context.clone().by_owner(principal), Arc::clone(principal));
        // Only the use of the code is recorded: until then nothing has happened.
        self.add(&context, move |tx, _events| {
            lock_caller(tx, &principal, now)?;
            if SignInCode::count_live(tx, session, now)? >= MAX_WAITING_CODES {
                let retry_after = CODE_LIFETIME.to_std().unwrap_or_default();
                return Err(Error::TooManyAttempts { retry_after });
            }
            Ok(stored.insert(tx, now)?)
        })
        .await?;
        Ok(code)
    }

    /// Uses a code up that a browser brings to a host. Of several concurrent calls one gets a token.
    ///
    /// # Parameters
    /// - `audience`: the host, as the proxy names it.
    /// - `nonce_digest`: of the nonce that the browser has for the host; `None` without one.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the user has used up the budget for changes; [`Error::Internal`] if
    /// the random generator fails; [`Error::Unavailable`].
    pub(crate) async fn redeem_sign_in_code(
        &self,
        context: &AuditContext,
        code: &str,
        audience: &str,
        nonce_digest: Option<String>,
    ) -> Result<Redeemed, Error> {
        let digest = TokenDigest::new(code.as_bytes()).to_hex();
        let sought = digest.clone();
        let find = move |conn: &mut _| SignInCode::find_user(conn, &sought);
        let Some((user_id, session_id)) = self.0.store.read(find).await? else {
            return Ok(Redeemed::Nothing);
        };
        let secret = generate_browser_cookie()?;
        let token = TokenDigest::for_host(secret.expose().as_bytes(), audience).to_hex();
        let (audience, now) = (audience.to_owned(), self.0.clock.now());
        let context = context.by_sign_in_code(user_id, session_id);
        let redeemed = self.change(&context, Ends::Users(vec![user_id]), move |tx, events| {
            let user = User::lock_owner(tx, user_id)?;
            let is_enabled = user.is_some_and(|user| user.disabled_at.is_none());
            let taken = SignInCode::take(tx, &digest)?;
            let taken = taken.filter(|(code, session)| {
                is_enabled
                    && session.user_id == user_id
                    && code.audience == audience
                    && code.expires_at > now
                    && session.expires_at > now
            });
            let Some((code, session)) = taken else {
                return Ok(Redeemed::Nothing);
            };
            let is_same_browser = nonce_digest.is_some_and(|nonce| nonce == code.nonce_digest);
            let event = match is_same_browser {
                true => Event::new(Action::SessionHost),
                false => Event::refused(Action::SessionHost).with("reason", "nonce"),
            };
            let event = event.on_user(user_id).with("session", code.session_id);
            events.record(event.with("host", code.audience.as_str()));
            let return_url = code.return_url.clone();
            if !is_same_browser {
                return Ok(Redeemed::OtherNonce { return_url });
            }
            code.store_token(tx, &session, &token, now)?;
            Ok(Redeemed::Signed { secret, return_url })
        });
        redeemed.await
    }
}
