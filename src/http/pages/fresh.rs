//! Forms that need a recent sign-in, as parameters of the handlers. There is one way to become fresh: a page asks
//! for the password, and for a code if the user has a second factor, or for a passkey in their place, and sends the
//! form again; the session goes on with a new secret.

use std::fmt;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::page::LANG;
use super::passkeys::{CHALLENGE_ID, CREDENTIAL, passkey_answer, without_code};
use super::{Page, SignedForm, cookies, refused_form, show, show_as};
use crate::auth::{Auth, FactorInput, PasskeyAnswer, Proof, RenewedSession, is_multi_factor};
use crate::credential::Candidates;
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::audit_context::audit_context;
use crate::guards::browser::find_session;
use crate::guards::{BrowserSession, auth};
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::pages::{ConfirmPage, Frame, Language, PasskeyQuestion};

/// The field with the password of the caller.
const CONFIRM: &str = "confirm";

/// The field with the code of a second factor.
const CODE: &str = "confirm-code";

/// What a page that is shown again does not repeat: secrets, and the fields of its own.
const NOT_REPEATED: [&str; 6] = ["user", CONFIRM, CODE, CHALLENGE_ID, CREDENTIAL, "password"];

/// A form as [`SignedForm`], from a caller who has signed in within 15 minutes, with a second factor if the user
/// has one.
///
/// Any other caller gets a page that asks for the password and a code or for a passkey, and sends the form again.
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
    typed: Typed,
    fields: Vec<(String, String)>,
}

/// What a page asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) password: bool,
    /// A code, or a passkey.
    pub(super) factor: bool,
    /// Whether a passkey needs no password.
    pub(super) lone_passkey: bool,
}

/// What proves the user.
pub(super) struct Typed {
    pub(super) password: SecretString,
    code: SecretString,
    passkey: Option<PasskeyAnswer>,
}

impl Typed {
    fn take(fields: &mut Fields) -> Self {
        Self {
            password: fields.text(CONFIRM).into(),
            code: fields.text(CODE).into(),
            passkey: passkey_answer(fields),
        }
    }

    /// The proof that a page has asked for; `None` if something is missing.
    ///
    /// # Errors
    /// [`DomainError::InvalidInput`] for a malformed code, which costs no try.
    pub(super) fn proof(&self, asked: Asked) -> Result<Option<Proof>, DomainError> {
        let is_typed = |secret: &&SecretString| !secret.expose_secret().is_empty();
        let password = Some(&self.password).filter(is_typed).cloned();
        let factor = match &self.passkey {
            Some(answer) => Some(FactorInput::Passkey(answer.clone())),
            None if asked.factor => match Some(&self.code).filter(is_typed) {
                Some(code) => Some(typed_factor(code)?),
                None => return Ok(None),
            },
            None => None,
        };
        let is_alone = asked.lone_passkey && self.passkey.is_some();
        let is_enough = !asked.password || password.is_some() || is_alone;
        Ok(is_enough.then_some(Proof { password, factor }))
    }

    /// Why there is no proof.
    pub(super) fn missing(&self, asked: Asked) -> DomainError {
        let fields = [
            ("current_password", asked.password, &self.password),
            ("otp", asked.factor, &self.code),
        ];
        let missing = fields
            .into_iter()
            .filter(|(_, is_asked, typed)| *is_asked && typed.expose_secret().is_empty())
            .map(|(field, ..)| FieldError::new(field, InvalidField::Missing));
        DomainError::InvalidInput(missing.collect())
    }
}

impl FromFields for Typed {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self::take(&mut fields))
    }
}

impl<T: FromFields> FromFields for Repeatable<T> {
    fn requires_hash(body: &[u8]) -> bool {
        T::requires_hash(body)
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let typed = Typed::take(&mut fields);
        let repeated = fields
            .iter()
            .filter(|(name, _)| !NOT_REPEATED.contains(name));
        let repeated = repeated.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Ok(Self {
            typed,
            fields: repeated.collect(),
            form: T::from_fields(fields)?,
        })
    }
}

/// The session if it is fresh, or as it goes on with what the user shows in the form.
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
    let methods = auth.factor_methods(session.user.id).await?;
    if is_recent && methods.is_empty() {
        return Ok(session);
    }
    let page = Page::extract(request).await?;
    // The address of the form shows nothing by itself, in another language.
    let frame = Frame {
        here: format!("{}?{LANG}=", page.link(cancel)),
        ..page.frame_for(&session)
    };
    let asked = Asked {
        password: true,
        factor: !methods.is_empty(),
        lone_passkey: auth.config().factors.lone_passkeys().is_some(),
    };
    let renewed = match form.typed.proof(asked) {
        Ok(Some(proof)) => renew(request, &page, &session, proof).await,
        Ok(None) => {
            let asking = asking(request, auth, &session, (frame, &methods)).await?;
            let asking = asking.before(form.fields.clone(), (page.address(), page.link(cancel)));
            return Err(unconfirmed(show_as(StatusCode::FORBIDDEN, &asking)?));
        }
        Err(malformed) => Err(malformed.into()),
    };
    match renewed {
        Ok(session) => Ok(session),
        Err(Error::Domain(error)) => {
            let error = match form.typed.passkey {
                Some(_) => without_code(error),
                None => error,
            };
            let asking = asking(request, auth, &session, (frame, &methods)).await?;
            let asking = asking.before(form.fields.clone(), (page.address(), page.link(cancel)));
            let page = refused_form(error, |error| show(&asking.refused(error)))?;
            Err(unconfirmed(page))
        }
        Err(error) => Err(error.into()),
    }
}

/// The page that asks for the password, and for one of these second factors.
pub(super) async fn asking(
    request: &HttpRequest,
    auth: &Auth,
    session: &BrowserSession,
    (frame, methods): (Frame, &[&'static str]),
) -> Result<ConfirmPage, DomainError> {
    let passkey = match methods.contains(&"webauthn") {
        true => passkey_question(request, auth, session, frame.language).await?,
        false => None,
    };
    Ok(ConfirmPage::new(frame, methods).with_passkey(passkey))
}

/// What the browser is asked to sign; `None` if it cannot be asked now, when the page takes a code.
async fn passkey_question(
    request: &HttpRequest,
    auth: &Auth,
    session: &BrowserSession,
    language: Language,
) -> Result<Option<PasskeyQuestion>, DomainError> {
    let context = audit_context(request).by_owner(session);
    let options = auth.ask_for_passkey_again(&context, session.principal());
    // Boxed, or every connection that is still reading its form would reserve the space.
    match Box::pin(options).await {
        Ok(options) => {
            let factors = &auth.config().factors;
            Ok(PasskeyQuestion::new(factors, language, &options))
        }
        Err(DomainError::TooManyAttempts { .. } | DomainError::FactorNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The session as it goes on with a proof. The browser gets its new cookie.
///
/// # Errors
/// Those of [`Auth::renew_session`].
pub(super) async fn renew(
    request: &HttpRequest,
    page: &Page,
    session: &BrowserSession,
    proof: Proof,
) -> Result<BrowserSession, Error> {
    if proof.password.is_some() {
        refuse_while_busy(request).await?;
    }
    let context = audit_context(request).by_owner(session);
    // Boxed, or every connection that is still reading its form would reserve the space.
    let renewed = Box::pin(auth(request)?.renew_session(&context, session.principal(), proof));
    replace(request, page, session, &renewed.await?).await
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
) -> Result<BrowserSession, Error> {
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
