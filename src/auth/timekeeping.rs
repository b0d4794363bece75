//! Whether the clock can be trusted. What is deleted for its age is gone for good, so nothing is
//! while the clock is far ahead of the latest time that any process has seen.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use super::audit::{Action, Event, Events, Origin};
use crate::clock::MAX_STEP;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, StoreConnection, StoreError, Writing, clock_mark};

/// How far the clock moves before that is stored.
const STORE_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Whether the log says already that the clock is not trusted.
#[derive(Default)]
pub(super) struct Warned(AtomicBool);

/// What is known of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSeen {
    /// The latest time that a process has seen and trusted, UTC.
    pub latest: Option<NaiveDateTime>,
    /// When the last event happened, UTC.
    pub last_event: Option<NaiveDateTime>,
}

impl Auth {
    /// Whether the clock can be trusted: it is no more than seven days ahead of the latest time that
    /// was seen. If so, that moves on. What is deleted for its age is deleted only then.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn check_clock(&self) -> Result<bool, Error> {
        Ok(self.keep_time().await?)
    }

    /// As [`Self::check_clock`], and says in the log when it is not trusted, once.
    ///
    /// # Errors
    /// As [`Self::check_clock`].
    pub async fn watch_clock(&self) -> Result<(), Error> {
        let is_trusted = self.keep_time().await?;
        let was_said = self.0.clock_warned.0.swap(!is_trusted, Ordering::Relaxed);
        if !is_trusted && !was_said {
            log::warn!(
                "the clock is more than {} days ahead of the latest time seen: nothing is deleted for \
                 its age until it is right again, or an operator says that it is (tokenhouse audit \
                 prune --confirm)",
                MAX_STEP.num_days()
            );
        }
        Ok(())
    }

    pub(super) async fn keep_time(&self) -> Result<bool, StoreError> {
        let clock = &self.0.clock;
        let stored = self.0.store.read(clock_mark::find).await?;
        // None in a new database, or in one whose mark was deleted by hand.
        clock.note(stored.unwrap_or_else(|| clock.now()));
        if !clock.is_trusted() {
            return Ok(false);
        }
        let now = clock.now();
        if stored.is_none_or(|stored| now - stored >= STORE_INTERVAL) {
            let advance =
                move |tx: &mut Writing<'_>| clock_mark::advance(tx, now).map_err(StoreError::from);
            self.0.store.writing(advance).await?;
        }
        Ok(true)
    }

    /// Takes the machine's clock for right, however far it is from the latest time that was seen. For
    /// the operator, and on record. Where it is behind, what has expired meanwhile may be good again,
    /// and processes that have seen the later time have to be started again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn confirm_clock(&self) -> Result<(), Error> {
        let is_trusted = self.keep_time().await?;
        let now = self.0.clock.machine();
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
        self.note(&Origin::operator(), confirm).await?;
        self.0.clock.reset(now);
        Ok(())
    }

    /// What is known of time, to compare a clock with.
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
