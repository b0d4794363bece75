//! Where a user's credential may stand in a request.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use crate::credential::is_credential_shaped;
use crate::error::Error;

/// The tutorial's own header, for the static key and for a user's token.
pub(crate) const TOKEN_HEADER: &str = "token";

/// The one credential that the request carries, in `Authorization` or in `Token`. It is never
/// taken from the URL or the body (RFC 6750 sections 2.2 and 2.3 advise against both).
///
/// # Errors
/// [`Error::NotAuthenticated`] without one; [`Error::TwoCredentials`] for two that differ, in
/// whatever order, since which of them counts would be anyone's guess.
pub(crate) fn find(request: &HttpRequest) -> Result<&[u8], Error> {
    let headers = request.headers();
    let found = the_same(in_token_header(headers).chain(in_authorization(headers)))?;
    found.ok_or(Error::NotAuthenticated)
}

/// What stands in the place of the static key: the first header `Token`, as in FastAPI's
/// `APIKeyHeader`; `None` when it is missing or empty.
///
/// # Errors
/// [`Error::TwoCredentials`] as [`find`].
pub(crate) fn find_static_key(request: &HttpRequest) -> Result<Option<&[u8]>, Error> {
    if let Err(error @ Error::TwoCredentials) = find(request) {
        return Err(error);
    }
    let first = request.headers().get(TOKEN_HEADER);
    let key = first.map(|value| value.as_bytes().trim_ascii());
    Ok(key.filter(|key| !key.is_empty()))
}

/// The value of `Authorization: Basic`, without the scheme (RFC 7617), for the clients that
/// authenticate by it; `None` when there is none.
///
/// # Errors
/// [`Error::TwoCredentials`] beside any other credential.
#[cfg(feature = "server")]
pub(crate) fn find_basic(request: &HttpRequest) -> Result<Option<&[u8]>, Error> {
    let values = request.headers().get_all(AUTHORIZATION);
    let basic = the_same(values.filter_map(|value| after_scheme(value.as_bytes(), b"Basic")))?;
    match (basic, find(request)) {
        (Some(basic), Err(Error::NotAuthenticated)) => Ok(Some(basic)),
        (Some(_), _) => Err(Error::TwoCredentials),
        (None, _) => Ok(None),
    }
}

/// The credential that all of these are; `None` without any.
fn the_same<'a>(mut shown: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Error> {
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
        .filter_map(|value| of_scheme(value.as_bytes()))
}

/// The credential of `Bearer <t>` (RFC 6750 section 2.1) or `Token <t>`.
fn of_scheme(value: &[u8]) -> Option<&[u8]> {
    let bearer = after_scheme(value, b"Bearer");
    // Others use this scheme too, with parameters after it: only what may be ours counts.
    let of_token = || after_scheme(value, b"Token").filter(|token| is_credential_shaped(token));
    bearer
        .or_else(of_token)
        .filter(|credential| !credential.is_empty())
}

/// What follows the name of this scheme, in any case (RFC 9110 section 11.4); empty when nothing
/// does.
pub(crate) fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let is_whole_name = rest.first().is_none_or(|byte| *byte == b' ');
    (is_whole_name && name.eq_ignore_ascii_case(scheme)).then(|| rest.trim_ascii())
}
