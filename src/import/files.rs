//! Reads users from a file: CSV or newline-delimited JSON.
//!
//! The names of the columns are those of a table of users ([`super::columns`]), with `access_token` and
//! `expiration_date`. Lines with the same id, address and hash are one user with several tokens.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::columns::{Columns, Field};
use super::csv_records::Records;
use super::layouts::Format;
use super::record::{LeftOut, Place, Reason};
use super::rows::{RawRow, RawToken, RawTruth};
use super::values::Value;
use crate::private_file::reason;

/// The maximum size of a user in a file, in bytes: many times the size of a registration.
const MAX_RECORD: usize = 1 << 20;

/// The maximum number of names of columns that are reported as not read.
const MAX_NAMES: usize = 100;

/// Takes a user with a row per token, or a malformed line. Returns whether to continue.
type Take<'a> = &'a mut dyn FnMut(Result<&[RawRow], LeftOut>) -> bool;

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

/// A file that is read twice: once to find the lines of one user.
pub(super) struct UserFile<'a> {
    path: &'a Path,
    format: Format,
    hashing: RandomState,
    /// The number of lines of each user who has several, by the hash of [`key_of`].
    repeated: HashMap<u64, u64>,
    /// The number of users and malformed lines.
    pub(super) users: u64,
    /// Names of columns that are not read.
    pub(super) not_read: BTreeSet<String>,
}

impl<'a> UserFile<'a> {
    /// Reads the file for the first time; `None` if it has more than `max_rows` lines.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub(super) fn open(
        path: &'a Path,
        format: Format,
        max_rows: u64,
    ) -> Result<Option<Self>, String> {
        let mut file = Self {
            path,
            format,
            hashing: RandomState::new(),
            repeated: HashMap::new(),
            users: 0,
            not_read: BTreeSet::new(),
        };
        let (mut seen, mut rows) = (HashSet::new(), 0_u64);
        let (mut repeated, mut users) = (HashMap::new(), 0_u64);
        let hashing = file.hashing.clone();
        let not_read = file.scan(&mut |row| {
            rows += 1;
            let hash = row.ok().map(|row| hashing.hash_one(key_of(&row)));
            match hash {
                Some(hash) if !seen.insert(hash) => *repeated.entry(hash).or_insert(1) += 1,
                _ => users += 1,
            }
            rows <= max_rows
        })?;
        (file.repeated, file.users, file.not_read) = (repeated, users, not_read);
        Ok((rows <= max_rows).then_some(file))
    }

    /// Reads the file to its end.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub(super) fn read(&self, take: Take<'_>) -> Result<(), String> {
        // The lines of users that are not complete yet.
        let mut waiting: HashMap<u64, Vec<RawRow>> = HashMap::new();
        self.scan(&mut |row| {
            let row = match row {
                Ok(row) => row,
                Err(left_out) => return take(Err(left_out)),
            };
            let hash = self.hashing.hash_one(key_of(&row));
            let Some(count) = self.repeated.get(&hash) else {
                return take(Ok(&[row]));
            };
            let rows = waiting.entry(hash).or_default();
            rows.push(row);
            if (rows.len() as u64) < *count {
                return true;
            }
            let rows = waiting.remove(&hash).unwrap_or_default();
            take(Ok(&rows))
        })?;
        // The file has changed since the first time.
        for rows in waiting.values() {
            take(Ok(rows));
        }
        Ok(())
    }

    fn scan(
        &self,
        take: &mut dyn FnMut(Result<RawRow, LeftOut>) -> bool,
    ) -> Result<BTreeSet<String>, String> {
        let scanned = if self.format == Format::Csv {
            scan_csv(self.path, take)
        } else {
            scan_json_lines(self.path, take)
        };
        scanned.map_err(|problem| format!("{}: {problem}", self.path.display()))
    }
}

/// What the lines of one user have in common.
fn key_of(row: &RawRow) -> [&Value; 3] {
    [&row.id, &row.email, &row.hashed_password]
}

fn open(path: &Path) -> Result<BufReader<File>, String> {
    // A pipe or a device may be endless, and cannot be read twice.
    if !fs::metadata(path)
        .map_err(|error| reason(&error))?
        .is_file()
    {
        return Err("not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| reason(&error))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    match file.fill_buf().map_err(|error| reason(&error))? {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Err("is in UTF-16; save it as UTF-8, for example with iconv".to_owned())
        }
        [0xef, 0xbb, 0xbf, ..] => {
            file.consume(3);
            Ok(file)
        }
        _ => Ok(file),
    }
}

