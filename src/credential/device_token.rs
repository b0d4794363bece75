//! The secret of a device on which a user has shown a second factor. It replaces the code at a sign-in with the
//! password, and opens nothing by itself.

use crate::credential::token::{NoRandomness, PlainToken, generate_token, is_token_shaped};

/// The prefix of every such secret. No header accepts a credential with it.
pub(crate) const PREFIX: &str = "tkd_";

/// Generates a secret: the prefix, and 32 random bytes as in [`generate_token`].
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub(crate) fn generate_device_token() -> Result<PlainToken, NoRandomness> {
    Ok(generate_token()?.prefixed(PREFIX))
}

/// Whether these bytes have the form of such a secret. Says nothing about whether it exists.
pub(crate) fn is_device_token_shaped(presented: &[u8]) -> bool {
    let token = presented.strip_prefix(PREFIX.as_bytes());
    token.is_some_and(is_token_shaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::CredentialDigest;

    #[test]
    fn token_authenticates_nowhere() {
        let token = generate_device_token().unwrap();
        let text = token.expose();
        assert_eq!((text.len(), &text[..4]), (47, PREFIX));
        assert!(is_device_token_shaped(text.as_bytes()));
        assert!(CredentialDigest::parse(text.as_bytes()).is_none());
        for other in [&text[4..], &text[..46], PREFIX, "", &format!("{text}A")] {
            assert!(!is_device_token_shaped(other.as_bytes()), "{other}");
        }
    }
}
