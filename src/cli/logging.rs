//! The log, on standard error: text, or newline-delimited JSON.

use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::thread;

use env_logger::fmt::Formatter;
use log::Record;
use serde_json::json;

use super::output::{in_ascii, printable};
use crate::config::{Config, LogFormat};

/// Starts the log according to the settings.
pub(super) fn start(config: &Config) {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&config.log_filter);
    match config.log_format {
        LogFormat::Text => builder.format(write_text),
        LogFormat::Json => builder.format(write_json),
    };
    // Tests run several commands in a process, which keeps the first logger.
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
