//! The credentials of a user, ended together.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use crate::audit::{Action, Event, Events};
use crate::store::{AccessToken, ApiKey, Revoking, User};

/// What was ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// Whether there was a login token.
    token: bool,
    /// How many keys there were.
    keys: usize,
}

impl Ended {
    /// Ends the login token and all keys of a user, whose row has to be locked: otherwise one may
    /// be made meanwhile.
    pub(super) fn all_of_user(
        tx: &mut Revoking<'_>,
        user_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        Ok(Self {
            token: AccessToken::revoke_of_user(tx, user_id)?,
            keys: ApiKey::revoke_all_of_user(tx, user_id, now)?,
        })
    }

    /// Ends the login token of a user and leaves the keys.
    pub(super) fn token_of_user(tx: &mut Revoking<'_>, user_id: i64) -> QueryResult<Self> {
        Ok(Self {
            token: AccessToken::revoke_of_user(tx, user_id)?,
            keys: 0,
        })
    }

    /// Ends the login token and all keys of a user who is disabled, so that they do not come back
    /// when the user is enabled, and records it. So does enabling, for a user who was disabled in
    /// another way.
    pub(super) fn by_disabling(
        tx: &mut Revoking<'_>,
        events: &mut Events,
        user: &User,
        disabled: bool,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        let is_changed = disabled != user.disabled_at.is_some();
        if !disabled && !is_changed {
            return Ok(());
        }
        let ended = Self::all_of_user(tx, user.id, now)?;
        let action = match disabled {
            true => Action::UserDisable,
            false => Action::UserEnable,
        };
        if is_changed || ended.count() > 0 {
            events.record(ended.told_in(Event::new(action).on_user(user.id)));
        }
        Ok(())
    }

    /// How many credentials there were.
    pub(super) fn count(self) -> usize {
        usize::from(self.token) + self.keys
    }

    /// The event, with what was ended.
    pub(super) fn told_in(self, event: Event) -> Event {
        event.with("token", self.token).with("keys", self.keys)
    }
}
