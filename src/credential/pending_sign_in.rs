//! The token of a sign-in that waits for its second factor. It opens nothing but the second step.

use crate::credential::token::{NoRandomness, PlainToken, generate_token, is_token_shaped};

/// The prefix of every such token. No header accepts a credential with it.
pub(crate) const PREFIX: &str = "tkm_";

/// Generates a token: the prefix, and 32 random bytes as in [`generate_token`].
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub(crate) fn generate_pending_token() -> Result<PlainToken, NoRandomness> {
    Ok(generate_token()?.prefixed(PREFIX))
}

/// Whether these bytes have the form of such a token. Says nothing about whether it exists.
pub(crate) fn is_pending_token_shaped(presented: &[u8]) -> bool {
    let token = presented.strip_prefix(PREFIX.as_bytes());
    token.is_some_and(is_token_shaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::CredentialDigest;

    #[test]
    fn token_authenticates_nowhere_else() {
        let token = generate_pending_token().unwrap();
        let text = token.expose();
        assert_eq!((text.len(), &text[..4]), (47, PREFIX));
        assert!(is_pending_token_shaped(text.as_bytes()));
        assert!(CredentialDigest::parse(text.as_bytes()).is_none());
        for other in [&text[4..], &text[..46], PREFIX, "", &format!("{text}A")] {
            assert!(!is_pending_token_shaped(other.as_bytes()), "{other}");
        }
    }
}
