//! Login tokens: checked at every use, revoked at sign-out. [`Auth::sign_in`] issues them.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::session::is_multi_factor;
use super::{Auth, session_uses};
use crate::audit::{Action, AuditContext, Event};
use crate::config::Verification;
use crate::credential::{Candidates, Place};
use crate::error::Error;
use crate::scope;
use crate::store::{
    AccessToken, Claims, Credential, Principal, SessionKind, SessionState, Sessions, StoreError,
    User,
};

impl Auth {
    /// Returns the user of a login token or API key. A credential is valid until the moment it
    /// expires, exclusive.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when the credential is unknown, expired, revoked or belongs to a
    /// disabled user; [`Error::UserRequired`] for the key of an app; [`Error::Unavailable`] when the
    /// database does not answer: the result is never a guess.
    pub async fn check_token(&self, presented: &[u8]) -> Result<Arc<Principal>, Error> {
        require_user(self.check_credential(presented).await?)
    }

    /// Like [`Self::check_token`], but also for the key of an app.
    pub(super) async fn check_credential(&self, presented: &[u8]) -> Result<Arc<Principal>, Error> {
        let candidates = Candidates::parse(presented).ok_or(Error::InvalidToken)?;
        match self.recall_principal(&candidates) {
            Some(outcome) => outcome,
            None => self.find_principal(candidates).await,
        }
    }

    /// Like [`Self::check_credential`], but only from the cache; `None` when the cache does not hold the
    /// credential.
    pub(crate) fn recall_principal(
        &self,
        candidates: &Candidates,
    ) -> Option<Result<Arc<Principal>, Error>> {
        let now = self.0.clock.now();
        let principal = self.recall_any(candidates, now)?;
        Some(self.admit(principal, now))
    }

    /// Like [`Self::check_credential`], but only from the database.
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

    /// Returns the stored principal of a credential, expired or not, from the cache if possible.
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
            .filter(|principal| belongs(principal, candidates.place()))
    }

    async fn find_any(&self, candidates: Candidates) -> Result<Option<Arc<Principal>>, StoreError> {
        for credential in candidates.iter() {
            if let Some(principal) = self
                .0
                .store
                .fetch_principal(credential, self.0.clock.now())
                .await?
            {
                return Ok(Some(principal).filter(|found| belongs(found, candidates.place())));
            }
        }
        Ok(None)
    }

    /// Checks at each use that the credential is valid: a cached principal may have expired since.
    fn admit(
        &self,
        principal: Arc<Principal>,
        now: NaiveDateTime,
    ) -> Result<Arc<Principal>, Error> {
        let user = &principal.user;
        // An app has keys only; a login token of one did not come from here.
        let is_of_app = user.is_app && matches!(principal.credential, Credential::LoginToken(_));
        let is_idle = |session: &SessionState| {
            session_uses::is_idle(session.idle_seconds, principal.session_used_at(), now)
        };
        let is_good = principal.credential.expires_at() > now
            && user.disabled_at.is_none()
            && !is_of_app
            && !principal.session().is_some_and(is_idle);
        if !is_good {
            self.0.metrics.checks_refused.inc();
            return Err(Error::InvalidToken);
        }
        if self.withholds_scopes(user) {
            principal.withhold_scopes();
        }
        let session = principal.session();
        if let Some(withheld) = session.and_then(|session| self.withheld_from(&session.amr)) {
            principal.withhold_these(withheld);
        }
        self.0.metrics.checks_ok.inc();
        match &principal.credential {
            Credential::LoginToken(token) => self.record_session_use(&principal, token, now),
            Credential::ApiKey(used) => self.record_key_use(&principal, used),
        }
        Ok(principal)
    }

    /// What the client of a session learns of its scopes: those that the user may use now (RFC 6749 section
    /// 5.1). `amr` says how the user has signed in. The session keeps the others.
    pub(super) fn usable_scopes(&self, user: &User, amr: &str, scopes: String) -> String {
        match self.withheld_from(amr) {
            _ if self.withholds_scopes(user) => String::new(),
            Some(withheld) => scope::difference(&scopes, withheld),
            None => scopes,
        }
    }

    /// The scopes that sessions with these methods lack; `None` if none, as after a second factor.
    fn withheld_from(&self, amr: &str) -> Option<&Arc<str>> {
        let withheld = &self.0.config.factors.scopes;
        (!withheld.is_empty() && !is_multi_factor(amr)).then_some(withheld)
    }

    /// Whether the user holds no scopes, because the address is not verified.
    pub(super) fn withholds_scopes(&self, user: &User) -> bool {
        self.0.config.flows.verification == Verification::Scopes
            && user.email_verified_at.is_none()
            && !user.is_app
    }

    /// Ends the session of a login token. When this returns, no process on this database accepts a token
    /// of it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke_token(
        &self,
        context: &AuditContext,
        token: &AccessToken,
    ) -> Result<(), Error> {
        let token = token.clone();
        let claims = Claims {
            users: vec![token.user_id],
            ..Claims::default()
        };
        self.change_in_group(context, claims, move |tx, events| {
            if Sessions::end_of_token(tx, &token.access_token)? {
                events.record(Event::new(Action::Logout).on_user(token.user_id));
            }
            Ok(())
        })
        .await
    }
}

/// Whether the credential of a principal is one that requests carry in this place. The form of the
/// secret decides first; this holds even if a row of the database says otherwise.
fn belongs(principal: &Principal, place: Place) -> bool {
    let kind = principal.session().map(|session| session.kind);
    match place {
        Place::Cookie => kind == Some(SessionKind::Browser),
        Place::Header => matches!(kind, None | Some(SessionKind::Api | SessionKind::Issued)),
    }
}

/// Refuses an app where a user is meant.
///
/// # Errors
/// [`Error::UserRequired`]
pub(crate) fn require_user(principal: Arc<Principal>) -> Result<Arc<Principal>, Error> {
    if principal.is_app() {
        Err(Error::UserRequired)
    } else {
        Ok(principal)
    }
}
