//! The form `Name <address>`, as pydantic recognises it.

use crate::characters::{is_atext, is_space, is_word};

/// Returns the address in `Name <address>`, `"Name" <address>` or `<address>`, and all of `text`
/// when it has none of these forms.
///
/// The caller refuses brackets in any other place.
pub(crate) fn strip(text: &str) -> &str {
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
