//! The profile of the signed-in user.

use actix_web::{HttpRequest, HttpResponse};

use super::page::says;
use super::{Page, SignedForm, back_to, passkeys, refused_form, show};
use crate::auth::{AuditContext, Auth, ProfileInput};
use crate::error::Error as DomainError;
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::request_error::{Error, RequestError};
use crate::pages::Refusal;
use crate::pages::account::{ProfilePage, Section};

/// The query of the page after a change.
const SAVED: &str = "saved";

/// What the page of the profile sends.
pub(super) struct ProfileForm {
    name: String,
    surname: String,
    website: String,
}

impl FromFields for ProfileForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            name: fields.text("name"),
            surname: fields.text("surname"),
            website: fields.text("website"),
        })
    }
}

/// The profile.
pub(super) async fn read(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let mut shown = ProfilePage::new(page.frame_for(&session), &session.user);
    // A sign-in leads here.
    shown.signal = passkeys::accepted(&auth, &session).await;
    show(&match says(&request, SAVED) {
        true => shown.saved(),
        false => shown,
    })
}

/// Changes the profile.
pub(super) async fn update(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<ProfileForm>,
) -> Result<HttpResponse, Error> {
    let SignedForm { session, form } = form;
    let input = ProfileInput {
        name: Ok(Some(form.name.clone())),
        surname: Ok(Some(form.surname.clone())),
        website: Ok(Some(form.website.clone())),
    };
    let context = context.by_owner(&session);
    match auth
        .update_profile(&context, session.principal(), input)
        .await
    {
        Ok(_user) => Ok(back_to(&page, Section::Profile.path(), SAVED)),
        Err(error) => refused_form(error, |error| show(&refused(&page, &session, &form, error))),
    }
}

fn refused(
    page: &Page,
    session: &BrowserSession,
    form: &ProfileForm,
    error: &DomainError,
) -> ProfilePage {
    let refusal = Refusal::new(error, page.language());
    let mut shown = ProfilePage::new(page.frame_for(session), &session.user);
    shown.name = refusal.field("name", &form.name);
    shown.surname = refusal.field("surname", &form.surname);
    shown.website = refusal.field("website", &form.website);
    shown.head.problem = Some(refusal.problem);
    shown
}
