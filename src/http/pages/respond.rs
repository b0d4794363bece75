//! The responses of the pages.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use askama::Template;

use super::Page;
use crate::error::Error as DomainError;
use crate::http::refusal_pace::RefusedForm;
use crate::http::request_error::Error;

/// Shows a page.
///
/// # Errors
/// [`DomainError::Internal`] when the template fails, which it cannot by its data.
pub(super) fn show(page: &impl Template) -> Result<HttpResponse, Error> {
    with_page(HttpResponse::Ok(), page)
}

/// Shows a page with this status.
///
/// # Errors
/// The same as [`show`].
pub(super) fn show_as(status: StatusCode, page: &impl Template) -> Result<HttpResponse, Error> {
    with_page(HttpResponse::build(status), page)
}

/// Shows a form again after it was refused. The page says why and keeps what was typed.
///
/// # Errors
/// The error itself if it is not about the form: the caller is signed out, or it is a fault.
pub(super) fn refused_form(
    error: DomainError,
    page: impl FnOnce(&DomainError) -> Result<HttpResponse, Error>,
) -> Result<HttpResponse, Error> {
    if matches!(error, DomainError::InvalidToken | DomainError::Internal) {
        return Err(error.into());
    }
    let mut shown = page(&error)?;
    let mut head = HttpResponse::build(error.status_code());
    // The challenge is one to clients of the API, and no browser can answer it.
    if !matches!(error, DomainError::SecondFactorRequired) {
        error.add_headers(&mut head);
    }
    let head = head.finish();
    *shown.status_mut() = match (&error, head.status()) {
        // What was typed is refused, not who has sent it.
        (DomainError::SecondFactorRequired, _) | (_, StatusCode::FORBIDDEN) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        (_, status) => status,
    };
    for (name, value) in head.headers() {
        shown.headers_mut().insert(name.clone(), value.clone());
    }
    if matches!(
        error,
        DomainError::Busy(_) | DomainError::TooManyAttempts { .. }
    ) {
        shown.extensions_mut().insert(RefusedForm);
    }
    Ok(shown)
}

fn with_page(
    mut response: HttpResponseBuilder,
    page: &impl Template,
) -> Result<HttpResponse, Error> {
    let text = page.render().map_err(|error| {
        log::error!("a page cannot be rendered: {error}");
        DomainError::Internal
    })?;
    Ok(response.content_type("text/html; charset=utf-8").body(text))
}

/// Leads to another page with GET: the answer to every form that is accepted.
pub(super) fn see_other(location: impl Into<String>) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(StatusCode::SEE_OTHER);
    response.insert_header((header::LOCATION, location.into()));
    response
}

/// Leads to one of our pages, whose query says what has happened.
pub(super) fn back_to(page: &Page, path: &str, what: &str) -> HttpResponse {
    see_other(page.link(&format!("{path}?{what}"))).finish()
}
