//! Forms, urlencoded or multipart, parsed as FastAPI parses them.

use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::stream;

use super::{read, refuse_while_busy};
use crate::http::error_details::ErrorDetails;
use crate::http::request_error::{Error, RequestError};

/// The maximum size of a form, in bytes.
const MAX_BODY: usize = 8 << 10;

/// The maximum number of fields of a form.
const MAX_FIELDS: usize = 1_000;

/// An input that is parsed from the fields of a form.
pub(crate) trait FromFields: Sized {
    /// Whether a body may have a password to hash, so that it is rejected while the hash queue is full.
    fn requires_hash(body: &[u8]) -> bool;

    /// Parses the fields.
    ///
    /// # Errors
    /// If a field is missing, invalid or repeated.
    fn from_fields(fields: Fields) -> Result<Self, RequestError>;
}

/// A form in the body.
pub(crate) struct FormBody<T>(pub(crate) T);

impl<T: FromFields + 'static> FromRequest for FormBody<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let body = read(&mut payload, MAX_BODY).await?;
            if T::requires_hash(&body.bytes) {
                refuse_while_busy(&request).await?;
            }
            if !body.whole {
                return Err(RequestError::BodyTooLarge.into());
            }
            let fields = Fields::parse(content_type(&request), body.bytes).await?;
            Ok(Self(T::from_fields(fields)?))
        })
    }
}

/// The value of a field.
enum Field {
    Text(String),
    /// An uploaded file in place of a text.
    File,
}

/// The fields of a form, in order.
pub(crate) struct Fields(Vec<(String, Field)>);

impl Fields {
    /// Parses a form. A body with another content type counts as an empty form.
    pub(crate) async fn parse(content_type: &str, body: Bytes) -> Result<Self, RequestError> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let fields = if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            urlencoded(&body)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            multipart(content_type, body).await?
        } else {
            Vec::new()
        };
        if fields.len() > MAX_FIELDS {
            return Err(RequestError::UnreadableForm(
                "Too many fields. Maximum number of fields is 1000.",
            ));
        }
        Ok(Self(fields))
    }

    /// Refuses a form that has one of these parameters twice. Servers ignore parameters that they do
    /// not know (RFC 6749 section 3.2), so others may be repeated.
    pub(crate) fn refuse_repeated(&self, parameters: &[&str]) -> Result<(), RequestError> {
        for parameter in parameters {
            if self.0.iter().filter(|(name, _)| name == parameter).count() > 1 {
                return Err(RequestError::RepeatedParameter);
            }
        }
        Ok(())
    }

    /// Takes a text; empty if it is missing, as pages send empty fields.
    #[cfg(feature = "pages")]
    pub(crate) fn text(&mut self, field: &str) -> String {
        let index = self.0.iter().position(|(name, _)| name == field);
        match index.map(|index| self.0.swap_remove(index).1) {
            Some(Field::Text(text)) => text,
            Some(Field::File) | None => String::new(),
        }
    }

    /// Takes the texts of all fields with this name, in no order.
    #[cfg(feature = "pages")]
    pub(crate) fn texts(&mut self, field: &str) -> Vec<String> {
        let named = self.0.extract_if(.., |(name, _)| name == field);
        let texts = named.filter_map(|(_, value)| match value {
            Field::Text(text) => Some(text),
            Field::File => None,
        });
        texts.collect()
    }

    /// The names and texts of all fields, in order.
    #[cfg(feature = "pages")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Field::Text(text) => Some((name.as_str(), text.as_str())),
            Field::File => None,
        })
    }

    /// Takes a required text.
    pub(crate) fn required(&mut self, field: &'static str) -> Result<String, ErrorDetails> {
        self.optional(field)?
            .ok_or_else(|| ErrorDetails::missing(field))
    }

    /// Takes an optional text. An empty field counts as missing.
    pub(crate) fn optional(&mut self, field: &'static str) -> Result<Option<String>, ErrorDetails> {
        let index = self.0.iter().position(|(name, _)| name == field);
        match index.map(|index| self.0.swap_remove(index).1) {
            Some(Field::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(Field::File) => Err(ErrorDetails::not_a_string(field)),
            _ => Ok(None),
        }
    }
}

fn content_type(request: &HttpRequest) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn urlencoded(body: &[u8]) -> Vec<(String, Field)> {
    form_urlencoded::parse(body)
        .take(MAX_FIELDS + 1)
        .map(|(name, value)| (name.into_owned(), Field::Text(value.into_owned())))
        .collect()
}

async fn multipart(content_type: &str, body: Bytes) -> Result<Vec<(String, Field)>, RequestError> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_error| RequestError::UnreadableForm("Missing boundary in multipart."))?;
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|_error| malformed())? {
        let name = part
            .name()
            .ok_or(RequestError::UnreadableForm(
                "The Content-Disposition header field \"name\" must be provided.",
            ))?
            .to_owned();
        // A browser sends an empty file name for a file that was not selected.
        let is_file = part.file_name().is_some_and(|name| !name.is_empty());
        let text = part.bytes().await.map_err(|_error| malformed())?;
        let field = if is_file {
            Field::File
        } else {
            Field::Text(String::from_utf8_lossy(&text).into_owned())
        };
        fields.push((name, field));
        if fields.len() > MAX_FIELDS {
            break;
        }
    }
    Ok(fields)
}

fn malformed() -> RequestError {
    RequestError::UnreadableForm("The multipart body is malformed.")
}
