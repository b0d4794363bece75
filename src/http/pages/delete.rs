//! The end of an account, by its user.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;

use super::password::{filled_in, unless_busy};
use super::sign_in::DELETED;
use super::{Page, SignedForm, cookies, refused_form, see_other, show};
use crate::auth::{AuditContext, Auth};
use crate::error::Error as DomainError;
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::request_error::{Error, RequestError};
use crate::pages::Refusal;
use crate::pages::account::DeletePage;

/// What the page sends.
pub(super) struct DeleteForm {
    current: SecretString,
}

impl FromFields for DeleteForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            current: fields.text("current_password").into(),
        })
    }
}

/// What is lost, and the password to confirm it.
pub(super) async fn form(page: Page, session: BrowserSession) -> Result<HttpResponse, Error> {
    show(&DeletePage::new(page.frame_for(&session)))
}

/// Deletes the account with all sessions and keys.
pub(super) async fn delete(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<DeleteForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let context = context.by_owner(&session);
    let current = filled_in("current_password", &form.current);
    let delete = auth.delete_account(&context, session.principal(), current);
    match unless_busy(&request, Box::pin(delete)).await {
        Ok(()) => {
            let cookie = cookies::no_session(page.site()).ok_or(DomainError::Internal)?;
            Ok(see_other(page.link(&format!("/signin?{DELETED}")))
                .insert_header((header::SET_COOKIE, cookie))
                .finish())
        }
        Err(Error::Domain(error)) => refused_form(error, |error| {
            let refusal = Refusal::new(error, page.language());
            show(&DeletePage::new(page.frame_for(&session)).refused(refusal))
        }),
        Err(error) => Err(error),
    }
}
