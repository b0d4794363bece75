//! Users out of a file: CSV, or one JSON object a line.
//!
//! The fields, all of them text and all but the first two optional: `email`, `hashed_password`,
//! `id`, `name`, `surname`, `website`, `disabled`, `created_at`, `access_token`,
//! `expiration_date`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::csv::Records;
use super::layouts::Format;
use super::users::{RawRow, RawToken};

/// Bytes of one user in a file, at most: many times those of a registration.
const MAX_RECORD: usize = 1 << 20;

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
    let unreadable = |error: io::Error| format!("{}: {}", path.display(), error.kind());
    // A pipe or a device may never end, and cannot be read twice.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{}: is no regular file", path.display()));
    }
    let file = File::open(path).map_err(unreadable)?;
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
    let mut records = Records::new(open(path)?, MAX_RECORD);
    let unreadable = |error: io::Error| format!("{}: {}", path.display(), error.kind());
    let first = records.next().map_err(unreadable)?;
    let names = first.and_then(|first| first.fields).unwrap_or_default();
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    for needed in ["email", "hashed_password"] {
        if !names.contains(&needed) {
            return Err(format!("{}: has no column {needed}", path.display()));
        }
    }
    while let Some(record) = records.next().map_err(unreadable)? {
        let fields = record.fields.filter(|fields| fields.len() == names.len());
        let row = match fields {
            Some(fields) => Ok(row_of(|wanted| {
                let place = names.iter().position(|name| *name == wanted)?;
                fields.get(place).cloned()
            })),
            None => Err(record.line),
        };
        if !take(row) {
            break;
        }
    }
    Ok(())
}

fn read_json_lines(path: &Path, take: Take<'_>) -> Result<(), String> {
    let mut file = open(path)?;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let mut bounded = file.by_ref().take(MAX_RECORD as u64 + 1);
        bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| error.to_string())?;
        if line.is_empty() {
            break;
        }
        let is_too_long = line.len() > MAX_RECORD;
        if is_too_long && !line.ends_with(b"\n") {
            file.skip_until(b'\n').map_err(|error| error.to_string())?;
        } else if line.trim_ascii().is_empty() {
            continue;
        }
        let row = match serde_json::from_slice::<Map<String, Value>>(&line) {
            Ok(object) if !is_too_long => Ok(row_of(|name| text_of(object.get(name)?))),
            _ => Err(number),
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
