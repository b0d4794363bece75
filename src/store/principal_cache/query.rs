//! The queries by digest. All go past [`StoreConnection`](crate::store::StoreConnection): they are
//! the most frequent ones by far, and each database has its own cheapest way.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::credential::token::TokenDigest;
use crate::credential::{CredentialDigest, CredentialKind};
use crate::store::access_token::TOKEN_COLUMNS;
use crate::store::api_key::KEY_COLUMNS;
use crate::store::schema::{access_tokens, api_keys, users};
use crate::store::user::USER_COLUMNS;
use crate::store::{AccessToken, ApiKey, User};
use crate::store::{Credential, Principal, UsedKey};

/// One principal, by one prepared statement.
pub(super) fn find_one(
    conn: &mut SqliteConnection,
    credential: &CredentialDigest,
) -> QueryResult<Option<Principal>> {
    let hex = credential.digest.to_hex();
    match credential.kind {
        CredentialKind::LoginToken => {
            let found: Option<(User, AccessToken)> = access_tokens::table
                .inner_join(users::table)
                .filter(access_tokens::access_token.eq(hex))
                .select((USER_COLUMNS, TOKEN_COLUMNS))
                .get_result(conn)
                .optional()?;
            Ok(found.map(|(user, token)| of_token(user, token)))
        }
        CredentialKind::ApiKey => {
            let found: Option<(User, ApiKey)> = api_keys::table
                .inner_join(users::table)
                .filter(api_keys::key_digest.eq(hex))
                .filter(api_keys::revoked_at.is_null())
                .select((USER_COLUMNS, KEY_COLUMNS))
                .get_result(conn)
                .optional()?;
            Ok(found.map(|(user, key)| of_key(user, key)))
        }
    }
}

/// All the principals that there are of these: for each kind that is asked for one round trip, by
/// one prepared statement however many they are.
pub(super) fn find_all(
    conn: &mut PgConnection,
    credentials: &HashSet<CredentialDigest>,
) -> QueryResult<Vec<(TokenDigest, Principal)>> {
    let mut found = Vec::with_capacity(credentials.len());
    let tokens = hex_of_kind(credentials, CredentialKind::LoginToken);
    if !tokens.is_empty() {
        let rows: Vec<(User, AccessToken)> = access_tokens::table
            .inner_join(users::table)
            .filter(access_tokens::access_token.eq_any(tokens))
            .select((USER_COLUMNS, TOKEN_COLUMNS))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(user, token)| {
            let digest = TokenDigest::from_hex(&token.access_token)?;
            Some((digest, of_token(user, token)))
        }));
    }
    let keys = hex_of_kind(credentials, CredentialKind::ApiKey);
    if !keys.is_empty() {
        let rows: Vec<(User, ApiKey, String)> = api_keys::table
            .inner_join(users::table)
            .filter(api_keys::key_digest.eq_any(keys))
            .filter(api_keys::revoked_at.is_null())
            .select((USER_COLUMNS, KEY_COLUMNS, api_keys::key_digest))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(user, key, hex)| {
            let digest = TokenDigest::from_hex(&hex)?;
            Some((digest, of_key(user, key)))
        }));
    }
    Ok(found)
}

fn of_token(user: User, token: AccessToken) -> Principal {
    Principal {
        user,
        credential: Credential::LoginToken(token),
    }
}

fn of_key(user: User, key: ApiKey) -> Principal {
    Principal {
        user,
        credential: Credential::ApiKey(UsedKey::new(key)),
    }
}

fn hex_of_kind(credentials: &HashSet<CredentialDigest>, kind: CredentialKind) -> Vec<String> {
    let of_kind = credentials
        .iter()
        .filter(|credential| credential.kind == kind);
    of_kind
        .map(|credential| credential.digest.to_hex())
        .collect()
}
