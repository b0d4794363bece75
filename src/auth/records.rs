//! What operators, clients and the service itself do that changes no account, and is on record all the
//! same.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::Auth;
use super::admin::Administrator;
use super::audit::{Action, Event, Origin};
use super::throttle::network;
use crate::error::Error;
use crate::store::{ApiKey, AuditHead, Principal};

/// Pairs of a client and a network that are remembered; beyond those, networks are not told apart.
const MAX_PAIRS: usize = 10_000;

/// The start of the service, while it is not written yet.
#[derive(Default)]
pub(super) struct Start(Mutex<Option<Event>>);

/// The clients that have introspected since the start of this process, and from which networks.
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
    /// Puts the start of the service into the trail, with its version, a digest of its settings and
    /// the migrations that opening the database has run. While the database does not take it, it is
    /// tried again with the chores.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it was not written yet.
    pub async fn note_start(&self, version: &str, settings_digest: &str) -> Result<(), Error> {
        let event = Event::new(Action::ServiceStart).with("version", version);
        let event = event.with("settings", settings_digest);
        let event = match self.migrated() {
            [] => event,
            names => event.with("ran", names),
        };
        *self
            .0
            .start
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(event);
        self.write_start().await
    }

    /// Writes the start of the service if that is still to be done.
    pub(super) async fn write_start(&self) -> Result<(), Error> {
        let start = || {
            self.0
                .start
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let Some(event) = start().take() else {
            return Ok(());
        };
        let noted = self.note_event(&Origin::service(), event.clone()).await;
        if noted.is_err() {
            *start() = Some(event);
        }
        noted
    }

    /// Puts the end of the service into the trail.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn note_stop(&self) -> Result<(), Error> {
        let event = Event::new(Action::ServiceStop);
        self.note_event(&Origin::service(), event).await
    }

    /// Puts into the trail which migrations were run. Not on a new database, whose trail begins with
    /// the service.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn note_migrations(&self, origin: &Origin, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let head = self.0.store.read(AuditHead::find).await?;
        if head.is_none_or(|head| head.is_new()) {
            return Ok(());
        }
        let event = Event::new(Action::Migrate).with("ran", names);
        self.note_event(origin, event).await
    }

    /// The migrations that opening the database has run.
    pub fn migrated(&self) -> &[String] {
        self.0.store.migrated()
    }

    /// Puts into the trail that the database is copied into this file; `has_failed` when it was not.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then no copy must be made.
    pub async fn note_backup(
        &self,
        operator: &Administrator,
        file: &str,
        has_failed: bool,
    ) -> Result<(), Error> {
        let event = if has_failed {
            Event::refused(Action::Backup)
        } else {
            Event::new(Action::Backup)
        };
        self.note_event(&operator.origin, event.with("file", file))
            .await
    }

    /// Puts into the trail that the events after this id are printed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then nothing must be printed.
    pub async fn note_export(&self, operator: &Administrator, after: i64) -> Result<(), Error> {
        let event = Event::new(Action::AuditExport).with("after", after);
        self.note_event(&operator.origin, event).await
    }

    /// Puts into the trail that so many of the last events are printed, and those to come with
    /// `follow`.
    ///
    /// # Errors
    /// As [`Auth::note_export`].
    pub async fn note_tail(
        &self,
        operator: &Administrator,
        lines: i64,
        follow: bool,
    ) -> Result<(), Error> {
        let event = Event::new(Action::EventRead).with("limit", lines);
        self.note_event(&operator.origin, event.with("follow", follow))
            .await
    }

    /// The keys of a user, as [`Auth::list_keys`] for an operator. That they were looked at is an
    /// event.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_keys_of(
        &self,
        operator: &Administrator,
        id: i64,
    ) -> Result<Vec<ApiKey>, Error> {
        let event = Event::new(Action::KeyRead).on_user(id);
        self.note_event(&operator.origin, event).await?;
        self.list_keys(id).await
    }

    /// As [`Auth::prune_tokens`] for an operator, with an event.
    ///
    /// # Errors
    /// As [`Auth::prune_tokens`].
    pub async fn prune_tokens_for(&self, operator: &Administrator) -> Result<usize, Error> {
        let pruned = self.prune_tokens().await?;
        let event = Event::new(Action::TokenPrune).with("count", pruned);
        self.note_event(&operator.origin, event).await?;
        Ok(pruned)
    }

    /// Puts into the trail that a client introspects: the user of a session with the scope, or
    /// without one the static key. Once for each client and network and run of the
    /// service, because a busy client asks thousands of times a second.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then the client must not be told.
    pub async fn note_introspection(
        &self,
        origin: &Origin,
        principal: Option<&Principal>,
    ) -> Result<(), Error> {
        let origin = match principal {
            Some(principal) => origin.clone().by(principal, crate::scope::INTROSPECT),
            None => origin.clone().by_static_key(),
        };
        let pair = (origin.client_name(), network(origin.address()));
        let clients = &self.0.introspection_clients;
        if clients.is_known(&pair) {
            return Ok(());
        }
        self.note_event(&origin, Event::new(Action::Introspect))
            .await?;
        clients.remember(pair);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_new_once_for_each_network_and_the_memory_is_bounded() {
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
            "others are still told apart"
        );
        assert!(clients.0.lock().unwrap().len() <= MAX_PAIRS + 2);
    }
}
