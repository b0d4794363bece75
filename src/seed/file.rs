//! Seed files: users in JSON or TOML.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::SeedUser;
use crate::private_file::reason;

/// The maximum size of a seed file, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The content of a seed file.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seed {
    /// The users, in the order in which they are created.
    #[serde(default)]
    pub(crate) users: Vec<SeedUser>,
}

impl Seed {
    /// Whether the name of a file is that of a seed.
    pub(crate) fn is_named(file: &Path) -> bool {
        has_extension(file, "json") || has_extension(file, "toml")
    }

    /// Reads a file: TOML if its name ends in `.toml`, otherwise JSON.
    ///
    /// # Errors
    /// What is wrong with it, and in which line, after the name of the file.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let parsed = read_text(file).and_then(|text| {
            if has_extension(file, "toml") {
                basic_toml::from_str(&text).map_err(|error| error.to_string())
            } else {
                parse_object(text.as_bytes())
            }
        });
        parsed.map_err(|problem| format!("{}: {problem}", file.display()))
    }
}

fn has_extension(file: &Path, expected: &str) -> bool {
    let extension = file.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case(expected))
}

fn read_text(file: &Path) -> Result<String, String> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| reason(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err("is too large for a seed".to_owned());
    }
    String::from_utf8(text).map_err(|_error| "is not UTF-8".to_owned())
}

/// Parses a JSON object. A list, which serde accepts in place of an object, would be read by position.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err("expected a JSON object".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}
