//! The pages between a guarded host and the sign-in, and the callback at the host.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use super::page::parameter;
use super::return_to::{Lead, ReturnTo, log_missing_host};
use super::step_up::Goal;
use super::{Page, see_other, show, show_as, step_up};
use crate::auth::{AuditContext, Auth, Redeemed};
use crate::error::Error as DomainError;
use crate::guards::{BrowserSession, GuardedHost, MaybeBrowserSession, Original, Rounds};
use crate::http::guarded_browser::now;
use crate::http::log_limit::log_setting;
use crate::http::request_error::{Error, RequestError};
use crate::pages::guarded::{DeniedPage, OnwardPage, StoppedPage};
use crate::scope;

/// Leads a signed-in browser back at once, unless the host requires more than its sign-in.
pub(super) async fn lead_back(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    session: &BrowserSession,
    to: &ReturnTo,
) -> Result<HttpResponse, Error> {
    if let Some(asked) = step_up::ask(request, auth, page, session, Goal::Host(to)).await? {
        return Ok(asked);
    }
    match to.lead(request, auth, context, page, session).await? {
        Lead::Onward(url, cookie) => {
            let mut response = see_other(url);
            if let Some(cookie) = cookie {
                response.append_header((header::SET_COOKIE, cookie));
            }
            Ok(response.finish())
        }
        Lead::Stopped => show_stopped(page, Some(to)),
    }
}

/// Leads a browser back that has just sent the sign-in form, by a page: browsers apply the policy for forms to
/// every redirect that follows one, and it allows no other host. Not if the host requires more than its sign-in.
pub(super) async fn go_back(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    page: &Page,
    session: &BrowserSession,
    to: &ReturnTo,
) -> Result<HttpResponse, Error> {
    if let Some(asked) = step_up::ask(request, auth, page, session, Goal::Host(to)).await? {
        return Ok(asked);
    }
    match to.lead(request, auth, context, page, session).await? {
        Lead::Onward(url, cookie) => {
            let mut response = show(&OnwardPage::new(page.frame(), to.host(), &url))?;
            let refresh = header::HeaderValue::from_str(&format!("0; url={url}"));
            let refresh = refresh.map_err(|_error| DomainError::Internal)?;
            let name = header::HeaderName::from_static("refresh");
            response.headers_mut().insert(name, refresh);
            if let Some(cookie) = cookie {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(response)
        }
        Lead::Stopped => show_stopped(page, Some(to)),
    }
}

/// Why a browser is not sent back and forth any longer.
pub(super) async fn stopped(request: HttpRequest, page: Page) -> Result<HttpResponse, Error> {
    show_stopped(&page, ReturnTo::of(&request, &page).as_ref())
}

fn show_stopped(page: &Page, to: Option<&ReturnTo>) -> Result<HttpResponse, Error> {
    let shown = StoppedPage::new(page.frame(), to.map(|to| (to.host(), to.url())));
    show_as(StatusCode::FORBIDDEN, &shown)
}

/// Which scope a signed-in user lacks at a guarded host, and the way to sign in as another user.
pub(super) async fn denied(
    request: HttpRequest,
    page: Page,
    session: MaybeBrowserSession,
) -> Result<HttpResponse, Error> {
    let to = ReturnTo::of(&request, &page);
    let query = to.as_ref().map(ReturnTo::query);
    let MaybeBrowserSession(Some(session)) = session else {
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        return Ok(see_other(page.link(&format!("/signin{query}"))).finish());
    };
    // Nothing that is no scope is repeated.
    let missing = parameter(&request, "scope");
    let missing = missing.and_then(|text| scope::normalise(&text).ok());
    let host = to.as_ref().map(ReturnTo::host);
    let shown = DeniedPage::new(page.frame_for(&session), host, missing, query);
    show_as(StatusCode::FORBIDDEN, &shown)
}

/// At a guarded host, to which the proxy forwards this path: takes the code, and sets the cookie for the host.
pub(super) async fn callback(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
) -> Result<HttpResponse, Error> {
    let original = Original::of(&request).map_err(|problem| {
        log_setting(
            &request,
            format_args!("no browser gets a cookie for a guarded host: {problem}"),
        );
        RequestError::NotFound
    })?;
    let host = GuardedHost::of(&request, page.site(), &original.url);
    let Some(host) = host.filter(|host| !host.shares_cookie()) else {
        log_missing_host(&request, &original.url);
        return Err(RequestError::NotFound.into());
    };
    let rounds = host.rounds(&request);
    let nonce = rounds.as_ref().map(Rounds::nonce_digest);
    let code = parameter(&request, "code").unwrap_or_default();
    let redeemed = auth.redeem_sign_in_code(&context, &code, host.audience(), nonce);
    let (secret, return_url) = match (redeemed.await?, &rounds) {
        (Redeemed::Signed { secret, return_url }, _) => (Some(secret), return_url),
        (Redeemed::OtherNonce { return_url }, Some(_)) => (None, return_url),
        // The browser keeps no cookie of this host.
        (Redeemed::OtherNonce { return_url }, None) => {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("rd", &return_url)
                .finish();
            let (origin, path) = (page.site().origin(), page.link("/signin/stopped"));
            return Ok(see_other(format!("{origin}{path}?{query}")).finish());
        }
        (Redeemed::Nothing, _) => (None, original.url.with_path("/")),
    };
    let mut response = see_other(return_url);
    if let Some(secret) = secret {
        let cookie = host.set_session(&secret).ok_or(DomainError::Internal)?;
        response.append_header((header::SET_COOKIE, cookie));
    }
    if let Some(rounds) = rounds {
        let cookie = host
            .set_rounds(&rounds.counted(now(&auth)))
            .ok_or(DomainError::Internal)?;
        response.append_header((header::SET_COOKIE, cookie));
    }
    Ok(response.finish())
}
