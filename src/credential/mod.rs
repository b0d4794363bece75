//! What a client shows to be let in, told apart by its looks.

pub mod api_key;
pub(crate) mod hex;
pub(crate) mod keyed_digest;
pub mod token;

use crate::credential::token::{TokenDigest, is_foreign_token_shaped, is_token_shaped};

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
    presented.starts_with(api_key::PREFIX.as_bytes()) && !is_token_shaped(presented)
}

/// Whether these bytes are meant as a credential of ours, or of a Django whose users have moved in.
/// Says nothing about whether they are one.
pub fn is_credential_shaped(presented: &[u8]) -> bool {
    is_token_shaped(presented)
        || presented.starts_with(api_key::PREFIX.as_bytes())
        || is_foreign_token_shaped(presented)
}

/// By what a presented credential may be found: most have one digest. A token that was taken over
/// from knox has another, since knox had no more than a digest of its own.
#[derive(Clone, Copy, Debug)]
pub struct Candidates {
    usual: CredentialDigest,
    knox: Option<CredentialDigest>,
}

impl Candidates {
    /// Digests what was presented; `None` as for [`CredentialDigest::of`].
    pub fn of(presented: &[u8]) -> Option<Self> {
        let usual = CredentialDigest::of(presented)?;
        let is_of_knox = usual.kind == CredentialKind::LoginToken
            && !is_token_shaped(presented)
            && is_foreign_token_shaped(presented);
        let knox = is_of_knox.then(|| CredentialDigest {
            kind: CredentialKind::LoginToken,
            digest: TokenDigest::of_knox_token(presented),
        });
        Some(Self { usual, knox })
    }

    /// The digests, the usual one first.
    pub fn iter(&self) -> impl Iterator<Item = CredentialDigest> + use<> {
        [Some(self.usual), self.knox].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::api_key::generate_api_key;
    use crate::credential::token::generate_token;

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
