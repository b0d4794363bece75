//! Which characters an address may have at all, whatever its syntax.

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// Everything with a shape of its own: no controls, format characters, separators, private or
/// unassigned code points, which change or hide the text around them.
const VISIBLE: GeneralCategoryGroup = GeneralCategoryGroup::Letter
    .union(GeneralCategoryGroup::Mark)
    .union(GeneralCategoryGroup::Number)
    .union(GeneralCategoryGroup::Punctuation)
    .union(GeneralCategoryGroup::Symbol);

/// The general category of a character (Unicode Standard Annex 44, section 5.7.1).
pub(super) fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Whether `text` shows as what it is: only visible characters, and no combining mark first, which
/// would attach to whatever stands before it.
pub(super) fn is_safe(text: &str) -> bool {
    let starts_with_mark = text
        .chars()
        .next()
        .is_some_and(|first| GeneralCategoryGroup::Mark.contains(category(first)));
    !starts_with_mark && text.chars().all(|c| VISIBLE.contains(category(c)))
}

/// White space as Python's `str.strip` and `\s` see it: with the four ASCII separators (FS, GS, RS
/// and US), which Unicode's `White_Space` leaves out.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1C}'..='\u{1F}')
}

/// Whether Python's `\w` matches: letters, numbers of any script, and the underscore.
pub(super) fn is_word(c: char) -> bool {
    const WORD: GeneralCategoryGroup =
        GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number);
    c == '_' || WORD.contains(category(c))
}

/// `atext` of RFC 5322 section 3.2.3, extended to all of Unicode by RFC 6531 section 3.3.
pub(super) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}
