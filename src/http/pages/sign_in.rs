//! Signing in and out.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::forms::NoFields;
use super::guarded::{go_back, lead_back};
use super::page::{NEXT, next_page, says, wishes};
use super::return_to::ReturnTo;
use super::{
    OwnForm, Page, SignedForm, cookies, enrolment, passkeys, refused_form, second_factor,
    see_other, show,
};
use crate::auth::{
    AuditContext, Auth, IssuedToken, SessionRequest, SignIn, SignInKind, SignInStep,
};
use crate::config::Registration;
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::{BrowserError, BrowserSession, MaybeBrowserSession};
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
#[cfg(feature = "mail")]
use crate::pages::mail_step::MailStep;
use crate::pages::sign_in::{SignInPage, SignedInPage};
use crate::pages::{Onward, PasskeyView, Refusal};

/// The query of the sign-in page after a sign-out.
const SIGNED_OUT: &str = "signed-out";

/// The query of the sign-in page after the account was deleted.
pub(super) const DELETED: &str = "deleted";

/// What the sign-in page sends.
pub(super) struct SignInForm {
    email: String,
    password: SecretString,
    is_kept: bool,
    next: Option<String>,
}

impl FromFields for SignInForm {
    /// A full queue is reported on the page, which keeps what was typed.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let (is_kept, next) = wishes(&mut fields);
        Ok(Self {
            email: fields.text("email"),
            password: fields.text("password").into(),
            is_kept,
            next,
        })
    }
}

impl SignInForm {
    fn check(&self) -> Result<(), DomainError> {
        let is_empty = [
            ("email", self.email.trim().is_empty()),
            ("password", self.password.expose_secret().is_empty()),
        ];
        let missing = is_empty.into_iter().filter(|(_, is_empty)| *is_empty);
        let errors: Vec<FieldError> = missing
            .map(|(field, _)| FieldError::new(field, InvalidField::Missing))
            .collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(DomainError::InvalidInput(errors)),
        }
    }
}

/// The form, or for a browser that is signed in where it would lead.
pub(super) async fn form(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    session: MaybeBrowserSession,
) -> Result<HttpResponse, Error> {
    let next = next_page(&request);
    let to = ReturnTo::of(&request, &page);
    if let MaybeBrowserSession(Some(session)) = session {
        return match next {
            _ if let Some(to) = &to => {
                lead_back(&request, &auth, &context, &page, &session, to).await
            }
            Some(next) => Ok(see_other(page.link(&next)).finish()),
            None if page.has_account() => Ok(see_other(page.home()).finish()),
            None => {
                let signal = passkeys::accepted(&auth, &session).await;
                show(&SignedInPage::new(page.frame_for(&session), signal))
            }
        };
    }
    let mut form = empty_form(&auth, &page);
    if says(&request, SIGNED_OUT) {
        form = form.after_sign_out();
    } else if says(&request, DELETED) {
        form = form.after_deletion();
    }
    #[cfg(feature = "mail")]
    if let Some(step) = MailStep::FINAL
        .into_iter()
        .find(|step| says(&request, step.done()))
    {
        form.notice = Some(step.notice(page.language()).to_owned());
    }
    show(&leading(form.before(next), to.as_ref()))
}

/// The form for a way back.
pub(super) fn leading(form: SignInPage, to: Option<&ReturnTo>) -> SignInPage {
    match to {
        Some(to) => form.before_host(to.host(), &to.query()),
        None => form,
    }
}

pub(super) fn empty_form(auth: &Auth, page: &Page) -> SignInPage {
    let mut form = SignInPage::new(page.frame());
    form.can_sign_up = can_sign_up(auth, page);
    form.passkey = PasskeyView::of_lone(&auth.config().factors, page.language());
    #[cfg(feature = "mail")]
    {
        form.can_reset = auth.is_mail_on();
    }
    form
}

/// Whether there is a page for registration.
pub(super) fn can_sign_up(auth: &Auth, page: &Page) -> bool {
    auth.config().registration != Registration::Closed && page.has_account()
}

/// Signs in, and leads on.
pub(super) async fn sign_in(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    earlier: MaybeBrowserSession,
    form: OwnForm<SignInForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let to = ReturnTo::of(&request, &page);
    let step = match attempt(&request, &auth, &context, &page, &form, to.as_ref()).await {
        Ok(step) => step,
        Err(Error::Domain(error)) => {
            return refused_form(error, |error| {
                show(&leading(refused(&auth, &page, &form, error), to.as_ref()))
            });
        }
        Err(error) => return Err(error),
    };
    let onward = Onward {
        is_kept: form.is_kept,
        next: form.next,
        to: to.as_ref().map(ReturnTo::query),
    };
    go_a_step(&auth, &context, &page, earlier, &step, &onward).await
}

/// Shows what follows the password.
pub(super) async fn go_a_step(
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    earlier: MaybeBrowserSession,
    step: &SignInStep,
    onward: &Onward,
) -> Result<HttpResponse, Error> {
    match step {
        SignInStep::Done(issued) => signed_in(auth, context, page, earlier, issued, onward).await,
        SignInStep::SecondFactor(pending) => second_factor::ask(auth, page, pending, onward),
        SignInStep::Enrolment(pending) => {
            enrolment::ask(auth, context, page, pending, onward).await
        }
    }
}

