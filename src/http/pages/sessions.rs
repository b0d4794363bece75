//! Where the user is signed in.

use actix_web::{HttpRequest, HttpResponse};

use super::forms::NoFields;
use super::page::says;
use super::{Page, SignedForm, back_to, refused_form, see_other, show};
use crate::auth::{AuditContext, Auth};
use crate::error::Error as DomainError;
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::request_error::{Error, RequestError};
use crate::http::routes::path_id;
use crate::pages::Refusal;
use crate::pages::account::{Section, SessionsNotice, SessionsPage};

/// The queries of the page after a change.
const RENAMED: &str = "renamed";
const ENDED: &str = "ended";
const OTHERS_ENDED: &str = "others-ended";

/// A name.
pub(super) struct NameForm {
    pub(super) name: String,
}

impl FromFields for NameForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            name: fields.text("name"),
        })
    }
}

/// The sessions, this one first.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let notices = [
        (RENAMED, SessionsNotice::Renamed),
        (ENDED, SessionsNotice::Ended),
        (OTHERS_ENDED, SessionsNotice::OthersEnded),
    ];
    let notice = notices.into_iter().find(|(what, _)| says(&request, what));
    let shown = sessions_page(&auth, &page, &session).await?;
    show(&shown.after(notice.map(|(_, notice)| notice)))
}

async fn sessions_page(
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
) -> Result<SessionsPage, DomainError> {
    let sessions = auth.list_sessions(session.user.id).await?;
    let (current, now) = (session.token().session.id, auth.clock().now());
    let frame = page.frame_for(session);
    Ok(SessionsPage::new(frame, &sessions, current, now))
}

/// Gives a session another name. One that has ended is no longer in the list.
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
    let renamed = auth.rename_session(&context, session.principal(), id, name);
    match renamed.await {
        Ok(_session) => Ok(back(&page, RENAMED)),
        Err(DomainError::SessionNotFound) => {
            Ok(see_other(page.link(Section::Sessions.path())).finish())
        }
        Err(error) => {
            let shown = sessions_page(&auth, &page, &session).await?;
            refused_form(error, |error| {
                let refusal = Refusal::new(error, page.language());
                show(&shown.refused(id, &form.name, &refusal))
            })
        }
    }
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
