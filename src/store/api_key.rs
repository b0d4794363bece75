//! Personal API keys and their queries: several per user, found by digest.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use diesel::prelude::*;

use super::limits::check_texts;
use super::schema::{api_keys, users};
use super::user::USER_COLUMNS;
use super::{Revoking, StoreConnection, User, Writing};

/// The expiry of a key without an end: no comparison needs to treat it separately. The database
/// accepts it for keys of apps only.
pub(crate) const NEVER: NaiveDateTime = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(date) => NaiveDateTime::new(date, NaiveTime::MIN),
    None => NaiveDateTime::MIN,
};

/// The maximum number of a user's keys whose ids are listed, more than a user can create in the time
/// for which revoked keys are kept.
const MAX_LISTED_IDS: i64 = 5_000;

/// A personal API key, without its digest.
#[derive(Clone, Debug, Queryable)]
#[non_exhaustive]
pub struct ApiKey {
    /// Never assigned to another key.
    pub id: i64,
    /// The owner.
    pub user_id: i64,
    /// The name chosen by the owner.
    pub name: String,
    /// The first characters of the key.
    pub hint: String,
    /// The key's scopes, separated by spaces; never more than the owner's.
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// The expiry, UTC; the key is rejected from this time on. The last day of the year 9999 for a
    /// key without an end: see [`Self::is_endless`].
    pub expires_at: NaiveDateTime,
    /// UTC, accurate to a minute; `None` if the key was never used.
    pub last_used_at: Option<NaiveDateTime>,
}

/// The columns of an [`ApiKey`], in the order of its fields.
pub(super) type KeyColumns = (
    api_keys::id,
    api_keys::user_id,
    api_keys::name,
    api_keys::hint,
    api_keys::scopes,
    api_keys::created_at,
    api_keys::expires_at,
    api_keys::last_used_at,
);

/// See [`KeyColumns`].
pub(super) const KEY_COLUMNS: KeyColumns = (
    api_keys::id,
    api_keys::user_id,
    api_keys::name,
    api_keys::hint,
    api_keys::scopes,
    api_keys::created_at,
    api_keys::expires_at,
    api_keys::last_used_at,
);

/// A new key.
#[derive(Insertable)]
#[diesel(table_name = api_keys)]
pub struct NewApiKey {
    /// See [`ApiKey::user_id`].
    pub user_id: i64,
    /// See [`ApiKey::name`].
    pub name: String,
    /// See [`ApiKey::hint`].
    pub hint: String,
    /// The hex SHA-256 of the key.
    pub key_digest: String,
    /// See [`ApiKey::scopes`].
    pub scopes: String,
    /// See [`ApiKey::created_at`].
    pub created_at: NaiveDateTime,
    /// See [`ApiKey::expires_at`].
    pub expires_at: NaiveDateTime,
}

impl NewApiKey {
    /// Stores the key. The user's row must be locked, so that the user cannot be disabled
    /// meanwhile.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>) -> QueryResult<ApiKey> {
        check_texts([&self.name, &self.hint, &self.key_digest, &self.scopes])?;
        diesel::insert_into(api_keys::table)
            .values(self)
            .returning(KEY_COLUMNS)
            .get_result(tx.conn())
    }
}

impl ApiKey {
    /// Whether the key has no end, as only keys of apps may have.
    pub fn is_endless(&self) -> bool {
        self.expires_at >= NEVER
    }

    /// The unrevoked keys that end after `now` and not after `until`, with their owners: soonest
    /// first, at most `limit`. With `warned_before`, only those without a warning since then.
    pub(crate) fn list_expiring(
        conn: &mut StoreConnection,
        now: NaiveDateTime,
        until: NaiveDateTime,
        warned_before: Option<NaiveDateTime>,
        limit: i64,
    ) -> QueryResult<Vec<(Self, User)>> {
        let mut query = api_keys::table
            .inner_join(users::table)
            .filter(api_keys::revoked_at.is_null())
            .filter(api_keys::expires_at.gt(now))
            .filter(api_keys::expires_at.le(until))
            .order(api_keys::expires_at)
            .limit(limit)
            .select((KEY_COLUMNS, USER_COLUMNS))
            .into_boxed();
        if let Some(before) = warned_before {
            query = query.filter(
                api_keys::warned_at
                    .is_null()
                    .or(api_keys::warned_at.le(before)),
            );
        }
        query.load(conn)
    }

