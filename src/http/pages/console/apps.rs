//! Apps with their keys, and the keys of all users.

use actix_web::{HttpRequest, HttpResponse};

use super::guard::Reader;
use crate::auth::{AuditContext, Auth};
use crate::http::extractors::UsersRead;
use crate::http::pages::page::parameter;
use crate::http::pages::{Page, show};
use crate::http::request_error::Error;
use crate::pages::console::AppsPage;

/// The number of keys on a page.
const PAGE_SIZE: i64 = 50;

/// Apps and keys.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let admin = reader.administrator(context);
    let after = parameter(&request, "after").and_then(|id| id.parse().ok());
    let apps = match after {
        None => auth.list_apps(&admin).await?,
        Some(_) => Vec::new(),
    };
    let (keys, has_more) = auth
        .list_all_keys(&admin, after.unwrap_or(0), PAGE_SIZE)
        .await?;
    let next = keys.last().filter(|_| has_more).map(|(key, _)| key.id);
    let (frame, now) = (page.frame_for(&reader), auth.clock().now());
    let shown = AppsPage::new(frame, &reader.scopes(), &apps, &keys, now);
    show(&shown.paged(after.is_none(), next))
}
