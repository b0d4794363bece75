//! The output of commands and the log on standard error: text lines or JSON. Output may contain
//! names and addresses chosen by untrusted clients, so all of it passes through this module, which
//! prevents it from moving a terminal's cursor and from colouring, hiding or reordering text.
//!
//! Commands print their results through [`Output`], which honours `--json`.

use std::fmt::Write as _;
use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::thread;

use env_logger::fmt::Formatter;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use log::Record;
use serde::Serialize;
use serde_json::json;

use crate::config::{Config, LogFormat};

/// The format of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Newline-delimited JSON instead of text.
    pub(super) json: bool,
}

impl Output {
    /// Prints one result: as JSON, or as columns separated by tabs.
    pub(super) fn print(self, value: &impl Serialize, columns: &[&str]) {
        if self.json {
            print_json(value);
        } else {
            let columns: Vec<String> = columns.iter().map(|text| printable(text)).collect();
            write_out(&columns.join("\t"));
        }
    }

    /// Prints one result: as JSON, or as lines of text.
    pub(super) fn print_lines(self, value: &impl Serialize, lines: &[String]) {
        if self.json {
            print_json(value);
        } else {
            lines.iter().for_each(|line| write_out(&printable(line)));
        }
    }
}

fn print_json(value: &impl Serialize) {
    // The values are structs of texts and numbers, whose serialization cannot fail.
    print_json_text(&serde_json::to_string(value).unwrap_or_default());
}

/// Prints a line about the server. Results of commands are printed through [`Output`].
pub(super) fn announce(line: &str) {
    write_out(&printable(line));
}

/// Prints a JSON document of one or more lines.
pub(super) fn print_json_text(document: &str) {
    write_out(&in_ascii(document));
}

/// Prints a text unchanged. The text must contain nothing from clients.
pub(super) fn print_verbatim(text: &str) {
    write_out(text);
}

/// Prints on standard error, in one line, why a command fails.
pub(super) fn complain(problem: &str) {
    note(&format!("tokenhouse: {problem}"));
}

/// Prints a line on standard error.
pub(super) fn note(line: &str) {
    // A failure cannot be reported anywhere else.
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// Ends the program when the reader has closed the pipe, as `| head` does.
fn write_out(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Starts the log according to the settings.
pub(super) fn start_log(config: &Config) {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&config.log_filter);
    match config.log_format {
        LogFormat::Text => builder.format(write_text),
        LogFormat::Json => builder.format(write_json),
    };
    // Tests run several commands in one process, which keeps the first logger.
    if builder.try_init().is_err() {
        log::debug!("logging was started already");
    }
    panic::set_hook(Box::new(log_panic));
}

/// Logs the location of a panic, but not its message, which may contain the data that caused it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    match panic.location() {
        Some(location) => log::error!("the thread {name} panicked at {location}"),
        None => log::error!("the thread {name} panicked"),
    }
}

/// Writes one line, without control characters from the message.
fn write_text(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let (time, level) = (out.timestamp_millis(), record.level());
    let style = out.default_level_style(level);
    let message = printable(&record.args().to_string());
    let target = record.target();
    writeln!(
        out,
        "[{time} {style}{level:<5}{style:#} {target}] {message}"
    )
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let line = json!({
        "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "level": record.level().as_str(),
        "target": record.target(),
        "message": record.args().to_string(),
    });
    writeln!(out, "{}", in_ascii(&line.to_string()))
}

/// Replaces with a space each character that a terminal may interpret, or that hides or reorders
/// others: control characters including line breaks, and format characters.
fn printable(text: &str) -> String {
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

/// Converts JSON to ASCII: escapes all other characters, and DEL. Keeps line breaks: JSON escapes
/// those inside strings, so the remaining ones are layout.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || (character.is_ascii() && !character.is_ascii_control()) {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
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

    #[test]
    fn json_is_ascii_and_keeps_every_character() {
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
