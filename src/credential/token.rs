//! Access tokens as secrets: generated here, shown once, stored only as a digest.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::credential::hex;

/// Random bytes in a token. 256 bits cannot be guessed, so an unsalted digest is enough.
const TOKEN_BYTES: usize = 32;

/// Characters in a token: those bytes in base64.
const TOKEN_CHARACTERS: usize = 43;

/// The system's random generator failed, so no token can be generated.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct NoRandomness;

/// A token in plain text, on its way to its owner. Its `Debug` output does not reveal it.
pub struct PlainToken(SecretString);

impl PlainToken {
    /// The token itself: 43 characters of `[A-Za-z0-9_-]`, after a prefix for some kinds; or a code of a mail.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The digest that is stored instead of the token.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::new(self.expose().as_bytes())
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(..)")
    }
}

/// Generates a token: 32 bytes from the system's generator in URL-safe base64 without padding, as
/// Python's `secrets.token_urlsafe(32)` does. It never starts with a hyphen, because a program would
/// parse it as an option: `http -A bearer -a <token>`.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn generate_token() -> Result<PlainToken, NoRandomness> {
    loop {
        let mut bytes = [0_u8; TOKEN_BYTES];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|_error| NoRandomness)?;
        let token = URL_SAFE_NO_PAD.encode(bytes);
        if !token.starts_with('-') {
            return Ok(PlainToken(token.into()));
        }
    }
}

impl PlainToken {
    /// The same token after a prefix, as a secret of another kind.
    pub(super) fn prefixed(&self, prefix: &str) -> Self {
        Self(format!("{prefix}{}", self.expose()).into())
    }

    /// A secret of another form.
    pub(super) fn from_text(text: String) -> Self {
        Self(text.into())
    }

    /// The token of these bytes. One that would begin with a hyphen begins with an underscore instead.
    pub(crate) fn from_bytes(bytes: &[u8; TOKEN_BYTES]) -> Self {
        let token = URL_SAFE_NO_PAD.encode(bytes);
        match token.strip_prefix('-') {
            Some(rest) => Self(format!("_{rest}").into()),
            None => Self(token.into()),
        }
    }
}

/// Whether these bytes have the form of a token. Says nothing about whether the token exists.
pub fn is_token_shaped(presented: &[u8]) -> bool {
    presented.len() == TOKEN_CHARACTERS && presented.iter().all(is_base64_url)
}

/// A foreign token ends in at least this many lower-case hexadecimal digits.
const MIN_FOREIGN_DIGITS: usize = 32;

/// Whether these bytes have the form of a Django token: 40 hexadecimal digits for Django REST
/// framework; for knox `TOKEN_PREFIX` and `AUTH_TOKEN_CHARACTER_LENGTH` digits (64 by default).
pub(crate) fn is_foreign_token_shaped(presented: &[u8]) -> bool {
    presented
        .split_last_chunk::<MIN_FOREIGN_DIGITS>()
        .is_some_and(|(before, digits)| {
            digits.iter().copied().all(hex::is_digit) && before.iter().all(is_base64_url)
        })
}

