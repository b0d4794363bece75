//! The log, on standard error: for people, or one JSON object a line.

use std::fmt::Write as _;
use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::thread;

use env_logger::fmt::Formatter;
use log::Record;
use serde_json::json;

use crate::config::{Config, LogFormat};

/// Starts logging as the settings say.
pub(super) fn start(config: &Config) {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&config.log_filter);
    match config.log_format {
        LogFormat::Text => builder.format_timestamp_millis(),
        LogFormat::Json => builder.format(write_json),
    };
    // A second start, as in tests that run several commands, keeps the first.
    if builder.try_init().is_err() {
        log::debug!("logging was started already");
    }
    panic::set_hook(Box::new(log_panic));
}

/// Says where it was, and not what: the message may hold the text that the code stumbled over.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    match panic.location() {
        Some(location) => log::error!("the thread {name} panicked at {location}"),
        None => log::error!("the thread {name} panicked"),
    }
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

/// The same JSON without a character that a terminal may obey, or that hides others: outside of
/// ASCII there are many, and JSON leaves them and DEL as they are.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
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
    use super::*;

    #[test]
    fn json_without_characters_that_terminals_obey_says_the_same() {
        let text = "a\n\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{e9}\u{1f980}\"\\";
        let ascii = in_ascii(&json!({ "message": text }).to_string());
        assert!(
            ascii.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{ascii}"
        );
        let read: serde_json::Value = serde_json::from_str(&ascii).unwrap();
        assert_eq!(read["message"], text);
    }
}
