//! Forms that need a recent sign-in, as parameters of the handlers. There is one way to become fresh: a page asks
//! for the password, and for a code if the user has a second factor, and sends the form again; the session goes on
//! with a new secret.

use std::fmt;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::page::LANG;
use super::{Page, SignedForm, cookies, refused_form, show, show_as};
use crate::auth::{Auth, FactorInput, Proof, RenewedSession, is_multi_factor};
use crate::credential::Candidates;
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::audit_context::audit_context;
use crate::guards::browser::find_session;
use crate::guards::{BrowserSession, auth};
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::pages::{ConfirmPage, Frame};

/// The field with the password of the caller.
const CONFIRM: &str = "confirm";

/// The field with the code of a second factor.
const CODE: &str = "confirm-code";

/// What a page that is shown again does not repeat: secrets, and the fields of its own.
const NOT_REPEATED: [&str; 4] = ["user", CONFIRM, CODE, "password"];

/// A form as [`SignedForm`], from a caller who has signed in within 15 minutes, with a second factor if the user
/// has one.
///
/// Any other caller gets a page that asks for the password and a code, and sends the form again.
pub(super) struct FreshForm<T> {
    /// The caller.
    pub(super) session: BrowserSession,
    /// The fields.
    pub(super) form: T,
}

impl<T: FromFields + 'static> FromRequest for FreshForm<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = SignedForm::<Repeatable<T>>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let SignedForm { session, form } = form.await?;
            let session = confirmed(&request, session, &form, "/account").await?;
            Ok(Self {
                session,
                form: form.form,
            })
        })
    }
}

/// The cookie of a session that was renewed with a form, in the extensions of the request.
pub(super) struct NewCookie(pub(super) HeaderValue);

/// A form, and what it takes to send it again.
pub(super) struct Repeatable<T> {
    pub(super) form: T,
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

/// The session if it is fresh, or as it goes on with the password and the code in the form.
///
/// # Errors
/// The page that asks for them, from which a user goes to `cancel` instead.
pub(super) async fn confirmed<T>(
    request: &HttpRequest,
    session: BrowserSession,
    form: &Repeatable<T>,
    cancel: &str,
) -> Result<BrowserSession, actix_web::Error> {
    let auth = auth(request)?;
    let is_recent = auth.is_recently_signed_in(&session);
    if is_recent && is_multi_factor(&session.token().session.amr) {
        return Ok(session);
    }
    let asks_for_code = auth.asks_user_for_code(session.user.id).await?;
    if is_recent && !asks_for_code {
        return Ok(session);
    }
    let page = Page::extract(request).await?;
    let asking = || {
        // The address of the form shows nothing by itself, in another language.
        let frame = Frame {
            here: format!("{}?{LANG}=", page.link(cancel)),
            ..page.frame_for(&session)
        };
        let paths = (page.address(), page.link(cancel));
        ConfirmPage::new(frame, paths, form.fields.clone(), asks_for_code)
    };
    let is_empty = |secret: &SecretString| secret.expose_secret().is_empty();
    if is_empty(&form.confirm) || (asks_for_code && is_empty(&form.code)) {
        let page = show_as(StatusCode::FORBIDDEN, &asking())?;
        return Err(unconfirmed(page));
    }
    match renew(request, auth, &session, form, asks_for_code).await {
        Ok(renewed) => replace(request, &page, &session, &renewed).await,
        Err(Error::Domain(error)) => {
            let page = refused_form(error, |error| show(&asking().refused(error)))?;
            Err(unconfirmed(page))
        }
        Err(error) => Err(error.into()),
    }
}

async fn renew<T>(
    request: &HttpRequest,
    auth: &Auth,
    session: &BrowserSession,
    form: &Repeatable<T>,
    asks_for_code: bool,
) -> Result<RenewedSession, Error> {
    let factor = match asks_for_code {
        true => Some(typed_factor(&form.code)?),
        false => None,
    };
    refuse_while_busy(request).await?;
    let context = audit_context(request).by_owner(session);
    let proof = Proof {
        password: Some(form.confirm.clone()),
        factor,
    };
    // Boxed, or every connection that is still reading its form would reserve the space.
    Ok(Box::pin(auth.renew_session(&context, session.principal(), proof)).await?)
}

/// The code in the form. A malformed one costs no try.
fn typed_factor(typed: &SecretString) -> Result<FactorInput, DomainError> {
    let input = FactorInput::parse(typed.expose_secret());
    input.ok_or_else(|| FieldError::new("otp", InvalidField::NoCode).into())
}

/// Gives the browser the cookie of the session as it goes on.
async fn replace(
    request: &HttpRequest,
    page: &Page,
    earlier: &BrowserSession,
    renewed: &RenewedSession,
) -> Result<BrowserSession, actix_web::Error> {
    let RenewedSession { token, is_kept } = renewed;
    let cookie = cookies::session(page.site(), token, *is_kept).ok_or(DomainError::Internal)?;
    request.extensions_mut().insert(NewCookie(cookie));
    let secret = token.secret.expose();
    let candidates = Candidates::parse_cookie(secret.as_bytes()).ok_or(DomainError::Internal)?;
    let session = find_session(request, candidates).await?;
    let session = session.filter(|session| session.user.id == earlier.user.id);
    Ok(session.ok_or(DomainError::InvalidToken)?)
}

/// Why a form is not accepted yet, as the cause of the response with the page that asks.
#[derive(Debug)]
pub(super) struct PasswordRequired;

impl fmt::Display for PasswordRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password is required once more")
    }
}

fn unconfirmed(page: HttpResponse) -> actix_web::Error {
    InternalError::from_response(PasswordRequired, page).into()
}
