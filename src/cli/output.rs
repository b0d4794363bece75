//! What commands print: lines for people and their tools, or JSON. Names, addresses and ids in it
//! are what strangers typed, so everything that is printed passes through here, and none of it can
//! move the cursor, colour, hide or reorder the text of a terminal.

use std::fmt::Write as _;
use std::io::Write;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use serde::Serialize;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// A JSON document a line in place of columns.
    pub(super) json: bool,
}

impl Output {
    /// Prints one thing: as JSON, or as columns separated by tabs.
    pub(super) fn print(self, value: &impl Serialize, columns: &[&str]) {
        if self.json {
            // What is printed here are structs of texts and numbers, and those have a JSON form.
            say_json(&serde_json::to_string(value).unwrap_or_default());
        } else {
            let columns: Vec<String> = columns.iter().map(|text| printable(text)).collect();
            write_out(&columns.join("\t"));
        }
    }
}

/// Prints a line of text.
pub(super) fn say(line: &str) {
    write_out(&printable(line));
}

/// Prints a JSON document of one line or several.
pub(super) fn say_json(document: &str) {
    write_out(&in_ascii(document));
}

/// Prints a text of the program's own, with nothing of a stranger's in it, as it is.
pub(super) fn say_verbatim(text: &str) {
    write_out(text);
}

/// Says on standard error why a command fails, in one line.
pub(super) fn complain(problem: &str) {
    note(&format!("tokenhouse: {problem}"));
}

/// Prints a line on standard error.
pub(super) fn note(line: &str) {
    // Without a standard error there is no place to report it.
    let _written = writeln!(std::io::stderr(), "{}", printable(line));
}

/// No reader any more, as behind `head`, ends the program: there is nothing left to do.
fn write_out(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// The text with a space in the place of every character that a terminal may obey, or that hides
/// or reorders others: controls, line breaks among them, and format characters.
pub(super) fn printable(text: &str) -> String {
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

/// The same JSON in ASCII, with escapes for all other characters and for DEL. Line breaks stay:
/// those of a text are escaped in JSON already, so these are its layout.
pub(super) fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || (character.is_ascii() && !character.is_ascii_control()) {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _written = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    /// The format characters of Unicode 14, beside the controls and the two separators, as Python's
    /// `unicodedata` lists them.
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
    fn no_character_that_terminals_obey_is_printed_and_all_others_are() {
        for character in '\0'..=char::MAX {
            let is_unsafe = UNSAFE.iter().any(|range| range.contains(&character));
            let shown = printable(&format!("a{character}b"));
            let expected = if is_unsafe { ' ' } else { character };
            // Later versions of Unicode may add to them.
            let is_newer = shown == "a b" && !character.is_alphanumeric();
            assert!(
                shown == format!("a{expected}b") || is_newer,
                "{}",
                character.escape_unicode()
            );
        }
    }

    #[test]
    fn json_of_any_character_is_ascii_and_says_the_same() {
        for start in (0..=0x0010_FFFF_u32).step_by(64) {
            let text: String = (start..start + 64).filter_map(char::from_u32).collect();
            let ascii = in_ascii(&serde_json::json!({ "text": text }).to_string());
            let is_printable = ascii.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            assert!(is_printable, "{ascii}");
            let read: serde_json::Value = serde_json::from_str(&ascii).unwrap();
            assert_eq!(read["text"], text);
        }
    }
}
