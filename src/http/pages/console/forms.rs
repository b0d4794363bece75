//! Forms that change other users' accounts, as parameters of the handlers.

use std::fmt;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::guard::{administrator, require};
use crate::auth::{Administrator, Auth, IssuedToken, SignIn, SignInStep, is_multi_factor};
use crate::credential::Candidates;
use crate::error::Error as DomainError;
use crate::guards::audit_context::audit_context;
use crate::guards::browser::find_session;
use crate::guards::{BrowserSession, auth};
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::pages::sign_in::{begin_session, end_earlier};
use crate::http::pages::{Page, SignedForm, cookies, refused_form, show, show_as};
use crate::http::request_error::{Error, RequestError};
use crate::pages::console::ConfirmPage;
use crate::scope;

/// The field with the password of the caller.
const CONFIRM: &str = "confirm";

/// The field with the code of a second factor.
const CODE: &str = "confirm-code";

/// What a page that is shown again does not repeat: secrets, and the fields of its own.
const NOT_REPEATED: [&str; 4] = ["user", CONFIRM, CODE, "password"];

/// A form with which an administrator changes another user: as [`SignedForm`], from a caller who holds
/// `users:write` and has signed in within 15 minutes.
///
/// Any other caller gets a page that asks for the password and sends the form again. With the right
/// password the browser has a new session, as after every sign-in.
pub(super) struct AdminForm<T> {
    /// The caller.
    pub(super) session: BrowserSession,
    /// The caller as an administrator.
    pub(super) admin: Administrator,
    /// The fields.
    pub(super) form: T,
}

/// The cookie of a session that began with a form, in the extensions of the request.
pub(in crate::http::pages) struct NewCookie(pub(in crate::http::pages) HeaderValue);

impl<T: FromFields + 'static> FromRequest for AdminForm<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = SignedForm::<Repeatable<T>>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let SignedForm { session, form } = form.await?;
            require(&request, &session, &[scope::USERS_WRITE]).await?;
            let session = confirmed(&request, session, &form).await?;
            let context = audit_context(&request);
            Ok(Self {
                admin: administrator(&session, context, scope::USERS_WRITE),
                session,
                form: form.form,
            })
        })
    }
}

/// A form, and what it takes to send it again.
struct Repeatable<T> {
    form: T,
    confirm: SecretString,
    code: SecretString,
    fields: Vec<(String, String)>,
}

impl<T: FromFields> FromFields for Repeatable<T> {
    fn requires_hash(body: &[u8]) -> bool {
        T::requires_hash(body)
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let confirm = fields.text(CONFIRM).into();
        let code = fields.text(CODE).into();
        let repeated = fields
            .iter()
            .filter(|(name, _)| !NOT_REPEATED.contains(name));
        let repeated = repeated.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Ok(Self {
            confirm,
            code,
            fields: repeated.collect(),
            form: T::from_fields(fields)?,
        })
    }
}

/// The session, if it is recent, or one that begins with the password in the form.
async fn confirmed<T>(
    request: &HttpRequest,
    session: BrowserSession,
    form: &Repeatable<T>,
) -> Result<BrowserSession, actix_web::Error> {
    let auth = auth(request)?;
    if auth.is_recently_signed_in(&session) {
        return Ok(session);
    }
    let page = Page::extract(request).await?;
    let asking = || {
        let frame = page.frame_for(&session);
        let asks_for_code = is_multi_factor(&session.token().session.amr);
        ConfirmPage::new(frame, page.address(), form.fields.clone(), asks_for_code)
    };
    if form.confirm.expose_secret().is_empty() {
        let page = show_as(StatusCode::FORBIDDEN, &asking())?;
        return Err(unconfirmed(page));
    }
    match sign_in_again(request, auth, &session, form).await {
        Ok((SignInStep::SecondFactor(_), _)) => {
            let page = show_as(StatusCode::FORBIDDEN, &asking().with_code())?;
            Err(unconfirmed(page))
        }
        // The session is older than the setting that requires a second factor.
        Ok((SignInStep::Enrolment(_), _)) => Err(DomainError::SecondFactorRequired.into()),
        Ok((SignInStep::Done(issued), is_kept)) => {
            replace(request, auth, &page, session, &issued, is_kept).await
        }
        Err(Error::Domain(error)) => {
            let page = refused_form(error, |error| show(&asking().refused(error)))?;
            Err(unconfirmed(page))
        }
        Err(error) => Err(error.into()),
    }
}

/// Signs the user of a session in once more, into a session that lasts as long.
async fn sign_in_again<T>(
    request: &HttpRequest,
    auth: &Auth,
    session: &BrowserSession,
    form: &Repeatable<T>,
) -> Result<(SignInStep, bool), Error> {
    refuse_while_busy(request).await?;
    let token = session.token();
    let lifetime = (token.session.expires_at - token.created_at).to_std();
    let usual = auth.config().sessions.browser_lifetime;
    let is_kept = lifetime.is_ok_and(|lifetime| lifetime > usual);
    let context = audit_context(request);
    let code = Some(form.code.clone()).filter(|code| !code.expose_secret().is_empty());
    let sign_in = SignIn {
        otp: code,
        ..SignIn::new(&session.user.email, form.confirm.clone())
    };
    let begun = begin_session(auth, &context, sign_in, is_kept);
    Ok((begun.await?, is_kept))
}

/// Ends the earlier session, and gives the browser the cookie of the new one.
async fn replace(
    request: &HttpRequest,
    auth: &Auth,
    page: &Page,
    earlier: BrowserSession,
    issued: &IssuedToken,
    is_kept: bool,
) -> Result<BrowserSession, actix_web::Error> {
    end_earlier(auth, &audit_context(request), &earlier).await;
    let cookie = cookies::session(page.site(), issued, is_kept).ok_or(DomainError::Internal)?;
    request.extensions_mut().insert(NewCookie(cookie));
    let secret = issued.secret.expose();
    let candidates = Candidates::parse_cookie(secret.as_bytes()).ok_or(DomainError::Internal)?;
    let session = find_session(request, candidates).await?;
    // The address may belong to another user by now.
    let session = session.filter(|session| session.user.id == earlier.user.id);
    let session = session.ok_or(DomainError::InvalidToken)?;
    require(request, &session, &[scope::USERS_WRITE]).await?;
    Ok(session)
}

/// Why a form is not accepted yet, as the cause of the response with the page that asks.
#[derive(Debug)]
pub(in crate::http::pages) struct PasswordRequired;

impl fmt::Display for PasswordRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password is required once more")
    }
}

fn unconfirmed(page: HttpResponse) -> actix_web::Error {
    InternalError::from_response(PasswordRequired, page).into()
}
