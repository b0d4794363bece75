//! Devices on which users have shown a second factor.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::limits::check_texts;
use super::prune::prune;
use super::schema::trusted_devices;
use super::{StoreConnection, Writing};

/// The most devices of a user. Beyond that, the oldest one is forgotten.
const MAX_DEVICES: i64 = 20;

/// A device whose sign-ins need the password only.
#[derive(Clone, Debug, Queryable)]
#[non_exhaustive]
pub struct TrustedDevice {
    /// Never assigned again.
    pub id: i64,
    /// How the user recognises it.
    pub name: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// UTC; the last sign-in without a code.
    pub last_used_at: Option<NaiveDateTime>,
    /// UTC; a code is asked for from then on.
    pub expires_at: NaiveDateTime,
}

/// A device that is trusted from now on.
#[derive(Clone, Insertable)]
#[diesel(table_name = trusted_devices)]
pub(crate) struct NewTrustedDevice {
    pub(crate) user_id: i64,
    /// The hex SHA-256 of its secret.
    pub(crate) digest: String,
    pub(crate) name: String,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) expires_at: NaiveDateTime,
}

/// The trusted devices of users.
pub(crate) struct TrustedDevices;

impl TrustedDevices {
    /// Stores a device, and returns its id. The row of the user is locked.
    pub(crate) fn insert(tx: &mut Writing<'_>, device: &NewTrustedDevice) -> QueryResult<i64> {
        check_texts([&device.digest, &device.name])?;
        let id = diesel::insert_into(trusted_devices::table)
            .values(device)
            .returning(trusted_devices::id)
            .get_result(tx.conn())?;
        let kept: Vec<i64> = trusted_devices::table
            .filter(trusted_devices::user_id.eq(device.user_id))
            .order(trusted_devices::id.desc())
            .limit(MAX_DEVICES)
            .select(trusted_devices::id)
            .load(tx.conn())?;
        let others = trusted_devices::table
            .filter(trusted_devices::user_id.eq(device.user_id))
            .filter(trusted_devices::id.ne_all(kept));
        diesel::delete(others).execute(tx.conn())?;
        Ok(id)
    }

    /// Records a sign-in on the device of a user with this digest, and returns its id; `None` if it is not
    /// trusted at `now`.
    pub(crate) fn record_use(
        tx: &mut Writing<'_>,
        user_id: i64,
        digest: &str,
        now: NaiveDateTime,
    ) -> QueryResult<Option<i64>> {
        let this = trusted_devices::table
            .filter(trusted_devices::digest.eq(digest))
            .filter(trusted_devices::user_id.eq(user_id))
            .filter(trusted_devices::expires_at.gt(now));
        diesel::update(this)
            .set(trusted_devices::last_used_at.eq(Some(now)))
            .returning(trusted_devices::id)
            .get_result(tx.conn())
            .optional()
    }

    /// The devices of a user that are trusted at `now`, the newest first.
    pub(crate) fn list_of_user(
        conn: &mut StoreConnection,
        user_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Vec<TrustedDevice>> {
        trusted_devices::table
            .filter(trusted_devices::user_id.eq(user_id))
            .filter(trusted_devices::expires_at.gt(now))
            .order(trusted_devices::id.desc())
            .select((
                trusted_devices::id,
                trusted_devices::name,
                trusted_devices::created_at,
                trusted_devices::last_used_at,
                trusted_devices::expires_at,
            ))
            .load(conn)
    }

    /// Forgets a device of a user. Returns whether the user had it.
    pub(crate) fn end(tx: &mut Writing<'_>, user_id: i64, id: i64) -> QueryResult<bool> {
        let this = trusted_devices::table
            .find(id)
            .filter(trusted_devices::user_id.eq(user_id));
        diesel::delete(this)
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Forgets all devices of a user. Returns how many.
    pub(crate) fn end_of_user(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<usize> {
        let of_user = trusted_devices::table.filter(trusted_devices::user_id.eq(user_id));
        diesel::delete(of_user).execute(tx.conn())
    }

    /// Forgets the devices of all users.
    pub(crate) fn end_all(tx: &mut Writing<'_>) -> QueryResult<()> {
        diesel::delete(trusted_devices::table)
            .execute(tx.conn())
            .map(drop)
    }

    /// Deletes at most `limit` devices that are not trusted any more at `now`. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let old = || trusted_devices::expires_at.le(now);
        prune!(tx, trusted_devices, id: i64, by expires_at, old(), limit)
    }
}
