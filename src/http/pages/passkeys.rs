//! Passkeys on the pages: a user adds one, or signs in with one.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::factors::{codes_page, has_factor, refused};
use super::page::wishes;
use super::return_to::ReturnTo;
use super::sign_in::{empty_form, leading, of_browser, signed_in};
use super::{FreshForm, OwnForm, Page, SignedForm, back_to, refused_form, show};
use crate::auth::{AuditContext, Auth, ConfirmedFactor, Enroller, PasskeyAnswer};
use crate::error::Error as DomainError;
use crate::guards::{BrowserSession, MaybeBrowserSession};
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::http::routes::path_id;
use crate::pages::account::{NewPasskeyPage, Section};
use crate::pages::{Onward, PasskeySignal, PasskeyView, Refusal};

/// The query of the list after a passkey was added.
pub(super) const ADDED: &str = "passkey-added";

/// The fields with what the browser has signed.
pub(super) const CHALLENGE_ID: &str = "challenge_id";
pub(super) const CREDENTIAL: &str = "credential";

/// What the browser has signed; `None` if it has signed nothing.
pub(super) fn passkey_answer(fields: &mut Fields) -> Option<PasskeyAnswer> {
    let answer = PasskeyAnswer {
        challenge_id: fields.text(CHALLENGE_ID).into(),
        credential: fields.text(CREDENTIAL).into(),
    };
    let is_signed = !answer.credential.expose_secret().is_empty();
    is_signed.then_some(answer)
}

/// Why a form with a passkey is refused: it sends no code that could be wrong.
pub(super) fn without_code(error: DomainError) -> DomainError {
    match error {
        DomainError::WrongCode { .. } => DomainError::BadPasskey { is_unknown: false },
        error => error,
    }
}

/// What the browser of a signed-in user is told of the passkeys; `None` if there is nothing to tell. A database that
/// does not answer says nothing about them.
pub(super) async fn accepted(auth: &Auth, session: &BrowserSession) -> Option<PasskeySignal> {
    let config = auth.config().factors.passkeys.as_ref()?;
    let accepted = auth.accepted_passkeys(session.user.id).await;
    let (handle, ids) = accepted.ok()??;
    Some(PasskeySignal::accepted(&config.rp_id, &handle, &ids))
}

/// The name of a new passkey.
pub(super) struct NameForm {
    name: String,
}

impl FromFields for NameForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            name: fields.text("passkey_name"),
        })
    }
}

/// What the form with a new passkey sends.
pub(super) struct ConfirmForm {
    credential: SecretString,
    ends_others: bool,
}

impl FromFields for ConfirmForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            credential: fields.text(CREDENTIAL).into(),
            ends_others: fields.text("end_others") == "yes",
        })
    }
}

/// What the script of the sign-in page sends.
pub(super) struct PasskeyForm {
    answer: PasskeyAnswer,
    is_kept: bool,
    next: Option<String>,
}

impl FromFields for PasskeyForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let (is_kept, next) = wishes(&mut fields);
        Ok(Self {
            answer: PasskeyAnswer {
                challenge_id: fields.text(CHALLENGE_ID).into(),
                credential: fields.text(CREDENTIAL).into(),
            },
            is_kept,
            next,
        })
    }
}

/// Begins to add a passkey, and shows the page on which the browser makes it.
pub(super) async fn begin(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: FreshForm<NameForm>,
) -> Result<HttpResponse, Error> {
    let FreshForm { session, form } = form;
    let view = PasskeyView::of(&auth.config().factors, page.language());
    let view = view.ok_or(DomainError::PasskeysOff)?;
    let enroller = Enroller::from(session.principal());
    let context = context.by_owner(&session);
    let begun = auth.begin_passkey(&context, &enroller, Ok(Some(form.name)), None);
    // Boxed, or every connection that is still reading its form would reserve the space.
    match Box::pin(begun).await {
        Ok(new) => {
            let frame = page.frame_for(&session);
            show(&NewPasskeyPage::new(frame, view, new.id, &new.public_key))
        }
        Err(error) => refused(&auth, &page, &session, error, None).await,
    }
}

/// Confirms a passkey. One that is refused is begun again.
pub(super) async fn confirm(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<ConfirmForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let id = path_id(&request)?;
    match confirm_passkey(&request, &auth, &context, &session, id, &form).await {
        Ok(confirmed) => match confirmed.recovery_codes {
            Some(codes) => show(&codes_page(&page, &session, &codes).after_passkey()),
            None => Ok(back_to(&page, Section::Factors.path(), ADDED)),
        },
        // The button was pressed twice.
        Err(Error::Domain(DomainError::FactorNotFound))
            if has_factor(&auth, &session, id).await? =>
        {
            Ok(back_to(&page, Section::Factors.path(), ADDED))
        }
        Err(Error::Domain(error)) => refused(&auth, &page, &session, error, None).await,
        Err(error) => Err(error),
    }
}

async fn confirm_passkey(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    session: &BrowserSession,
    id: i64,
    form: &ConfirmForm,
) -> Result<ConfirmedFactor, Error> {
    refuse_while_busy(request).await?;
    let context = context.clone().by_owner(session);
    let enroller = Enroller::from(session.principal());
    let credential = &form.credential;
    let confirm = auth.confirm_passkey(&context, &enroller, id, credential, form.ends_others);
    Ok(Box::pin(confirm).await?)
}

/// Signs in with a passkey alone, and leads on.
pub(super) async fn sign_in(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    earlier: MaybeBrowserSession,
    form: OwnForm<PasskeyForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let to = ReturnTo::of(&request, &page);
    let asked = of_browser(form.is_kept);
    // Boxed, or every connection that is still reading its form would reserve the space.
    match Box::pin(auth.sign_in_with_passkey(&context, &form.answer, &asked)).await {
        Ok(issued) => {
            let onward = Onward {
                is_kept: form.is_kept,
                next: form.next,
                to: to.as_ref().map(ReturnTo::query),
            };
            signed_in(&auth, &context, &page, earlier, &issued, &onward).await
        }
        Err(error) => refused_form(error, |error| {
            let mut shown = empty_form(&auth, &page).before(form.next.clone());
            shown.is_kept = form.is_kept;
            shown.signal = signal_of(&shown.passkey, &form.answer, error);
            shown.problem = Some(Refusal::new(error, page.language()).problem);
            show(&leading(shown, to.as_ref()))
        }),
    }
}

/// What the browser is told of a passkey that no user has. A passkey that is refused for another reason, or not
/// compared because the database does not answer, must not be forgotten.
fn signal_of(
    view: &Option<PasskeyView>,
    answer: &PasskeyAnswer,
    error: &DomainError,
) -> Option<PasskeySignal> {
    let DomainError::BadPasskey { is_unknown: true } = error else {
        return None;
    };
    let sent: Value = serde_json::from_str(answer.credential.expose_secret()).ok()?;
    let id = sent.get("id")?.as_str()?;
    Some(PasskeySignal::unknown(&view.as_ref()?.domain, id))
}
