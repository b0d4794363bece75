//! When sessions are used: collected in memory, and written in batches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use crate::error::Error;
use crate::store::{AccessToken, Principal, SessionUse, Writing};

/// How long after its idle end a session is still accepted. A use may be a minute later than the
/// recorded one, which another process may have in memory for a minute, and a cached principal may be
/// a minute old: no session ends early.
const IDLE_SLACK: TimeDelta = TimeDelta::minutes(3);

/// Maximum number of uses written per transaction.
const FLUSH_LIMIT: usize = 500;

/// Maximum number of sessions whose uses wait to be written.
const MAX_WAITING: usize = 100_000;

/// Uses that are not yet written, by session.
#[derive(Default)]
pub(super) struct SessionUses(Mutex<HashMap<i64, SessionUse>>);

impl SessionUses {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, SessionUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a session was not used for longer than it may be.
pub(super) fn is_idle(idle_seconds: Option<i64>, used_at_micros: i64, now: NaiveDateTime) -> bool {
    let idle = idle_seconds.and_then(TimeDelta::try_seconds);
    let Some(idle) = idle.and_then(|idle| (idle + IDLE_SLACK).num_microseconds()) else {
        return false;
    };
    now.and_utc().timestamp_micros() >= used_at_micros.saturating_add(idle)
}

/// Like [`is_idle`], by the use that is stored.
pub(super) fn is_unused(
    idle_seconds: Option<i64>,
    last_used_at: NaiveDateTime,
    now: NaiveDateTime,
) -> bool {
    is_idle(idle_seconds, last_used_at.and_utc().timestamp_micros(), now)
}

impl Auth {
    /// Queues the use of a session, at most once per interval. Never waits.
    pub(super) fn record_session_use(
        &self,
        principal: &Principal,
        token: &AccessToken,
        now: NaiveDateTime,
    ) {
        if !principal.should_record_session_use(now) {
            return;
        }
        let mut waiting = self.0.session_uses.lock();
        if waiting.len() < MAX_WAITING || waiting.contains_key(&token.session.id) {
            let used = SessionUse {
                session_id: token.session.id,
                user_id: token.user_id,
                at: now,
                access_token: token.access_token.clone(),
            };
            waiting.insert(used.session_id, used);
        }
    }

    /// Writes the queued uses.
    pub(super) async fn flush_session_uses(&self) -> Result<(), Error> {
        let uses: Vec<SessionUse> = self
            .0
            .session_uses
            .lock()
            .drain()
            .map(|(_, one)| one)
            .collect();
        for batch in uses.chunks(FLUSH_LIMIT) {
            let batch = batch.to_vec();
            let record =
                move |tx: &mut Writing<'_>| Ok::<_, Error>(SessionUse::record(tx, &batch)?);
            self.0.store.writing(record).await?;
        }
        Ok(())
    }
}
