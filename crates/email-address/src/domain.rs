//! The part after the @-sign: an Internet domain name, internationalised or not.

use std::ops::RangeInclusive;

use icu_normalizer::ComposingNormalizer;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, HangulSyllableType, Script};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use crate::InvalidEmail;
use crate::characters::{category, is_safe};

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
    if !unicode.split('.').all(is_valid_label) {
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

/// Valid by exception (RFC 5892 section 2.6) although they are not letters or digits.
const VALID_EXCEPTIONS: [char; 4] = ['\u{06FD}', '\u{06FE}', '\u{0F0B}', '\u{3007}'];

/// Invalid by exception (RFC 5892 section 2.6) despite their category.
const INVALID_EXCEPTIONS: [RangeInclusive<char>; 5] = [
    '\u{0640}'..='\u{0640}',
    '\u{07FA}'..='\u{07FA}',
    '\u{302E}'..='\u{302F}',
    '\u{3031}'..='\u{3035}',
    '\u{303B}'..='\u{303B}',
];

/// The blocks of RFC 5892 section 2.4: marks for symbols and for musical notation.
const IGNORABLE_BLOCKS: [RangeInclusive<char>; 3] = [
    '\u{20D0}'..='\u{20FF}',
    '\u{1D100}'..='\u{1D1FF}',
    '\u{1D200}'..='\u{1D24F}',
];

/// Whether every character is valid in its position by IDNA 2008 (RFC 5892). UTS 46 allows more: symbols,
/// emoji, and characters that are valid only in the context of certain others.
///
/// Expects a label that UTS 46 has mapped and validated, which removes the characters that RFC 5892
/// calls unstable or ignorable, such as capitals.
fn is_valid_label(label: &str) -> bool {
    let characters: Vec<char> = label.chars().collect();
    (0..characters.len()).all(|at| is_valid_at(&characters, at))
}

fn is_valid_at(label: &[char], at: usize) -> bool {
    let before = at
        .checked_sub(1)
        .and_then(|before| label.get(before))
        .copied();
    let after = label.get(at + 1).copied();
    // RFC 5892 appendix A, rules 3 to 9. Rules 1 and 2 concern joiners, which are never allowed here.
    match label[at] {
        '\u{00B7}' => before == Some('l') && after == Some('l'),
        '\u{0375}' => after.is_some_and(|c| script(c) == Script::Greek),
        '\u{05F3}' | '\u{05F4}' => before.is_some_and(|c| script(c) == Script::Hebrew),
        '\u{30FB}' => label.iter().any(|&c| is_japanese(c)),
        '\u{0660}'..='\u{0669}' => !label.iter().any(|c| matches!(c, '\u{06F0}'..='\u{06F9}')),
        '\u{06F0}'..='\u{06F9}' => !label.iter().any(|c| matches!(c, '\u{0660}'..='\u{0669}')),
        c => is_valid_anywhere(c),
    }
}

/// `PVALID` of RFC 5892 section 3, for a character that is valid in UTS 46.
fn is_valid_anywhere(c: char) -> bool {
    if c == '-' || VALID_EXCEPTIONS.contains(&c) {
        return true;
    }
    let is_in = |ranges: &[RangeInclusive<char>]| ranges.iter().any(|range| range.contains(&c));
    is_letter_or_digit(c)
        && !is_old_hangul(c)
        && !is_in(&INVALID_EXCEPTIONS)
        && !is_in(&IGNORABLE_BLOCKS)
}

/// `LetterDigits` of RFC 5892 section 2.1.
fn is_letter_or_digit(c: char) -> bool {
    use GeneralCategory as Gc;
    matches!(
        category(c),
        Gc::LowercaseLetter
            | Gc::UppercaseLetter
            | Gc::OtherLetter
            | Gc::DecimalNumber
            | Gc::ModifierLetter
            | Gc::NonspacingMark
            | Gc::SpacingMark
    )
}

/// `OldHangulJamo` of RFC 5892 section 2.9: syllables must be precomposed.
fn is_old_hangul(c: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::LeadingJamo
            | HangulSyllableType::VowelJamo
            | HangulSyllableType::TrailingJamo
    )
}

/// Whether the script is one of those that use the Katakana middle dot. The dot itself has none.
fn is_japanese(c: char) -> bool {
    matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han)
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}
