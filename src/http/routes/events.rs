//! The audit trail, a page at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::utc;
use crate::auth::{EventPage, Origin, PageTurn};
use crate::error::Error;
use crate::guards::{Authorized, RequiredScope, auth};
use crate::http::admin_scopes::EventsRead;
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::scoped::Scoped;
use crate::store::{AuditEvent, EventFilter};

/// Events on a page, unless more or fewer are asked for.
const PAGE: i64 = 50;

/// The most events on a page.
const MAX_PAGE: i64 = 500;

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventRead<'a> {
    #[schema(example = 17)]
    id: i64,
    #[schema(format = "date-time")]
    at: String,
    /// Who: `user:12`, `operator:1000`, `static-key`, `service` or `anonymous`. For root by way of
    /// sudo `operator:0/1000`, and `@` with the terminal where there is one; of an operator who acted
    /// on you, you see `operator`.
    #[schema(example = "user:12")]
    actor: &'a str,
    /// By which credential: `password`, `login`, `key:3`, `shell`, or nothing.
    #[schema(example = "login")]
    credential: &'a str,
    /// The scope or right that allowed it.
    #[schema(example = "account")]
    level: &'a str,
    #[schema(example = "key.create")]
    action: &'a str,
    /// On whom or what: `user:12`, `key:3`, or nothing.
    #[schema(example = "key:3")]
    target: &'a str,
    /// `ok` or `refused`.
    #[schema(example = "ok")]
    result: &'a str,
    #[schema(example = "192.0.2.1")]
    ip: &'a str,
    user_agent: &'a str,
    /// The id that the service gave to the request, as in its log.
    request_id: &'a str,
    /// The id that the caller gave to the request in `X-Request-Id`, or nothing.
    client_request_id: &'a str,
    /// More about it.
    detail: Value,
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList<'a> {
    /// The newest first.
    events: Vec<EventRead<'a>>,
    /// Where the next page is; null after the last one.
    next: Option<String>,
}

impl<'a> From<&'a AuditEvent> for EventRead<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        Self {
            id: event.id,
            at: utc(event.at),
            actor: &event.actor,
            credential: &event.credential,
            level: &event.level,
            action: &event.action,
            target: &event.target,
            result: &event.result,
            ip: &event.ip,
            user_agent: &event.user_agent,
            request_id: &event.request_id,
            client_request_id: &event.client_request_id,
            detail: serde_json::from_str(&event.detail).unwrap_or_default(),
        }
    }
}

/// What happened to me
///
/// The events by you and on your account, the newest first. Not for API keys without scopes.
#[utoipa::path(
    get,
    path = "/users/me/events",
    tag = "audit trail",
    operation_id = "list_own_events",
    params(
        ("before" = Option<i64>, Query, description = "Only events before this id"),
        ("limit" = Option<i64>, Query, description = "How many at most", minimum = 1, maximum = 500),
    ),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "A page of events", body = EventList),
        error_responses::NotAuthenticated,
        error_responses::ScopesWanted,
        error_responses::TwoCredentials,
        error_responses::InvalidQuery,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn own(request: HttpRequest, caller: Scoped) -> Result<HttpResponse, Error> {
    let mut query = Query::of(&request);
    let (before, limit) = (query.number("before"), query.limit(PAGE, MAX_PAGE));
    query.check()?;
    let page = auth(&request)?
        .list_events_of_user(caller.user.id, before, limit)
        .await?;
    answer(page, &query)
}

/// What happened
///
/// Everybody's events, the newest first.
#[utoipa::path(
    get,
    path = "/admin/events",
    tag = "audit trail",
    operation_id = "list_events",
    params(
        ("actor" = Option<String>, Query, description = "Only events by this one: `user:12`; `operator` for all operators"),
        ("target" = Option<String>, Query, description = "Only events on this: `user:12`, `key:3`"),
        ("action" = Option<String>, Query, description = "Only events of this kind: `login`"),
        ("since" = Option<String>, Query, description = "Only events from this time on, RFC 3339"),
        ("until" = Option<String>, Query, description = "Only events before this time, RFC 3339"),
        ("before" = Option<i64>, Query, description = "Only events before this id"),
        ("limit" = Option<i64>, Query, description = "How many at most", minimum = 1, maximum = 500),
    ),
    security(("OAuth2PasswordBearer" = ["events:read"])),
    responses(
        (status = 200, description = "A page of events", body = EventList),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::InvalidQuery,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn all(
    request: HttpRequest,
    caller: Authorized<EventsRead>,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let mut query = Query::of(&request);
    let filter = EventFilter {
        actor: query.text("actor"),
        target: query.text("target"),
        action: query.text("action"),
        before: query.number("before"),
        since: query.time("since"),
        until: query.time("until"),
        ..EventFilter::default()
    };
    let limit = query.limit(PAGE, MAX_PAGE);
    query.check()?;
    let origin = origin.by(&caller, EventsRead::SCOPE);
    let page = auth(&request)?.list_events(&origin, filter, limit).await?;
    answer(page, &query)
}

fn answer(page: EventPage, query: &Query) -> Result<HttpResponse, Error> {
    let list = EventList {
        events: page.events.iter().map(EventRead::from).collect(),
        next: page.next.map(|id| query.link("before", &id.to_string())),
    };
    let json = serde_json::to_vec(&list).map_err(|_error| Error::Internal)?;
    let body = PageBody {
        json: json.into(),
        _turn: page.turn,
    };
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(body))
}

/// A page on its way to the client: as long as a slow client takes it, it counts.
struct PageBody {
    json: Bytes,
    _turn: PageTurn,
}

impl MessageBody for PageBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.json.len() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = std::mem::take(&mut self.get_mut().json);
        Poll::Ready((!rest.is_empty()).then_some(Ok(rest)))
    }
}
