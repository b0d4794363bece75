//! The pages to which mails lead, and the one for a forgotten password. GET only shows a form, with the
//! token of the link in it; the form spends the token.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Resource, guard, web};
use secrecy::SecretString;

use super::page::{parameter, says};
use super::{OwnForm, Page, Pages, refused_form, see_other, show};
use crate::auth::{AcceptanceInput, AuditContext, Auth, Field, ProofInput, ResetInput};
use crate::config::PagesMode;
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::{MaybeBrowserSession, PageRoute};
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::method_router::{Methods, get, post, resource};
use crate::http::request_error::{Error, RequestError};
use crate::metrics::Metrics;
use crate::pages::Refusal;
use crate::pages::mail_step::{MailStep, MailStepPage};

/// What the pages send; each sends some of it.
pub(super) struct StepForm {
    token: String,
    email: String,
    code: String,
    name: String,
    password: SecretString,
}

impl FromFields for StepForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            token: fields.text("token"),
            email: fields.text("email"),
            code: fields.text("code"),
            name: fields.text("name"),
            password: fields.text("password").into(),
        })
    }
}

impl StepForm {
    fn token(&self) -> Option<String> {
        Some(self.token.clone()).filter(|token| !token.is_empty())
    }

    fn email(&self) -> Field<String> {
        filled_in("email", &self.email)
    }

    fn proof(&self) -> ProofInput {
        if let Some(token) = self.token() {
            return ProofInput {
                token: Ok(Some(token.into())),
                email: Ok(None),
                code: Ok(None),
            };
        }
        ProofInput {
            token: Ok(None),
            email: self.email().map(Some),
            code: filled_in("code", &self.code).map(|code| Some(code.into())),
        }
    }
}

fn filled_in(field: &'static str, text: &str) -> Field<String> {
    match text.trim() {
        "" => Err(FieldError::new(field, InvalidField::Missing)),
        text => Ok(text.to_owned()),
    }
}

/// The routes, each as `finish` completes it. The JSON API has routes at the same paths, for other methods;
/// it is registered after these.
pub(in crate::http) fn routes<R: HttpServiceFactory + 'static>(
    app: &mut web::ServiceConfig,
    metrics: &Metrics,
    pages: &Pages,
    finish: impl Fn(Resource) -> R,
) {
    if pages.mode < PagesMode::SignIn {
        return;
    }
    let read = || guard::Any(guard::Method(Method::GET)).or(guard::Method(Method::HEAD));
    let page = |path: &'static str, methods: Methods| {
        let page = resource(metrics, path, methods).app_data(PageRoute(path));
        finish(page.guard(read()))
    };
    let form = |path: &'static str, of: &'static str, methods: Methods| {
        finish(resource(metrics, path, methods).app_data(PageRoute(of)))
    };
    app.service(page("/forgot-password", get(forgot_form)))
        .service(page("/reset-password", get(reset_form)))
        .service(page("/verify-email", get(verify_form)))
        .service(page("/change-email", get(change_form)))
        .service(page("/change-email/undo", get(undo_form)))
        .service(page("/invitations/accept", get(invitation_form)))
        .service(form(
            "/forgot-password/form",
            "/forgot-password",
            post(forgot),
        ))
        .service(form("/reset-password/form", "/reset-password", post(reset)))
        .service(form("/verify-email/form", "/verify-email", post(verify)))
        .service(form("/change-email/form", "/change-email", post(change)))
        .service(form(
            "/change-email/undo/form",
            "/change-email/undo",
            post(undo),
        ))
        .service(form(
            "/invitations/accept/form",
            "/invitations/accept",
            post(accept),
        ));
}

async fn forgot_form(auth: Auth, page: Page) -> Result<HttpResponse, Error> {
    auth.require_mail()?;
    show(&empty_form(&auth, &page, MailStep::Forgot, None))
}

async fn reset_form(request: HttpRequest, auth: Auth, page: Page) -> Result<HttpResponse, Error> {
    let mut form = linked_form(&request, &auth, &page, MailStep::Reset);
    if says(&request, MailStep::Forgot.done()) {
        form.notice = Some(MailStep::Forgot.notice(page.language()).to_owned());
    }
    show(&form)
}