    /// The number of unrevoked keys that end after `now` and not after `until`: of users, and of
    /// apps.
    pub(crate) fn count_expiring(
        conn: &mut StoreConnection,
        now: NaiveDateTime,
        until: NaiveDateTime,
    ) -> QueryResult<(i64, i64)> {
        let ending = api_keys::table
            .inner_join(users::table)
            .filter(api_keys::revoked_at.is_null())
            .filter(api_keys::expires_at.gt(now))
            .filter(api_keys::expires_at.le(until));
        let of_users = ending.filter(users::is_app.eq(false)).count();
        let of_apps = ending.filter(users::is_app.eq(true)).count();
        Ok((of_users.get_result(conn)?, of_apps.get_result(conn)?))
    }

    /// Records at `now` that the log warns of these keys. Returns those without a warning since
    /// `before`: of several processes, each key is returned to one.
    pub(crate) fn record_warnings(
        tx: &mut Writing<'_>,
        ids: &[i64],
        before: NaiveDateTime,
        now: NaiveDateTime,
    ) -> QueryResult<Vec<i64>> {
        let due = api_keys::table.filter(api_keys::id.eq_any(ids)).filter(
            api_keys::warned_at
                .is_null()
                .or(api_keys::warned_at.le(before)),
        );
        diesel::update(due)
            .set(api_keys::warned_at.eq(now))
            .returning(api_keys::id)
            .get_results(tx.conn())
    }

    /// Revokes the keys of all users at `now`. Returns how many.
    pub(crate) fn revoke_all(tx: &mut Revoking<'_>, now: NaiveDateTime) -> QueryResult<usize> {
        tx.require_everyone()?;
        diesel::update(api_keys::table.filter(api_keys::revoked_at.is_null()))
            .set(api_keys::revoked_at.eq(now))
            .execute(tx.conn())
    }

    /// Revokes the keys of all users that have expired at `now`.
    #[cfg(any(feature = "cli", feature = "testing"))]
    pub(crate) fn revoke_expired(tx: &mut Revoking<'_>, now: NaiveDateTime) -> QueryResult<()> {
        tx.require_everyone()?;
        let expired = api_keys::table
            .filter(api_keys::revoked_at.is_null())
            .filter(api_keys::expires_at.le(now));
        diesel::update(expired)
            .set(api_keys::revoked_at.eq(now))
            .execute(tx.conn())
            .map(drop)
    }

    /// A user's unrevoked keys, oldest first.
    pub(crate) fn list_of_user(conn: &mut StoreConnection, user_id: i64) -> QueryResult<Vec<Self>> {
        api_keys::table
            .filter(api_keys::user_id.eq(user_id))
            .filter(api_keys::revoked_at.is_null())
            .order(api_keys::id)
            .select(KEY_COLUMNS)
            .load(conn)
    }

    /// The unrevoked keys after this id, in the order of their ids, at most `limit`, with the
    /// addresses of their owners.
    pub(crate) fn list_after(
        conn: &mut StoreConnection,
        id: i64,
        limit: i64,
    ) -> QueryResult<Vec<(Self, String)>> {
        api_keys::table
            .inner_join(users::table)
            .filter(api_keys::id.gt(id))
            .filter(api_keys::revoked_at.is_null())
            .filter(users::is_app.eq(false))
            .order(api_keys::id)
            .limit(limit)
            .select((KEY_COLUMNS, users::email))
            .load(conn)
    }

