//! What `/verify` does for browsers: it finds the session of their cookie, and sends those without one, or with a
//! sign-in that is not enough, to the sign-in page.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::log_limit::log_setting;
use super::request_error::Error;
use super::step_up_query::parameters;
use crate::auth::{Auth, Principal, StepUp};
use crate::config::PublicUrl;
use crate::error::Error as DomainError;
use crate::guards::{
    GuardedHost, MAX_ROUNDS, Original, Rounds, Site, SiteProblem, auth, guarded_hosts,
};

/// Where a program signs in that cannot follow a redirect to another host.
const SIGN_IN: HeaderName = HeaderName::from_static("x-tokenhouse-signin");

/// How a browser uses the response (W3C Fetch Metadata).
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What is escaped in a parameter with a URL. As little as possible: the URL may be long.
const IN_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The smallest `max_age` for browsers, in seconds. With a smaller one, a sign-in could be too old when the browser
/// comes back from it, again and again.
const MIN_MAX_AGE: u32 = 30;

/// How a browser is sent to the sign-in page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// By 302, which Caddy and Traefik pass on.
    Redirect,
    /// By `Location` beside the status 401 or 403: nginx accepts no other status, and redirects itself.
    Header,
}

/// A request to `/verify` that may come from a browser.
pub(super) struct GuardedBrowser {
    answer: Answer,
    /// What the host requires of the sign-in.
    required: StepUp,
    site: Site,
    original: Option<Original>,
    /// `None` if no sign-in may lead to the host.
    host: Option<GuardedHost>,
}

