//! JSON bodies, parsed as FastAPI and pydantic parse them. The routes convert the members to the inputs
//! of the domain.

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

use super::{Body, read, refuse_while_busy};
use crate::error::{FieldError, FieldType, InvalidField};
use crate::http::error_details::ErrorDetails;
use crate::http::request_error::{Error, RequestError};

/// The maximum size of a JSON body, in bytes.
const MAX_BODY: usize = 16 << 10;

/// The maximum depth of nested lists and objects; Python's parser has the same limit.
const MAX_DEPTH: usize = 500;

/// The maximum number of digits of a number: Python's limit for the conversion of text to integers.
const MAX_DIGITS: usize = 4_300;

/// An input that is parsed from the members of a JSON object.
pub(crate) trait FromMembers: Sized {
    /// Whether the input has a password to hash, so that it is rejected while the hash queue is full.
    const REQUIRES_HASH: bool;

    /// Parses the members. Errors of single members are kept in the input: the domain reports them
    /// together with the fields that it finds invalid.
    ///
    /// # Errors
    /// If the object as a whole is invalid.
    fn from_members(members: &Members) -> Result<Self, Error>;
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: FromMembers + 'static> FromRequest for JsonBody<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let body = read(&mut payload, MAX_BODY).await?;
            if T::REQUIRES_HASH {
                refuse_while_busy(&request).await?;
            }
            read_members(&body, is_json(&request))
                .and_then(|members| T::from_members(&members))
                .map(Self)
        })
    }
}

/// Whether the content type is `application/json` or `application/…+json`, in any case and with
/// any parameters. A body without a content type is not JSON, as since FastAPI 0.122.
fn is_json(request: &HttpRequest) -> bool {
    let essence = request.content_type().trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// Parses the members of a received body.
pub(crate) fn read_members(body: &Body, is_json: bool) -> Result<Members<'_>, Error> {
    // Before the size, so that a client learns first that its body cannot be parsed.
    if is_json && exceeds_limits(&body.bytes) {
        return Err(RequestError::UnreadableBody.into());
    }
    if !body.whole {
        return Err(RequestError::BodyTooLarge.into());
    }
    parse(&body.bytes, is_json)
}

fn parse(body: &[u8], is_json: bool) -> Result<Members<'_>, Error> {
    if body.is_empty() {
        return Err(invalid_body("missing", "Field required"));
    }
    let text = str::from_utf8(body).map_err(|_error| RequestError::UnreadableBody)?;
    if !is_json {
        return Err(not_an_object());
    }
    Members::parse(text)
}

fn not_an_object() -> Error {
    let message = "Input should be a valid dictionary or object to extract fields from";
    invalid_body("model_attributes_type", message)
}

/// An error of the body as a whole. It does not show the body, which may hold a password.
fn invalid_body(kind: &'static str, message: &str) -> Error {
    let error = ErrorDetails::of_body(kind, message);
    RequestError::InvalidBody(Box::new(error)).into()
}

/// The members of a JSON object. Their values are parsed on demand.
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

    /// A required text. An error shows a value of another type, unless it may hold a secret.
    pub(crate) fn text(&self, field: &'static str) -> Result<String, FieldError> {
        self.optional_text(field)?.ok_or_else(|| missing(field))
    }

    /// A required secret. An error never shows the value.
    pub(crate) fn secret(&self, field: &'static str) -> Result<SecretString, FieldError> {
        let value = self.find(field).ok_or_else(|| missing(field))?;
        Ok(read_text(field, value)?.into())
    }

    /// An optional secret.
    pub(crate) fn optional_secret(
        &self,
        field: &'static str,
    ) -> Result<Option<SecretString>, FieldError> {
        let value = self.find(field);
        let text = value.map(|value| read_text(field, value)).transpose()?;
        Ok(text.map(SecretString::from))
    }

    /// An optional object, as it was sent. An error never shows the value.
    pub(crate) fn optional_object(
        &self,
        field: &'static str,
    ) -> Result<Option<SecretString>, FieldError> {
        let read = |value: &RawValue| match value.get().starts_with('{') {
            true => Ok(value.get().into()),
            false => Err(FieldError::new(
                field,
                InvalidField::WrongType(FieldType::Object),
            )),
        };
        self.find(field).map(read).transpose()
    }

    /// An optional text.
    pub(crate) fn optional_text(&self, field: &'static str) -> Result<Option<String>, FieldError> {
        let read =
            |value| read_text(field, value).map_err(|error| error.with_value(presentable(value)));
        self.find(field).map(read).transpose()
    }

    /// An optional value of the type `T`, which is described as `expected`.
    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        field: &'static str,
        expected: FieldType,
    ) -> Result<Option<T>, FieldError> {
        let read = |value: &RawValue| {
            serde_json::from_str(value.get()).map_err(|_error| {
                let error = FieldError::new(field, InvalidField::WrongType(expected));
                error.with_value(presentable(value))
            })
        };
        self.find(field).map(read).transpose()
    }

    /// Refuses members with other names: a misspelt one would be ignored silently.
    ///
    /// # Errors
    /// [`RequestError::InvalidBody`]. It does not show the name, which may be a misplaced secret.
    pub(crate) fn only(&self, fields: &[&str]) -> Result<(), Error> {
        if self
            .0
            .iter()
            .all(|(name, _)| fields.contains(&name.as_str()))
        {
            return Ok(());
        }
        let message = format!("Extra inputs are not permitted: only {}", fields.join(", "));
        Err(invalid_body("extra_forbidden", &message))
    }

    fn find(&self, field: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter();
        members
            .find(|(name, _)| name == field)
            .map(|(_, value)| *value)
    }
}

fn missing(field: &'static str) -> FieldError {
    FieldError::new(field, InvalidField::Missing)
}

fn read_text(field: &'static str, value: &RawValue) -> Result<String, FieldError> {
    serde_json::from_str(value.get()).map_err(|_error| {
        if value.get().starts_with('"') {
            // The syntax is valid, so the text has an unpaired surrogate.
            FieldError::new(field, InvalidField::InvalidUnicode)
        } else {
            FieldError::new(field, InvalidField::WrongType(FieldType::Text))
        }
    })
}

/// The value in the form that an error may show; null when it cannot be parsed or may hold a
/// secret.
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

    /// Refuses two members of the same name: another parser could use the other value.
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
    // The column of the offending byte, counted from 1. For a text that ends too early, the
    // position is after its last byte.
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
    let problem = problem.to_owned();
    RequestError::MalformedJson { position, problem }.into()
}

/// Whether the text is nested deeper, or has longer numbers, than Python's parser accepts.
fn exceeds_limits(text: &[u8]) -> bool {
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
