//! The secrets that go out in mails: a link's token, and a code that can be typed instead of following the
//! link. Each is for one purpose, and authenticates nothing else.

use rand::TryRng;
use rand::rngs::SysRng;

use crate::credential::token::{NoRandomness, PlainToken, generate_token, is_token_shaped};

/// The prefix of every token. No header accepts a credential with it.
pub const PREFIX: &str = "tke_";

/// The number of characters of a code: 40 bits.
const CODE_CHARACTERS: usize = 8;

/// Crockford's base32: without I, L, O and U, which are read as other characters, or spell words.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What a token or code allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailPurpose {
    /// To set another password.
    Reset,
    /// To confirm the address of an account.
    Verify,
    /// To confirm another address for an account.
    Change,
    /// To return to the address before a change.
    Undo,
    /// To create the account that an administrator has offered.
    Invite,
}

impl MailPurpose {
    /// The name in the database, which never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verify => "verify",
            Self::Change => "change",
            Self::Undo => "undo",
            Self::Invite => "invite",
        }
    }

    /// The path of the page that the link opens.
    pub const fn page(self) -> &'static str {
        match self {
            Self::Reset => "/reset-password",
            Self::Verify => "/verify-email",
            Self::Change => "/change-email",
            Self::Undo => "/change-email/undo",
            Self::Invite => "/invitations/accept",
        }
    }
}

/// Generates a token: the prefix, and 32 random bytes as in [`generate_token`].
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn generate_mail_token() -> Result<PlainToken, NoRandomness> {
    Ok(generate_token()?.prefixed(PREFIX))
}

/// Whether these bytes have the form of such a token. Says nothing about whether it exists.
pub fn is_mail_token_shaped(presented: &[u8]) -> bool {
    let token = presented.strip_prefix(PREFIX.as_bytes());
    token.is_some_and(is_token_shaped)
}

/// Generates a code: eight characters of Crockford's base32.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn generate_mail_code() -> Result<PlainToken, NoRandomness> {
    let mut bytes = [0_u8; CODE_CHARACTERS];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_error| NoRandomness)?;
    // 256 is a multiple of 32, so every character is equally likely.
    let character = |byte: u8| char::from(ALPHABET[usize::from(byte % 32)]);
    let code: String = bytes.into_iter().map(character).collect();
    Ok(PlainToken::from_text(code))
}

/// The code that somebody has typed, in the form in which it was sent: in capitals, without blanks and
/// hyphens, and with digits for the letters that are read as such. `None` for a text that is no code.
pub fn normalise_mail_code(typed: &str) -> Option<String> {
    let typed = typed.chars().filter(|c| !matches!(c, ' ' | '-'));
    // One more than a code has, so that a longer text is none.
    let code: String = typed
        .take(CODE_CHARACTERS + 1)
        .map(read_character)
        .collect();
    let is_code = code.len() == CODE_CHARACTERS && code.bytes().all(|b| ALPHABET.contains(&b));
    is_code.then_some(code)
}

/// The character of [`ALPHABET`] that is meant: in capitals, and a digit for a letter that is read as such.
pub(super) fn read_character(typed: char) -> char {
    match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::credential::CredentialDigest;

    #[test]
    fn token_differs_from_every_other_credential() {
        let token = generate_mail_token().unwrap();
        let text = token.expose();
        assert_eq!((text.len(), &text[..4]), (47, PREFIX));
        assert!(is_mail_token_shaped(text.as_bytes()));
        assert!(CredentialDigest::parse(text.as_bytes()).is_none());
        for other in [&text[4..], &text[..46], PREFIX, "", &format!("{text}A")] {
            assert!(!is_mail_token_shaped(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn codes_have_all_characters_and_do_not_repeat() {
        let codes: HashSet<String> = (0..2_000)
            .map(|_| generate_mail_code().unwrap().expose().to_owned())
            .collect();
        assert_eq!(codes.len(), 2_000);
        let used: HashSet<u8> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(used, ALPHABET.iter().copied().collect());
        for code in &codes {
            assert_eq!(normalise_mail_code(code).as_deref(), Some(&**code));
        }
    }

    #[test]
    fn typed_code_is_read_as_it_was_meant() {
        for typed in ["0123ABCD", "o1z3-abcd", " oIz3 AbCd ", "OL23ABCD"] {
            let meant = normalise_mail_code(typed).unwrap();
            assert!(
                ["0123ABCD", "01Z3ABCD"].contains(&&*meant),
                "{typed}: {meant}"
            );
        }
        for other in [
            "",
            "0123ABC",
            "0123ABCDE",
            "0123ABCU",
            "0123ABC\u{ff24}",
            "0123 ABC!",
        ] {
            assert_eq!(normalise_mail_code(other), None, "{other}");
        }
    }
}
