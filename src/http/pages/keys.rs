//! The API keys of the signed-in user.

use actix_web::{HttpRequest, HttpResponse};

use super::forms::NoFields;
use super::page::says;
use super::{FreshForm, Page, SignedForm, back_to, refused_form, show};
use crate::auth::{AuditContext, Auth, IssuedKey, KeyInput};
use crate::error::Error as DomainError;
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::request_error::{Error, RequestError};
use crate::http::routes::path_id;
use crate::pages::Refusal;
use crate::pages::account::{KeysPage, LIFETIMES, NewKeyView, Section};

/// The query of the page after a key was revoked.
const REVOKED: &str = "revoked";

/// The lifetime that the page suggests, in days.
const DEFAULT_DAYS: i64 = 90;

/// What the form for a new key sends.
pub(super) struct KeyForm {
    name: String,
    scopes: String,
    days: i64,
}

impl FromFields for KeyForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        let days = fields.text("days").parse().ok();
        Ok(Self {
            name: fields.text("name"),
            scopes: fields.texts("scope").join(" "),
            days: days
                .filter(|days| LIFETIMES.contains(days))
                .unwrap_or(DEFAULT_DAYS),
        })
    }
}

/// The keys, and a form for another one.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let shown = keys_page(&auth, &page, &session, None).await?;
    show(&match says(&request, REVOKED) {
        true => shown.revoked(),
        false => shown,
    })
}

async fn keys_page(
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
    form: Option<&KeyForm>,
) -> Result<KeysPage, DomainError> {
    let keys = auth.list_keys(session.user.id).await?;
    let new = NewKeyView {
        held: session.scopes(),
        chosen: form.map(|form| form.scopes.clone()).unwrap_or_default(),
        days: form.map_or(DEFAULT_DAYS, |form| form.days),
    };
    let now = auth.clock().now();
    Ok(KeysPage::new(page.frame_for(session), &keys, new, now))
}

/// Creates a key and shows it, this once.
pub(super) async fn create(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: FreshForm<KeyForm>,
) -> Result<HttpResponse, Error> {
    let FreshForm { session, form } = form;
    let context = context.by_owner(&session);
    match create_once(&auth, &context, &session, &form).await {
        Ok(issued) => {
            let shown = keys_page(&auth, &page, &session, None).await?;
            show(&shown.created(issued.secret.expose()))
        }
        Err(error) => {
            let shown = keys_page(&auth, &page, &session, Some(&form)).await?;
            refused_form(error, |error| {
                let refusal = Refusal::new(error, page.language());
                show(&shown.refused(refusal, &form.name))
            })
        }
    }
}

/// Creates a key. If the button was pressed twice, only the key that is shown last remains.
async fn create_once(
    auth: &Auth,
    context: &AuditContext,
    session: &BrowserSession,
    form: &KeyForm,
) -> Result<IssuedKey, DomainError> {
    let input = KeyInput {
        name: Ok(form.name.trim().to_owned()),
        scopes: Ok(Some(form.scopes.clone())),
        expires_in_days: Ok(Some(form.days)),
    };
    let create = auth.create_key(context, session.principal(), input, None);
    let issued = Box::pin(create).await?;
    auth.revoke_twins(context, session.principal(), &issued.key)
        .await?;
    Ok(issued)
}

/// Revokes a key. One that is revoked already is no error: the button was pressed twice.
pub(super) async fn revoke(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let context = context.by_owner(&session);
    let revoked = auth.revoke_key(&context, session.principal(), path_id(&request)?);
    match revoked.await {
        Ok(()) | Err(DomainError::KeyNotFound) => Ok(back_to(&page, Section::Keys.path(), REVOKED)),
        Err(error) => Err(error.into()),
    }
}
