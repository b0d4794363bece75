//! Refresh tokens (RFC 6749 section 6): each use gives the next one, and the same use again gives the
//! same one again, because the answer may have been lost. A token that is older than the one before
//! the current one is a copy, and ends the session.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use super::device_name::device_name;
use super::session::{IssuedToken, Refreshable, claim_if_needed, end_after};
use super::session_uses::is_unused;
use super::sign_in::choose_session_scopes;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::credential::refresh_token::{RefreshToken, Seed};
use crate::credential::token::PlainToken;
use crate::error::Error;
use crate::store::{
    Claims, Ends, NextTokens, Revoking, Sessions, StoreError, StoredRefresh, User, Writing,
};

/// What a transaction has done with a presented token.
enum Outcome {
    Issued(Box<Issued>),
    /// There is no such session any more.
    Refused,
    /// The session has ended, because another token had replaced the presented one long before.
    Reused,
}

struct Issued {
    access: PlainToken,
    next: RefreshToken,
    scopes: String,
    /// When the login token and the session end.
    ends: (NaiveDateTime, NaiveDateTime),
}

/// A refresh, and what it is allowed to do.
struct Refresh {
    presented: RefreshToken,
    scope: Option<String>,
    salt: Seed,
    now: NaiveDateTime,
    context: AuditContext,
}

