//! The second step of a sign-in whose user has to add a second factor first: an authenticator app, or a passkey in
//! its place (`enrolment_passkey.rs`).

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::factors::{seed_view, typed_code};
use super::page::wishes;
use super::return_to::ReturnTo;
use super::sign_in::arrival;
use super::{OwnForm, Page, refused_form, show};
use crate::auth::{
    AuditContext, Auth, ConfirmedFactor, Enroller, NewTotp, PendingEnrolment, PendingSignIn,
};
use crate::credential::recovery_code::RecoveryCode;
use crate::error::Error as DomainError;
use crate::guards::MaybeBrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::pages::enrolment::{EnrolmentPage, FirstCodesPage, WaitingApp};
use crate::pages::{Onward, PasskeyView, Refusal};

/// What the page sends.
pub(super) struct EnrolmentForm {
    token: SecretString,
    factor: i64,
    /// The seed, to show it again after a wrong code.
    secret: SecretString,
    otp: SecretString,
    is_kept: bool,
    next: Option<String>,
}

impl FromFields for EnrolmentForm {
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
            secret: fields.text("secret").into(),
            otp: fields.text("otp").into(),
            is_kept,
            next,
        })
    }
}

/// Begins to add an app, and shows its picture, after the right password.
pub(super) async fn ask(
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    pending: &PendingSignIn,
    onward: &Onward,
) -> Result<HttpResponse, Error> {
    let token = pending.secret.expose();
    match begin(auth, context, token).await {
        Ok(new) => show(&shown(auth, page, Some(waiting_app(token, &new)), onward)),
        Err(error) => over(auth, page, onward, error),
    }
}

async fn begin(auth: &Auth, context: &AuditContext, token: &str) -> Result<NewTotp, DomainError> {
    let enroller = Enroller::Pending(Arc::new(auth.find_enrolment(token, true).await?));
    let context = enroller.context(context.clone());
    // Boxed, or every connection that is still reading its form would reserve the space.
    Box::pin(auth.begin_totp(&context, &enroller, Ok(None), None)).await
}

fn waiting_app(token: &str, new: &NewTotp) -> WaitingApp {
    WaitingApp {
        token: token.to_owned(),
        id: new.id,
        seed: seed_view(new),
    }
}

/// Says why the sign-in cannot go on.
pub(super) fn over(
    auth: &Auth,
    page: &Page,
    onward: &Onward,
    error: DomainError,
) -> Result<HttpResponse, Error> {
    refused_form(error, |error| {
        let refusal = Refusal::new(error, page.language());
        show(&shown(auth, page, None, onward).refused(refusal))
    })
}

fn shown(auth: &Auth, page: &Page, app: Option<WaitingApp>, onward: &Onward) -> EnrolmentPage {
    let passkey = PasskeyView::of(&auth.config().factors, page.language());
    EnrolmentPage::new(page.frame(), app, passkey, onward)
}

/// Confirms the app, signs in and shows the recovery codes, this once. A wrong code keeps the picture.
pub(super) async fn confirm(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    earlier: MaybeBrowserSession,
    form: OwnForm<EnrolmentForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let onward = Onward {
        is_kept: form.is_kept,
        next: form.next.clone(),
        to: ReturnTo::of(&request, &page).map(|to| to.query()),
    };
    let token = form.token.expose_secret();
    let pending = match auth.find_enrolment(token, true).await {
        Ok(pending) => pending,
        Err(error) => return over(&auth, &page, &onward, error),
    };
    let seed = form.secret.expose_secret();
    let again = auth.show_totp_again(&pending.user().email, form.factor, seed);
    match enrol(&request, &auth, &context, pending, &form).await {
        Ok(confirmed) => {
            let browser = (&page, earlier);
            finish(&auth, &context, browser, token, confirmed, &onward).await
        }
        Err(Error::Domain(error)) => match again {
            Some(new) if !is_over(&error) => refused_form(error, |error| {
                let refusal = Refusal::new(error, page.language());
                let app = waiting_app(token, &new);
                show(&shown(&auth, &page, Some(app), &onward).refused(refusal))
            }),
            _ => over(&auth, &page, &onward, error),
        },
        Err(error) => Err(error),
    }
}

/// Whether another try would not help.
pub(super) fn is_over(error: &DomainError) -> bool {
    matches!(
        error,
        DomainError::BadMfaToken | DomainError::FactorNotFound
    )
}

async fn enrol(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    pending: PendingEnrolment,
    form: &EnrolmentForm,
) -> Result<ConfirmedFactor, Error> {
    let code = typed_code(&form.otp)?;
    refuse_while_busy(request).await?;
    let enroller = Enroller::Pending(Arc::new(pending));
    let context = enroller.context(context.clone());
    let confirm = auth.confirm_totp(&context, &enroller, form.factor, &code, false);
    Ok(Box::pin(confirm).await?)
}

/// Signs in once the factor counts, and shows the recovery codes, this once.
pub(super) async fn finish(
    auth: &Auth,
    context: &AuditContext,
    (page, earlier): (&Page, MaybeBrowserSession),
    token: &str,
    confirmed: ConfirmedFactor,
    onward: &Onward,
) -> Result<HttpResponse, Error> {
    let finished = Box::pin(auth.finish_enrolment(context, token, true)).await;
    let issued = match finished {
        Ok(issued) => issued,
        Err(error) => return over(auth, page, onward, error),
    };
    let (onward, cookie) = arrival(auth, context, page, earlier, &issued, onward).await?;
    let codes = confirmed.recovery_codes.unwrap_or_default();
    let codes = codes.iter().map(RecoveryCode::show).collect();
    let mut response = show(&FirstCodesPage::new(page.frame(), codes, onward))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
