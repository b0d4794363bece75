//! The look-ups by digest. They bypass [`StoreConnection`](crate::store::StoreConnection): they are
//! by far the most frequent queries, and each database has its own fastest way.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::row::{self, TokenRow, UserRow};
use crate::credential::token::TokenDigest;
use crate::credential::{CredentialDigest, CredentialKind};
use crate::store::access_token::TOKEN_COLUMNS;
use crate::store::api_key::KEY_COLUMNS;
use crate::store::schema::{access_tokens, api_keys, sessions, users};
use crate::store::user::USER_COLUMNS;
use crate::store::{AccessToken, ApiKey, User};
use crate::store::{Credential, Principal, UsedKey};

/// Fetches one principal with one prepared statement.
pub(super) fn fetch_one(
    conn: &mut SqliteConnection,
    credential: &CredentialDigest,
) -> QueryResult<Option<Principal>> {
    let hex = credential.digest.to_hex();
    match credential.kind {
        CredentialKind::LoginToken => {
            let found: Option<(UserRow, TokenRow)> = access_tokens::table
                .inner_join(users::table)
                .inner_join(sessions::table)
                .filter(access_tokens::access_token.eq(hex))
                .select((USER_COLUMNS, TOKEN_COLUMNS))
                .get_result(conn)
                .optional()?;
            Ok(found.map(|(user, token)| token_principal(row::user(user), row::token(token))))
        }
        CredentialKind::ApiKey => {
            let found: Option<(UserRow, ApiKey)> = api_keys::table
                .inner_join(users::table)
                .filter(api_keys::key_digest.eq(hex))
                .filter(api_keys::revoked_at.is_null())
                .select((USER_COLUMNS, KEY_COLUMNS))
                .get_result(conn)
                .optional()?;
            Ok(found.map(|(user, key)| key_principal(row::user(user), key)))
        }
    }
}

/// Fetches the principals that exist: one round trip per kind of credential, with the same prepared
/// statement for any number of them.
pub(super) fn fetch_all(
    conn: &mut PgConnection,
    credentials: &HashSet<CredentialDigest>,
) -> QueryResult<Vec<(TokenDigest, Principal)>> {
    let mut found = Vec::with_capacity(credentials.len());
    let tokens = hex_digests(credentials, CredentialKind::LoginToken);
    if !tokens.is_empty() {
        let rows: Vec<(User, AccessToken)> = access_tokens::table
            .inner_join(users::table)
            .inner_join(sessions::table)
            .filter(access_tokens::access_token.eq_any(tokens))
            .select((USER_COLUMNS, TOKEN_COLUMNS))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(user, token)| {
            let digest = TokenDigest::from_hex(&token.access_token)?;
            Some((digest, token_principal(user, token)))
        }));
    }
    let keys = hex_digests(credentials, CredentialKind::ApiKey);
    if !keys.is_empty() {
        let rows: Vec<(User, ApiKey, String)> = api_keys::table
            .inner_join(users::table)
            .filter(api_keys::key_digest.eq_any(keys))
            .filter(api_keys::revoked_at.is_null())
            .select((USER_COLUMNS, KEY_COLUMNS, api_keys::key_digest))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(user, key, hex)| {
            let digest = TokenDigest::from_hex(&hex)?;
            Some((digest, key_principal(user, key)))
        }));
    }
    Ok(found)
}

fn token_principal(user: User, token: AccessToken) -> Principal {
    Principal::new(user, Credential::LoginToken(token))
}

fn key_principal(user: User, key: ApiKey) -> Principal {
    Principal::new(user, Credential::ApiKey(UsedKey::new(key)))
}

fn hex_digests(credentials: &HashSet<CredentialDigest>, kind: CredentialKind) -> Vec<String> {
    let of_kind = credentials
        .iter()
        .filter(|credential| credential.kind == kind);
    of_kind
        .map(|credential| credential.digest.to_hex())
        .collect()
}
