//! Two-step sign-in: the user adds and removes authenticator apps, and makes recovery codes.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::page::says;
use super::{Page, SignedForm, back_to, refused_form, show};
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
use crate::pages::{Refusal, SeedView};

/// The queries of the page after a change.
const ADDED: &str = "added";
const REMOVED: &str = "removed";

/// What the forms of the list send: the name of a new app, and the password if the page asked for it.
pub(super) struct FactorForm {
    name: String,
    current: SecretString,
}

impl FromFields for FactorForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            name: fields.text("name"),
            current: fields.text("current_password").into(),
        })
    }
}

impl FactorForm {
    /// The password, unless the field was absent or empty.
    async fn password(&self, request: &HttpRequest) -> Result<Option<SecretString>, Error> {
        if self.current.expose_secret().is_empty() {
            return Ok(None);
        }
        refuse_while_busy(request).await?;
        Ok(Some(self.current.clone()))
    }
}

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
        (REMOVED, FactorsNotice::Removed),
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
    Ok(FactorsPage::new(
        page.frame_for(session),
        &factors.confirmed,
        factors.recovery_codes,
        !auth.is_recently_signed_in(session),
        auth.clock().now(),
    ))
}

/// Shows the list again after one of its forms was refused.
async fn refused(
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
    error: Error,
    name: Option<&str>,
) -> Result<HttpResponse, Error> {
    let Error::Domain(error) = error else {
        return Err(error);
    };
    let shown = factors_page(auth, page, session).await?;
    refused_form(error, |error| {
        let refusal = Refusal::new(error, page.language());
        show(&shown.refused(refusal, name))
    })
}

/// Begins to add an app, and shows its picture.
pub(super) async fn begin(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<FactorForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let begun = begin_totp(&request, &auth, &context, &session, &form).await;
    match begun {
        Ok(new) => show(&new_page(&page, &session, &new)),
        Err(error) => refused(&auth, &page, &session, error, Some(&form.name)).await,
    }
}

async fn begin_totp(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    session: &BrowserSession,
    form: &FactorForm,
) -> Result<NewTotp, Error> {
    let context = context.clone().by_owner(session);
    let enroller = Enroller::from(session.principal());
    let name = Ok(Some(form.name.clone()));
    let password = form.password(request).await?;
    let begun = auth.begin_totp(&context, &enroller, name, password);
    // Boxed, or every connection that is still reading its form would reserve the space.
    Ok(Box::pin(begun).await?)
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
    let again = auth.show_totp_again(&session.user, id, form.secret.expose_secret());
    match (error, again) {
        (Error::Domain(error), Some(new)) if !matches!(error, DomainError::FactorNotFound) => {
            refused_form(error, |error| {
                let refusal = Refusal::new(error, page.language());
                show(&new_page(&page, &session, &new).refused(refusal, form.ends_others))
            })
        }
        (error, _) => refused(&auth, &page, &session, error, None).await,
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

async fn has_factor(auth: &Auth, session: &BrowserSession, id: i64) -> Result<bool, DomainError> {
    let factors = auth.list_factors(session.user.id).await?;
    Ok(factors.confirmed.iter().any(|factor| factor.id == id))
}

/// Removes an app. One that is removed already is no error: the button was pressed twice.
pub(super) async fn remove(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<FactorForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let id = path_id(&request)?;
    let context = context.by_owner(&session);
    let removed = match form.password(&request).await {
        Ok(password) => {
            let remove = auth.remove_factor(&context, session.principal(), id, password);
            Box::pin(remove).await.map_err(Error::from)
        }
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) | Err(Error::Domain(DomainError::FactorNotFound)) => {
            Ok(back_to(&page, Section::Factors.path(), REMOVED))
        }
        Err(error) => refused(&auth, &page, &session, error, None).await,
    }
}

/// Makes new recovery codes and shows them, this once.
pub(super) async fn replace_codes(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<FactorForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let context = context.by_owner(&session);
    let made = match form.password(&request).await {
        Ok(password) => {
            let make = auth.replace_recovery_codes(&context, session.principal(), password);
            Box::pin(make).await.map_err(Error::from)
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(codes) => show(&codes_page(&page, &session, &codes)),
        Err(error) => refused(&auth, &page, &session, error, None).await,
    }
}

fn codes_page(page: &Page, session: &BrowserSession, codes: &[RecoveryCode]) -> RecoveryCodesPage {
    let codes = codes.iter().map(RecoveryCode::show).collect();
    RecoveryCodesPage::new(page.frame_for(session), codes)
}
