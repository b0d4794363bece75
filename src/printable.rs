//! Text that others have written, for a terminal, a log or a list.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// Replaces with a space each character that a terminal may interpret, or that hides or reorders
/// others: control characters including line breaks, and format characters.
pub(crate) fn printable(text: &str) -> String {
    let categories = CodePointMapData::<GeneralCategory>::new();
    let is_safe = |character| {
        !matches!(
            categories.get(character),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        )
    };
    let shown = |character| if is_safe(character) { character } else { ' ' };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    /// The control and format characters and the two separators of Unicode 14, as listed by Python's
    /// `unicodedata`.
    const UNSAFE: [RangeInclusive<char>; 23] = [
        '\u{0000}'..='\u{001f}',
        '\u{007f}'..='\u{009f}',
        '\u{00ad}'..='\u{00ad}',
        '\u{0600}'..='\u{0605}',
        '\u{061c}'..='\u{061c}',
        '\u{06dd}'..='\u{06dd}',
        '\u{070f}'..='\u{070f}',
        '\u{0890}'..='\u{0891}',
        '\u{08e2}'..='\u{08e2}',
        '\u{180e}'..='\u{180e}',
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{2064}',
        '\u{2066}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
        '\u{fff9}'..='\u{fffb}',
        '\u{110bd}'..='\u{110bd}',
        '\u{110cd}'..='\u{110cd}',
        '\u{13430}'..='\u{13438}',
        '\u{1bca0}'..='\u{1bca3}',
        '\u{1d173}'..='\u{1d17a}',
        '\u{e0001}'..='\u{e0001}',
        '\u{e0020}'..='\u{e007f}',
    ];

    #[test]
    fn only_printable_characters_are_printed() {
        for character in '\0'..=char::MAX {
            let is_unsafe = UNSAFE.iter().any(|range| range.contains(&character));
            let shown = printable(&format!("a{character}b"));
            let expected = if is_unsafe { ' ' } else { character };
            // Later versions of Unicode may add format characters.
            let is_newer = shown == "a b" && !character.is_alphanumeric();
            assert!(
                shown == format!("a{expected}b") || is_newer,
                "{}",
                character.escape_unicode()
            );
        }
    }
}
