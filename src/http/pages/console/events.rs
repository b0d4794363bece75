//! The events of all users, and the state of the chain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDateTime;
use tokio::time::timeout;

use super::guard::Reader;
use crate::auth::{AuditContext, Auth};
use crate::error::Error as DomainError;
use crate::guards::RequiredScope;
use crate::http::extractors::EventsRead;
use crate::http::pages::forms::NoFields;
use crate::http::pages::page::parameter;
use crate::http::pages::{Page, Pages, SignedForm, see_other, show, show_as};
use crate::http::request_error::Error;
use crate::pages::console::{BadFilter, ChainState, EventFilters, EventsPage, Section};
use crate::store::EventFilter;

/// The number of events on a page.
const PAGE_SIZE: i64 = 50;

/// How long a verification may take before the page refers to the command.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// The last verification of the trail that this process has made.
#[derive(Clone, Default)]
pub(in crate::http::pages) struct LastVerification(Arc<Mutex<Option<ChainState>>>);

impl LastVerification {
    /// How it ended.
    pub(super) fn get(&self) -> Option<ChainState> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn set(&self, state: ChainState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}

/// The events that match the filters.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<EventsRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let text = |name| {
        let given = parameter(&request, name).unwrap_or_default();
        given.trim().to_owned()
    };
    let filters = EventFilters {
        action: text("action"),
        who: text("who"),
        since: text("since"),
        until: text("until"),
    };
    let before = parameter(&request, "before").and_then(|id| id.parse().ok());
    let now = auth.clock().now();
    let pages = request.app_data::<Pages>().ok_or(DomainError::Internal)?;
    let state = pages.last_verification.get();
    let last_id = auth.audit().last_id().await?;
    let shown = EventsPage::new(page.frame_for(&reader), &reader.scopes(), filters.clone())
        .with_chain(last_id, state.as_ref(), now);
    let (filter, who) = match filter(&auth, &filters, before).await? {
        Ok(found) => found,
        Err(bad) => {
            return show_as(StatusCode::UNPROCESSABLE_ENTITY, &shown.refused(bad));
        }
    };
    let context = context.by(&reader, EventsRead::SCOPE);
    let found = match who {
        Some(name) => {
            auth.list_events_about(&context, name, filter, PAGE_SIZE)
                .await?
        }
        None => auth.list_events(&context, filter, PAGE_SIZE).await?,
    };
    let addresses = auth.find_addresses(&found.events).await?;
    show(&shown.with(&found.events, &addresses, before.is_none(), found.next, now))
}

/// The filter of the query, and the name in the trail of the actor or target.
async fn filter(
    auth: &Auth,
    filters: &EventFilters,
    before: Option<i64>,
) -> Result<Result<(EventFilter, Option<String>), BadFilter>, DomainError> {
    let (since, until) = match (time(&filters.since), time(&filters.until)) {
        (Err(()), _) => return Ok(Err(BadFilter::Since)),
        (_, Err(())) => return Ok(Err(BadFilter::Until)),
        (Ok(since), Ok(until)) => (since, until),
    };
    let mut filter = EventFilter {
        action: Some(filters.action.clone()).filter(|action| !action.is_empty()),
        before,
        since,
        until,
        ..EventFilter::default()
    };
    let name = match filters.who.as_str() {
        "" => None,
        // All operators, whose names in the trail are longer.
        "operator" => {
            filter.actor = Some("operator".to_owned());
            None
        }
        id if id.parse::<i64>().is_ok() => Some(format!("user:{id}")),
        address if address.contains('@') => match auth.find_user_id(address).await {
            Ok(id) => Some(format!("user:{id}")),
            Err(DomainError::UserNotFound) => return Ok(Err(BadFilter::UnknownUser)),
            Err(error) => return Err(error),
        },
        name => Some(name.to_owned()),
    };
    Ok(Ok((filter, name)))
}

/// A time as a browser sends it, with or without seconds; UTC.
fn time(text: &str) -> Result<Option<NaiveDateTime>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let formats = [
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%S%.f",
    ];
    let mut parsed = formats
        .iter()
        .filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    parsed.next().map(Some).ok_or(())
}

/// Verifies the trail, as long as that takes no longer than a user waits.
pub(super) async fn verify(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<EventsRead>,
    context: AuditContext,
    _form: SignedForm<NoFields>,
) -> Result<HttpResponse, Error> {
    let pages = request.app_data::<Pages>().ok_or(DomainError::Internal)?;
    let context = context.by(&reader, EventsRead::SCOPE);
    let now = auth.clock().now();
    let state = match timeout(VERIFY_TIMEOUT, auth.verify_trail(&context)).await {
        Ok(verification) => ChainState::new(now, &verification?),
        Err(_elapsed) => ChainState::TookTooLong { at: now },
    };
    pages.last_verification.set(state);
    Ok(see_other(page.link(Section::Events.path())).finish())
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_those_of_browsers() {
        assert_eq!(time(""), Ok(None));
        for text in [
            "2026-11-29T18:00",
            "2026-11-29T18:00:00",
            "2026-11-29T18:00:00.0",
        ] {
            let parsed = time(text).unwrap().unwrap();
            assert_eq!(parsed.to_string(), "2026-11-29 18:00:00", "{text}");
        }
        for text in [
            "yesterday",
            "2026-11-29",
            "2026-02-30T00:00",
            "99999999-01-01T00:00",
        ] {
            assert_eq!(time(text), Err(()), "{text}");
        }
    }
}
