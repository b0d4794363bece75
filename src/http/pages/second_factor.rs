//! The second step of a sign-in: the code of a second factor.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::page::wishes;
use super::passkeys::{passkey_answer, without_code};
use super::return_to::ReturnTo;
use super::sign_in::signed_in;
use super::{OwnForm, Page, cookies, refused_form, show};
use crate::auth::{AuditContext, Auth, FactorInput, PasskeyAnswer, PendingSignIn, SecondStep};
use crate::credential::pending_sign_in::is_pending_token_shaped;
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::MaybeBrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::request_error::{Error, RequestError};
use crate::pages::sign_in::SecondFactorPage;
use crate::pages::{Onward, PasskeyView, Refusal};

/// What the page sends.
pub(super) struct SecondFactorForm {
    token: SecretString,
    code: SecretString,
    /// What the browser has signed, in place of the code.
    passkey: Option<PasskeyAnswer>,
    has_passkey: bool,
    is_kept: bool,
    remembers_device: bool,
    next: Option<String>,
}

impl SecondFactorForm {
    /// What the user shows; `None` for a text that is no code.
    fn input(&self) -> Option<FactorInput> {
        match &self.passkey {
            Some(answer) => Some(FactorInput::Passkey(answer.clone())),
            None => FactorInput::parse(self.code.expose_secret()),
        }
    }
}

impl FromFields for SecondFactorForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let (is_kept, next) = wishes(&mut fields);
        Ok(Self {
            passkey: passkey_answer(&mut fields),
            has_passkey: fields.text("has_passkey") == "yes",
            token: fields.text("mfa_token").into(),
            code: fields.text("code").into(),
            is_kept,
            remembers_device: fields.text("remember") == "yes",
            next,
        })
    }
}

/// Asks for the code, after the right password.
pub(super) fn ask(
    auth: &Auth,
    page: &Page,
    pending: &PendingSignIn,
    onward: &Onward,
) -> Result<HttpResponse, Error> {
    let token = pending.secret.expose();
    let has_passkey = pending.methods.contains(&"webauthn");
    let passkey = PasskeyView::of(&auth.config().factors, page.language());
    let passkey = passkey.filter(|_| has_passkey);
    let days = auth.config().factors.trusted_days();
    let form = SecondFactorPage::new(page.frame(), token, onward, days);
    show(&form.with_passkey(passkey))
}

/// Checks the code, and leads on.
pub(super) async fn check(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    earlier: MaybeBrowserSession,
    form: OwnForm<SecondFactorForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let onward = Onward {
        is_kept: form.is_kept,
        next: form.next.clone(),
        to: ReturnTo::of(&request, &page).map(|to| to.query()),
    };
    let token = form.token.expose_secret();
    let is_token = is_pending_token_shaped(token.as_bytes());
    let issued = match form.input() {
        // The page repeats no other text.
        _ if !is_token => Err(DomainError::BadMfaToken),
        // Boxed, or every connection that is still reading its form would reserve the space.
        Some(input) => {
            let step = SecondStep {
                token,
                input: &input,
                is_browser: true,
                remembers_device: form.remembers_device,
            };
            let continued = Box::pin(auth.continue_sign_in(&context, step)).await;
            match form.passkey {
                Some(_) => continued.map_err(without_code),
                None => continued,
            }
        }
        // Costs no try.
        None => Err(FieldError::new("code", InvalidField::NoCode).into()),
    };
    match issued {
        Ok(issued) => {
            let arrived = signed_in(&auth, &context, &page, earlier, &issued, &onward);
            let mut arrived = arrived.await?;
            if let Some(device) = &issued.device {
                let cookie = cookies::device(page.site(), device).ok_or(DomainError::Internal)?;
                arrived.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(arrived)
        }
        Err(error) => refused_form(error, |error| {
            let days = auth.config().factors.trusted_days();
            let passkey = PasskeyView::of(&auth.config().factors, page.language());
            let passkey = passkey.filter(|_| form.has_passkey);
            let shown = SecondFactorPage::new(page.frame(), token, &onward, days);
            let shown = shown
                .remembering(form.remembers_device)
                .with_passkey(passkey);
            let is_over = matches!(error, DomainError::BadMfaToken);
            show(&shown.refused(Refusal::new(error, page.language()), is_over))
        }),
    }
}