impl Auth {
    /// Exchanges a refresh token for a login token and the next refresh token. The login token has the
    /// scopes in `scope`, or all of the session's. The same token again gets the same answer for
    /// `TOKENHOUSE_REFRESH_GRACE`, and as long as the client has used nothing of the answer.
    ///
    /// # Errors
    /// [`Error::InvalidGrant`] for a token that is unknown or of a session that has ended: the client
    /// signs in again; [`Error::RefreshTokenReused`] for a token that ends its session. These spend
    /// nothing: [`Error::InvalidScope`] for a scope that the session does not have;
    /// [`Error::TooManyAttempts`] when the user's budget for changes is used up;
    /// [`Error::Unavailable`].
    pub async fn refresh(
        &self,
        context: &AuditContext,
        presented: &str,
        scope: Option<&str>,
    ) -> Result<IssuedToken, Error> {
        let presented = self.parse_refresh_token(presented.as_bytes()).await?;
        let presented = presented.ok_or(Error::InvalidGrant)?;
        let session_id = presented.session_id;
        let now = self.0.clock.now();
        let find = move |conn: &mut _| {
            let Some(stored) = StoredRefresh::find(conn, session_id)? else {
                return Ok(None);
            };
            let ending = stored.count_ending(conn, now)?;
            Ok(Some((stored, ending)))
        };
        let (stored, ending) = self.0.store.read(find).await?.ok_or(Error::InvalidGrant)?;
        let ends_early = ending > 0 && presented.counter == stored.counter;
        let refresh = Arc::new(Refresh {
            presented,
            scope: scope.map(str::to_owned),
            salt: Seed::generate()?,
            now,
            context: context.clone(),
        });
        let user_id = stored.user_id;
        let spender = context.by_refresh_token(user_id, session_id);
        // Once for both attempts.
        self.0.throttle.take_change(&spender)?;
        let attempt = async |may_end: bool| {
            let claims = Claims {
                users: Vec::from_iter(may_end.then_some(user_id)),
                locked: Some(user_id),
                ..Claims::default()
            };
            let (auth, refresh) = (self.clone(), Arc::clone(&refresh));
            let work = move |tx: &mut Revoking<'_>, events: &mut Events| {
                auth.refresh_in(tx, events, user_id, &refresh, may_end)
            };
            self.0.audit.grouped(&spender, claims, work).await
        };
        let issued = match claim_if_needed(ends_early, attempt).await? {
            Some(Outcome::Issued(issued)) => issued,
            Some(Outcome::Reused) => return Err(Error::RefreshTokenReused),
            Some(Outcome::Refused) | None => return Err(Error::InvalidGrant),
        };
        let (token_end, session_end) = issued.ends;
        let left = |end: NaiveDateTime| (end - now).max(TimeDelta::zero());
        Ok(IssuedToken {
            secret: issued.access,
            session_id,
            scopes: issued.scopes,
            expires_at: token_end,
            lifetime: left(token_end),
            refresh: Some(Refreshable {
                token: issued.next,
                lifetime: left(session_end),
            }),
            device: None,
        })
    }

    /// For a user whose row is locked. `None` if credentials have to end, and `may_end` is false.
    fn refresh_in(
        &self,
        tx: &mut Revoking<'_>,
        events: &mut Events,
        user_id: i64,
        refresh: &Refresh,
        may_end: bool,
    ) -> Result<Option<Outcome>, Error> {
        let user = User::find(tx, user_id)?.filter(|user| user.disabled_at.is_none());
        let stored = StoredRefresh::lock(tx, refresh.presented.session_id)?;
        let (Some(user), Some(stored)) = (user, stored) else {
            return Ok(Some(Outcome::Refused));
        };
        if stored.has_ended(refresh.now) {
            return Ok(Some(Outcome::Refused));
        }
        let digest = refresh.presented.digest().to_hex();
        // Of those of the session (RFC 6749 section 6).
        let (scopes, _) = choose_session_scopes(&stored.scopes, refresh.scope.as_deref())?;
        if refresh.presented.counter == stored.counter && digest == stored.digest {
            if !may_end && stored.count_ending(tx, refresh.now)? > 0 {
                return Ok(None);
            }
            let issued = self.rotate(tx, &stored, refresh, scopes)?;
            return Ok(Some(self.with_usable_scopes(&user, &stored.amr, issued)));
        }
        let is_previous =
            refresh.presented.counter + 1 == stored.counter && digest == stored.previous_digest;
        if is_previous && self.may_repeat(&stored, refresh) {
            let issued = self.repeat(tx, &stored, refresh)?;
            return Ok(Some(self.with_usable_scopes(&user, &stored.amr, issued)));
        }
        if !may_end {
            return Ok(None);
        }
        Sessions::end(tx, user.id, stored.session_id)?;
        let event = Event::refused(Action::SessionRefreshReuse).on_user(user_id);
        // Not by the user: either this client or an earlier one is a thief.
        let event = event.with("session", stored.session_id);
        events.record_by(refresh.context.clone(), event);
        self.tell_of_reuse(tx, &refresh.context, &user)?;
        Ok(Some(Outcome::Reused))
    }

    /// Tells the client the scopes that the user may use now; those of the session stay.
    fn with_usable_scopes(&self, user: &User, amr: &str, mut outcome: Outcome) -> Outcome {
        if let Outcome::Issued(issued) = &mut outcome {
            let scopes = std::mem::take(&mut issued.scopes);
            issued.scopes = self.usable_scopes(user, amr, scopes);
        }
        outcome
    }

    /// Gives the next tokens.
    fn rotate(
        &self,
        tx: &mut Revoking<'_>,
        stored: &StoredRefresh,
        refresh: &Refresh,
        scopes: String,
    ) -> Result<Outcome, StoreError> {
        let key = self.0.refresh_key.get(tx)?;
        let salt = refresh.salt.as_salt();
        let next = refresh.presented.next(&key, salt);
        let access = refresh.presented.next_access_token(&key, salt);
        let lifetime = self.0.config.sessions.refresh_access_lifetime;
        let token_end = end_after(refresh.now, lifetime).min(stored.expires_at);
        let tokens = NextTokens {
            digest: next.digest().to_hex(),
            salt,
            access_token: access.digest().to_hex(),
            expires_at: token_end,
            scopes: scopes.clone(),
            ip: refresh.context.ip(),
            user_agent: refresh.context.user_agent().to_owned(),
        };
        stored.rotate(tx, tokens, refresh.now)?;
        Ok(Outcome::Issued(Box::new(Issued {
            access,
            next,
            scopes,
            ends: (token_end, stored.expires_at),
        })))
    }

    /// Whether the token before the current one is answered again: to the same kind of client, for the
    /// grace, and beyond that as long as nothing of the answer was used.
    fn may_repeat(&self, stored: &StoredRefresh, refresh: &Refresh) -> bool {
        let grace = self.0.config.sessions.refresh_grace;
        if grace.is_zero() {
            return false;
        }
        let is_same_client =
            device_name(&stored.user_agent) == device_name(refresh.context.user_agent());
        let is_recent = refresh.now < end_after(stored.rotated_at, grace);
        is_same_client && (is_recent || !stored.is_received)
    }

    /// Gives the current tokens again.
    fn repeat(
        &self,
        tx: &mut Writing<'_>,
        stored: &StoredRefresh,
        refresh: &Refresh,
    ) -> Result<Outcome, Error> {
        let key = self.0.refresh_key.get(tx)?;
        let next = refresh.presented.next(&key, &stored.salt);
        let access = refresh.presented.next_access_token(&key, &stored.salt);
        if next.digest().to_hex() != stored.digest {
            log::error!(
                "session {}: a refresh cannot be repeated",
                stored.session_id
            );
            return Err(Error::Internal);
        }
        let issued = stored.find_access_token(tx, &access.digest().to_hex())?;
        // It may have expired, and been deleted.
        let (scopes, token_end) = issued.unwrap_or((stored.scopes.clone(), refresh.now));
        Ok(Outcome::Issued(Box::new(Issued {
            access,
            next,
            scopes,
            ends: (token_end, stored.expires_at),
        })))
    }

    /// Reads a presented refresh token; `None` if it was not issued here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn parse_refresh_token(
        &self,
        presented: &[u8],
    ) -> Result<Option<RefreshToken>, Error> {
        let key = match self.0.refresh_key.cached() {
            Some(key) => Some(key),
            None => {
                let refresh_key = self.0.refresh_key.clone();
                let find = move |conn: &mut _| refresh_key.find(conn);
                self.0.store.read(find).await?
            }
        };
        // Without a key there has been no token.
        Ok(key.and_then(|key| RefreshToken::parse(&key, presented)))
    }

    /// Ends the session of a refresh token, whatever its number; with `owner`, only if it belongs to this
    /// user. Ignores anything else, without an error.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn revoke_refresh_token(
        &self,
        context: &AuditContext,
        presented: &[u8],
        owner: Option<i64>,
    ) -> Result<(), Error> {
        let Some(token) = self.parse_refresh_token(presented).await? else {
            return Ok(());
        };
        let session_id = token.session_id;
        let find = move |conn: &mut _| StoredRefresh::find(conn, session_id);
        let stored = self.0.store.read(find).await?;
        let is_own = |stored: &StoredRefresh| owner.is_none_or(|owner| owner == stored.user_id);
        let Some(stored) = stored.filter(is_own) else {
            return Ok(());
        };
        let user_id = stored.user_id;
        let ends = Ends::Users(vec![user_id]);
        let ended = self.change(context, ends, move |tx, events| {
            if Sessions::end(tx, user_id, session_id)? {
                let event = Event::new(Action::TokenRevoke).on_user(user_id);
                events.record(event.with("session", session_id));
            }
            Ok(())
        });
        ended.await
    }
}

impl StoredRefresh {
    /// Whether the session has reached its fixed end, or was not used for too long.
    fn has_ended(&self, now: NaiveDateTime) -> bool {
        self.expires_at <= now || is_unused(self.idle_seconds, self.last_used_at, now)
    }
}
