//! Two-step sign-in: the user adds and removes authenticator apps, and makes recovery codes.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::forms::NoFields;
use super::page::says;
use super::sessions::NameForm;
use super::{FreshForm, Page, SignedForm, back_to, passkeys, refused_form, see_other, show};
use crate::auth::{AuditContext, Auth, ConfirmedFactor, Enroller, NewTotp};
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::OtpCode;
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::http::routes::path_id;
use crate::pages::account::{
    FactorsNotice, FactorsPage, NewFactorPage, RecoveryCodesPage, Section,
};
use crate::pages::{PasskeyView, Refusal, SeedView};

/// The queries of the page after a change.
const ADDED: &str = "added";
const RENAMED: &str = "renamed";
const REMOVED: &str = "removed";
const FORGOTTEN: &str = "forgotten";

/// What the form with the first code of an app sends.
pub(super) struct ConfirmForm {
    otp: SecretString,
    /// The seed, to show it again after a wrong code.
    secret: SecretString,
    ends_others: bool,
}

impl FromFields for ConfirmForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            otp: fields.text("otp").into(),
            secret: fields.text("secret").into(),
            ends_others: fields.text("end_others") == "yes",
        })
    }
}

/// The apps and the recovery codes.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let notices = [
        (ADDED, FactorsNotice::Added),
        (passkeys::ADDED, FactorsNotice::PasskeyAdded),
        (RENAMED, FactorsNotice::Renamed),
        (REMOVED, FactorsNotice::Removed),
        (FORGOTTEN, FactorsNotice::Forgotten),
    ];
    let notice = notices.into_iter().find(|(what, _)| says(&request, what));
    let shown = factors_page(&auth, &page, &session).await?;
    show(&shown.after(notice.map(|(_, notice)| notice)))
}

async fn factors_page(
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
) -> Result<FactorsPage, DomainError> {
    let factors = auth.list_factors(session.user.id).await?;
    let devices = auth.list_devices(session.user.id).await?;
    let shown = FactorsPage::new(
        page.frame_for(session),
        &factors,
        &devices,
        auth.clock().now(),
    );
    let signal = passkeys::accepted(auth, session).await;
    let passkey = PasskeyView::of(&auth.config().factors, page.language());
    Ok(shown.with_passkeys(passkey, signal))
}

/// Shows the list again after one of its forms was refused.
pub(super) async fn refused(
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
    error: DomainError,
    name: Option<&str>,
) -> Result<HttpResponse, Error> {
    let shown = factors_page(auth, page, session).await?;
    refused_form(error, |error| {
        let refusal = Refusal::new(error, page.language());
        show(&shown.refused(refusal, name))
    })
}

/// Begins to add an app, and shows its picture.
pub(super) async fn begin(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: FreshForm<NameForm>,
) -> Result<HttpResponse, Error> {
    let FreshForm { session, form } = form;
    let enroller = Enroller::from(session.principal());
    let context = context.by_owner(&session);
    let begun = auth.begin_totp(&context, &enroller, Ok(Some(form.name.clone())), None);
    // Boxed, or every connection that is still reading its form would reserve the space.
    match Box::pin(begun).await {
        Ok(new) => show(&new_page(&page, &session, &new)),
        Err(error) => refused(&auth, &page, &session, error, Some(&form.name)).await,
    }
}

fn new_page(page: &Page, session: &BrowserSession, new: &NewTotp) -> NewFactorPage {
    let frame = page.frame_for(session);
    NewFactorPage::new(frame, new.id, seed_view(new))
}

/// What a user has to scan.
pub(super) fn seed_view(new: &NewTotp) -> SeedView {
    SeedView::new(&new.secret, &new.uri, &new.qr_svg)
}

