//! Finds the credential in the headers of a request.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};

use crate::credential::is_credential_shaped;
use crate::error::Error;

/// The tutorial's header, for the static key and for a user's token.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("token");

/// The credential of the request, from `Authorization` or `Token`. Never from the URL or the body (RFC
/// 6750 sections 2.2 and 2.3 advise against both).
///
/// # Errors
/// [`Error::NotAuthenticated`] without one; [`Error::TwoCredentials`] for two different ones, in any
/// order, since it would be ambiguous which one counts.
pub(crate) fn find(request: &HttpRequest) -> Result<&[u8], Error> {
    let headers = request.headers();
    let found = unique(in_token_header(headers).chain(in_authorization(headers)))?;
    found.ok_or(Error::NotAuthenticated)
}

/// The presented static key: the first header `Token`, as in FastAPI's `APIKeyHeader`; `None` when it is
/// missing or empty.
///
/// # Errors
/// [`Error::TwoCredentials`] as for [`find`].
pub(crate) fn find_static_key(request: &HttpRequest) -> Result<Option<&[u8]>, Error> {
    if let Err(error @ Error::TwoCredentials) = find(request) {
        return Err(error);
    }
    let first = request.headers().get(TOKEN_HEADER);
    let key = first.map(|value| value.as_bytes().trim_ascii());
    Ok(key.filter(|key| !key.is_empty()))
}

/// The value of `Authorization: Basic` without the scheme (RFC 7617), or `None`.
///
/// # Errors
/// [`Error::TwoCredentials`] if the request has another credential as well.
#[cfg(feature = "server")]
pub(crate) fn find_basic(request: &HttpRequest) -> Result<Option<&[u8]>, Error> {
    let values = request.headers().get_all(AUTHORIZATION);
    let basic = unique(values.filter_map(|value| after_scheme(value.as_bytes(), b"Basic")))?;
    match (basic, find(request)) {
        (Some(basic), Err(Error::NotAuthenticated)) => Ok(Some(basic)),
        (Some(_), _) => Err(Error::TwoCredentials),
        (None, _) => Ok(None),
    }
}

/// The presented static key for a client that is no browser, such as Prometheus: in the header
/// `Token`, or in `Authorization` with the scheme `Bearer` or `Token`; `None` without one.
///
/// # Errors
/// [`Error::TwoCredentials`] as for [`find`].
#[cfg(feature = "server")]
pub(crate) fn find_static_key_of_client(request: &HttpRequest) -> Result<Option<&[u8]>, Error> {
    let in_authorization = request
        .headers()
        .get_all(AUTHORIZATION)
        .filter_map(|value| {
            let value = value.as_bytes();
            let key = after_scheme(value, b"Bearer").or_else(|| after_scheme(value, b"Token"));
            key.filter(|key| !key.is_empty())
        });
    unique(in_token_header(request.headers()).chain(in_authorization))
}

/// The credential, if all of these are equal; `None` if there are none.
fn unique<'a>(mut shown: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Error> {
    let first = shown.next();
    if shown.all(|other| Some(other) == first) {
        Ok(first)
    } else {
        Err(Error::TwoCredentials)
    }
}

fn in_token_header(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(TOKEN_HEADER)
        .map(|value| value.as_bytes().trim_ascii())
        .filter(|credential| !credential.is_empty())
}

fn in_authorization(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(AUTHORIZATION)
        .filter_map(|value| parse_authorization(value.as_bytes()))
}

/// The credential of `Bearer <t>` (RFC 6750 section 2.1) or `Token <t>`.
fn parse_authorization(value: &[u8]) -> Option<&[u8]> {
    let bearer = after_scheme(value, b"Bearer");
    // Other services use this scheme with parameters, so only a value in the form of a credential
    // counts.
    let token = || after_scheme(value, b"Token").filter(|token| is_credential_shaped(token));
    bearer
        .or_else(token)
        .filter(|credential| !credential.is_empty())
}

/// The text after the name of this scheme, in any case (RFC 9110 section 11.4); may be empty.
pub(crate) fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let is_whole_name = rest.first().is_none_or(|byte| *byte == b' ');
    (is_whole_name && name.eq_ignore_ascii_case(scheme)).then(|| rest.trim_ascii())
}
