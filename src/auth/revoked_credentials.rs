//! Revokes the credentials of a user.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::trusted_devices::end_everywhere;
use crate::audit::{Action, Event, Events};
use crate::store::{ApiKey, Revoking, User};

/// The credentials that were revoked.
#[derive(Clone, Copy, Debug, Default)]
pub struct RevokedCredentials {
    /// The number of ended sessions.
    sessions: usize,
    /// The number of revoked keys.
    keys: usize,
}

impl RevokedCredentials {
    /// Ends the sessions and revokes all keys of a user. The user's row must be locked: otherwise a
    /// credential may be issued concurrently.
    pub(super) fn all_of_user(
        tx: &mut Revoking<'_>,
        user_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        Ok(Self {
            sessions: end_everywhere(tx, user_id, None)?,
            keys: ApiKey::revoke_all_of_user(tx, user_id, now)?,
        })
    }

    /// Ends the sessions of a user, and keeps the keys.
    pub(super) fn sessions_of_user(tx: &mut Revoking<'_>, user_id: i64) -> QueryResult<Self> {
        Ok(Self {
            sessions: end_everywhere(tx, user_id, None)?,
            keys: 0,
        })
    }

    /// Ends the sessions and revokes all keys of a user who is disabled, so that they stay revoked
    /// when the user is enabled again, and records it. Enabling a user does this too, in case the
    /// user was disabled manually.
    pub(super) fn by_disabling(
        tx: &mut Revoking<'_>,
        events: &mut Events,
        user: &User,
        disabled: bool,
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        let is_changed = disabled != user.disabled_at.is_some();
        if !disabled && !is_changed {
            return Ok(Self::default());
        }
        let revoked = Self::all_of_user(tx, user.id, now)?;
        super::mail_tokens::end_all(tx, user.id)?;
        let action = match disabled {
            true => Action::UserDisable,
            false => Action::UserEnable,
        };
        if is_changed || revoked.count() > 0 {
            events.record(revoked.add_to(Event::new(action).on_user(user.id)));
        }
        Ok(revoked)
    }

    /// The number of sessions.
    pub fn sessions(self) -> usize {
        self.sessions
    }

    /// The number of API keys.
    pub fn keys(self) -> usize {
        self.keys
    }

    /// The number of revoked credentials.
    pub fn count(self) -> usize {
        self.sessions + self.keys
    }

    /// Adds the revoked credentials to an event.
    pub(super) fn add_to(self, event: Event) -> Event {
        let event = event.with("token", self.sessions > 0);
        // The trail of users who have one session at most stays as it was.
        let event = match self.sessions {
            0 | 1 => event,
            count => event.with("sessions", count),
        };
        event.with("keys", self.keys)
    }
}
