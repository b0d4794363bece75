//! Where a user's credential may stand in a request.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use crate::credential::is_credential_shaped;
use crate::error::Error;

/// The tutorial's own header, for the static key and for a user's token.
pub(super) const TOKEN_HEADER: &str = "token";

/// The one credential that the request carries, in `Authorization` or in `Token`. It is never
/// taken from the URL or the body (RFC 6750 sections 2.2 and 2.3 advise against both).
///
/// # Errors
/// [`Error::NotAuthenticated`] without one; [`Error::TwoCredentials`] for two that differ, in
/// whatever order, since which of them counts would be anyone's guess.
pub(crate) fn find(request: &HttpRequest) -> Result<&[u8], Error> {
    let headers = request.headers();
    let mut found = None;
    for credential in in_token_header(headers).chain(in_authorization(headers)) {
        match found {
            Some(other) if other != credential => return Err(Error::TwoCredentials),
            _ => found = Some(credential),
        }
    }
    found.ok_or(Error::NotAuthenticated)
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

/// The credential of `Bearer <t>` (RFC 6750 section 2.1) or `Token <t>`, the scheme in any case.
fn of_scheme(value: &[u8]) -> Option<&[u8]> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, credential) = (&value[..space], value[space..].trim_ascii());
    let is_ours = scheme.eq_ignore_ascii_case(b"Bearer")
        // Others use this scheme too, with parameters after it: only what may be ours counts.
        || (scheme.eq_ignore_ascii_case(b"Token") && is_credential_shaped(credential));
    (is_ours && !credential.is_empty()).then_some(credential)
}
