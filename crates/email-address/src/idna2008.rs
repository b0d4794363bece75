//! What IDNA 2008 (RFC 5892) forbids in a label and UTS 46 allows: symbols, emoji, and characters
//! that are valid only in the context of certain others.

use std::ops::RangeInclusive;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, HangulSyllableType, Script};

use crate::characters::category;

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

/// Whether every character is valid in its position.
///
/// Expects a label that UTS 46 has mapped and validated, which removes the characters that RFC 5892
/// calls unstable or ignorable, such as capitals.
pub(crate) fn is_valid_label(label: &str) -> bool {
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
