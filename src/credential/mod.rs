//! The credentials that a client presents, and how their form tells which kind one is.

pub mod api_key;
pub(crate) mod browser_cookie;
pub(crate) mod device_token;
pub(crate) mod hex;
pub(crate) mod keyed_digest;
pub mod mail_token;
pub(crate) mod otpauth;
pub(crate) mod pending_sign_in;
pub mod recovery_code;
pub(crate) mod refresh_token;
pub mod sealed;
pub mod token;
pub mod totp;

use crate::credential::browser_cookie::is_browser_cookie_shaped;
use crate::credential::device_token::is_device_token_shaped;
use crate::credential::mail_token::is_mail_token_shaped;
use crate::credential::pending_sign_in::is_pending_token_shaped;
use crate::credential::refresh_token::is_refresh_token_shaped;
use crate::credential::token::{TokenDigest, is_foreign_token_shaped, is_token_shaped};

/// The kinds of credential that authenticate a user. They are kept apart: a look-up for one kind
/// never finds the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// Issued for a password, one per user.
    LoginToken,
    /// Created by a user for a program.
    ApiKey,
}

/// The key under which a credential is found in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialDigest {
    /// The table to search.
    pub kind: CredentialKind,
    /// The digest to search for.
    pub digest: TokenDigest,
}

impl CredentialDigest {
    /// Digests a credential from a header. Returns `None` for a malformed API key (mistyped or
    /// truncated), for a refresh token, for the secret of a browser's cookie or of a trusted device, for the
    /// token of a mail and for that of a pending sign-in, which authenticate no user there and need no database
    /// query.
    pub fn parse(presented: &[u8]) -> Option<Self> {
        if is_refresh_token_shaped(presented)
            || is_browser_cookie_shaped(presented)
            || is_mail_token_shaped(presented)
            || is_pending_token_shaped(presented)
            || is_device_token_shaped(presented)
        {
            return None;
        }
        let kind = if has_key_prefix(presented) {
            if !api_key::is_well_formed(presented) {
                return None;
            }
            CredentialKind::ApiKey
        } else {
            CredentialKind::LoginToken
        };
        Some(Self {
            kind,
            digest: TokenDigest::new(presented),
        })
    }
}

/// Whether the prefix marks this as an API key. One login token in 17 million has the same prefix;
/// its length tells it apart.
fn has_key_prefix(presented: &[u8]) -> bool {
    presented.starts_with(api_key::PREFIX.as_bytes()) && !is_token_shaped(presented)
}

/// Whether these bytes have the form of a credential issued here, or of a Django token that an
/// import has carried over. Says nothing about whether the credential exists.
pub fn is_credential_shaped(presented: &[u8]) -> bool {
    is_token_shaped(presented)
        || presented.starts_with(api_key::PREFIX.as_bytes())
        || is_foreign_token_shaped(presented)
}

/// The digests under which a presented credential may be stored. Most credentials have one. A token
/// imported from django-rest-knox has a second one, derived from the digest that knox stored.
#[derive(Clone, Copy, Debug)]
pub struct Candidates {
    usual: CredentialDigest,
    knox: Option<CredentialDigest>,
    place: Place,
}

/// Where a request carries a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In `Authorization` or `Token`, or in the body for introspection and revocation.
    Header,
    /// In the cookie of a signed-in browser.
    Cookie,
}

impl Candidates {
    /// Digests a credential from a header; `None` as for [`CredentialDigest::parse`].
    pub fn parse(presented: &[u8]) -> Option<Self> {
        let usual = CredentialDigest::parse(presented)?;
        let is_knox_token = usual.kind == CredentialKind::LoginToken
            && is_foreign_token_shaped(presented)
            && !is_token_shaped(presented);
        let knox = is_knox_token.then(|| CredentialDigest {
            kind: CredentialKind::LoginToken,
            digest: TokenDigest::from_knox_token(presented),
        });
        Some(Self {
            usual,
            knox,
            place: Place::Header,
        })
    }

    /// Digests the secret in a browser's cookie; `None` for everything else.
    #[cfg(feature = "pages")]
    pub(crate) fn parse_cookie(presented: &[u8]) -> Option<Self> {
        is_browser_cookie_shaped(presented).then(|| Self {
            usual: CredentialDigest {
                kind: CredentialKind::LoginToken,
                digest: TokenDigest::new(presented),
            },
            knox: None,
            place: Place::Cookie,
        })
    }

    /// Digests the secret in the cookie that a browser has for one guarded host, and sends to it; `None`
    /// for everything else.
    #[cfg(feature = "pages")]
    pub(crate) fn parse_host_cookie(presented: &[u8], host: &str) -> Option<Self> {
        let mut candidates = Self::parse_cookie(presented)?;
        candidates.usual.digest = TokenDigest::for_host(presented, host);
        Some(candidates)
    }

    /// Where the credential was presented.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The digests; the usual one first.
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
    fn form_determines_the_kind() {
        let kind = |presented: &str| CredentialDigest::parse(presented.as_bytes()).map(|d| d.kind);
        let token = generate_token().unwrap();
        let key = generate_api_key().unwrap();
        assert_eq!(kind(token.expose()), Some(CredentialKind::LoginToken));
        assert_eq!(kind(key.expose()), Some(CredentialKind::ApiKey));
        assert_eq!(kind(&key.expose()[..52]), None);
        assert_eq!(kind("tkh_"), None);
        // A login token that happens to start with the prefix of a key.
        let lucky = format!("tkh_{}", &token.expose()[4..]);
        assert_eq!(kind(&lucky), Some(CredentialKind::LoginToken));
        // A token that another system issued.
        assert_eq!(kind("0123456789abcdef"), Some(CredentialKind::LoginToken));
        // The secret of a cookie.
        assert_eq!(kind(&format!("tkb_{}", token.expose())), None);
    }
}
