//! What a client shows to be let in, told apart by its looks.

use crate::api_key;
use crate::token::{self, TokenDigest};

/// The kinds of credential that stand for a user. They are kept apart: a look-up for the one never
/// finds the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// Given for a password, one per user.
    LoginToken,
    /// Made by a user for a program.
    ApiKey,
}

/// By what a credential is found in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialDigest {
    /// Where to look.
    pub kind: CredentialKind,
    /// What to look for.
    pub digest: TokenDigest,
}

impl CredentialDigest {
    /// Digests what was presented. `None` for what begins like an API key and is none: a typing
    /// error, or a key that was cut off. The database need not be asked about those.
    pub fn of(presented: &[u8]) -> Option<Self> {
        let kind = if is_meant_as_key(presented) {
            if !api_key::is_well_formed(presented) {
                return None;
            }
            CredentialKind::ApiKey
        } else {
            CredentialKind::LoginToken
        };
        Some(Self {
            kind,
            digest: TokenDigest::of(presented),
        })
    }
}

/// One login token in 17 million begins like a key; its length tells it from one.
fn is_meant_as_key(presented: &[u8]) -> bool {
    presented.starts_with(api_key::PREFIX.as_bytes()) && !token::is_token_shaped(presented)
}

/// Whether these bytes are meant as a credential of ours. Says nothing about whether they are one.
pub fn is_credential_shaped(presented: &[u8]) -> bool {
    token::is_token_shaped(presented) || presented.starts_with(api_key::PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::generate_api_key;
    use crate::token::generate_token;

    #[test]
    fn the_kind_is_told_from_the_looks() {
        let kind = |presented: &str| CredentialDigest::of(presented.as_bytes()).map(|d| d.kind);
        let token = generate_token().unwrap();
        let key = generate_api_key().unwrap();
        assert_eq!(kind(token.expose()), Some(CredentialKind::LoginToken));
        assert_eq!(kind(key.expose()), Some(CredentialKind::ApiKey));
        assert_eq!(kind(&key.expose()[..52]), None);
        assert_eq!(kind("tkh_"), None);
        // A login token that happens to begin like a key.
        let lucky = format!("tkh_{}", &token.expose()[4..]);
        assert_eq!(kind(&lucky), Some(CredentialKind::LoginToken));
        // What another system has issued.
        assert_eq!(kind("0123456789abcdef"), Some(CredentialKind::LoginToken));
    }
}
