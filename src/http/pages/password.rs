//! A new password for the signed-in user.

use std::pin::Pin;

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::page::says;
use super::{Page, SignedForm, back_to, refused_form, show};
use crate::auth::{AuditContext, Auth, Field, KeptKeys, PasswordInput};
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::pages::Refusal;
use crate::pages::account::{PasswordPage, Section};

/// The query of the page after a change.
const CHANGED: &str = "changed";

/// What the page sends.
pub(super) struct PasswordForm {
    current: SecretString,
    new: SecretString,
    keeps_keys: bool,
}

impl FromFields for PasswordForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            current: fields.text("current_password").into(),
            new: fields.text("new_password").into(),
            keeps_keys: fields.text("keep_keys") == "yes",
        })
    }
}

/// A password that may not be empty, as one that exists never is.
pub(super) fn filled_in(field: &'static str, password: &SecretString) -> Field<SecretString> {
    match password.expose_secret().is_empty() {
        true => Err(FieldError::new(field, InvalidField::Missing)),
        false => Ok(password.clone()),
    }
}

/// Runs work with a hash, unless the hash queue is full. The page that is shown again then says so. The work is
/// boxed, or every connection that is still reading its form would reserve the space.
pub(super) async fn unless_busy<T>(
    request: &HttpRequest,
    work: Pin<Box<impl Future<Output = Result<T, DomainError>>>>,
) -> Result<T, Error> {
    refuse_while_busy(request).await?;
    Ok(work.await?)
}

/// The form.
pub(super) async fn form(
    request: HttpRequest,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let form = PasswordPage::new(page.frame_for(&session));
    show(&match says(&request, CHANGED) {
        true => form.changed(),
        false => form,
    })
}

/// Changes the password, which ends every other session.
pub(super) async fn change(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<PasswordForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let input = PasswordInput {
        current_password: filled_in("current_password", &form.current),
        new_password: Ok(form.new),
        keep_keys: Ok(form.keeps_keys.then_some(KeptKeys::All)),
    };
    let context = context.by_owner(&session);
    let change = auth.change_password(&context, session.principal(), input);
    match unless_busy(&request, Box::pin(change)).await {
        Ok(()) => Ok(back_to(&page, Section::Password.path(), CHANGED)),
        Err(Error::Domain(error)) => refused_form(error, |error| {
            let refusal = Refusal::new(error, page.language());
            let shown = PasswordPage::new(page.frame_for(&session));
            show(&shown.refused(refusal, form.keeps_keys))
        }),
        Err(error) => Err(error),
    }
}
