//! The recovery codes of users: a row for each, with a hash.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::schema::recovery_codes;
use super::{StoreConnection, Writing};
use crate::password::StoredHash;

/// How many recovery codes a user has left, and when they were made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RecoveryCodesLeft {
    /// Those that were not used.
    pub left: usize,
    /// UTC.
    pub made_at: NaiveDateTime,
}

/// The recovery codes of users.
pub(crate) struct RecoveryCodes;

impl RecoveryCodes {
    /// Stores the hashes of new codes by their slots, in place of all codes that the user had.
    pub(crate) fn replace(
        tx: &mut Writing<'_>,
        user_id: i64,
        hashes: &[String],
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        Self::delete_all(tx, user_id)?;
        for (slot, hash) in (0_i64..).zip(hashes) {
            diesel::insert_into(recovery_codes::table)
                .values((
                    recovery_codes::user_id.eq(user_id),
                    recovery_codes::slot.eq(slot),
                    recovery_codes::hash.eq(hash),
                    recovery_codes::created_at.eq(now),
                ))
                .execute(tx.conn())?;
        }
        Ok(())
    }

    /// How many codes a user has left; `None` for a user who never had any.
    pub(crate) fn left(
        conn: &mut StoreConnection,
        user_id: i64,
    ) -> QueryResult<Option<RecoveryCodesLeft>> {
        let rows: Vec<(NaiveDateTime, Option<NaiveDateTime>)> = recovery_codes::table
            .filter(recovery_codes::user_id.eq(user_id))
            .select((recovery_codes::created_at, recovery_codes::used_at))
            .load(conn)?;
        let left = rows.iter().filter(|(_, used_at)| used_at.is_none()).count();
        Ok(rows.first().map(|(made_at, _)| RecoveryCodesLeft {
            left,
            made_at: *made_at,
        }))
    }

    /// The hash in a slot, if its code was not used.
    pub(crate) fn find(
        conn: &mut StoreConnection,
        user_id: i64,
        slot: u8,
    ) -> QueryResult<Option<StoredHash>> {
        let hash: Option<String> = recovery_codes::table
            .find((user_id, i64::from(slot)))
            .filter(recovery_codes::used_at.is_null())
            .select(recovery_codes::hash)
            .get_result(conn)
            .optional()?;
        Ok(hash.map(StoredHash::from))
    }

    /// Uses up the code with this hash. Of several concurrent calls, only one returns true.
    pub(crate) fn spend(
        tx: &mut Writing<'_>,
        user_id: i64,
        slot: u8,
        hash: &StoredHash,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let unused = recovery_codes::table
            .find((user_id, i64::from(slot)))
            .filter(recovery_codes::hash.eq(hash.as_str()))
            .filter(recovery_codes::used_at.is_null());
        diesel::update(unused)
            .set(recovery_codes::used_at.eq(Some(now)))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Ends all codes of a user.
    pub(crate) fn delete_all(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
        let of_user = recovery_codes::table.filter(recovery_codes::user_id.eq(user_id));
        diesel::delete(of_user).execute(tx.conn()).map(drop)
    }
}
