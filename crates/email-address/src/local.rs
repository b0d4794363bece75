//! The part before the @-sign.

use icu_normalizer::ComposingNormalizer;

use crate::InvalidEmail;
use crate::characters::{is_atext, is_safe};

/// The mailboxes of RFC 2142 sections 3 to 5, whose names are case-insensitive.
const ROLE_MAILBOXES: [&str; 15] = [
    "abuse",
    "ftp",
    "hostmaster",
    "info",
    "marketing",
    "news",
    "noc",
    "postmaster",
    "sales",
    "security",
    "support",
    "usenet",
    "uucp",
    "webmaster",
    "www",
];

/// Validates a local part and normalises it to NFC (RFC 6532 section 3.1).
pub(crate) fn normalise(local: &str) -> Result<String, InvalidEmail> {
    check(local)?;
    let composed = ComposingNormalizer::new_nfc().normalize(local);
    // NFC turns some characters into ASCII that is not allowed: U+037E becomes a semicolon.
    check(&composed)?;
    let role = ROLE_MAILBOXES
        .into_iter()
        .find(|role| role.eq_ignore_ascii_case(&composed));
    Ok(role.map_or_else(|| composed.into_owned(), str::to_owned))
}

/// `Dot-string` of RFC 5321 section 4.1.2, extended by RFC 6531. The limit of 64 octets is not
/// enforced: longer local parts are in use.
fn check(local: &str) -> Result<(), InvalidEmail> {
    if local.is_empty() {
        return Err(InvalidEmail::NoLocalPart);
    }
    if !local.chars().all(|c| c == '.' || is_atext(c)) || !is_safe(local) {
        return Err(InvalidEmail::LocalPartCharacter);
    }
    if local.split('.').any(str::is_empty) {
        return Err(InvalidEmail::LocalPartPeriod);
    }
    Ok(())
}
