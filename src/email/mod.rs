//! E-mail addresses: which are valid, how they are written, and when two are the same.
//!
//! The rules are those of pydantic 2's `EmailStr`, which is email-validator 2 without the DNS look-up:
//! a bare address or `Name <address>`, no quoted local part, no IP address for a domain, and a
//! domain that can exist on the public Internet (RFC 5321, 5322, 6531 and 5891).
//! `scripts/fuzz-email` compares the two.

mod characters;
mod display_name;
mod domain;
mod idna2008;
mod local;
#[cfg(test)]
mod tests;

use std::fmt;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;

use domain::Domain;

/// Characters that are looked at, at most: pydantic's bound on the work that one value can cause.
const MAX_INPUT_CHARS: usize = 2048;

/// Octets of UTF-8 in an address: RFC 5321 section 4.5.3.1.3 leaves 254 inside the angle brackets
/// (RFC 3696 erratum 1690).
const MAX_ADDRESS_OCTETS: usize = 254;

/// Why a text is not a valid e-mail address. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEmail {
    /// More than 2048 characters, or more than 254 octets in the address.
    #[error("the address is too long")]
    TooLong,
    /// A carriage return or line feed, anywhere.
    #[error("line breaks are not allowed")]
    LineBreak,
    /// Angle brackets that are not those of `Name <address>`.
    #[error("the name and the angle brackets are not in the form: Name <address>")]
    DisplayName,
    /// Nothing separates a local part from a domain.
    #[error("an @-sign is missing")]
    NoAtSign,
    /// Nothing before the @-sign.
    #[error("there must be something before the @-sign")]
    NoLocalPart,
    /// A quoted local part: legal in RFC 5321, refused here as email-validator does by default.
    #[error("quotes before the @-sign are not supported")]
    QuotedLocalPart,
    /// A character that RFC 5322 (`atext`) or RFC 6531 does not allow, or that does not print.
    #[error("a character before the @-sign is not allowed")]
    LocalPartCharacter,
    /// A period first, last or next to another.
    #[error("a period before the @-sign must have other characters on both sides")]
    LocalPartPeriod,
    /// Nothing after the @-sign.
    #[error("there must be something after the @-sign")]
    NoDomain,
    /// An IP address in square brackets.
    #[error("an address in square brackets after the @-sign is not supported")]
    AddressLiteral,
    /// A character that no domain name has, or that does not print.
    #[error("a character after the @-sign is not allowed")]
    DomainCharacter,
    /// An empty or overlong label, a misplaced hyphen, or a breach of IDNA 2008.
    #[error("the part after the @-sign is not a valid domain name")]
    DomainName,
    /// A top-level domain by itself.
    #[error("the domain must have a period")]
    NoPeriodInDomain,
    /// A top-level domain that does not end with a letter, such as a number.
    #[error("the domain must end with a top-level domain")]
    TopLevelDomain,
    /// A domain that RFC 6761, 6762 or 7686 reserves, such as `localhost`.
    #[error("the domain is reserved and cannot have e-mail")]
    ReservedDomain,
}

/// A valid e-mail address in its normal form. `Display` gives `local@domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress {
    local: String,
    domain: String,
}

impl EmailAddress {
    /// Takes an address, or a name and an address in angle brackets; white space around it counts
    /// for nothing.
    ///
    /// The local part is kept as written, in NFC; only the mailbox names of RFC 2142 (`Info@`) lose
    /// their capitals. The domain is lower-cased, and shown in Unicode when it is internationalised.
    ///
    /// # Errors
    /// [`InvalidEmail`] says what is wrong first.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        if text.chars().nth(MAX_INPUT_CHARS).is_some() {
            return Err(InvalidEmail::TooLong);
        }
        if text.contains(['\r', '\n']) {
            return Err(InvalidEmail::LineBreak);
        }
        let address = display_name::strip(text).trim_matches(characters::is_space);
        let (local, domain) = split(address)?;
        let normal_local = local::normalise(local)?;
        let Domain { unicode, ascii } = domain::normalise(domain)?;
        // Each form may be the one that travels, so each has to fit.
        let too_long = [
            (local, domain),
            (&normal_local, &unicode),
            (&normal_local, &ascii),
        ]
        .iter()
        .any(|(local, domain)| local.len() + "@".len() + domain.len() > MAX_ADDRESS_OCTETS);
        if too_long {
            return Err(InvalidEmail::TooLong);
        }
        Ok(Self {
            local: normal_local,
            domain: unicode,
        })
    }

    /// The part after the @-sign, in lower case and in Unicode.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What makes two addresses the same account: NFKC and full case folding of the normal form.
    ///
    /// For comparing only. It is no address: mail to it may go to somebody else.
    pub fn key(&self) -> String {
        fold(&self.to_string())
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// Splits at the first @-sign. One inside quotes is no separator, but quotes are refused anyway.
fn split(address: &str) -> Result<(&str, &str), InvalidEmail> {
    let (local, domain) = address.split_once('@').ok_or(InvalidEmail::NoAtSign)?;
    if local.starts_with('"') {
        return Err(InvalidEmail::QuotedLocalPart);
    }
    if local.contains('<') {
        return Err(InvalidEmail::DisplayName);
    }
    Ok((local, domain))
}

/// NFKC, full case folding (Unicode section 3.13, C and F), and NFKC again, because folding takes
/// composed characters apart. Folding what comes out changes nothing more.
pub(crate) fn fold(text: &str) -> String {
    let nfkc = ComposingNormalizer::new_nfkc();
    let folded = CaseMapper::new()
        .fold_string(&nfkc.normalize(text))
        .into_owned();
    nfkc.normalize(&folded).into_owned()
}
