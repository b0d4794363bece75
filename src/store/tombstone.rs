//! What an import must not bring back: users who were deleted, and login tokens that have ended.

use std::collections::HashSet;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::schema::{access_tokens, deleted_users, spent_tokens};
use super::{StoreConnection, Writing};

/// Remembers that the user of an address was deleted. `address_digest` is a keyed digest.
pub(super) fn remember_user(
    tx: &mut Writing<'_>,
    address_digest: &str,
    now: NaiveDateTime,
) -> QueryResult<()> {
    let known = diesel::update(deleted_users::table.find(address_digest))
        .set(deleted_users::deleted_at.eq(now))
        .execute(tx.conn())?;
    if known == 0 {
        diesel::insert_into(deleted_users::table)
            .values((
                deleted_users::address_digest.eq(address_digest),
                deleted_users::deleted_at.eq(now),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Which of these addresses are those of deleted users, as keyed digests.
pub(crate) fn find_deleted_users(
    conn: &mut StoreConnection,
    address_digests: &[String],
) -> QueryResult<HashSet<String>> {
    let found: Vec<String> = deleted_users::table
        .filter(deleted_users::address_digest.eq_any(address_digests))
        .select(deleted_users::address_digest)
        .load(conn)?;
    Ok(found.into_iter().collect())
}

/// Which of these tokens are stored now, and which have been imported before or have ended. One may
/// be both.
pub(crate) fn find_tokens(
    conn: &mut StoreConnection,
    digests: &[String],
) -> QueryResult<(HashSet<String>, HashSet<String>)> {
    let stored: Vec<String> = access_tokens::table
        .filter(access_tokens::access_token.eq_any(digests))
        .select(access_tokens::access_token)
        .load(conn)?;
    // Second: one that ends between the two is found by both.
    let spent: Vec<String> = spent_tokens::table
        .filter(spent_tokens::access_token.eq_any(digests))
        .select(spent_tokens::access_token)
        .load(conn)?;
    Ok((stored.into_iter().collect(), spent.into_iter().collect()))
}

/// Forgets tokens that have expired before `now`, `limit` at most, but for imported ones. Returns
/// how many.
pub(crate) fn prune_tokens(
    tx: &mut Writing<'_>,
    now: NaiveDateTime,
    limit: i64,
) -> QueryResult<usize> {
    let expired: Vec<String> = spent_tokens::table
        .filter(spent_tokens::expiration_date.le(now))
        .order(spent_tokens::expiration_date)
        .limit(limit)
        .select(spent_tokens::access_token)
        .load(tx.conn())?;
    if expired.is_empty() {
        return Ok(0);
    }
    let these = spent_tokens::table.filter(spent_tokens::access_token.eq_any(expired));
    diesel::delete(these).execute(tx.conn())
}
