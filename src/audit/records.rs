//! Events of operators and of the service itself that change no account.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Action, AuditContext, AuditTrail, Event};
use crate::error::Error;
use crate::store::AuditHead;

/// The start event of the service, until it is written.
#[derive(Default)]
pub(super) struct PendingStart(Mutex<Option<Event>>);

impl PendingStart {
    fn lock(&self) -> MutexGuard<'_, Option<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditTrail {
    /// Records the start of the service, with its version, a digest of its settings and the
    /// migrations that opening the database has run. On an error the event stays pending, and
    /// [`crate::Auth::flush`] tries again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the event is not written yet.
    pub async fn record_start(&self, version: &str, settings_digest: &str) -> Result<(), Error> {
        let event = Event::new(Action::ServiceStart).with("version", version);
        let event = event.with("settings", settings_digest);
        let event = match self.0.store.migrated() {
            [] => event,
            names => event.with("ran", names),
        };
        *self.0.start.lock() = Some(event);
        self.flush_start().await
    }

    /// Writes the start of the service if it is pending.
    pub(crate) async fn flush_start(&self) -> Result<(), Error> {
        let Some(event) = self.0.start.lock().take() else {
            return Ok(());
        };
        let recorded = self.record(&AuditContext::service(), event.clone()).await;
        recorded.inspect_err(|_error| *self.0.start.lock() = Some(event))
    }

    /// Records the end of the service.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn record_stop(&self) -> Result<(), Error> {
        let event = Event::new(Action::ServiceStop);
        self.record(&AuditContext::service(), event).await
    }

    /// Records which migrations ran, except on a new database, whose trail begins when the service
    /// starts.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn record_migrations(
        &self,
        context: &AuditContext,
        names: &[String],
    ) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let head = self.0.store.read(AuditHead::find).await?;
        if head.is_none_or(|head| head.is_new()) {
            return Ok(());
        }
        let event = Event::new(Action::Migrate).with("ran", names);
        self.record(context, event).await
    }

    /// Records that the database is copied to this file, or with `has_failed`, that the copy
    /// failed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then no copy must be made.
    pub async fn record_backup(
        &self,
        operator: &AuditContext,
        file: &str,
        has_failed: bool,
    ) -> Result<(), Error> {
        let event = if has_failed {
            Event::refused(Action::Backup)
        } else {
            Event::new(Action::Backup)
        };
        self.record(operator, event.with("file", file)).await
    }

    /// Records that the events after this id are printed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then nothing must be printed.
    pub async fn record_export(&self, operator: &AuditContext, after: i64) -> Result<(), Error> {
        let event = Event::new(Action::AuditExport).with("after", after);
        self.record(operator, event).await
    }

    /// Records that at most `lines` of the last events are printed, and with `follow` also the
    /// following ones.
    ///
    /// # Errors
    /// The same as [`Self::record_export`].
    pub async fn record_tail(
        &self,
        operator: &AuditContext,
        lines: i64,
        follow: bool,
    ) -> Result<(), Error> {
        let event = Event::new(Action::EventRead).with("limit", lines);
        self.record(operator, event.with("follow", follow)).await
    }
}
