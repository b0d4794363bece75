//! Reads users from a file: CSV or newline-delimited JSON.
//!
//! The fields are texts, and all but the first two are optional: `email`, `hashed_password`,
//! `id`, `name`, `surname`, `website`, `disabled`, `created_at`, `access_token`,
//! `expiration_date`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value};

use super::layouts::Format;
use super::record::{LeftOut, Place, Reason};
use super::rows::{RawRow, RawToken};

/// The maximum size of a user in a file, in bytes: many times the size of a registration.
const MAX_RECORD: usize = 1 << 20;

/// Takes a user, or a malformed line. Returns whether to continue.
type Take<'a> = &'a mut dyn FnMut(Result<RawRow, LeftOut>) -> bool;

/// The format and the path, if the source is a file.
pub(super) fn format_of(source: &str, requested: Option<Format>) -> Option<(Format, &Path)> {
    let path = source.strip_prefix("file://").unwrap_or(source);
    if path.contains("://") {
        return None;
    }
    let ends_with = |ending: &str| path.to_ascii_lowercase().ends_with(ending);
    let format = match requested {
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
    // A pipe or a device may be endless, and cannot be read twice.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let file = File::open(path).map_err(unreadable)?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// The approximate number of users: a field of CSV may contain line breaks.
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
    for required in ["email", "hashed_password"] {
        if !names.contains(&required) {
            return Err(format!("{}: has no column {required}", path.display()));
        }
    }
    while let Some(record) = records.next().map_err(unreadable)? {
        let fields = record.fields.filter(|fields| fields.len() == names.len());
        let row = match fields {
            Some(fields) => Ok(row_of(record.line, |column| {
                let index = names.iter().position(|name| *name == column)?;
                fields.get(index).cloned()
            })),
            None => Err(unreadable_line(record.line)),
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
            Ok(object) if !is_too_long => Ok(row_of(number, |name| text_of(object.get(name)?))),
            _ => Err(unreadable_line(number)),
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

fn unreadable_line(line: u64) -> LeftOut {
    LeftOut {
        place: Place {
            line: Some(line),
            ..Place::default()
        },
        reason: Reason::Unreadable,
        column: None,
        tokens: 0,
    }
}

fn row_of(line: u64, field: impl Fn(&str) -> Option<String>) -> RawRow {
    RawRow {
        line: Some(line),
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

/// The maximum number of fields of a record.
const MAX_FIELDS: usize = 1_000;

/// A record of a CSV file.
struct Record {
    /// The line on which it begins, from 1.
    line: u64,
    /// `None` when it is too long or not UTF-8.
    fields: Option<Vec<String>>,
}

/// Reads the records of a CSV file (RFC 4180) one by one, within bounds. Skips longer records.
struct Records<R> {
    input: R,
    core: Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Records<R> {
    /// Reads records of at most `max_bytes`.
    fn new(input: R, max_bytes: usize) -> Self {
        Self {
            input,
            core: Reader::new(),
            output: vec![0; max_bytes],
            ends: vec![0; MAX_FIELDS],
        }
    }

    /// The next record; `None` after the last one.
    fn next(&mut self) -> io::Result<Option<Record>> {
        let line = self.core.line();
        let (mut output, mut ends, mut is_too_long) = (0, 0, false);
        loop {
            let input = self.input.fill_buf()?;
            let (result, read, written, ended) =
                self.core
                    .read_record(input, &mut self.output[output..], &mut self.ends[ends..]);
            self.input.consume(read);
            output += written;
            ends += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // The rest of the record overwrites it; nothing of it is kept.
                    (output, ends, is_too_long) = (0, 0, true);
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => break,
            }
        }
        let fields = if is_too_long { None } else { self.fields(ends) };
        Ok(Some(Record { line, fields }))
    }

    fn fields(&self, count: usize) -> Option<Vec<String>> {
        let mut begin = 0;
        let fields = self.ends.get(..count)?.iter().map(|end| {
            let field = self.output.get(begin..*end)?;
            begin = *end;
            str::from_utf8(field).ok().map(str::to_owned)
        });
        fields.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Records;

    fn read(text: &[u8], max_bytes: usize) -> Vec<(u64, Option<Vec<String>>)> {
        let mut records = Records::new(text, max_bytes);
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            all.push((record.line, record.fields));
        }
        all
    }

    fn fields(fields: &[&str]) -> Option<Vec<String>> {
        Some(fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn records_are_read_with_quotes_and_line_breaks() {
        let text = b"\xef\xbb\xbfa,b\r\n\"c \"\"d\"\"\",\"e\nf\"\n\ng,\n,h";
        let read: Vec<_> = read(text, 100)
            .into_iter()
            .map(|(_, fields)| fields)
            .collect();
        let expected = [&["a", "b"], &["c \"d\"", "e\nf"], &["g", ""], &["", "h"]];
        assert_eq!(read, expected.map(|expected| fields(expected)));
    }

    #[test]
    fn long_and_binary_records_are_skipped() {
        let long = "x".repeat(10_000);
        let many = ",".repeat(super::MAX_FIELDS);
        let text = format!("a,b\n{long},c\nd,\"{long}\n{long}\"\n{many}\ne,f\n");
        let expected = [
            (1, fields(&["a", "b"])),
            (2, None),
            (3, None),
            (5, None),
            (6, fields(&["e", "f"])),
        ];
        assert_eq!(read(text.as_bytes(), 100), expected);
        assert_eq!(
            read(b"a\n\xff\nb\n", 100),
            [(1, fields(&["a"])), (2, None), (3, fields(&["b"]))]
        );
    }
}
