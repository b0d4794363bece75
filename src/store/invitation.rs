//! Invitations: accounts that administrators offer to the readers of addresses. An address has at most one that
//! is open.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;

use super::limits::check_texts;
use super::prune::prune;
use super::schema::invitations;
use super::{StoreConnection, Writing};

/// How long an invitation is listed after it could be accepted last.
const KEPT_AFTER_EXPIRY: TimeDelta = TimeDelta::days(30);

/// An invitation: all columns in their order.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct Invitation {
    pub(crate) id: i64,
    /// The address as displayed.
    pub(crate) email: String,
    /// The same in the form of [`NewUser::email_key`](super::NewUser::email_key).
    pub(crate) email_key: String,
    /// The name that the invited user gets unless they choose another one; may be empty.
    pub(crate) name: String,
    /// The scopes that the user gets, separated by spaces.
    pub(crate) scopes: String,
    /// The administrator; `None` for an operator.
    pub(crate) invited_by: Option<i64>,
    /// UTC.
    pub(crate) created_at: NaiveDateTime,
    /// UTC.
    pub(crate) expires_at: NaiveDateTime,
    /// UTC.
    pub(crate) accepted_at: Option<NaiveDateTime>,
    /// UTC.
    pub(crate) revoked_at: Option<NaiveDateTime>,
}

/// A new invitation.
#[derive(Insertable)]
#[diesel(table_name = invitations)]
pub(crate) struct NewInvitation {
    /// See [`Invitation::email`].
    pub(crate) email: String,
    /// See [`Invitation::email_key`].
    pub(crate) email_key: String,
    /// See [`Invitation::name`].
    pub(crate) name: String,
    /// See [`Invitation::scopes`].
    pub(crate) scopes: String,
    /// See [`Invitation::invited_by`].
    pub(crate) invited_by: Option<i64>,
    /// UTC.
    pub(crate) created_at: NaiveDateTime,
    /// UTC.
    pub(crate) expires_at: NaiveDateTime,
}

impl NewInvitation {
    /// Stores the invitation. A UNIQUE violation means that one to this address is open.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>) -> QueryResult<Invitation> {
        check_texts([&self.email, &self.email_key, &self.name, &self.scopes])?;
        diesel::insert_into(invitations::table)
            .values(self)
            .returning(invitations::all_columns)
            .get_result(tx.conn())
    }
}

/// What has become of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvitationState {
    /// It can be accepted.
    Pending,
    Expired,
    Accepted,
    Revoked,
}

impl InvitationState {
    const ALL: [Self; 4] = [Self::Pending, Self::Expired, Self::Accepted, Self::Revoked];

    /// The names of all states.
    pub(crate) const NAMES: [&'static str; 4] = ["pending", "expired", "accepted", "revoked"];

    /// The name of the state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
        }
    }

    /// The state with this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl Invitation {
    /// The state at `now`.
    pub(crate) fn state(&self, now: NaiveDateTime) -> InvitationState {
        match (self.accepted_at, self.revoked_at) {
            (Some(_), _) => InvitationState::Accepted,
            (None, Some(_)) => InvitationState::Revoked,
            (None, None) if self.expires_at <= now => InvitationState::Expired,
            (None, None) => InvitationState::Pending,
        }
    }

    /// The invitation with this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        invitations::table.find(id).get_result(conn).optional()
    }

    /// Locks the row until the transaction ends, and returns its current state: an UPDATE takes the lock on
    /// both databases.
    pub(crate) fn lock(tx: &mut Writing<'_>, id: i64) -> QueryResult<Option<Self>> {
        diesel::update(invitations::table.find(id))
            .set(invitations::email.eq(invitations::email))
            .returning(invitations::all_columns)
            .get_result(tx.conn())
            .optional()
    }

    /// The invitation to this address that was neither accepted nor revoked.
    pub(crate) fn find_open(
        conn: &mut StoreConnection,
        email_key: &str,
    ) -> QueryResult<Option<Self>> {
        invitations::table
            .filter(invitations::email_key.eq(email_key))
            .filter(invitations::accepted_at.is_null())
            .filter(invitations::revoked_at.is_null())
            .get_result(conn)
            .optional()
    }

    /// Records that the invitation was accepted.
    pub(crate) fn accept(tx: &mut Writing<'_>, id: i64, now: NaiveDateTime) -> QueryResult<()> {
        diesel::update(invitations::table.find(id))
            .set(invitations::accepted_at.eq(now))
            .execute(tx.conn())
            .map(drop)
    }

    /// Revokes the invitation.
    pub(crate) fn revoke(tx: &mut Writing<'_>, id: i64, now: NaiveDateTime) -> QueryResult<()> {
        diesel::update(invitations::table.find(id))
            .set(invitations::revoked_at.eq(now))
            .execute(tx.conn())
            .map(drop)
    }

    /// Revokes the invitations of a user that are open.
    pub(crate) fn revoke_of_inviter(
        tx: &mut Writing<'_>,
        user_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        let open = invitations::table
            .filter(invitations::invited_by.eq(user_id))
            .filter(invitations::accepted_at.is_null())
            .filter(invitations::revoked_at.is_null());
        diesel::update(open)
            .set(invitations::revoked_at.eq(now))
            .execute(tx.conn())
            .map(drop)
    }

    /// Lets the invitation expire at another time, UTC.
    pub(crate) fn set_expiry(
        tx: &mut Writing<'_>,
        id: i64,
        expires_at: NaiveDateTime,
    ) -> QueryResult<()> {
        diesel::update(invitations::table.find(id))
            .set(invitations::expires_at.eq(expires_at))
            .execute(tx.conn())
            .map(drop)
    }

    /// The invitations in this state at `now`, before the id `before`, the last ones first: at most `limit`.
    pub(crate) fn list(
        conn: &mut StoreConnection,
        state: Option<InvitationState>,
        now: NaiveDateTime,
        before: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let page = invitations::table
            .filter(invitations::id.lt(before))
            .order(invitations::id.desc())
            .limit(limit);
        let is_open = invitations::accepted_at
            .is_null()
            .and(invitations::revoked_at.is_null());
        match state {
            None => page.load(conn),
            Some(InvitationState::Accepted) => page
                .filter(invitations::accepted_at.is_not_null())
                .load(conn),
            Some(InvitationState::Revoked) => page
                .filter(invitations::accepted_at.is_null())
                .filter(invitations::revoked_at.is_not_null())
                .load(conn),
            Some(InvitationState::Pending) => page
                .filter(is_open)
                .filter(invitations::expires_at.gt(now))
                .load(conn),
            Some(InvitationState::Expired) => page
                .filter(is_open)
                .filter(invitations::expires_at.le(now))
                .load(conn),
        }
    }

    /// Deletes at most `limit` invitations that expired long before `now`, whatever has become of them, with
    /// their links and mails. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let Some(before) = now.checked_sub_signed(KEPT_AFTER_EXPIRY) else {
            return Ok(0);
        };
        let old = || invitations::expires_at.le(before);
        prune!(tx, invitations, id: i64, by expires_at, old(), limit)
    }
}
