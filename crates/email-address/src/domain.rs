//! The part after the @-sign: an Internet domain name, internationalised or not.

use icu_normalizer::ComposingNormalizer;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use crate::InvalidEmail;
use crate::characters::is_safe;
use crate::idna2008;

/// Without the root: RFC 1035 section 2.3.4 less the length octets of the first label and the root.
const MAX_DOMAIN_OCTETS: usize = 253;

/// Top-level domains that cannot receive mail from outside: RFC 6761, 6762 (`local`), 7686
/// (`onion`), and all of `arpa`, which is reserved for infrastructure.
const RESERVED: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];

/// A domain name in both forms, lower-cased.
pub(crate) struct Domain {
    /// With U-labels, for display.
    pub(crate) unicode: String,
    /// With A-labels, for DNS.
    pub(crate) ascii: String,
}

/// Checks a domain and maps it to its normal form.
pub(crate) fn normalise(domain: &str) -> Result<Domain, InvalidEmail> {
    check_characters(domain)?;
    let domain = to_idna(domain).ok_or(InvalidEmail::DomainName)?;
    check_deliverable(&domain.ascii)?;
    Ok(domain)
}

/// Checks the domain as written, before UTS 46 maps or drops invalid characters.
fn check_characters(domain: &str) -> Result<(), InvalidEmail> {
    if domain.is_empty() {
        return Err(InvalidEmail::NoDomain);
    }
    // Before IDNA, whose run time is not linear in the length.
    if domain.chars().nth(MAX_DOMAIN_OCTETS).is_some() {
        return Err(InvalidEmail::TooLong);
    }
    if domain.starts_with('[') && domain.ends_with(']') {
        return Err(InvalidEmail::AddressLiteral);
    }
    if !domain.chars().all(is_hostname_character) || !is_safe(domain) || hides_period(domain) {
        return Err(InvalidEmail::DomainCharacter);
    }
    Ok(())
}

fn is_hostname_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.') || !c.is_ascii()
}

/// Whether NFKC of a character such as U+2488 (a digit with a period) contains a label separator.
/// The full-width period U+FF0E is allowed: it is visibly a separator.
fn hides_period(domain: &str) -> bool {
    let nfkc = ComposingNormalizer::new_nfkc();
    let mut utf8 = [0; 4];
    domain
        .chars()
        .filter(|c| !matches!(c, '.' | '\u{FF0E}'))
        .any(|c| nfkc.normalize(c.encode_utf8(&mut utf8)).contains('.'))
}

/// Maps the domain by UTS 46 and checks it by IDNA 2008, which is stricter. `None` if it is invalid.
fn to_idna(domain: &str) -> Option<Domain> {
    let uts46 = Uts46::new();
    let (unicode, validity) =
        uts46.to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    validity.ok()?;
    if !unicode.split('.').all(idna2008::is_valid_label) {
        return None;
    }
    let (strict, verify) = (AsciiDenyList::STD3, DnsLength::Verify);
    let ascii = uts46
        .to_ascii(unicode.as_bytes(), strict, Hyphens::Check, verify)
        .ok()?;
    Some(Domain {
        ascii: ascii.into_owned(),
        unicode: unicode.into_owned(),
    })
}

fn check_deliverable(ascii: &str) -> Result<(), InvalidEmail> {
    let Some((_rest, top_level)) = ascii.rsplit_once('.') else {
        return Err(InvalidEmail::NoPeriodInDomain);
    };
    if !top_level.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(InvalidEmail::TopLevelDomain);
    }
    if RESERVED.contains(&top_level) {
        return Err(InvalidEmail::ReservedDomain);
    }
    Ok(())
}
