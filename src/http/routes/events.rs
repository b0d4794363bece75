//! The audit trail, in pages.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::{AuditContext, EventPage, PagePermit};
use crate::auth::Auth;
use crate::error::Error as DomainError;
use crate::guards::{Authorized, RequiredScope};
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::extractors::{EventsRead, Scoped};
use crate::http::request_error::Error;
use crate::store::EventFilter;
use crate::views::EventRead;

/// A page of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList<'a> {
    /// Newest first.
    events: Vec<EventRead<'a>>,
    /// The link to the next page; null on the last page.
    next: Option<String>,
}

/// List my events
///
/// The events by you and on your account, newest first. Not for API keys without scopes.
#[utoipa::path(
    get,
    path = "/users/me/events",
    tag = "audit trail",
    operation_id = "list_own_events",
    params(
        ("before" = Option<i64>, Query, description = "Only events before this id"),
        ("limit" = Option<i64>, Query, description = "The maximum number of events", minimum = 1, maximum = 500),
    ),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "A page of events", body = EventList),
        error_responses::NotAuthenticated,
        error_responses::ScopesRequired,
        error_responses::TwoCredentials,
        error_responses::InvalidQuery,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn own(
    request: HttpRequest,
    auth: Auth,
    caller: Scoped,
) -> Result<HttpResponse, Error> {
    let mut query = Query::from_request(&request);
    let (before, limit) = (query.number("before"), query.limit());
    query.check()?;
    let page = auth
        .audit()
        .list_of_user(caller.user.id, before, limit)
        .await?;
    respond(page, &query)
}

/// List all events
///
/// The events of all users, newest first.
#[utoipa::path(
    get,
    path = "/admin/events",
    tag = "audit trail",
    operation_id = "list_events",
    params(
        ("actor" = Option<String>, Query, description = "Only events by this actor: `user:12`; `operator` for all operators"),
        ("target" = Option<String>, Query, description = "Only events on this: `user:12`, `key:3`"),
        ("action" = Option<String>, Query, description = "Only events of this kind: `login`"),
        ("since" = Option<String>, Query, description = "Only events from this time on, RFC 3339"),
        ("until" = Option<String>, Query, description = "Only events before this time, RFC 3339"),
        ("before" = Option<i64>, Query, description = "Only events before this id"),
        ("limit" = Option<i64>, Query, description = "The maximum number of events", minimum = 1, maximum = 500),
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
    auth: Auth,
    caller: Authorized<EventsRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let mut query = Query::from_request(&request);
    let filter = EventFilter {
        actor: query.text("actor"),
        target: query.text("target"),
        action: query.text("action"),
        before: query.number("before"),
        since: query.time("since"),
        until: query.time("until"),
        ..EventFilter::default()
    };
    let limit = query.limit();
    query.check()?;
    let context = context.by(&caller, EventsRead::SCOPE);
    let page = auth.list_events(&context, filter, limit).await?;
    respond(page, &query)
}

fn respond(page: EventPage, query: &Query) -> Result<HttpResponse, Error> {
    let list = EventList {
        events: page.events.iter().map(EventRead::from).collect(),
        next: page.next.map(|id| query.link("before", &id.to_string())),
    };
    let json = serde_json::to_vec(&list).map_err(|_error| DomainError::Internal)?;
    let body = PageBody {
        json: json.into(),
        _permit: page.permit,
    };
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(body))
}

/// A page that is being sent. It holds its turn until a slow client has read it.
struct PageBody {
    json: Bytes,
    _permit: PagePermit,
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
