//! Users out of a file: CSV, or one JSON object a line.
//!
//! The fields, all of them text and all but the first two optional: `email`, `hashed_password`,
//! `id`, `name`, `surname`, `website`, `disabled`, `created_at`, `access_token`,
//! `expiration_date`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::layouts::Format;
use super::users::{RawRow, RawToken};

/// A user, or the number of the line that holds none. Returns whether to go on.
type Take<'a> = &'a mut dyn FnMut(Result<RawRow, u64>) -> bool;

/// What file the source is, if it is one.
pub(super) fn format_of(source: &str, asked: Option<Format>) -> Option<(Format, &Path)> {
    let path = source.strip_prefix("file://").unwrap_or(source);
    if path.contains("://") {
        return None;
    }
    let ends_with = |ending: &str| path.to_ascii_lowercase().ends_with(ending);
    let format = match asked {
        Some(format @ (Format::Csv | Format::Jsonl)) => format,
        Some(_) => return None,
        None if ends_with(".csv") => Format::Csv,
        None if ends_with(".jsonl") || ends_with(".ndjson") => Format::Jsonl,
        None => return None,
    };
    Some((format, Path::new(path)))
}

fn open(path: &Path) -> Result<BufReader<File>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {}", path.display(), error.kind()))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// About how many users there are: a field of CSV may hold line breaks.
pub(super) fn count_lines(path: &Path, format: Format) -> Result<u64, String> {
    let mut file = open(path)?;
    let (mut lines, mut buffer) = (0_u64, [0_u8; 1 << 16]);
    loop {
        let length = file.read(&mut buffer).map_err(|error| error.to_string())?;
        if length == 0 {
            break;
        }
        let breaks = buffer[..length].iter().filter(|byte| **byte == b'\n');
        lines += breaks.count() as u64;
    }
    Ok(lines.saturating_sub(u64::from(format == Format::Csv)))
}

/// Reads the file to its end.
pub(super) fn read(path: &Path, format: Format, take: Take<'_>) -> Result<(), String> {
    if format == Format::Csv {
        read_csv(path, take)
    } else {
        read_json_lines(path, take)
    }
}

fn read_csv(path: &Path, take: Take<'_>) -> Result<(), String> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    for needed in ["email", "hashed_password"] {
        if !names.iter().any(|name| name.trim() == needed) {
            return Err(format!("{}: has no column {needed}", path.display()));
        }
    }
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => {
                return Err(error.to_string());
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                if !take(Err(line)) {
                    return Ok(());
                }
                continue;
            }
        }
        let field = |wanted: &str| {
            let place = names.iter().position(|name| name.trim() == wanted)?;
            record.get(place).map(str::to_owned)
        };
        if !take(Ok(row_of(field))) {
            return Ok(());
        }
    }
}

fn read_json_lines(path: &Path, take: Take<'_>) -> Result<(), String> {
    for (number, line) in (1_u64..).zip(open(path)?.split(b'\n')) {
        let line = line.map_err(|error| error.to_string())?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row = match serde_json::from_slice::<Map<String, Value>>(&line) {
            Ok(object) => Ok(row_of(|name| text_of(object.get(name)?))),
            Err(_error) => Err(number),
        };
        if !take(row) {
            break;
        }
    }
    Ok(())
}

/// A scalar as text.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn row_of(field: impl Fn(&str) -> Option<String>) -> RawRow {
    RawRow {
        id: field("id"),
        email: field("email"),
        username: None,
        name: field("name"),
        surname: field("surname"),
        website: field("website"),
        hashed_password: field("hashed_password"),
        disabled: field("disabled"),
        created_at: field("created_at"),
        token: RawToken {
            value: field("access_token"),
            expires_at: field("expiration_date"),
            ..RawToken::default()
        },
    }
}
