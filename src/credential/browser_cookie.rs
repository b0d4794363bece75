//! The secret in the cookie of a signed-in browser: a login token in another form, so that no header
//! accepts it, and the cookie accepts no other credential.

use crate::credential::token::{NoRandomness, PlainToken, generate_token, is_token_shaped};

/// The prefix of every such secret.
pub(crate) const PREFIX: &str = "tkb_";

/// Generates a secret: the prefix and a token.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub(crate) fn generate_browser_cookie() -> Result<PlainToken, NoRandomness> {
    Ok(generate_token()?.prefixed(PREFIX))
}

/// Whether these bytes have the form of such a secret. Says nothing about whether it exists.
pub(crate) fn is_browser_cookie_shaped(presented: &[u8]) -> bool {
    let token = presented.strip_prefix(PREFIX.as_bytes());
    token.is_some_and(is_token_shaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_differs_from_that_of_every_other_credential() {
        let secret = generate_browser_cookie().unwrap();
        let text = secret.expose();
        assert_eq!((text.len(), &text[..4]), (47, PREFIX));
        assert!(is_browser_cookie_shaped(text.as_bytes()));
        assert!(!is_token_shaped(text.as_bytes()));
        for other in [&text[4..], &text[..46], "tkb_", "", &format!("{text}A")] {
            assert!(!is_browser_cookie_shaped(other.as_bytes()), "{other}");
        }
    }
}