    /// The ids of the keys with these ids, and the addresses of their owners.
    pub(crate) fn list_owners(
        conn: &mut StoreConnection,
        ids: &[i64],
    ) -> QueryResult<Vec<(i64, String)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        api_keys::table
            .inner_join(users::table)
            .filter(api_keys::id.eq_any(ids))
            .filter(users::is_app.eq(false))
            .select((api_keys::id, users::email))
            .load(conn)
    }

    /// The ids of a user's keys, including revoked ones, newest first, at most [`MAX_LISTED_IDS`].
    pub(crate) fn list_ids_of_user(
        conn: &mut StoreConnection,
        user_id: i64,
    ) -> QueryResult<Vec<i64>> {
        api_keys::table
            .filter(api_keys::user_id.eq(user_id))
            .order(api_keys::id.desc())
            .limit(MAX_LISTED_IDS)
            .select(api_keys::id)
            .load(conn)
    }

    /// The number of unrevoked keys.
    pub(crate) fn count(conn: &mut StoreConnection) -> QueryResult<i64> {
        api_keys::table
            .filter(api_keys::id.gt(0))
            .filter(api_keys::revoked_at.is_null())
            .count()
            .get_result(conn)
    }

    /// The number of a user's unrevoked keys.
    pub(crate) fn count_of_user(conn: &mut StoreConnection, user_id: i64) -> QueryResult<i64> {
        api_keys::table
            .filter(api_keys::user_id.eq(user_id))
            .filter(api_keys::revoked_at.is_null())
            .count()
            .get_result(conn)
    }

    /// The creation times of the keys that the user created after `since`, including revoked ones:
    /// newest first, at most `limit`.
    pub(crate) fn created_since(
        conn: &mut StoreConnection,
        user_id: i64,
        since: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<Vec<NaiveDateTime>> {
        api_keys::table
            .filter(api_keys::user_id.eq(user_id))
            .filter(api_keys::created_at.gt(since))
            .order(api_keys::id.desc())
            .limit(limit)
            .select(api_keys::created_at)
            .load(conn)
    }

    /// Deletes at most `limit` keys that were revoked before the given time. Returns how many.
    pub(crate) fn prune_revoked(
        tx: &mut Writing<'_>,
        before: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let ids: Vec<i64> = api_keys::table
            .filter(api_keys::revoked_at.lt(before))
            .order(api_keys::revoked_at)
            .limit(limit)
            .select(api_keys::id)
            .load(tx.conn())?;
        if ids.is_empty() {
            return Ok(0);
        }
        diesel::delete(api_keys::table.filter(api_keys::id.eq_any(ids))).execute(tx.conn())
    }

    /// Whether this key still exists and is not revoked.
    pub(crate) fn is_stored(&self, conn: &mut StoreConnection) -> QueryResult<bool> {
        let this = api_keys::table
            .find(self.id)
            .filter(api_keys::revoked_at.is_null());
        let found: Option<i64> = this.select(api_keys::id).get_result(conn).optional()?;
        Ok(found.is_some())
    }

    /// Revokes a user's key at `now`. Returns whether the key existed and was not revoked yet.
    pub(crate) fn revoke(
        tx: &mut Revoking<'_>,
        user_id: i64,
        id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        tx.require(user_id)?;
        let this = api_keys::table
            .find(id)
            .filter(api_keys::user_id.eq(user_id))
            .filter(api_keys::revoked_at.is_null());
        diesel::update(this)
            .set(api_keys::revoked_at.eq(now))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Revokes the keys of a user at `now`, except `kept`. Returns the ids of the newly revoked
    /// keys in ascending order.
    pub(crate) fn revoke_all_but(
        tx: &mut Revoking<'_>,
        user_id: i64,
        kept: &[i64],
        now: NaiveDateTime,
    ) -> QueryResult<Vec<i64>> {
        tx.require(user_id)?;
        let others = api_keys::table
            .filter(api_keys::user_id.eq(user_id))
            .filter(api_keys::id.ne_all(kept))
            .filter(api_keys::revoked_at.is_null());
        let mut revoked = diesel::update(others)
            .set(api_keys::revoked_at.eq(now))
            .returning(api_keys::id)
            .get_results(tx.conn())?;
        revoked.sort_unstable();
        Ok(revoked)
    }

    /// Revokes all keys of a user at `now`. Returns how many.
    pub(crate) fn revoke_all_of_user(
        tx: &mut Revoking<'_>,
        user_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        tx.require(user_id)?;
        let live = api_keys::table
            .filter(api_keys::user_id.eq(user_id))
            .filter(api_keys::revoked_at.is_null());
        diesel::update(live)
            .set(api_keys::revoked_at.eq(now))
            .execute(tx.conn())
    }

    /// Records a use of the key at `at`. Returns whether it was the first use.
    pub(crate) fn record_use(
        tx: &mut Writing<'_>,
        id: i64,
        at: NaiveDateTime,
    ) -> QueryResult<bool> {
        let unused = api_keys::table
            .find(id)
            .filter(api_keys::last_used_at.is_null());
        let first = diesel::update(unused)
            .set(api_keys::last_used_at.eq(at))
            .execute(tx.conn())?;
        if first == 1 {
            return Ok(true);
        }
        let earlier = api_keys::table
            .find(id)
            .filter(api_keys::last_used_at.lt(at));
        diesel::update(earlier)
            .set(api_keys::last_used_at.eq(at))
            .execute(tx.conn())?;
        Ok(false)
    }
}
