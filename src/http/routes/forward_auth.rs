//! Whether a reverse proxy may let a request through (forward-auth).

use std::time::Instant;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::auth::{Credential, Origin};
use crate::error::Error;
use crate::guards::Authenticated;
use crate::guards::auth;
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::log_limit::LogLimit;
use crate::scope::{self, names};

/// What is escaped in a header's value besides what is not ASCII. The percent sign too, so that
/// what comes out can be read back.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The one parameter.
const SCOPE: &str = "scope";

/// The most that the log tells of a parameter's name, in characters.
const MAX_LOGGED_NAME: usize = 40;

/// The longest name that is told, in characters; escaped, each may take up twelve bytes.
const NAME_MAX: usize = 200;

/// May this request pass?
///
/// For the `auth_request` of nginx and its like, under any method. Says who the user is in headers
/// that are there in every 200, percent-encoded where they are not printable ASCII. A query
/// parameter other than `scope`, or a `scope` without a name, is refused with 403.
#[utoipa::path(
    get,
    path = "/verify",
    tag = "reverse proxies",
    operation_id = "verify",
    params(
        ("scope" = Option<String>, Query, description = "Scopes that are wanted: `a+b`"),
    ),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (
            status = 200,
            description = "It may",
            headers(
                ("X-Auth-User-Id" = String, description = "The id of the user"),
                ("X-Auth-Email" = String, description = "The address"),
                ("X-Auth-Name" = String, description = "The first 200 characters of the name"),
                ("X-Auth-Scopes" = String, description = "Separated by spaces"),
                ("X-Auth-Method" = String, description = "`login` or `key`"),
            ),
        ),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn verify(
    request: HttpRequest,
    caller: Result<Authenticated, Error>,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let principal = caller.map_err(strict)?.0;
    let wanted = wanted_scopes(&request)?;
    let missing = match scope::normalise(&wanted) {
        Ok(wanted) => principal.first_missing(&wanted).map(str::to_owned),
        // No session holds what is no scope.
        Err(_not_scopes) => Some(wanted),
    };
    if let Some(missing) = missing {
        return Err(auth(&request)?
            .refuse_scope(&origin, &principal, &missing)
            .await);
    }
    let method = match principal.credential {
        Credential::LoginToken(_) => "login",
        Credential::ApiKey(_) => "key",
    };
    let mut response = HttpResponse::Ok();
    for (name, value) in [
        ("x-auth-user-id", principal.user.id.to_string().as_str()),
        ("x-auth-email", &principal.user.email),
        ("x-auth-name", &shown_name(&principal.user.name)),
        ("x-auth-scopes", &principal.scopes()),
        ("x-auth-method", method),
    ] {
        let value = HeaderValue::try_from(printable(value)).map_err(|_error| Error::Internal)?;
        response.insert_header((HeaderName::from_static(name), value));
    }
    Ok(response.finish())
}

/// The scopes that the proxy asks for. Its question is fixed in its settings, so a parameter that
/// is misspelt, and a scope that is left empty, would let every user in where the operator wanted
/// some of them.
///
/// # Errors
/// [`Error::InvalidForwardAuthQuery`], with a line in the log for the operator: a client cannot repair it.
fn wanted_scopes(request: &HttpRequest) -> Result<String, Error> {
    let query = Query::of(request);
    let problem = match query.names().find(|name| *name != SCOPE) {
        Some(unknown) => format!("the unknown parameter {}", for_log(unknown)),
        None => {
            let wanted = query.all(SCOPE);
            if wanted.iter().all(|scopes| names(scopes).next().is_some()) {
                return Ok(wanted.join(" "));
            }
            "a scope without a name".to_owned()
        }
    };
    let limit = request.app_data::<LogLimit>();
    if limit.is_none_or(|limit| limit.allows_line(Instant::now())) {
        log::error!("/verify was asked with {problem}, and refuses: correct the proxy's settings");
    }
    Err(Error::InvalidForwardAuthQuery)
}

/// As much of a parameter's name as tells it, in ASCII: it may be the words of a client.
fn for_log(name: &str) -> String {
    let start = name.chars().take(MAX_LOGGED_NAME);
    start.flat_map(char::escape_default).collect()
}

/// As much of a name as a header has room for: proxies refuse an answer with a head of many KiB, and
/// a name can be as long as a registration.
fn shown_name(name: &str) -> String {
    name.chars().take(NAME_MAX).collect()
}

/// A proxy takes nothing but 2xx, 401 and 403 for an answer.
fn strict(error: Error) -> Error {
    match error {
        Error::TwoCredentials => Error::InvalidToken,
        error => error,
    }
}

fn printable(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
