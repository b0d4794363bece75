//! The id of a request: in the answer, in the log and in the audit trail.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use crate::hex;

/// Where it stands, in a request and in the answer.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// The id of a request once somebody has asked for it.
struct RequestId(HeaderValue);

/// The id of the request, for who needs it before the answer is complete; the same whenever it is
/// asked for.
pub(super) fn request_id(request: &HttpRequest) -> HeaderValue {
    let id = given_or_new_id(request);
    request.extensions_mut().insert(RequestId(id.clone()));
    id
}

/// The caller's own, when it may go into a log as it is; a new one otherwise. Not kept: most
/// requests need it once.
pub(super) fn given_or_new_id(request: &HttpRequest) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(is_plain)
    });
    match given {
        Some(id) => id.clone(),
        None => match request.extensions().get() {
            Some(RequestId(id)) => id.clone(),
            None => generate_request_id(),
        },
    }
}

/// 32 hexadecimal digits.
fn generate_request_id() -> HeaderValue {
    let mut id = [0; 32];
    hex::write(&rand::random::<[u8; 16]>(), &mut id);
    HeaderValue::from_bytes(&id).unwrap_or_else(|_impossible| HeaderValue::from_static("none"))
}
