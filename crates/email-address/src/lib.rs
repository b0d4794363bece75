//! E-mail addresses: which are valid, how they are written, and when two are the same.
//!
//! The rules are those of pydantic 2's `EmailStr`, which is email-validator 2 without the DNS lookup:
//! a bare address or `Name <address>`, no quoted local part, no IP address as the domain, and a
//! domain that can exist on the public Internet (RFC 5321, 5322, 6531 and 5891).
//!
//! ```
//! use pydantic_email::{EmailAddress, InvalidEmail};
//!
//! let address = EmailAddress::parse("Ann Lee <Ann.Lee@BÜCHER.example.com>")?;
//! assert_eq!(address.to_string(), "Ann.Lee@bücher.example.com");
//! assert_eq!(address.key(), "ann.lee@bücher.example.com");
//!
//! let reserved = EmailAddress::parse("ann@localhost.local");
//! assert_eq!(reserved, Err(InvalidEmail::ReservedDomain));
//! # Ok::<(), InvalidEmail>(())
//! ```

#![forbid(unsafe_code)]

mod characters;
mod domain;
mod local;

use std::fmt;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;

use characters::{is_atext, is_space, is_word};
use domain::Domain;

/// pydantic's limit on the work that one value can cause.
const MAX_INPUT_CHARS: usize = 2048;

/// In UTF-8: RFC 5321 section 4.5.3.1.3 leaves 254 octets inside the angle brackets
/// (RFC 3696 erratum 1690).
const MAX_ADDRESS_OCTETS: usize = 254;

/// Why a text is not a valid e-mail address. Does not contain the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEmail {
    /// More than 2048 characters, or more than 254 octets in the address.
    #[error("the address is too long")]
    TooLong,
    /// A carriage return or line feed, anywhere.
    #[error("line breaks are not allowed")]
    LineBreak,
    /// Angle brackets in any other form than `Name <address>`.
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
    /// A period at the start, at the end or next to another.
    #[error("a period before the @-sign must have other characters on both sides")]
    LocalPartPeriod,
    /// Nothing after the @-sign.
    #[error("there must be something after the @-sign")]
    NoDomain,
    /// An IP address in square brackets.
    #[error("an address in square brackets after the @-sign is not supported")]
    AddressLiteral,
    /// A character that is not allowed in a domain name, or that does not print.
    #[error("a character after the @-sign is not allowed")]
    DomainCharacter,
    /// An empty or overlong label, a misplaced hyphen, or a breach of IDNA 2008.
    #[error("the part after the @-sign is not a valid domain name")]
    DomainName,
    /// A top-level domain alone.
    #[error("the domain must have a period")]
    NoPeriodInDomain,
    /// A top-level domain that does not end with a letter, such as a number.
    #[error("the domain must end with a top-level domain")]
    TopLevelDomain,
    /// A domain that RFC 6761, 6762 or 7686 reserves, such as `localhost`.
    #[error("the domain is reserved and cannot have e-mail")]
    ReservedDomain,
}

/// A valid e-mail address in its normal form. `Display` writes `local@domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress {
    local: String,
    domain: String,
}

impl EmailAddress {
    /// Parses an address, or a name and an address in angle brackets. Surrounding white space is
    /// ignored.
    ///
    /// The local part is kept as written, in NFC; only the mailbox names of RFC 2142 (`Info@`) are
    /// lower-cased. The domain is lower-cased, and written in Unicode when it is internationalised.
    ///
    /// # Errors
    /// The first [`InvalidEmail`] that applies.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        if text.chars().nth(MAX_INPUT_CHARS).is_some() {
            return Err(InvalidEmail::TooLong);
        }
        if text.contains(['\r', '\n']) {
            return Err(InvalidEmail::LineBreak);
        }
        let address = strip_display_name(text).trim_matches(is_space);
        let (local, domain) = split(address)?;
        let normal_local = local::normalise(local)?;
        let Domain { unicode, ascii } = domain::normalise(domain)?;
        // Any of these forms may be sent over SMTP, so each must fit.
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

    /// The key for comparing addresses: [`fold`] of the normal form. Equal keys mean the same account.
    ///
    /// It is not an address: mail sent to it may reach another person.
    pub fn key(&self) -> String {
        fold(&self.to_string())
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// Returns the address in `Name <address>`, `"Name" <address>` or `<address>`, and all of `text`
/// when it has none of these forms.
///
/// The caller refuses brackets in any other place.
fn strip_display_name(text: &str) -> &str {
    bracketed(text.trim_matches(is_space)).unwrap_or(text)
}

fn bracketed(text: &str) -> Option<&str> {
    let open = text.strip_suffix('>')?;
    match open.strip_prefix('"') {
        Some(quoted) => after_quoted_name(quoted),
        None => after_plain_name(open),
    }
}

/// Takes the text after the opening quote. The last quote that can close the name closes it, so a
/// name may contain quotes.
fn after_quoted_name(text: &str) -> Option<&str> {
    text.rmatch_indices('"')
        .filter(|(name_len, _quote)| *name_len > 0)
        .find_map(|(name_len, quote)| {
            let rest = text[name_len + quote.len()..].trim_start_matches(is_space);
            rest.strip_prefix('<').filter(|address| !address.is_empty())
        })
}

fn after_plain_name(text: &str) -> Option<&str> {
    let (name, address) = text.split_once('<')?;
    let is_name = name.chars().all(|c| is_name_character(c) || is_space(c));
    (is_name && !address.is_empty()).then_some(address)
}

/// `\w`, the period and ASCII `atext`: more than RFC 5322 allows in an unquoted name.
fn is_name_character(c: char) -> bool {
    is_word(c) || c == '.' || (c.is_ascii() && is_atext(c))
}

/// Splits at the first @-sign. An @-sign inside quotes is not a separator, but quotes are refused
/// anyway.
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

/// NFKC, full case folding (Unicode section 3.13, C and F), and NFKC again, because folding
/// decomposes some characters. The function is idempotent. It accepts any text, also one that is not
/// a valid address.
pub fn fold(text: &str) -> String {
    let nfkc = ComposingNormalizer::new_nfkc();
    let folded = CaseMapper::new()
        .fold_string(&nfkc.normalize(text))
        .into_owned();
    nfkc.normalize(&folded).into_owned()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