impl GuardedBrowser {
    /// The browser, if the parameter `redirect` has one of its values.
    ///
    /// # Errors
    /// What an operator has to correct.
    pub(super) fn of(
        request: &HttpRequest,
        parameter: &str,
        required: StepUp,
    ) -> Result<Self, &'static str> {
        let answer = match parameter {
            "true" => Answer::Redirect,
            "401" => Answer::Header,
            _ => return Err("a value of redirect other than true and 401"),
        };
        if required.max_age.is_some_and(|age| age < MIN_MAX_AGE) {
            return Err("the parameter redirect, and a max_age below 30");
        }
        if guarded_hosts(request).is_none() {
            return Err("the parameter redirect, but TOKENHOUSE_PAGES is off");
        }
        let public_url = request.app_data::<web::Data<Option<PublicUrl>>>();
        let site = match public_url.is_some_and(|url| url.is_some()) {
            true => Site::of(request),
            // Without it, the site would be what this request says.
            false => Err(SiteProblem::NoPublicUrl),
        };
        let site = site.map_err(
            |_problem| "the parameter redirect, but without TOKENHOUSE_PUBLIC_URL with https",
        )?;
        let original = match Original::of(request) {
            Ok(original) => Some(original),
            Err(problem) => {
                log_setting(
                    request,
                    format_args!("/verify redirects no browser: {problem}"),
                );
                None
            }
        };
        let url = original.as_ref().map(|original| &original.url);
        let host = url.and_then(|url| GuardedHost::of(request, &site, url));
        Ok(Self {
            answer,
            required,
            site,
            original,
            host,
        })
    }

    /// The user whose cookie the request has. A cookie counts only at its host.
    ///
    /// # Errors
    /// [`DomainError::NotAuthenticated`] without one; [`DomainError::Unavailable`].
    pub(super) async fn find_caller(
        &self,
        request: &HttpRequest,
    ) -> Result<Arc<Principal>, DomainError> {
        let host = self.host.as_ref().ok_or(DomainError::NotAuthenticated)?;
        let session = host.find_session(request).await?;
        let session = session.ok_or(DomainError::NotAuthenticated)?;
        Ok(Arc::clone(session.principal()))
    }

    /// The refusal, with the way to the sign-in page. With `by_cookie`, the caller is a browser that may have signed
    /// in, and not a program with a credential of its own.
    ///
    /// # Errors
    /// The error itself if signing in would not help.
    pub(super) fn refuse(
        &self,
        request: &HttpRequest,
        error: Error,
        by_cookie: bool,
    ) -> Result<HttpResponse, Error> {
        let Some(original) = &self.original else {
            return Err(error);
        };
        let is_page = is_navigation(request, &original.method);
        let required = match &error {
            Error::Domain(DomainError::NotAuthenticated | DomainError::InvalidToken) => {
                self.required
            }
            Error::Domain(DomainError::FreshSignInRequired(_)) if by_cookie => self.required,
            // Perhaps only for a scope.
            Error::Domain(DomainError::SecondFactorRequired) if by_cookie => StepUp {
                second_factor: true,
                ..self.required
            },
            Error::Domain(DomainError::InsufficientScope(scope)) if is_page => {
                return self.send_to_explanation(original, &error, scope);
            }
            _ => return Err(error),
        };
        if is_page {
            return self.send_to_sign_in(request, original, &error, required);
        }
        // For the script of a page: where it leads afterwards is not the URL of this request.
        let root = original.url.with_path("/");
        let mut response = error.error_response();
        set(
            &mut response,
            SIGN_IN,
            &self.link("/signin", &root, required),
        )?;
        Ok(response)
    }

    fn send_to_explanation(
        &self,
        original: &Original,
        error: &Error,
        scope: &str,
    ) -> Result<HttpResponse, Error> {
        let link = self.link("/signin/denied", original.url.as_str(), StepUp::default());
        let scope = utf8_percent_encode(scope, IN_QUERY).to_string();
        let mut response = self.lead(error, &format!("{link}&scope={scope}"))?;
        response.headers_mut().remove(SIGN_IN);
        Ok(response)
    }

    fn send_to_sign_in(
        &self,
        request: &HttpRequest,
        original: &Original,
        error: &Error,
        required: StepUp,
    ) -> Result<HttpResponse, Error> {
        let url = original.url.as_str();
        let link = self.link("/signin", url, required);
        let Some(host) = self.host.as_ref().filter(|host| !host.shares_cookie()) else {
            return self.lead(error, &link);
        };
        let (known, now) = (host.rounds(request), now(auth(request)?));
        let is_in_vain = |rounds: &Rounds| rounds.are_in_vain(now, MAX_ROUNDS);
        if known.as_ref().is_some_and(is_in_vain) {
            return self.lead(error, &self.link("/signin/stopped", url, StepUp::default()));
        }
        // Several tabs share one nonce, or only the last of them could come back.
        let (rounds, is_new) = match known {
            Some(rounds) => (rounds, false),
            None => (Rounds::begin()?, true),
        };
        let mut response = self.lead(error, &format!("{link}&n={}", rounds.nonce_digest()))?;
        if is_new {
            let cookie = host.set_rounds(&rounds).ok_or(DomainError::Internal)?;
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn lead(&self, error: &Error, location: &str) -> Result<HttpResponse, Error> {
        let mut response = error.error_response();
        if self.answer == Answer::Redirect {
            response = HttpResponse::new(StatusCode::FOUND);
        }
        set(&mut response, header::LOCATION, location)?;
        set(&mut response, SIGN_IN, location)?;
        Ok(response)
    }

    /// One of our pages, with the URL to which it leads, and what the host requires of the sign-in.
    fn link(&self, page: &str, url: &str, required: StepUp) -> String {
        let (origin, base) = (self.site.origin(), self.site.base());
        let url = utf8_percent_encode(url, IN_QUERY);
        let mut link = format!("{origin}{base}{page}?rd={url}");
        for (name, value) in parameters(required) {
            link.push_str(&format!("&{name}={value}"));
        }
        link
    }
}

/// Whether a browser opens a page, and not a script or a file of one. Nothing but `GET` can be repeated after
/// a sign-in.
fn is_navigation(request: &HttpRequest, method: &Method) -> bool {
    let headers = request.headers();
    let mode = headers.get(SEC_FETCH_MODE).map(|mode| mode == "navigate");
    let accepts_pages = || {
        let accepted = headers.get_all(header::ACCEPT);
        let mut accepted = accepted.filter_map(|value| value.to_str().ok());
        accepted.any(|value| value.to_ascii_lowercase().contains("text/html"))
    };
    method == Method::GET && mode.unwrap_or_else(accepts_pages)
}

fn set(response: &mut HttpResponse, name: HeaderName, value: &str) -> Result<(), Error> {
    let value = HeaderValue::from_str(value).map_err(|_error| DomainError::Internal)?;
    response.headers_mut().insert(name, value);
    Ok(())
}

/// The time of the service's clock, in seconds since 1970, as rounds are counted.
pub(super) fn now(auth: &Auth) -> i64 {
    auth.clock().now().and_utc().timestamp()
}
