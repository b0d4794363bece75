//! Where the user is signed in.

use actix_web::{HttpRequest, HttpResponse};

use super::forms::NoFields;
use super::page::says;
use super::{Page, SignedForm, back_to, show};
use crate::auth::{AuditContext, Auth};
use crate::error::Error as DomainError;
use crate::guards::BrowserSession;
use crate::http::request_error::Error;
use crate::http::routes::path_id;
use crate::pages::account::{Section, SessionsNotice, SessionsPage};

/// The queries of the page after a change.
const ENDED: &str = "ended";
const OTHERS_ENDED: &str = "others-ended";

/// The sessions, this one first.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let sessions = auth.list_sessions(session.user.id).await?;
    let current = session.token().session.id;
    let now = auth.clock().now();
    let notice = if says(&request, ENDED) {
        Some(SessionsNotice::Ended)
    } else if says(&request, OTHERS_ENDED) {
        Some(SessionsNotice::OthersEnded)
    } else {
        None
    };
    let frame = page.frame_for(&session);
    show(&SessionsPage::new(frame, &sessions, current, now).after(notice))
}

/// Ends a session. One that has ended already is no error: the button was pressed twice.
pub(super) async fn end(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let context = context.by_owner(&session);
    let ended = auth.end_session(&context, session.principal(), path_id(&request)?);
    match ended.await {
        Ok(()) | Err(DomainError::SessionNotFound) => Ok(back(&page, ENDED)),
        Err(error) => Err(error.into()),
    }
}

/// Ends all other sessions.
pub(super) async fn end_others(
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let session = form.session;
    let context = context.by_owner(&session);
    auth.end_sessions(&context, session.principal(), true)
        .await?;
    Ok(back(&page, OTHERS_ENDED))
}

fn back(page: &Page, what: &str) -> HttpResponse {
    back_to(page, Section::Sessions.path(), what)
}
