//! Introspection (RFC 7662) and revocation (RFC 7009) of credentials that a client presents.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::Auth;
use crate::audit::{Action, AuditContext, Event};
use crate::credential::Candidates;
use crate::error::Error;
use crate::scope;
use crate::store::{ApiKey, Credential, Ends, Principal};

/// Recorded instead of a required scope that is not a valid name.
const NOT_A_SCOPE: &str = "(not a scope)";

/// Maximum number of pairs of a client and a network that are kept; beyond that, networks are not
/// distinguished.
const MAX_PAIRS: usize = 10_000;

/// The clients that have introspected since this process started, with their networks.
#[derive(Default)]
pub(super) struct IntrospectionClients(Mutex<HashSet<(String, String)>>);

impl IntrospectionClients {
    fn is_known(&self, pair: &(String, String)) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(pair)
            || (known.len() >= MAX_PAIRS && known.contains(&(pair.0.clone(), String::new())))
    }

    fn remember(&self, (client, network): (String, String)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_PAIRS {
            known.insert((client, network));
        } else if known.len() < 2 * MAX_PAIRS {
            known.insert((client, String::new()));
        }
    }
}

impl Auth {
    /// Records that a client introspects: a principal that holds the scope, or without one, a
    /// client with the static key. Records once per client, network and process, because a busy
    /// client introspects thousands of times a second.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then the client must not receive a
    /// result.
    pub async fn record_introspection(
        &self,
        context: &AuditContext,
        principal: Option<&Principal>,
    ) -> Result<(), Error> {
        let context = match principal {
            Some(principal) => context.clone().by(principal, scope::INTROSPECT),
            None => context.clone().by_static_key(),
        };
        let pair = (context.client_name(), context.network().to_string());
        let clients = &self.0.introspection_clients;
        if clients.is_known(&pair) {
            return Ok(());
        }
        self.record(&context, Event::new(Action::Introspect))
            .await?;
        clients.remember(pair);
        Ok(())
    }

    /// Records that a principal lacks a scope, and returns the error for it:
    /// [`Error::SecondFactorRequired`] if a session with a second factor would have the scope. Neither repeats a text
    /// that is not a scope name.
    pub(crate) async fn refuse_scope(
        &self,
        context: &AuditContext,
        principal: &Principal,
        scope: &str,
    ) -> Error {
        let scope = if scope::is_name(scope) {
            scope
        } else {
            NOT_A_SCOPE
        };
        let context = context.clone().by(principal, scope);
        let event = Event::refused(Action::ScopeRefused);
        match self.0.audit.record_denial(&context, event).await {
            Ok(()) if principal.withholds(scope) => Error::SecondFactorRequired,
            Ok(()) => Error::InsufficientScope(scope.to_owned()),
            Err(error) => error,
        }
    }

    /// Returns the principal of a credential; `None` when the credential is unknown, expired,
    /// revoked or belongs to a disabled user, without distinguishing these cases.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn introspect(&self, presented: &[u8]) -> Result<Option<Arc<Principal>>, Error> {
        match self.check_credential(presented).await {
            Ok(principal) => Ok(Some(principal)),
            Err(Error::InvalidToken) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Revokes a credential for any client that presents it; with a `caller`, only if it belongs to
    /// the caller. Ignores a credential that is unknown or belongs to another user, without an
    /// error. When this returns, no process on this database accepts the credential.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke(
        &self,
        context: &AuditContext,
        presented: &[u8],
        caller: Option<&Principal>,
    ) -> Result<(), Error> {
        let Some(candidates) = Candidates::parse(presented) else {
            let context = match caller {
                Some(caller) => context.clone().by_owner(caller),
                None => context.clone(),
            };
            let owner = caller.map(|caller| caller.user.id);
            return self.revoke_refresh_token(&context, presented, owner).await;
        };
        let principal = self.look_up(candidates).await?;
        let is_own = |principal: &Arc<Principal>| {
            caller.is_none_or(|caller| caller.user.id == principal.user.id)
        };
        let Some(principal) = principal.filter(is_own) else {
            return Ok(());
        };
        let context = match caller {
            Some(caller) => context.clone().by_owner(caller),
            None => context.clone().by(&principal, "possession"),
        };
        let ends = Ends::Users(vec![principal.user.id]);
        let now = self.0.clock.now();
        let revoked = self.change(&context, ends, move |tx, events| {
            let event = Event::new(Action::TokenRevoke);
            let (was_there, event) = match &principal.credential {
                Credential::LoginToken(token) => {
                    (token.revoke(tx)?, event.on_user(principal.user.id))
                }
                Credential::ApiKey(used) => (
                    ApiKey::revoke(tx, principal.user.id, used.key.id, now)?,
                    event.on_key(used.key.id),
                ),
            };
            if was_there {
                events.record(event);
            }
            Ok(())
        });
        revoked.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_new_once_per_network_and_memory_is_bounded() {
        let clients = IntrospectionClients::default();
        let pair = |client: &str, network: usize| (client.to_owned(), network.to_string());
        let is_new = |pair: (String, String)| {
            let is_new = !clients.is_known(&pair);
            clients.remember(pair);
            is_new
        };
        assert!(is_new(pair("a", 1)) && !is_new(pair("a", 1)) && is_new(pair("a", 2)));
        let new = (0..100_000)
            .filter(|network| is_new(pair("b", *network)))
            .count();
        assert!(new <= MAX_PAIRS + 1, "{new}");
        assert!(
            is_new(pair("c", 1)) && !is_new(pair("c", 2)),
            "clients are still distinguished"
        );
        assert!(clients.0.lock().unwrap().len() <= MAX_PAIRS + 2);
    }
}
