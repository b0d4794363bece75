//! Forward-auth: decides for a reverse proxy whether a request may pass.

use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::auth::{AuditContext, Credential, MULTI_FACTOR, Principal, StepUp, require_user};
use crate::config::AuthConfig;
use crate::error::Error as DomainError;
use crate::guards::{UserOrApp, auth};
use crate::http::body::query::Query;
use crate::http::error_responses;
#[cfg(feature = "pages")]
use crate::http::guarded_browser::GuardedBrowser;
use crate::http::log_limit::log_setting;
use crate::http::request_error::{Error, RequestError};
use crate::http::step_up_query::{ACR, MAX_AGE};
use crate::scope::{self, names};

/// The characters escaped in a header's value, in addition to all non-ASCII ones. The percent sign
/// is one of them, so that the value can be decoded.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The parameter with the required scopes.
const SCOPE: &str = "scope";

/// The parameter that sends browsers to the sign-in page.
const REDIRECT: &str = "redirect";

/// The maximum length of a parameter's name in the log, in characters.
const MAX_LOGGED_NAME: usize = 40;

/// The maximum length of a user's name in the header, in characters of up to twelve bytes when escaped.
const MAX_NAME: usize = 200;

/// May this request pass?
///
/// For nginx's `auth_request` and similar, with any method. A 200 describes the user in headers, all of
/// which are always present, percent-encoded where they are not printable ASCII. A query parameter
/// other than these, or a `scope` without a name, is refused with 403. An app passes only with a scope, has
/// no address, and has the method `app`.
///
/// With `acr=mfa` or `max_age`, an API key or another sign-in than required gets 401 with the challenge
/// `insufficient_user_authentication` (RFC 9470).
///
/// With `redirect`, the cookie of a browser that has signed in on a page counts too, at the host where it got
/// it. A browser without one, or without the sign-in that `acr` and `max_age` require, that opens a page
/// (`GET`, and `Sec-Fetch-Mode: navigate`, or without that header an `Accept` with `text/html`) is sent to the
/// sign-in page: by 302 (`redirect=true`), or by 401 with `Location` (`redirect=401`, for nginx). Every other
/// refusal is 401 with `X-Tokenhouse-Signin`. The host is that of `X-Original-URL`, or of `X-Forwarded-Proto`
/// and `X-Forwarded-Host`, from a trusted proxy.
#[utoipa::path(
    get,
    path = "/verify",
    tag = "reverse proxies",
    operation_id = "verify",
    params(
        ("scope" = Option<String>, Query, description = "The required scopes: `a+b`"),
        ("acr" = Option<String>, Query, description = "`mfa`: the user has signed in with a second factor"),
        ("max_age" = Option<u32>, Query, description = "How many seconds ago the user has signed in at most"),
        ("redirect" = Option<String>, Query, description = "`true` or `401`: send browsers to the sign-in page"),
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
                ("X-Auth-Email-Verified" = String, description = "`true` or `false`; empty for an app, and without `TOKENHOUSE_VERIFICATION`"),
            ),
        ),
        (
            status = 302,
            description = "A browser has to sign in",
            headers(("Location" = String, description = "The sign-in page")),
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
    let query = ForwardAuthQuery::of(&request);
    #[cfg(feature = "pages")]
    if let Ok(query) = &query
        && let Some(browser) = &query.browser
    {
        let by_cookie = matches!(caller, Err(DomainError::NotAuthenticated));
        let caller = match caller {
            Err(DomainError::NotAuthenticated) => browser.find_caller(&request).await,
            caller => caller.map(|UserOrApp(principal)| principal),
        };
        let admitted = admit(&request, &context, caller, query).await;
        return admitted.or_else(|error| browser.refuse(&request, error, by_cookie));
    }
    let caller = caller.map(|UserOrApp(principal)| principal);
    match query {
        Ok(query) => admit(&request, &context, caller, &query).await,
        Err(problem) => Err(match caller {
            Err(error) if !problem.is_about_browsers => for_proxy(error).into(),
            // Where browsers are meant, no client has a credential before the operator has read the line.
            _ => refuse_query(&request, &problem.text).into(),
        }),
    }
}

