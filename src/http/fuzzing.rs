//! Runs the request parsers, for the fuzz targets.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, Uri};
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, ResponseError};
use futures_util::FutureExt;
use secrecy::ExposeSecret;

use super::body::Body;
use super::body::form::{Fields, FromFields};
use super::body::json::{FromMembers, Members, read_members};
use super::body::query::Query;
use super::normalize_path;
use super::request_error::{Error, RequestError};
use super::routes::account::DeletionInput;
use super::routes::admin_users::NewUserInput;
use super::routes::keys::NewKeyInput;
use super::routes::oauth::CredentialForm;
use super::routes::token_form::TokenForm;
use crate::auth::{PasswordInput, ProfileInput, RegistrationInput, UserPatch};
use crate::credential::{CredentialDigest, is_credential_shaped};
use crate::error::{Error as DomainError, FieldError};
use crate::guards::presented;
use crate::http::introspection_client::password_of_basic;

/// Asserts that the error is a client error, and that it has a response.
fn blames_client(error: impl Into<Error>) {
    let error = error.into();
    let status = error.error_response().status();
    assert!(status.is_client_error(), "{status}: {error}");
}

/// Asserts the same for the error of a field.
fn blames_field<T>(field: Result<T, FieldError>) {
    if let Err(error) = field {
        blames_client(DomainError::from(error));
    }
}

/// The forms of `/token`, `/revoke` and `/introspect`: a line that is the content type, and a body.
pub(crate) fn form(input: &[u8]) {
    let (content_type, body) = split_line(input);
    let content_type = str::from_utf8(content_type).unwrap_or_default();
    let fields = || {
        let parsing = Fields::parse(content_type, Bytes::copy_from_slice(body));
        let parsed = parsing.now_or_never();
        assert!(parsed.is_some(), "a whole body leaves nothing to wait for");
        parsed.unwrap_or(Err(RequestError::BrokenBody))
    };
    match fields().and_then(TokenForm::from_fields) {
        Ok(TokenForm::Password(request)) => assert!(!request.name.is_empty()),
        Ok(
            TokenForm::Refresh { token, .. }
            | TokenForm::Factor { token, .. }
            | TokenForm::Enrolled { token },
        ) => assert!(!token.expose_secret().is_empty()),
        Ok(TokenForm::Passkey(answer, _)) => {
            assert!(!answer.credential.expose_secret().is_empty())
        }
        Err(error) => blames_client(error),
    }
    if let Err(error) = fields().and_then(CredentialForm::from_fields) {
        blames_client(error);
    }
}

/// The JSON bodies of all routes.
pub(crate) fn json(input: &[u8]) {
    let body = Body {
        bytes: Bytes::copy_from_slice(input),
        whole: true,
    };
    match read_members(&body, true) {
        Ok(members) => forms(&members),
        Err(error) => {
            if let Error::Request(RequestError::MalformedJson { position, .. }) = &error {
                assert!(*position <= input.len(), "{position} is outside");
            }
            blames_client(error);
        }
    }
}

fn forms(members: &Members) {
    read::<RegistrationInput>(members, |form| {
        blames_field(form.name);
        blames_field(form.surname);
        blames_field(form.email);
        blames_field(form.website);
        blames_field(form.password);
    });
    read::<NewUserInput>(members, |form| blames_field(form.scopes));
    read::<ProfileInput>(members, |form| blames_field(form.name));
    read::<UserPatch>(members, |form| {
        blames_field(form.disabled);
        blames_field(form.scopes);
        blames_field(form.scopes_add);
        blames_field(form.scopes_remove);
    });
    read::<PasswordInput>(members, |form| {
        blames_field(form.new_password);
        blames_field(form.keep_keys);
    });
    read::<DeletionInput>(members, |form| blames_field(form.current_password));
    read::<NewKeyInput>(members, |form| {
        blames_field(form.key.scopes);
        blames_field(form.key.expires_in_days);
        blames_field(form.current_password);
    });
}

fn read<T: FromMembers>(members: &Members, check: impl FnOnce(T)) {
    match T::from_members(members) {
        Ok(input) => check(input),
        Err(error) => blames_client(error),
    }
}

/// The headers that may hold a credential: one per line, `name: value`.
pub(crate) fn credential(input: &[u8]) {
    let headers: Vec<_> = input
        .split(|byte| *byte == b'\n')
        .filter_map(header)
        .collect();
    let (request, reversed) = (
        with_headers(headers.iter()),
        with_headers(headers.iter().rev()),
    );
    match (presented::find(&request), presented::find(&reversed)) {
        (Ok(found), other) => {
            assert!(
                other.is_ok_and(|other| other == found),
                "the result depends on the order"
            );
            assert!(!found.is_empty() && found == found.trim_ascii());
            let mut values = headers
                .iter()
                .map(|(_, value)| value.as_bytes().trim_ascii());
            assert!(
                values.any(|value| value.ends_with(found)),
                "it was not sent"
            );
            // Every credential has a known kind or the form of one.
            let is_known = CredentialDigest::parse(found).is_some();
            assert!(is_known || is_credential_shaped(found));
        }
        (Err(error), other) => {
            let other = other.err().map(|other| other.status_code());
            assert_eq!(
                other,
                Some(error.status_code()),
                "the result depends on the order"
            );
            blames_client(error);
        }
    }
    for (_, value) in &headers {
        let basic = presented::after_scheme(value.as_bytes(), b"Basic");
        if let Some(password) = basic.and_then(password_of_basic) {
            assert!(password.len() < value.len(), "longer than its encoding");
        }
    }
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let name = HeaderName::from_bytes(name).ok()?;
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

fn with_headers<'a>(headers: impl Iterator<Item = &'a (HeaderName, HeaderValue)>) -> HttpRequest {
    let add = |request: TestRequest, header: &(HeaderName, HeaderValue)| {
        request.append_header((header.0.clone(), header.1.clone()))
    };
    headers.fold(TestRequest::default(), add).to_http_request()
}

/// The target of a request: decoded, with its query parsed as every kind of parameter.
pub(crate) fn target(input: &[u8]) {
    let Ok(uri) = Uri::try_from(input) else {
        return;
    };
    let mut request = TestRequest::default().to_srv_request();
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    let before = request.path().to_owned();
    normalize_path::decode(&mut request);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    assert!(request.path() == before || request.path().bytes().all(is_plain));

    let mut query = Query::from_request(request.request());
    let limit = query.limit();
    let texts = [query.text("search"), query.text("after")];
    let _ = (
        query.number("after"),
        query.time("since"),
        query.all("scope"),
    );
    let link = query.link("after", "1");
    assert!(link.ends_with("after=1"), "{link}");
    match query.check() {
        Ok(()) => assert!((1..=500).contains(&limit)),
        Err(error) => assert_eq!(
            Error::from(error).error_response().status(),
            StatusCode::UNPROCESSABLE_ENTITY
        ),
    }
    assert!(!texts.into_iter().flatten().any(|text| text.contains('\0')));
}

/// Splits after the first line.
fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, b""),
    }
}
