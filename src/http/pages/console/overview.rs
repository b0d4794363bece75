//! The overview.

use actix_web::{HttpRequest, HttpResponse};

use super::guard::AnyReader;
use crate::auth::Auth;
use crate::http::pages::page::parameter;
use crate::http::pages::{Page, show};
use crate::http::request_error::Error;
use crate::pages::console::{OverviewPage, PERIODS};

/// Numbers and plots of the last hours.
pub(super) async fn overview(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: AnyReader,
) -> Result<HttpResponse, Error> {
    let [day, _] = PERIODS;
    let hours = parameter(&request, "hours").and_then(|hours| hours.parse().ok());
    let hours = hours.filter(|hours| PERIODS.contains(hours)).unwrap_or(day);
    let statistics = auth.statistics(hours).await?;
    let frame = page.frame_for(&reader);
    show(&OverviewPage::new(frame, &reader.scopes(), &statistics))
}
