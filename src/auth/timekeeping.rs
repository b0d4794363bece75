//! Decides whether the clock can be trusted. Data that is deleted for its age is lost permanently,
//! so nothing is deleted while the clock is far ahead of the latest time that any process has seen.

use chrono::NaiveDateTime;
#[cfg(any(feature = "cli", feature = "testing"))]
use chrono::{DateTime, Utc};

use super::Auth;
#[cfg(any(feature = "cli", feature = "testing"))]
use super::session_uses::is_unused;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::error::Error;
use crate::store::clock_mark::{self, STORE_INTERVAL};
#[cfg(any(feature = "cli", feature = "testing"))]
use crate::store::{AccessToken, ApiKey, Ends, Revoking, Sessions};
use crate::store::{AuditEvent, AuditHead, StoreConnection, Writing};

/// The times that a clock is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSeen {
    /// The latest time that a process has seen and trusted, UTC.
    pub latest: Option<NaiveDateTime>,
    /// When the last event happened, UTC.
    pub last_event: Option<NaiveDateTime>,
}

impl Auth {
    /// Returns whether the clock can be trusted: it is at most seven days ahead of the latest time
    /// seen. A trusted time becomes the latest time. Data is deleted for its age only while the
    /// clock is trusted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn check_clock(&self) -> Result<bool, Error> {
        Ok(self.0.store.observe_time(&self.0.clock).await?)
    }

    /// Trusts the machine's clock, however far it is from the latest time seen. Only the operator
    /// does this, and it is recorded. When the clock is behind, expired credentials may become
    /// valid again, and processes that have seen the later time must be restarted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn confirm_clock(&self) -> Result<(), Error> {
        let is_trusted = self.check_clock().await?;
        let now = self.0.clock.machine_time();
        if is_trusted && self.0.clock.now() - now < STORE_INTERVAL {
            return Ok(());
        }
        let confirm = move |tx: &mut Writing<'_>, events: &mut Events| {
            let mut event = Event::new(Action::ClockConfirm);
            if let Some(seen) = clock_mark::find(tx)? {
                event = event.with("latest_before", seen.and_utc().to_rfc3339());
            }
            events.record(event);
            Ok::<_, Error>(clock_mark::set(tx, now)?)
        };
        let operator = AuditContext::operator();
        self.0.audit.writing(&operator, confirm).await?;
        self.0.clock.reset(now);
        Ok(())
    }

    /// Sets the manual clock of a test, however far and in either direction, and trusts it. What has
    /// expired before the clock goes back stays expired.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; then the clock is unchanged.
    #[cfg(any(feature = "cli", feature = "testing"))]
    pub(crate) async fn set_clock(&self, at: DateTime<Utc>, ticks: bool) -> Result<(), Error> {
        let (store, clock) = (&self.0.store, &self.0.clock);
        let (before, after) = (clock.now(), at.naive_utc());
        if after < before {
            self.flush_session_uses().await?;
            let end_expired = move |tx: &mut Revoking<'_>| {
                AccessToken::prune(tx, before, i64::MAX)?;
                Sessions::prune(tx, before, i64::MAX)?;
                for session in Sessions::list_with_idle_end(tx)? {
                    if is_unused(session.idle_seconds, session.last_used_at, before) {
                        Sessions::end(tx, session.user_id, session.id)?;
                    }
                }
                ApiKey::revoke_expired(tx, before)?;
                Ok::<_, Error>(())
            };
            store.revoking(Ends::Everyone, end_expired).await?;
        }
        store
            .writing(move |tx| Ok::<_, Error>(clock_mark::set(tx, after)?))
            .await?;
        clock.set(at, ticks);
        clock.reset(after);
        Ok(())
    }

    /// Returns the times to compare a clock with.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn time_seen(&self) -> Result<TimeSeen, Error> {
        let read = |conn: &mut StoreConnection| {
            let last = match AuditHead::find(conn)? {
                Some(head) => AuditEvent::find(conn, head.last_id)?,
                None => None,
            };
            Ok(TimeSeen {
                latest: clock_mark::find(conn)?,
                last_event: last.map(|event| event.at),
            })
        };
        Ok(self.0.store.read(read).await?)
    }
}
