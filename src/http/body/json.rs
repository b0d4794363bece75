//! JSON bodies, taken apart as FastAPI and pydantic take them apart. What is made of them stands in
//! [`forms`](super::forms).

use std::collections::HashSet;
use std::fmt;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{Body, read, read_if_admitted};
use crate::error::{Error, FieldError};

/// The most that a JSON body may hold, in bytes.
const LIMIT: usize = 16 << 10;

/// Lists and objects within each other beyond this many are refused: Python's parser gives up too.
const MAX_DEPTH: usize = 500;

/// Digits of a number beyond this many are refused: Python's limit for turning text to integers.
const MAX_DIGITS: usize = 4_300;

/// What can be made of the members of a JSON object.
pub(crate) trait FromMembers: Sized {
    /// Whether it holds a password to be hashed, so that it is not taken while too many wait.
    const WANTS_HASH: bool;

    /// Takes the members; those that are wrong are for the domain to report, together with what it
    /// finds wrong itself.
    ///
    /// # Errors
    /// For what is wrong with the object as a whole.
    fn from_members(members: &Members) -> Result<Self, Error>;
}

/// A body of JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: FromMembers + 'static> FromRequest for JsonBody<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let body = if T::WANTS_HASH {
                read_if_admitted(&request, &mut payload, LIMIT).await?
            } else {
                read(&mut payload, LIMIT).await?
            };
            read_members(&body, is_json(&request))
                .and_then(|members| T::from_members(&members))
                .map(Self)
        })
    }
}

/// Whether the content type is `application/json` or `application/…+json`, in any case and with
/// any parameters. Without one a body is not taken for JSON, as since FastAPI 0.122.
fn is_json(request: &HttpRequest) -> bool {
    let essence = request.content_type().trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// The members of what arrived of a body.
pub(crate) fn read_members(body: &Body, is_json: bool) -> Result<Members<'_>, Error> {
    // Looked for before the size: a client that sends nonsense is told so.
    if is_json && is_absurd(&body.bytes) {
        return Err(Error::UnreadableBody);
    }
    if !body.whole {
        return Err(Error::BodyTooLarge);
    }
    parse(&body.bytes, is_json)
}

fn parse(body: &[u8], is_json: bool) -> Result<Members<'_>, Error> {
    if body.is_empty() {
        let missing = FieldError::of_body("missing", "Field required");
        return Err(Error::InvalidBody(vec![missing]));
    }
    let text = str::from_utf8(body).map_err(|_error| Error::UnreadableBody)?;
    if !is_json {
        return Err(not_an_object());
    }
    Members::parse(text)
}

/// The value is withheld: a password may be anywhere in it.
fn not_an_object() -> Error {
    let message = "Input should be a valid dictionary or object to extract fields from";
    Error::InvalidBody(vec![FieldError::of_body("model_attributes_type", message)])
}

/// The members of a JSON object, not looked into until they are asked for.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn parse(text: &'a str) -> Result<Self, Error> {
        if !text.trim_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text).map_err(|error| malformed(text, &error))?;
            return Err(not_an_object());
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        let members = parser.deserialize_map(MembersVisitor);
        members
            .and_then(|members| parser.end().map(|()| Self(members)))
            .map_err(|error| malformed(text, &error))
    }

    /// A member that has to be a text. Anything else is shown to the client again, unless
    /// something in it may be a secret.
    pub(super) fn text(&self, field: &'static str) -> Result<String, FieldError> {
        self.optional_text(field)?
            .ok_or_else(|| FieldError::missing(field))
    }

    /// The same for a secret, which is never shown.
    pub(super) fn secret(&self, field: &'static str) -> Result<SecretString, FieldError> {
        let value = self.find(field).ok_or_else(|| FieldError::missing(field))?;
        Ok(read_text(field, value)?.into())
    }

    /// A secret that may be left out.
    pub(super) fn optional_secret(
        &self,
        field: &'static str,
    ) -> Result<Option<SecretString>, FieldError> {
        let value = self.find(field);
        let text = value.map(|value| read_text(field, value)).transpose()?;
        Ok(text.map(SecretString::from))
    }

    /// A member that may be left out, and has to be a text otherwise.
    pub(super) fn optional_text(&self, field: &'static str) -> Result<Option<String>, FieldError> {
        let read =
            |value| read_text(field, value).map_err(|error| error.showing(presentable(value)));
        self.find(field).map(read).transpose()
    }

    /// A member that may be left out, and has to be a `T` otherwise, which `kind` and `message`
    /// say as pydantic does.
    pub(super) fn optional<T: DeserializeOwned>(
        &self,
        field: &'static str,
        kind: &'static str,
        message: &str,
    ) -> Result<Option<T>, FieldError> {
        let read = |value: &RawValue| {
            serde_json::from_str(value.get())
                .map_err(|_error| FieldError::new(field, kind, message).showing(presentable(value)))
        };
        self.find(field).map(read).transpose()
    }

    /// Refuses members of other names: one that is misspelt would be passed over in silence.
    ///
    /// # Errors
    /// [`Error::InvalidBody`], the name withheld: it may be a secret in the wrong place.
    pub(super) fn only(&self, fields: &[&str]) -> Result<(), Error> {
        if self
            .0
            .iter()
            .all(|(name, _)| fields.contains(&name.as_str()))
        {
            return Ok(());
        }
        let message = format!("Extra inputs are not permitted: only {}", fields.join(", "));
        let error = FieldError::of_body("extra_forbidden", &message);
        Err(Error::InvalidBody(vec![error]))
    }

    fn find(&self, field: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter();
        members
            .find(|(name, _)| name == field)
            .map(|(_, value)| *value)
    }
}

fn read_text(field: &'static str, value: &RawValue) -> Result<String, FieldError> {
    serde_json::from_str(value.get()).map_err(|_error| {
        if value.get().starts_with('"') {
            // The syntax was checked, so what is left is a surrogate without its other half.
            let message =
                "Input should be a valid string, unable to parse raw data as a unicode string";
            FieldError::new(field, "string_unicode", message)
        } else {
            FieldError::not_a_string(field)
        }
    })
}

/// The value as it may be sent back; null when it cannot be, or must not.
fn presentable(value: &RawValue) -> Value {
    serde_json::from_str(value.get())
        .ok()
        .filter(|value| !holds_secret(value))
        .unwrap_or_default()
}

fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_secret),
        Value::Object(members) => members.iter().any(|(name, value)| {
            let name = name.to_lowercase();
            name.contains("password") || name.ends_with("secret") || holds_secret(value)
        }),
        _ => false,
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// Two members of one name are refused: whoever reads them later must not be able to see
    /// another value than we do.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        let mut names = HashSet::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("duplicate key"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

fn malformed(text: &str, error: &serde_json::Error) -> Error {
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    // The column is that of the offending byte, from 1; a text that ends too early offends behind
    // its last one.
    let end = match error.classify() {
        Category::Eof => text.len(),
        _ => before + error.column().saturating_sub(1),
    };
    let position = text
        .char_indices()
        .take_while(|(index, _)| *index < end)
        .count();
    // Without the " at line … column …" that serde_json adds.
    let problem = error.to_string();
    let problem = problem.split(" at line ").next().unwrap_or_default();
    Error::MalformedJson {
        position,
        problem: problem.to_owned(),
    }
}

/// Whether the text is nested deeper, or has longer numbers, than anybody means.
fn is_absurd(text: &[u8]) -> bool {
    let (mut depth, mut digits) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH || digits > MAX_DIGITS {
            return true;
        }
    }
    false
}