/// Begins a sign-in again in place of one of its steps, which has no address of its own: another language was
/// chosen, or the address was typed.
pub(super) async fn start_again(request: HttpRequest, page: Page) -> HttpResponse {
    let query = request.query_string();
    see_other(page.link(&format!("/signin?{query}"))).finish()
}

/// Gives the browser the cookie, leads on, and ends the session that the browser had before.
pub(super) async fn signed_in(
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    earlier: MaybeBrowserSession,
    issued: &IssuedToken,
    onward: &Onward,
) -> Result<HttpResponse, Error> {
    let (onward, cookie) = arrival(auth, context, page, earlier, issued, onward).await?;
    Ok(see_other(onward)
        .insert_header((header::SET_COOKIE, cookie))
        .finish())
}

/// Where a sign-in leads, and the cookie. Ends the session that the browser had before.
pub(super) async fn arrival(
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    earlier: MaybeBrowserSession,
    issued: &IssuedToken,
    onward: &Onward,
) -> Result<(String, HeaderValue), DomainError> {
    if let MaybeBrowserSession(Some(earlier)) = earlier {
        end_earlier(auth, context, &earlier).await;
    }
    let cookie = cookies::session(page.site(), issued, onward.is_kept);
    let query = match &onward.to {
        Some(query) => query.clone(),
        None => form_urlencoded::Serializer::new(String::new())
            .append_pair(NEXT, onward.next.as_deref().unwrap_or_default())
            .finish(),
    };
    let location = page.link(&format!("/signin/continue?{query}"));
    Ok((location, cookie.ok_or(DomainError::Internal)?))
}

async fn attempt(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    form: &SignInForm,
    to: Option<&ReturnTo>,
) -> Result<SignInStep, Error> {
    form.check()?;
    refuse_while_busy(request).await?;
    // Where there are none, the user learns it on the way.
    let has_factors = auth.config().factors.is_offered();
    let sign_in = SignIn {
        device_token: cookies::device_token(request.headers(), page.site()),
        needs_factor: has_factors && to.is_some_and(ReturnTo::needs_factor),
        ..SignIn::new(&form.email, form.password.clone())
    };
    Ok(begin_session(auth, context, sign_in, form.is_kept).await?)
}

/// Signs a user in to a session of a browser.
pub(super) async fn begin_session(
    auth: &Auth,
    context: &AuditContext,
    sign_in: SignIn,
    is_kept: bool,
) -> Result<SignInStep, DomainError> {
    let sign_in = SignIn {
        session: of_browser(is_kept),
        ..sign_in
    };
    // Boxed, or every connection that is still reading its form would reserve the space.
    Box::pin(auth.sign_in(context, sign_in)).await
}

/// The session of a browser, with all scopes of its user.
pub(super) fn of_browser(is_kept: bool) -> SessionRequest {
    SessionRequest {
        kind: SignInKind::Browser { is_kept },
        ..SessionRequest::default()
    }
}

/// Ends the session that a browser had before it got another cookie: it could not end it any more.
pub(super) async fn end_earlier(auth: &Auth, context: &AuditContext, earlier: &BrowserSession) {
    let context = context.clone().by_owner(earlier);
    if auth.revoke_token(&context, earlier.token()).await.is_err() {
        log::warn!("the earlier session of a browser was not ended");
    }
}

/// The form again.
fn refused(auth: &Auth, page: &Page, form: &SignInForm, error: &DomainError) -> SignInPage {
    let refusal = Refusal::new(error, page.language());
    let mut shown = empty_form(auth, page).before(form.next.clone());
    shown.email = refusal.field("email", &form.email);
    shown.password = refusal.secret("password");
    shown.is_kept = form.is_kept;
    shown.problem = Some(refusal.problem);
    shown
}

/// Leads on after a sign-in, or says that the browser has not kept the cookie: an empty form would look
/// like a wrong password.
pub(super) async fn go_on(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    session: MaybeBrowserSession,
) -> Result<HttpResponse, actix_web::Error> {
    let session = session.0.ok_or(BrowserError::CookieLost)?;
    if let Some(to) = ReturnTo::of(&request, &page) {
        return Ok(go_back(&request, &auth, &context, &page, &session, &to).await?);
    }
    let location = match next_page(&request) {
        Some(next) => page.link(&next),
        None => page.home(),
    };
    Ok(see_other(location).finish())
}

/// Signs out: the cookie is worth nothing once this responds.
pub(super) async fn sign_out(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let context = context.by_owner(&session);
    auth.revoke_token(&context, session.token()).await?;
    let cookie = cookies::no_session(page.site()).ok_or(DomainError::Internal)?;
    // To sign in as another user.
    let to = ReturnTo::of(&request, &page);
    let query = to.map_or_else(String::new, |to| format!("&{}", to.query()));
    Ok(
        see_other(page.link(&format!("/signin?{SIGNED_OUT}{query}")))
            .insert_header((header::SET_COOKIE, cookie))
            .finish(),
    )
}