fn scan_csv(
    path: &Path,
    take: &mut dyn FnMut(Result<RawRow, LeftOut>) -> bool,
) -> Result<BTreeSet<String>, String> {
    let mut records = Records::new(open(path)?, MAX_RECORD);
    let first = records.next().map_err(|error| reason(&error))?;
    let names = first.and_then(|first| first.fields).unwrap_or_default();
    let names: Vec<String> = names.iter().map(Value::lossy_text).collect();
    let columns = Columns::of_file(names.clone());
    let mut distinct = HashSet::new();
    let mut lower = names.iter().map(|name| name.trim().to_ascii_lowercase());
    if let Some(name) = lower.find(|name| !distinct.insert(name.clone())) {
        return Err(format!("has two columns {name}"));
    }
    for (field, required) in [(Field::Email, "email"), (Field::Hash, "hashed_password")] {
        if columns.index(field).is_none() {
            let is_separated =
                names.len() > 1 || !names.iter().any(|name| name.contains([';', '\t']));
            let hint = if is_separated {
                ""
            } else {
                "; its fields have to be separated by commas"
            };
            return Err(format!("has no column {required}{hint}"));
        }
    }
    records.width = Some(names.len());
    while let Some(record) = records.next().map_err(|error| reason(&error))? {
        let row = match record.fields {
            Some(fields) => Ok(row_of(record.line, &columns, fields)),
            None => Err(unreadable_line(record.line)),
        };
        if !take(row) {
            break;
        }
    }
    Ok(columns.not_read.into_iter().take(MAX_NAMES).collect())
}

fn scan_json_lines(
    path: &Path,
    take: &mut dyn FnMut(Result<RawRow, LeftOut>) -> bool,
) -> Result<BTreeSet<String>, String> {
    let mut file = open(path)?;
    let mut not_read = BTreeSet::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let mut bounded = file.by_ref().take(MAX_RECORD as u64 + 1);
        bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| reason(&error))?;
        if line.is_empty() {
            break;
        }
        let is_too_long = line.len() > MAX_RECORD;
        if is_too_long && !line.ends_with(b"\n") {
            file.skip_until(b'\n').map_err(|error| reason(&error))?;
        } else if line.trim_ascii().is_empty() {
            continue;
        }
        let row = match serde_json::from_slice::<Object>(&line) {
            Ok(Object(names, values)) if !is_too_long => {
                let columns = Columns::of_file(names);
                let free = MAX_NAMES.saturating_sub(not_read.len());
                not_read.extend(columns.not_read.iter().take(free).cloned());
                Ok(row_of(number, &columns, values))
            }
            _ => Err(unreadable_line(number)),
        };
        if !take(row) {
            break;
        }
    }
    Ok(not_read)
}

/// The names and values of a JSON object. An object with a name twice is malformed: which value counts is
/// not known.
struct Object(Vec<String>, Vec<Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object(Vec::new(), Vec::new());
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            if object.0.contains(&name) {
                return Err(A::Error::custom("a name occurs twice"));
            }
            object.0.push(name);
            object.1.push(scalar(value));
        }
        Ok(object)
    }
}

/// A scalar as in a database.
fn scalar(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Missing,
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Number(number) => Value::Text(number.to_string()),
        serde_json::Value::Bool(flag) => Value::Text(flag.to_string()),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => Value::Unreadable,
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

fn row_of(line: u64, columns: &Columns, mut values: Vec<Value>) -> RawRow {
    let truths = columns.truths.iter().map(|(truth, index)| RawTruth {
        column: columns.names().get(*index).cloned().unwrap_or_default(),
        truth: *truth,
        value: values.get(*index).cloned().unwrap_or_default(),
    });
    let truths = truths.collect();
    let mut field = |field| {
        let value = columns.index(field).and_then(|index| values.get_mut(index));
        value.map(std::mem::take).unwrap_or_default()
    };
    RawRow {
        line: Some(line),
        id: field(Field::Id),
        email: field(Field::Email),
        username: field(Field::Username),
        name: field(Field::Name),
        surname: field(Field::Surname),
        website: field(Field::Website),
        hashed_password: field(Field::Hash),
        created_at: field(Field::CreatedAt),
        truths,
        token: RawToken {
            value: field(Field::Token),
            expires_at: field(Field::TokenExpiry),
            ..RawToken::default()
        },
    }
}
