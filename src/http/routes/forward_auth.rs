//! Forward-auth: decides for a reverse proxy whether a request may pass.

use std::cell::Cell;
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::auth::{AuditContext, Credential, require_user};
use crate::error::Error as DomainError;
use crate::guards::{UserOrApp, auth};
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::request_error::{Error, RequestError};
use crate::scope::{self, names};

/// The characters escaped in a header's value, in addition to all non-ASCII ones. The percent sign
/// is one of them, so that the value can be decoded.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The only parameter of the query.
const SCOPE: &str = "scope";

/// The maximum length of a parameter's name in the log, in characters.
const MAX_LOGGED_NAME: usize = 40;

/// The maximum length of a user's name in the header, in characters of up to twelve bytes when escaped.
const MAX_NAME: usize = 200;

/// May this request pass?
///
/// For nginx's `auth_request` and similar, with any method. A 200 describes the user in headers, all of
/// which are always present, percent-encoded where they are not printable ASCII. A query parameter
/// other than `scope`, or a `scope` without a name, is refused with 403. An app passes only with a scope, has
/// no address, and has the method `app`.
#[utoipa::path(
    get,
    path = "/verify",
    tag = "reverse proxies",
    operation_id = "verify",
    params(
        ("scope" = Option<String>, Query, description = "The required scopes: `a+b`"),
    ),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (
            status = 200,
            description = "The request may pass",
            headers(
                ("X-Auth-User-Id" = String, description = "The id of the user; negative for an app"),
                ("X-Auth-Email" = String, description = "The address; empty for an app"),
                ("X-Auth-Name" = String, description = "The first 200 characters of the name"),
                ("X-Auth-Scopes" = String, description = "Separated by spaces"),
                ("X-Auth-Method" = String, description = "`login`, `key` or `app`"),
                ("X-Auth-External-Id" = String, description = "The id before an import"),
            ),
        ),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn verify(
    request: HttpRequest,
    caller: Result<UserOrApp, DomainError>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let mut principal = caller.map_err(for_proxy)?.0;
    let required = required_scopes(&request)?;
    if names(&required).next().is_none() {
        // Without a scope the proxy asks for any user, and an app is none.
        principal = require_user(principal)?;
    }
    let missing = match scope::normalise(&required) {
        Ok(required) => principal.first_missing(&required).map(str::to_owned),
        // No principal holds a malformed scope.
        Err(_malformed) => Some(required),
    };
    if let Some(missing) = missing {
        let auth = auth(&request)?;
        let refused = auth.refuse_scope(&context, &principal, &missing);
        return Err(refused.await.into());
    }
    let method = match principal.credential {
        _ if principal.is_app() => "app",
        Credential::LoginToken(_) => "login",
        Credential::ApiKey(_) => "key",
    };
    let session = principal.session();
    let session = session.map(|session| session.id.to_string());
    let auth_time = principal.authenticated_at().map(|at| at.to_string());
    let mut response = HttpResponse::Ok();
    for (name, value) in [
        ("x-auth-user-id", principal.user.id.to_string().as_str()),
        ("x-auth-email", &principal.user.email),
        ("x-auth-name", &short_name(&principal.user.name)),
        ("x-auth-scopes", &principal.scopes()),
        ("x-auth-method", method),
        (
            "x-auth-external-id",
            principal.user.external_id.as_deref().unwrap_or_default(),
        ),
        ("x-auth-session-id", session.as_deref().unwrap_or_default()),
        ("x-auth-time", auth_time.as_deref().unwrap_or_default()),
    ] {
        let value =
            HeaderValue::try_from(printable(value)).map_err(|_error| DomainError::Internal)?;
        response.insert_header((HeaderName::from_static(name), value));
    }
    Ok(response.finish())
}

/// The scopes that the proxy requires. They are fixed in the proxy's settings: a misspelt parameter
/// or an empty scope would admit every user where the operator meant to admit only some.
///
/// # Errors
/// [`RequestError::InvalidForwardAuthQuery`], with a line in the log for the operator, since a client
/// cannot fix it.
fn required_scopes(request: &HttpRequest) -> Result<String, RequestError> {
    let query = Query::from_request(request);
    let problem = match query.names().find(|name| *name != SCOPE) {
        Some(unknown) => format!("the unknown parameter {}", for_log(unknown)),
        None => {
            let required = query.all(SCOPE);
            if required.iter().all(|scopes| names(scopes).next().is_some()) {
                return Ok(required.join(" "));
            }
            "a scope without a name".to_owned()
        }
    };
    let limit = request.app_data::<LogLimit>();
    if limit.is_none_or(|limit| limit.allows_line(Instant::now())) {
        log::error!("/verify was asked with {problem}, and refuses: correct the proxy's settings");
    }
    Err(RequestError::InvalidForwardAuthQuery)
}

/// The beginning of a parameter's name, in ASCII: a client may have written it.
fn for_log(name: &str) -> String {
    let start = name.chars().take(MAX_LOGGED_NAME);
    start.flat_map(char::escape_default).collect()
}

/// The beginning of a user's name: proxies refuse a response with a head of many KiB, and a name can
/// be as long as a registration.
fn short_name(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

/// Maps the one error with another status: proxies understand 2xx, 401 and 403 only.
fn for_proxy(error: DomainError) -> DomainError {
    match error {
        DomainError::TwoCredentials => DomainError::InvalidToken,
        error => error,
    }
}

fn printable(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Limits the lines of the log that clients can trigger, so that they cannot fill it. Each worker has
/// its own.
#[derive(Default)]
pub(super) struct LogLimit(Cell<Option<(Instant, u32)>>);

impl LogLimit {
    const INTERVAL: Duration = Duration::from_secs(60);

    /// The maximum number of lines in an interval.
    const MAX_LINES: u32 = 20;

    /// Whether another line may be written now; counts it if so.
    fn allows_line(&self, now: Instant) -> bool {
        let (since, lines) = match self.0.get() {
            Some((since, lines)) if now.duration_since(since) < Self::INTERVAL => (since, lines),
            _ => (now, 0),
        };
        let is_allowed = lines < Self::MAX_LINES;
        self.0.set(Some((since, lines + u32::from(is_allowed))));
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_limit_drops_lines_until_the_interval_ends() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let lines_at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..1_000).filter(|_| limit.allows_line(now)).count()
        };
        assert_eq!([0, 59, 60, 61].map(lines_at), [20, 0, 20, 0]);
    }
}
