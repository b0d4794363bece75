//! Which characters an address may contain, independent of its syntax.

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// Characters with a visible shape. Control, format and separator characters and private-use or
/// unassigned code points change or hide the text around them.
const VISIBLE: GeneralCategoryGroup = GeneralCategoryGroup::Letter
    .union(GeneralCategoryGroup::Mark)
    .union(GeneralCategoryGroup::Number)
    .union(GeneralCategoryGroup::Punctuation)
    .union(GeneralCategoryGroup::Symbol);

/// The general category of a character (Unicode Standard Annex 44, section 5.7.1).
pub(crate) fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Whether `text` consists of visible characters and does not start with a combining mark, which
/// would attach to the text before it.
pub(crate) fn is_safe(text: &str) -> bool {
    let starts_with_mark = text
        .chars()
        .next()
        .is_some_and(|first| GeneralCategoryGroup::Mark.contains(category(first)));
    !starts_with_mark && text.chars().all(|c| VISIBLE.contains(category(c)))
}

/// White space as Python's `str.strip` and `\s` define it: with the four ASCII separators (FS, GS,
/// RS and US), which Unicode's `White_Space` does not include.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1C}'..='\u{1F}')
}

/// Whether Python's `\w` matches: letters, numbers of any script, and the underscore.
pub(crate) fn is_word(c: char) -> bool {
    const WORD: GeneralCategoryGroup =
        GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number);
    c == '_' || WORD.contains(category(c))
}

/// `atext` of RFC 5322 section 3.2.3, extended to all of Unicode by RFC 6531 section 3.3.
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}
