//! The version that a change is for, as the header `If-Match` names it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{EntityTag, Header, IF_MATCH, IfMatch};
use actix_web::{FromRequest, HttpRequest};

use crate::auth::Precondition;
use crate::error::Error;

/// RFC 9110 section 13.1.1. Weak tags, and what is no tag, match nothing: then the change is
/// refused.
impl FromRequest for Precondition {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(IF_MATCH) {
            return ready(Ok(Self::None));
        }
        let strong = |tag: &EntityTag| !tag.weak;
        ready(Ok(match IfMatch::parse(request) {
            Ok(IfMatch::Any) => Self::Exists,
            Ok(IfMatch::Items(tags)) => Self::IsOneOf(
                tags.iter()
                    .filter(|tag| strong(tag))
                    .map(|tag| tag.tag().to_owned())
                    .collect(),
            ),
            Err(_unreadable) => Self::IsOneOf(Vec::new()),
        }))
    }
}