/// Whether this is a character of URL-safe base64.
fn is_base64_url(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The SHA-256 of a credential. A leaked table of digests is worthless: a digest presented as a token
/// is hashed again, and that hash is in no table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Digests the presented bytes.
    pub fn new(credential: &[u8]) -> Self {
        Self(Sha256::digest(credential).into())
    }

    /// Digests a secret together with the host where it counts. At every other host, and wherever no host
    /// is meant, it has another digest, under which nothing is stored.
    #[cfg(feature = "pages")]
    pub(crate) fn for_host(secret: &[u8], host: &str) -> Self {
        // A secret has no NUL, so the parts cannot be told apart in two ways.
        let digest: [u8; 32] = Sha256::new()
            .chain_update(secret)
            .chain_update([0])
            .chain_update(host)
            .finalize()
            .into();
        // No text that a client can present elsewhere has this digest.
        Self(digest.map(|byte| !byte))
    }

    /// Digests a token as knox does by default (SHA-512 in hexadecimal digits), and digests the result:
    /// equal to [`Self::from_knox_digest`] of the digest that knox stored for the token.
    pub(crate) fn from_knox_token(credential: &[u8]) -> Self {
        let mut digits = [0_u8; 128];
        hex::write(&Sha512::digest(credential), &mut digits);
        Self::from_digits(&digits)
    }

    /// Digests the digest that knox stored for a token; `None` unless it is a SHA-512 in lower-case
    /// hexadecimal digits.
    pub fn from_knox_digest(stored: &str) -> Option<Self> {
        let digits = stored.as_bytes();
        let is_sha512 = digits.len() == 128 && digits.iter().copied().all(hex::is_digit);
        is_sha512.then(|| Self::from_digits(digits))
    }

    /// Inverts every bit of the SHA-256. If this were the SHA-256 of a text that can be derived from the
    /// digits, an attacker who has read knox's table could present that text as a token.
    fn from_digits(digits: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(digits).into();
        Self(digest.map(|byte| !byte))
    }

    /// 64 lower-case hexadecimal digits, as stored.
    pub fn to_hex(self) -> String {
        let mut hex = [0_u8; 64];
        hex::write(&self.0, &mut hex);
        String::from_utf8_lossy(&hex).into_owned()
    }

    /// Parses the output of [`Self::to_hex`]; `None` for anything else.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut bytes = [0_u8; 32];
        hex::read(hex.as_bytes(), &mut bytes).then_some(Self(bytes))
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A digest is effectively random, so any part of it is a good hash.
impl std::hash::Hash for TokenDigest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The number of tokens to generate: `TOKENHOUSE_TEST_TOKENS`, or 20,000.
    fn samples() -> u32 {
        std::env::var("TOKENHOUSE_TEST_TOKENS").map_or(20_000, |number| number.parse().unwrap())
    }

    #[cfg(feature = "pages")]
    #[test]
    fn secret_has_another_digest_at_every_host() {
        let secret = generate_token().unwrap();
        let secret = secret.expose().as_bytes();
        let hosts = ["", "app.example", "app.example:8443", "other.example"];
        let mut digests: HashSet<String> = hosts
            .into_iter()
            .map(|host| TokenDigest::for_host(secret, host).to_hex())
            .collect();
        assert!(digests.insert(TokenDigest::new(secret).to_hex()));
        // What a client would present to have the same digest where no host is meant.
        let joined = [secret, b"\0app.example"].concat();
        assert!(digests.insert(TokenDigest::new(&joined).to_hex()));
        assert_eq!(digests.len(), 6);
    }

    #[test]
    fn tokens_have_the_form_of_pythons_and_never_repeat() {
        let mut seen = HashSet::new();
        for _ in 0..samples() {
            let token = generate_token().unwrap();
            let text = token.expose();
            assert_eq!(text.len(), 43);
            assert!(
                !text.starts_with('-'),
                "a program would parse it as an option"
            );
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            );
            // 256 bits in 43 characters leave two unused bits in the last one.
            assert!("048AEIMQUYcgkosw".contains(text.chars().last().unwrap()));
            assert!(seen.insert(text.to_owned()));
        }
    }

    #[test]
    fn every_bit_of_a_token_is_random() {
        let samples = samples();
        let mut ones = [0_u32; TOKEN_BYTES * 8];
        for _ in 0..samples {
            let token = generate_token().unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(token.expose()).unwrap();
            for (index, count) in ones.iter_mut().enumerate() {
                *count += u32::from(bytes[index / 8] >> (7 - index % 8) & 1);
            }
        }
        // 5.5 standard deviations: over all bits, one false alarm in about 10^5 runs.
        let tolerance = 5.5 * (f64::from(samples) / 4.0).sqrt();
        // The first character is never a hyphen, so its six bits are slightly biased.
        for count in ones.into_iter().skip(6) {
            assert!((f64::from(count) - f64::from(samples) / 2.0).abs() < tolerance);
        }
    }

    #[test]
    fn digest_is_sha256_in_hex() {
        assert_eq!(
            TokenDigest::new(b"abc").to_hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(TokenDigest::new(b"abc").matches(&TokenDigest::new(b"abc")));
        assert!(!TokenDigest::new(b"abc").matches(&TokenDigest::new(b"abd")));
    }

    #[test]
    fn hex_round_trips_and_other_texts_are_rejected() {
        let hex = TokenDigest::new(b"abc").to_hex();
        assert_eq!(TokenDigest::from_hex(&hex), Some(TokenDigest::new(b"abc")));
        for other in ["", "*", &hex[1..], &hex.to_uppercase(), &format!("{hex}00")] {
            assert_eq!(TokenDigest::from_hex(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_knox_token_itself_matches_the_digest_that_knox_stored() {
        let token = b"8550cfb4165436744dee4bc6c129adddd1380dfc58945514d0a8723376c885c7";
        // Python: hashlib.sha512(token).hexdigest()
        let stored = "3097e561ca311aeac2a7c3cf4f85d4905cc94989d8fa26d632e2a5b38e1181f3\
             02de28c8973799080c9f9c383cc2b246f869131d4c200446d668db7750b686b5";
        let digest = TokenDigest::from_knox_digest(stored).unwrap();
        assert!(digest == TokenDigest::from_knox_token(token));
        for other in [stored.as_bytes(), digest.to_hex().as_bytes(), &digest.0] {
            assert!(
                digest != TokenDigest::new(other) && digest != TokenDigest::from_knox_token(other)
            );
        }
        assert!(digest != TokenDigest::new(token));
        for bad in ["", &stored[1..], &stored.to_uppercase(), &stored[..64]] {
            assert!(TokenDigest::from_knox_digest(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn form_identifies_django_tokens() {
        let digits = "8550cfb4165436744dee4bc6c129adddd1380dfc58945514d0a8723376c885c7";
        let good = [
            &digits[..40],
            digits,
            &format!("prefix_{digits}"),
            &format!("{digits}{digits}"),
        ];
        for token in good {
            assert!(is_foreign_token_shaped(token.as_bytes()), "{token}");
        }
        let bad = [
            "abc",
            &digits[..31],
            &digits.to_uppercase(),
            &format!("{digits}g"),
            &format!("token={digits}"),
            &format!("a {digits}"),
        ];
        for other in bad {
            assert!(!is_foreign_token_shaped(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn debug_output_hides_token_and_digest() {
        let token = generate_token().unwrap();
        assert_eq!(
            format!("{token:?} {:?}", token.digest()),
            "PlainToken(..) TokenDigest(..)"
        );
    }
}
