//! The last step of every page: its headers, and a page in place of an error.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest};
use askama::Template;

use super::console::Excluded;
use super::cookies;
use super::fresh::{NewCookie, PasswordRequired};
use super::page::{bare_frame, chosen_language};
use crate::error::Error as DomainError;
use crate::guards::audit_context::request_id;
use crate::guards::{
    BrowserError, PageRoute, Site, SiteProblem, location_before, sign_in_location,
};
use crate::http::request_error::Error;
use crate::pages::{Message, MessagePage};

/// No inline script or style, and nothing from other hosts; no page of ours in a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The headers of every page. `Referrer-Policy` may not be `no-referrer`: browsers then send the forms
/// with `Origin: null` (Fetch standard, "append a request `Origin` header").
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
];

/// Completes the response of a page, and leaves every other one as it is.
pub(in crate::http) fn complete<B: MessageBody>(
    response: ServiceResponse<EitherBody<B, BoxBody>>,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    if response.request().app_data::<PageRoute>().is_none() {
        return response;
    }
    let request = response.request().clone();
    let mut response = match instead_of_error(&request, &response) {
        Some(Instead::Redirect(location)) => redirected(response, &location),
        Some(Instead::Page(text)) => with_text(response, text),
        None => response,
    };
    for (name, value) in HEADERS {
        // The preview of a mail has a policy of its own.
        if !response.headers().contains_key(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    if let Some(NewCookie(cookie)) = request.extensions_mut().remove() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    let site = Site::of(&request).ok();
    let chosen = site.zip(chosen_language(&request));
    if let Some(cookie) = chosen.and_then(|(site, chosen)| cookies::language(&site, chosen)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// What a browser gets in place of an error.
enum Instead {
    Redirect(String),
    Page(String),
}

fn instead_of_error<B>(request: &HttpRequest, response: &ServiceResponse<B>) -> Option<Instead> {
    let error = response.response().error()?;
    if error
        .as_error::<InternalError<PasswordRequired>>()
        .is_some()
    {
        return None;
    }
    let browser = error.as_error::<BrowserError>();
    if let Some(BrowserError::SignInRequired { location }) = browser {
        return Some(Instead::Redirect(location.clone()));
    }
    let domain = match (browser, error.as_error::<Error>()) {
        (Some(BrowserError::Domain(error)), _) | (_, Some(Error::Domain(error))) => Some(error),
        _ => error.as_error::<DomainError>(),
    };
    // The session has ended between the guard and the change.
    if matches!(domain, Some(DomainError::InvalidToken)) {
        return sign_in_location(request).ok().map(Instead::Redirect);
    }
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if is_read && matches!(domain, Some(DomainError::SecondFactorRequired)) {
        let location = location_before(request, "/signin/confirm");
        return location.ok().map(Instead::Redirect);
    }
    let message = match (browser, domain) {
        (Some(BrowserError::OtherSite), _) => Message::OtherSite,
        (Some(BrowserError::OtherUser { email }), _) => Message::OtherUser(email.clone()),
        (Some(BrowserError::CookieLost), _) => Message::CookieLost,
        (Some(BrowserError::Site(SiteProblem::NoPublicUrl)), _) => Message::NoPublicUrl,
        (Some(BrowserError::Site(SiteProblem::PlainHttp)), _) => Message::PlainHttp,
        (_, Some(DomainError::InsufficientScope(scope))) => Message::Forbidden {
            scope: scope.clone(),
            email: excluded(request),
        },
        (_, Some(DomainError::SecondFactorRequired)) => Message::SecondFactor,
        _ => by_status(request, response.status()),
    };
    let page = MessagePage::new(bare_frame(request)?, &message);
    page.render().ok().map(Instead::Page)
}

/// The address of the user who may not see the page.
fn excluded(request: &HttpRequest) -> Option<String> {
    let excluded = request.extensions_mut().remove();
    excluded.map(|Excluded(email)| email)
}

fn by_status(request: &HttpRequest, status: StatusCode) -> Message {
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Message::NotFound,
        StatusCode::INTERNAL_SERVER_ERROR => {
            Message::Internal(request_id(request).as_str().to_owned())
        }
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            Message::Unreadable
        }
        _ => Message::Unavailable,
    }
}

fn with_text<B: MessageBody>(
    mut response: ServiceResponse<EitherBody<B, BoxBody>>,
    text: String,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response.map_body(|_head, _body| EitherBody::right(BoxBody::new(text)))
}

fn redirected<B: MessageBody>(
    response: ServiceResponse<EitherBody<B, BoxBody>>,
    location: &str,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let redirect = super::see_other(location).finish();
    response.into_response(redirect.map_into_right_body())
}
