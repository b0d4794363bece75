//! Texts that users have written, so that they change neither the order nor the lines of the text around
//! them (Unicode Standard Annex 9).

/// First strong isolate: begins a text with a direction of its own.
pub(super) const BEGIN: char = '\u{2068}';

/// Pop directional isolate: ends it, with every override and embedding in it.
pub(super) const END: char = '\u{2069}';

/// The longest text of a user in a mail, in characters.
const MAX_LENGTH: usize = 500;

/// The text on one line, and without isolates of its own, which could end the one around it.
pub(super) fn plain(text: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let is_isolate = |c: char| matches!(c, '\u{2066}'..='\u{2069}');
    let kept = text.chars().filter(|c| !is_isolate(*c)).take(MAX_LENGTH);
    let kept: String = kept.map(|c| if is_break(c) { ' ' } else { c }).collect();
    kept.trim().to_owned()
}

/// The same between isolates; empty if there is nothing to show.
pub(super) fn isolated(text: &str) -> String {
    match plain(text) {
        text if text.is_empty() => text,
        text => format!("{BEGIN}{text}{END}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_end_with_the_text() {
        for (text, shown) in [
            ("", ""),
            (" \r\n ", ""),
            ("Ada", "\u{2068}Ada\u{2069}"),
            ("A\r\nBcc: x", "\u{2068}A  Bcc: x\u{2069}"),
            ("\u{202e}Ada", "\u{2068}\u{202e}Ada\u{2069}"),
            ("Ada\u{2069}\u{202e}", "\u{2068}Ada\u{202e}\u{2069}"),
            ("a\u{2028}b\u{2029}c", "\u{2068}a b c\u{2069}"),
        ] {
            assert_eq!(isolated(text), shown, "{text:?}");
        }
        assert_eq!(plain(&"x".repeat(1_000)).len(), MAX_LENGTH);
    }
}
