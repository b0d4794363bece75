//! The second step of a sign-in whose user has to add a second factor first, and adds a passkey.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::enrolment::{finish, is_over, over};
use super::page::wishes;
use super::passkeys::CREDENTIAL;
use super::return_to::ReturnTo;
use super::{OwnForm, Page, refused_form, show};
use crate::auth::{AuditContext, Auth, ConfirmedFactor, Enroller, NewPasskey};
use crate::error::Error as DomainError;
use crate::guards::MaybeBrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::pages::enrolment::PasskeyEnrolmentPage;
use crate::pages::{Onward, PasskeyView, Refusal};

/// What the button for a passkey sends, and with the passkey the page that makes it.
pub(super) struct PasskeyForm {
    token: SecretString,
    factor: i64,
    credential: SecretString,
    is_kept: bool,
    next: Option<String>,
}

impl FromFields for PasskeyForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let (is_kept, next) = wishes(&mut fields);
        Ok(Self {
            token: fields.text("mfa_token").into(),
            // A malformed id identifies nothing.
            factor: fields.text("factor").parse().unwrap_or_default(),
            credential: fields.text(CREDENTIAL).into(),
            is_kept,
            next,
        })
    }
}

impl PasskeyForm {
    fn onward(&self, request: &HttpRequest, page: &Page) -> Onward {
        Onward {
            is_kept: self.is_kept,
            next: self.next.clone(),
            to: ReturnTo::of(request, page).map(|to| to.query()),
        }
    }
}

/// Begins to add a passkey, and shows the page on which the browser makes it.
pub(super) async fn begin(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: OwnForm<PasskeyForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let onward = form.onward(&request, &page);
    let token = form.token.expose_secret();
    match begin_passkey(&auth, &context, token).await {
        Ok(new) => show(&shown(&auth, &page, token, &new, &onward)?),
        Err(error) => over(&auth, &page, &onward, error),
    }
}

/// Confirms the passkey, signs in and shows the recovery codes, this once. A passkey that is refused is begun again.
pub(super) async fn confirm(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    earlier: MaybeBrowserSession,
    form: OwnForm<PasskeyForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let onward = form.onward(&request, &page);
    let token = form.token.expose_secret();
    let error = match enrol(&request, &auth, &context, &form).await {
        Ok(confirmed) => {
            let browser = (&page, earlier);
            return finish(&auth, &context, browser, token, confirmed, &onward).await;
        }
        Err(Error::Domain(error)) if is_over(&error) => {
            return over(&auth, &page, &onward, error);
        }
        Err(Error::Domain(error)) => error,
        Err(error) => return Err(error),
    };
    match begin_passkey(&auth, &context, token).await {
        Ok(new) => refused_form(error, |error| {
            let refusal = Refusal::new(error, page.language());
            show(&shown(&auth, &page, token, &new, &onward)?.refused(refusal))
        }),
        Err(error) => over(&auth, &page, &onward, error),
    }
}

async fn begin_passkey(
    auth: &Auth,
    context: &AuditContext,
    token: &str,
) -> Result<NewPasskey, DomainError> {
    let enroller = Enroller::Pending(Arc::new(auth.find_enrolment(token, true).await?));
    let context = enroller.context(context.clone());
    // Boxed, or every connection that is still reading its form would reserve the space.
    Box::pin(auth.begin_passkey(&context, &enroller, Ok(None), None)).await
}

fn shown(
    auth: &Auth,
    page: &Page,
    token: &str,
    new: &NewPasskey,
    onward: &Onward,
) -> Result<PasskeyEnrolmentPage, DomainError> {
    let view = PasskeyView::of(&auth.config().factors, page.language());
    let view = view.ok_or(DomainError::PasskeysOff)?;
    let asked = (new.id, &new.public_key);
    Ok(PasskeyEnrolmentPage::new(
        page.frame(),
        view,
        token,
        asked,
        onward,
    ))
}

async fn enrol(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    form: &PasskeyForm,
) -> Result<ConfirmedFactor, Error> {
    let pending = auth.find_enrolment(form.token.expose_secret(), true);
    let enroller = Enroller::Pending(Arc::new(pending.await?));
    refuse_while_busy(request).await?;
    let context = enroller.context(context.clone());
    let confirm = auth.confirm_passkey(&context, &enroller, form.factor, &form.credential, false);
    Ok(Box::pin(confirm).await?)
}