/// Confirms an app. A wrong code keeps the picture.
pub(super) async fn confirm(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<ConfirmForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let id = path_id(&request)?;
    let error = match confirm_totp(&request, &auth, &context, &session, id, &form).await {
        Ok(confirmed) => {
            return match confirmed.recovery_codes {
                Some(codes) => show(&codes_page(&page, &session, &codes).after_app()),
                None => Ok(back_to(&page, Section::Factors.path(), ADDED)),
            };
        }
        // The button was pressed twice.
        Err(Error::Domain(DomainError::FactorNotFound))
            if has_factor(&auth, &session, id).await? =>
        {
            return Ok(back_to(&page, Section::Factors.path(), ADDED));
        }
        Err(error) => error,
    };
    let again = auth.show_totp_again(&session.user.email, id, form.secret.expose_secret());
    match (error, again) {
        (Error::Domain(error), Some(new)) if !matches!(error, DomainError::FactorNotFound) => {
            refused_form(error, |error| {
                let refusal = Refusal::new(error, page.language());
                show(&new_page(&page, &session, &new).refused(refusal, form.ends_others))
            })
        }
        (Error::Domain(error), _) => refused(&auth, &page, &session, error, None).await,
        (error, _) => Err(error),
    }
}

async fn confirm_totp(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    session: &BrowserSession,
    id: i64,
    form: &ConfirmForm,
) -> Result<ConfirmedFactor, Error> {
    let code = typed_code(&form.otp)?;
    refuse_while_busy(request).await?;
    let context = context.clone().by_owner(session);
    let enroller = Enroller::from(session.principal());
    let confirm = auth.confirm_totp(&context, &enroller, id, &code, form.ends_others);
    Ok(Box::pin(confirm).await?)
}

/// The code in the form, as a user types it.
pub(super) fn typed_code(typed: &SecretString) -> Result<OtpCode, DomainError> {
    let code = OtpCode::parse(typed.expose_secret());
    code.ok_or_else(|| FieldError::new("otp", InvalidField::NoCode).into())
}

/// Whether a factor of a user counts.
pub(super) async fn has_factor(
    auth: &Auth,
    session: &BrowserSession,
    id: i64,
) -> Result<bool, DomainError> {
    let factors = auth.list_factors(session.user.id).await?;
    Ok(factors.confirmed.iter().any(|factor| factor.id == id))
}

/// Gives a factor another name. One that was removed is no longer in the list.
pub(super) async fn rename(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<NameForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let (id, name) = (path_id(&request)?, Ok(form.name.clone()));
    let context = context.by_owner(&session);
    let renamed = auth.rename_factor(&context, session.principal(), id, name);
    match renamed.await {
        Ok(_factor) => Ok(back_to(&page, Section::Factors.path(), RENAMED)),
        Err(DomainError::FactorNotFound) => {
            Ok(see_other(page.link(Section::Factors.path())).finish())
        }
        Err(error) => {
            let shown = factors_page(&auth, &page, &session).await?;
            refused_form(error, |error| {
                let refusal = Refusal::new(error, page.language());
                show(&shown.refused_name(id, &form.name, &refusal))
            })
        }
    }
}

/// Removes a factor. One that is removed already is no error: the button was pressed twice.
pub(super) async fn remove(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: FreshForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let id = path_id(&request)?;
    let context = context.by_owner(&session);
    let removed = auth.remove_factor(&context, session.principal(), id, None);
    match Box::pin(removed).await {
        Ok(()) | Err(DomainError::FactorNotFound) => {
            Ok(back_to(&page, Section::Factors.path(), REMOVED))
        }
        Err(error) => refused(&auth, &page, &session, error, None).await,
    }
}

/// Forgets a trusted device. One that is forgotten already is no error: the button was pressed twice.
pub(super) async fn forget_device(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let id = path_id(&request)?;
    let context = context.by_owner(&session);
    let ended = auth.end_devices(&context, session.principal(), Some(id));
    match ended.await {
        Ok(()) | Err(DomainError::DeviceNotFound) => {
            Ok(back_to(&page, Section::Factors.path(), FORGOTTEN))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes new recovery codes and shows them, this once.
pub(super) async fn replace_codes(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: FreshForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let context = context.by_owner(&session);
    let made = auth.replace_recovery_codes(&context, session.principal(), None);
    match Box::pin(made).await {
        Ok(codes) => show(&codes_page(&page, &session, &codes)),
        Err(error) => refused(&auth, &page, &session, error, None).await,
    }
}

pub(super) fn codes_page(
    page: &Page,
    session: &BrowserSession,
    codes: &[RecoveryCode],
) -> RecoveryCodesPage {
    let codes = codes.iter().map(RecoveryCode::show).collect();
    RecoveryCodesPage::new(page.frame_for(session), codes)
}
