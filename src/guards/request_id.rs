//! The ids of a request: one of our own, in the log and in the audit trail, and beside it the one that
//! the caller may have given to it, which anybody can choose.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use crate::credential::hex;

/// Where the caller's stands in a request, and one of the two in the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a caller, in bytes.
const MAX_CLIENT_ID: usize = 128;

/// Our id of a request, once it was asked for.
struct RequestId(HeaderValue);

/// Our id of the request, the same whenever it is asked for. Not made before that: most requests
/// need none.
pub(crate) fn request_id(request: &HttpRequest) -> HeaderValue {
    if let Some(RequestId(id)) = request.extensions().get() {
        return id.clone();
    }
    let id = generate_request_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    id
}

/// The caller's own id of the request, when it may go into a log as it is.
pub(crate) fn id_of_client(request: &HttpRequest) -> Option<&HeaderValue> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    request.headers().get(REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        (1..=MAX_CLIENT_ID).contains(&id.len()) && id.iter().all(is_plain)
    })
}

/// 32 hexadecimal digits.
fn generate_request_id() -> HeaderValue {
    let mut id = [0; 32];
    hex::write(&rand::random::<[u8; 16]>(), &mut id);
    HeaderValue::from_bytes(&id).unwrap_or_else(|_impossible| HeaderValue::from_static("none"))
}
