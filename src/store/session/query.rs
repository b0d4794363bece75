//! The queries by digest. Both go past [`StoreConnection`](crate::store::StoreConnection): they are
//! the most frequent ones by far, and each database has its own cheapest way.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::Session;
use crate::store::access_token::TOKEN_COLUMNS;
use crate::store::schema::{access_tokens, users};
use crate::store::user::USER_COLUMNS;
use crate::store::{AccessToken, User};
use crate::token::TokenDigest;

type Row = (User, AccessToken);

/// One session, by one prepared statement.
pub(super) fn find_one(
    conn: &mut SqliteConnection,
    digest: &TokenDigest,
) -> QueryResult<Option<Session>> {
    let found: Option<Row> = access_tokens::table
        .inner_join(users::table)
        .filter(access_tokens::access_token.eq(digest.to_hex()))
        .select((USER_COLUMNS, TOKEN_COLUMNS))
        .get_result(conn)
        .optional()?;
    Ok(found.map(|(user, token)| Session { user, token }))
}

/// All the sessions that there are of these, in one round trip, by one prepared statement however
/// many they are.
pub(super) fn find_all(
    conn: &mut PgConnection,
    digests: &HashSet<TokenDigest>,
) -> QueryResult<Vec<(TokenDigest, Session)>> {
    let hex: Vec<String> = digests.iter().map(|digest| digest.to_hex()).collect();
    let rows: Vec<Row> = access_tokens::table
        .inner_join(users::table)
        .filter(access_tokens::access_token.eq_any(hex))
        .select((USER_COLUMNS, TOKEN_COLUMNS))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(user, token)| {
            let digest = TokenDigest::from_hex(&token.access_token)?;
            Some((digest, Session { user, token }))
        })
        .collect())
}
