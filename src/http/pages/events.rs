//! What the signed-in user has done, and what others have done to the account.

use actix_web::{HttpRequest, HttpResponse};

use super::page::parameter;
use super::{Page, show};
use crate::auth::Auth;
use crate::guards::BrowserSession;
use crate::http::request_error::Error;
use crate::pages::account::EventsPage;

/// The number of events on a page.
const PAGE_SIZE: i64 = 25;

/// A page of events, the newest first; with `before`, those before the event with this id.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: BrowserSession,
) -> Result<HttpResponse, Error> {
    let before = parameter(&request, "before").and_then(|id| id.parse().ok());
    let found = auth
        .audit()
        .list_of_user(session.user.id, before, PAGE_SIZE);
    let found = found.await?;
    show(&EventsPage::new(
        page.frame_for(&session),
        &found.events,
        before.is_none(),
        found.next,
        auth.clock().now(),
    ))
}