async fn verify_form(request: HttpRequest, auth: Auth, page: Page) -> Result<HttpResponse, Error> {
    show(&linked_form(&request, &auth, &page, MailStep::Verify))
}

async fn change_form(request: HttpRequest, auth: Auth, page: Page) -> Result<HttpResponse, Error> {
    show(&linked_form(&request, &auth, &page, MailStep::Change))
}

async fn undo_form(request: HttpRequest, auth: Auth, page: Page) -> Result<HttpResponse, Error> {
    show(&linked_form(&request, &auth, &page, MailStep::Undo))
}

async fn invitation_form(
    request: HttpRequest,
    auth: Auth,
    page: Page,
) -> Result<HttpResponse, Error> {
    show(&linked_form(&request, &auth, &page, MailStep::Invitation))
}

/// The form with the token of the link.
fn linked_form(request: &HttpRequest, auth: &Auth, page: &Page, step: MailStep) -> MailStepPage {
    let token = parameter(request, "t").filter(|token| !token.is_empty());
    empty_form(auth, page, step, token)
}

fn empty_form(auth: &Auth, page: &Page, step: MailStep, token: Option<String>) -> MailStepPage {
    let min_length = auth.config().password_policy.min_length;
    MailStepPage::new(page.frame(), step, token, min_length)
}

/// Asks for a mail, and shows where its code is entered.
async fn forgot(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: OwnForm<StepForm>,
) -> Result<HttpResponse, Error> {
    auth.require_mail()?;
    let OwnForm(form) = form;
    match auth.request_reset(&context, form.email()).await {
        Ok(()) => {
            let path = format!("/reset-password?{}", MailStep::Forgot.done());
            Ok(see_other(page.link(&path)).finish())
        }
        Err(error) => refused(&auth, &page, MailStep::Forgot, &form, error),
    }
}

async fn reset(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: OwnForm<StepForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    refuse_while_busy(&request).await?;
    let input = ResetInput {
        proof: form.proof(),
        password: Ok(form.password.clone()),
        end_keys: Ok(None),
    };
    let outcome = Box::pin(auth.reset_password(&context, input)).await;
    finish(&auth, &page, MailStep::Reset, &form, outcome)
}

async fn verify(
    auth: Auth,
    context: AuditContext,
    page: Page,
    session: MaybeBrowserSession,
    form: OwnForm<StepForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let caller = session.0.map(|session| session.principal().clone());
    let outcome = auth.verify_email(&context, caller, form.proof()).await;
    finish(&auth, &page, MailStep::Verify, &form, outcome)
}

async fn change(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: OwnForm<StepForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let outcome = auth.confirm_email_change(&context, form.proof()).await;
    finish(&auth, &page, MailStep::Change, &form, outcome)
}

async fn undo(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: OwnForm<StepForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let outcome = auth.undo_email_change(&context, form.proof()).await;
    finish(&auth, &page, MailStep::Undo, &form, outcome)
}

async fn accept(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: OwnForm<StepForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    refuse_while_busy(&request).await?;
    let input = AcceptanceInput {
        token: Ok(form.token.clone().into()),
        name: Ok(Some(form.name.trim().to_owned()).filter(|name| !name.is_empty())),
        surname: Ok(String::new()),
        password: Ok(form.password.clone()),
    };
    let outcome = Box::pin(auth.accept_invitation(&context, input)).await;
    finish(&auth, &page, MailStep::Invitation, &form, outcome)
}

/// Leads to the sign-in page, which says what has happened, or shows the form again.
fn finish<T>(
    auth: &Auth,
    page: &Page,
    step: MailStep,
    form: &StepForm,
    outcome: Result<T, DomainError>,
) -> Result<HttpResponse, Error> {
    match outcome {
        Ok(_done) => {
            let path = format!("/signin?{}", step.done());
            Ok(see_other(page.link(&path)).finish())
        }
        Err(error) => refused(auth, page, step, form, error),
    }
}

fn refused(
    auth: &Auth,
    page: &Page,
    step: MailStep,
    form: &StepForm,
    error: DomainError,
) -> Result<HttpResponse, Error> {
    refused_form(error, |error| {
        let refusal = Refusal::new(error, page.language());
        let shown = empty_form(auth, page, step, form.token());
        show(&shown.refused(refusal, &form.email, &form.name))
    })
}
