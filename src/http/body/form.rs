//! Forms, urlencoded or multipart, taken apart as FastAPI takes them apart.

use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::stream;
use secrecy::SecretString;

use super::{Body, read, read_if_admitted};
use crate::error::{Error, FieldError};

/// The most that a form may hold, in bytes.
const LIMIT: usize = 8 << 10;

/// The most fields that a form may have.
const MAX_FIELDS: usize = 1_000;

/// The parameters that mean something here; only these may not be repeated, since a server passes
/// over those it does not know (RFC 6749 section 3.2).
const PARAMETERS: [&str; 6] = [
    "grant_type",
    "username",
    "password",
    "scope",
    "client_id",
    "client_secret",
];

/// A sign-in: FastAPI's `OAuth2PasswordRequestForm` (RFC 6749 section 4.3.2).
pub(crate) struct TokenForm {
    /// The e-mail address.
    pub(crate) username: String,
    /// The password.
    pub(crate) password: SecretString,
    /// What the token is asked to allow.
    pub(crate) scope: Option<String>,
}

impl FromRequest for TokenForm {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let body = read_if_admitted(&request, &mut payload, LIMIT).await?;
            Fields::of(&request, body).await?.into_token_form()
        })
    }
}

/// The form of `/revoke` (RFC 7009 section 2.1) and `/introspect` (RFC 7662 section 2.1). A hint at
/// the type of the token is passed over: its looks say as much.
pub(crate) struct CredentialForm {
    /// What was shown to the client.
    pub(crate) token: SecretString,
}

impl FromRequest for CredentialForm {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let body = read(&mut payload, LIMIT).await?;
            Fields::of(&request, body).await?.into_credential_form()
        })
    }
}

fn content_type(request: &HttpRequest) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// One field as it came.
enum Field {
    Text(String),
    /// An uploaded file, where a text is wanted.
    File,
}

/// The fields of a form in their order.
pub(crate) struct Fields(Vec<(String, Field)>);

impl Fields {
    /// The fields of a body, all of which has to be there.
    async fn of(request: &HttpRequest, body: Body) -> Result<Self, Error> {
        if !body.whole {
            return Err(Error::BodyTooLarge);
        }
        Self::parse(content_type(request), body.bytes).await
    }

    /// A body of any other type counts as an empty form.
    pub(crate) async fn parse(content_type: &str, body: Bytes) -> Result<Self, Error> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let fields = if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            urlencoded(&body)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            multipart(content_type, body).await?
        } else {
            Vec::new()
        };
        if fields.len() > MAX_FIELDS {
            return Err(Error::UnreadableForm(
                "Too many fields. Maximum number of fields is 1000.",
            ));
        }
        Ok(Self(fields))
    }

    fn refuse_repeated(&self, parameters: &[&str]) -> Result<(), Error> {
        for parameter in parameters {
            if self.0.iter().filter(|(name, _)| name == parameter).count() > 1 {
                return Err(Error::RepeatedParameter);
            }
        }
        Ok(())
    }

    pub(crate) fn into_credential_form(mut self) -> Result<CredentialForm, Error> {
        self.refuse_repeated(&["token", "token_type_hint"])?;
        match self.optional("token") {
            Ok(Some(token)) => Ok(CredentialForm {
                token: token.into(),
            }),
            _ => Err(Error::ParameterMissing("token")),
        }
    }

    pub(crate) fn into_token_form(mut self) -> Result<TokenForm, Error> {
        self.refuse_repeated(&PARAMETERS)?;
        let grant_type = self.grant_type();
        let username = self.required("username");
        let password = self.required("password").map(SecretString::from);
        let scope = self.optional("scope");
        match (grant_type, username, password, scope) {
            (Ok(()), Ok(username), Ok(password), Ok(scope)) => Ok(TokenForm {
                username,
                password,
                scope,
            }),
            (grant_type, username, password, scope) => {
                let errors = [
                    grant_type.err(),
                    username.err(),
                    password.err(),
                    scope.err(),
                ];
                Err(Error::InvalidForm(errors.into_iter().flatten().collect()))
            }
        }
    }

    fn grant_type(&mut self) -> Result<(), FieldError> {
        match self.optional("grant_type")? {
            Some(other) if other != "password" => {
                let message = "String should match pattern '^password$'";
                let error = FieldError::new("grant_type", "string_pattern_mismatch", message);
                Err(error.showing(other).with("pattern", "^password$"))
            }
            _ => Ok(()),
        }
    }

    fn required(&mut self, field: &'static str) -> Result<String, FieldError> {
        self.optional(field)?
            .ok_or_else(|| FieldError::missing(field))
    }

    /// A field that was left empty counts as not sent.
    fn optional(&mut self, field: &'static str) -> Result<Option<String>, FieldError> {
        let place = self.0.iter().position(|(name, _)| name == field);
        match place.map(|index| self.0.swap_remove(index).1) {
            Some(Field::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(Field::File) => Err(FieldError::not_a_string(field)),
            _ => Ok(None),
        }
    }
}

fn urlencoded(body: &[u8]) -> Vec<(String, Field)> {
    form_urlencoded::parse(body)
        .take(MAX_FIELDS + 1)
        .map(|(name, value)| (name.into_owned(), Field::Text(value.into_owned())))
        .collect()
}

async fn multipart(content_type: &str, body: Bytes) -> Result<Vec<(String, Field)>, Error> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_error| Error::UnreadableForm("Missing boundary in multipart."))?;
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|_error| unreadable())? {
        let name = part
            .name()
            .ok_or(Error::UnreadableForm(
                "The Content-Disposition header field \"name\" must be provided.",
            ))?
            .to_owned();
        // A browser sends an empty file name for a file that was not chosen.
        let is_file = part.file_name().is_some_and(|name| !name.is_empty());
        let text = part.bytes().await.map_err(|_error| unreadable())?;
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

fn unreadable() -> Error {
    Error::UnreadableForm("The multipart body is malformed.")
}
