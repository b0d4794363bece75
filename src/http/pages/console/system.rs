//! The settings in force, and the quick checks of `tokenhouse doctor`.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse};
use chrono::TimeDelta;

use super::guard::Reader;
use crate::auth::Auth;
use crate::error::Error as DomainError;
use crate::http::extractors::UsersRead;
use crate::http::pages::{Page, Pages, show};
use crate::http::request_error::Error;
use crate::pages::console::{HealthChecks, HealthPage, SettingsPage};

/// The most keys that are counted as ending soon.
const MAX_KEYS: i64 = 1_000;

/// The settings in force.
pub(super) async fn settings(
    request: HttpRequest,
    page: Page,
    reader: Reader<UsersRead>,
) -> Result<HttpResponse, Error> {
    let pages = request.app_data::<Pages>().ok_or(DomainError::Internal)?;
    let frame = page.frame_for(&reader);
    show(&SettingsPage::new(frame, &reader.scopes(), &pages.settings))
}

/// The quick checks. What cannot be checked without the database is left out while it does not answer.
pub(super) async fn health(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<UsersRead>,
) -> Result<HttpResponse, Error> {
    let pages = request.app_data::<Pages>().ok_or(DomainError::Internal)?;
    let started = Instant::now();
    let is_ready = auth.check_ready().await.is_ok();
    let took = started.elapsed();
    let keys = auth.list_expiring_keys(MAX_KEYS).await;
    let uptime = TimeDelta::from_std(pages.started.elapsed()).unwrap_or(TimeDelta::zero());
    let now = auth.clock().now();
    let checks = HealthChecks {
        database: is_ready.then_some(took),
        is_clock_trusted: auth.clock().is_trusted(),
        has_administrator: auth.has_administrator().await.ok(),
        expiring_keys: keys.ok().map(|keys| keys.len() as u64),
        chain: pages.last_verification.get(),
        warnings: pages.warnings.to_vec(),
        started_at: now.checked_sub_signed(uptime).unwrap_or(now),
    };
    let frame = page.frame_for(&reader);
    show(&HealthPage::new(frame, &reader.scopes(), &checks, now))
}
