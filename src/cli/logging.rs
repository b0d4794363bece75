//! The log, on standard error: for people, or one JSON object a line.

use std::io::Write;

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
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let line = json!({
        "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "level": record.level().as_str(),
        "target": record.target(),
        "message": record.args().to_string(),
    });
    writeln!(out, "{line}")
}
