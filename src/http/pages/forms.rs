//! Forms that our own pages have sent, as parameters of the handlers.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use crate::guards::{BrowserError, BrowserSession, SameOrigin};
use crate::http::body::form::{Fields, FormBody, FromFields};
use crate::http::request_error::RequestError;

/// A form of one of our pages that needs no sign-in. Refuses forms of other sites with 403.
pub(crate) struct OwnForm<T>(pub(crate) T);

impl<T: FromFields + 'static> FromRequest for OwnForm<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let origin = SameOrigin::from_request(request, payload);
        let form = FormBody::from_request(request, payload);
        Box::pin(async move {
            origin.await?;
            let FormBody(form) = form.await?;
            Ok(Self(form))
        })
    }
}

/// A form of one of our pages, sent by the signed-in user to whom the page was shown: the field `user`
/// says who that was. Refuses forms of other sites with 403, of other users with 409, and sends a
/// browser that is not signed in to the sign-in page.
pub(crate) struct SignedForm<T> {
    /// The caller.
    pub(crate) session: BrowserSession,
    /// The other fields.
    pub(crate) form: T,
}

impl<T: FromFields + 'static> FromRequest for SignedForm<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let origin = SameOrigin::from_request(request, payload);
        let session = BrowserSession::from_request(request, payload);
        let form = FormBody::<OfUser<T>>::from_request(request, payload);
        Box::pin(async move {
            origin.await?;
            let session = session.await?;
            let FormBody(OfUser { user, form }) = form.await?;
            if user != session.user.id.to_string() {
                let email = session.user.email.clone();
                return Err(BrowserError::OtherUser { email }.into());
            }
            Ok(Self { session, form })
        })
    }
}

/// A form, and the user to whom its page was shown.
struct OfUser<T> {
    user: String,
    form: T,
}

impl<T: FromFields> FromFields for OfUser<T> {
    fn requires_hash(body: &[u8]) -> bool {
        T::requires_hash(body)
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            user: fields.text("user"),
            form: T::from_fields(fields)?,
        })
    }
}

/// A form without fields.
pub(crate) struct NoFields;

impl FromFields for NoFields {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(_fields: Fields) -> Result<Self, RequestError> {
        Ok(Self)
    }
}
