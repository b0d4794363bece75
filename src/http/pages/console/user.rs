//! One user: what there is, and what an administrator does to it.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;

use super::forms::AdminForm;
use super::guard::{Reader, administrator};
use super::users::DELETED;
use crate::auth::{AuditContext, Auth, Precondition, UserPatch};
use crate::error::Error as DomainError;
use crate::guards::BrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::extractors::UsersRead;
use crate::http::pages::forms::NoFields;
use crate::http::pages::page::says;
use crate::http::pages::{Page, back_to, refused_form, show};
use crate::http::request_error::{Error, RequestError};
use crate::http::routes::{path_id, path_number};
use crate::pages::console::{Section, UserContent, UserNotice, UserPage};
use crate::scope;
use crate::store::EventFilter;

/// The number of events that are read for the page of a user, which shows the latest changes of them.
const EVENTS: i64 = 100;

/// A user with sessions, keys and events.
pub(super) async fn show_user(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let id = path_id(&request)?;
    let mut notices = UserNotice::ALL.into_iter();
    let notice = notices.find(|notice| says(&request, notice.query()));
    let shown = user_page(&auth, &page, &reader, context, id).await?;
    show(&shown.after(notice))
}

async fn user_page(
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
    context: AuditContext,
    id: i64,
) -> Result<UserPage, DomainError> {
    let admin = administrator(session, context.clone(), scope::USERS_READ);
    let user = auth.find_user(&admin, id).await?;
    let events = match session.has_scope(scope::EVENTS_READ) {
        true => {
            let context = context.by(session, scope::EVENTS_READ);
            let filter = EventFilter::default();
            let name = format!("user:{id}");
            let events = auth
                .list_events_about(&context, name, filter, EVENTS)
                .await?;
            let addresses = auth.find_addresses(&events.events).await?;
            Some((events.events, addresses))
        }
        false => None,
    };
    let content = UserContent {
        user,
        sessions: auth.list_sessions(id).await?,
        keys: auth.list_keys(id).await?,
        events,
    };
    let now = auth.clock().now();
    let frame = page.frame_for(session);
    Ok(UserPage::new(frame, &session.scopes(), &content, now))
}

/// Leads to the page of a user, which says what has happened.
pub(super) fn to_user(page: &Page, id: i64, notice: UserNotice) -> HttpResponse {
    let path = format!("{}/{id}", Section::Users.path());
    back_to(page, &path, notice.query())
}

/// What the handler of a change knows besides its form.
pub(super) struct Change {
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
}

impl FromRequest for Change {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            Ok(Self {
                auth: Auth::extract(&request).await?,
                context: AuditContext::extract(&request).await?,
                page: Page::extract(&request).await?,
                request,
            })
        })
    }
}

impl Change {
    fn id(&self) -> Result<i64, RequestError> {
        path_id(&self.request)
    }

    /// Leads to the page of the user after a change, or shows it again with why it was refused and
    /// what was typed.
    async fn finish<T>(
        self,
        session: &BrowserSession,
        outcome: Result<T, DomainError>,
        notice: UserNotice,
        typed: &str,
    ) -> Result<HttpResponse, Error> {
        let id = self.id()?;
        let error = match outcome {
            // Without the second and third, the button was pressed twice.
            Ok(_) | Err(DomainError::SessionNotFound | DomainError::KeyNotFound) => {
                return Ok(to_user(&self.page, id, notice));
            }
            Err(error @ (DomainError::UserNotFound | DomainError::Unavailable)) => {
                return Err(error.into());
            }
            Err(error) => error,
        };
        if !session.has_scope(scope::USERS_READ) {
            // There is no page to show again.
            return Err(error.into());
        }
        let shown = user_page(&self.auth, &self.page, session, self.context, id).await?;
        refused_form(error, |error| show(&shown.refused(error, typed)))
    }

    /// Makes a change of the user's row.
    async fn patch(
        self,
        form: &AdminForm<impl Sized>,
        patch: UserPatch,
        notice: UserNotice,
        typed: &str,
    ) -> Result<HttpResponse, Error> {
        let id = self.id()?;
        let outcome = self.auth.update_user(&form.admin, id, patch).await;
        self.finish(&form.session, outcome, notice, typed).await
    }
}

/// Disables the user.
pub(super) async fn disable(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let patch = UserPatch {
        disabled: Ok(Some(true)),
        ..UserPatch::none()
    };
    change.patch(&form, patch, UserNotice::Disabled, "").await
}

/// Enables the user again.
pub(super) async fn enable(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let patch = UserPatch {
        disabled: Ok(Some(false)),
        ..UserPatch::none()
    };
    change.patch(&form, patch, UserNotice::Enabled, "").await
}

/// Scopes to add and to remove.
pub(super) struct ScopesForm {
    add: String,
    remove: String,
}

impl FromFields for ScopesForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            add: fields.text("add").trim().to_owned(),
            remove: fields.text("remove").trim().to_owned(),
        })
    }
}

/// Adds or removes scopes.
pub(super) async fn change_scopes(
    change: Change,
    form: AdminForm<ScopesForm>,
) -> Result<HttpResponse, Error> {
    let ScopesForm { add, remove } = &form.form;
    let given = |text: &String| Ok(Some(text.clone()).filter(|text| !text.is_empty()));
    let patch = UserPatch {
        scopes_add: given(add),
        scopes_remove: given(remove),
        ..UserPatch::none()
    };
    change
        .patch(&form, patch, UserNotice::ScopesChanged, add)
        .await
}

/// Forgets the failed sign-ins of the user.
pub(super) async fn unlock(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let outcome = change.auth.unlock_user(&form.admin, change.id()?).await;
    change
        .finish(&form.session, outcome, UserNotice::Unlocked, "")
        .await
}

/// Ends all sessions of the user.
pub(super) async fn sign_out(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let outcome = change.auth.end_sessions_of(&form.admin, change.id()?).await;
    change
        .finish(&form.session, outcome, UserNotice::SignedOut, "")
        .await
}

/// Ends a session of the user.
pub(super) async fn end_session(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let (id, session) = (change.id()?, path_number(&change.request, "session")?);
    let outcome = change.auth.end_session_of(&form.admin, id, session).await;
    change
        .finish(&form.session, outcome, UserNotice::SessionEnded, "")
        .await
}

/// Revokes a key of the user.
pub(super) async fn revoke_key(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let (id, key) = (change.id()?, path_number(&change.request, "key")?);
    let outcome = change.auth.revoke_key_of(&form.admin, id, key).await;
    change
        .finish(&form.session, outcome, UserNotice::KeyRevoked, "")
        .await
}

/// Deletes the user. One that is deleted already is no error: the button was pressed twice.
pub(super) async fn delete(
    change: Change,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let deleted = change
        .auth
        .delete_user(&form.admin, change.id()?, Precondition::None);
    match deleted.await {
        Ok(_) | Err(DomainError::UserNotFound) => {
            Ok(back_to(&change.page, Section::Users.path(), DELETED))
        }
        // Never a success, so there is no notice.
        Err(error) => {
            let refused = Err::<(), _>(error);
            change
                .finish(&form.session, refused, UserNotice::Disabled, "")
                .await
        }
    }
}