/// The identity of the caller, if it holds the required scopes.
async fn admit(
    request: &HttpRequest,
    context: &AuditContext,
    caller: Result<Arc<Principal>, DomainError>,
    query: &ForwardAuthQuery,
) -> Result<HttpResponse, Error> {
    let required = query.scopes.as_str();
    let mut principal = caller.map_err(for_proxy)?;
    if names(required).next().is_none() {
        // Without a scope the proxy asks for any user, and an app is none.
        principal = require_user(principal)?;
    }
    let missing = match scope::normalise(required) {
        Ok(required) => principal.first_missing(&required).map(str::to_owned),
        // No principal holds a malformed scope.
        Err(_malformed) => Some(required.to_owned()),
    };
    if let Some(missing) = missing {
        let auth = auth(request)?;
        let refused = auth.refuse_scope(context, &principal, &missing);
        return Err(refused.await.into());
    }
    let auth = auth(request)?;
    auth.check_step_up(&principal, query.step_up)?;
    Ok(identity(&principal, auth.config())?)
}

/// The response that describes the caller to the proxy.
fn identity(principal: &Principal, config: &AuthConfig) -> Result<HttpResponse, DomainError> {
    let method = match principal.credential {
        _ if principal.is_app() => "app",
        Credential::LoginToken(_) => "login",
        Credential::ApiKey(_) => "key",
    };
    let session = principal.session();
    let session = session.map(|session| session.id.to_string());
    let auth_time = principal.authenticated_at().map(|at| at.to_string());
    let email_verified = match principal.email_verified(config) {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    };
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
        ("x-auth-email-verified", email_verified),
    ] {
        let value =
            HeaderValue::try_from(printable(value)).map_err(|_error| DomainError::Internal)?;
        response.insert_header((HeaderName::from_static(name), value));
    }
    Ok(response.finish())
}

/// What the proxy asks for. It is fixed in the proxy's settings: a misspelt parameter or an empty scope would
/// admit every user where the operator meant to admit only some.
struct ForwardAuthQuery {
    /// The required scopes, separated by spaces.
    scopes: String,
    /// What else is required of the sign-in.
    step_up: StepUp,
    /// With the parameter `redirect`.
    #[cfg(feature = "pages")]
    browser: Option<GuardedBrowser>,
}

/// What is wrong with it.
struct QueryProblem {
    text: String,
    /// Whether the operator means browsers, which have no credential yet.
    is_about_browsers: bool,
}

impl ForwardAuthQuery {
    fn of(request: &HttpRequest) -> Result<Self, QueryProblem> {
        let query = Query::from_request(request);
        if let Some(unknown) = query.names().find(|name| !is_known(name)) {
            return Err(QueryProblem {
                text: format!("the unknown parameter {}", for_log(unknown)),
                is_about_browsers: unknown.contains(REDIRECT),
            });
        }
        let required = query.all(SCOPE);
        if required.iter().any(|scopes| names(scopes).next().is_none()) {
            return Err(QueryProblem {
                text: "a scope without a name".to_owned(),
                is_about_browsers: false,
            });
        }
        #[cfg(feature = "pages")]
        let about_browsers = |text: &str| QueryProblem {
            text: text.to_owned(),
            is_about_browsers: true,
        };
        let step_up = step_up(&query)?;
        Ok(Self {
            scopes: required.join(" "),
            step_up,
            #[cfg(feature = "pages")]
            browser: match query.all(REDIRECT).as_slice() {
                [] => None,
                [value] => {
                    let browser = GuardedBrowser::of(request, value, step_up);
                    Some(browser.map_err(about_browsers)?)
                }
                _ => return Err(about_browsers("the parameter redirect twice")),
            },
        })
    }
}

/// What `acr` and `max_age` require. Both are fixed in the proxy's settings too.
fn step_up(query: &Query) -> Result<StepUp, QueryProblem> {
    let problem = |text: &str| QueryProblem {
        text: text.to_owned(),
        is_about_browsers: false,
    };
    Ok(StepUp {
        second_factor: match query.all(ACR).as_slice() {
            [] => false,
            [value] if *value == MULTI_FACTOR => true,
            _ => return Err(problem("another acr than mfa")),
        },
        max_age: match query.all(MAX_AGE).as_slice() {
            [] => None,
            [value] => Some(
                value
                    .parse()
                    .map_err(|_error| problem("a max_age that is no number of seconds"))?,
            ),
            _ => return Err(problem("the parameter max_age twice")),
        },
    })
}

fn is_known(parameter: &str) -> bool {
    [SCOPE, ACR, MAX_AGE].contains(&parameter) || (cfg!(feature = "pages") && parameter == REDIRECT)
}

/// Refuses a query, with a line in the log for the operator, since a client cannot fix it.
fn refuse_query(request: &HttpRequest, problem: &str) -> RequestError {
    log_setting(
        request,
        format_args!("/verify was asked with {problem}, and refuses: correct the proxy's settings"),
    );
    RequestError::InvalidForwardAuthQuery
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
