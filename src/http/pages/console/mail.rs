//! What the mails look like.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::guard::Reader;
use crate::auth::Auth;
use crate::error::Error as DomainError;
use crate::http::extractors::UsersRead;
use crate::http::pages::page::parameter;
use crate::http::pages::{Page, show};
use crate::http::request_error::{Error, RequestError};
use crate::mail::{Kind, Mailer, Rendered};
use crate::pages::console::MailPage;

/// The policy of a mail, which has styles of its own: nothing else, and no page of ours around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; sandbox",
);

/// A mail with sample data, as text.
pub(super) async fn preview(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<UsersRead>,
) -> Result<HttpResponse, Error> {
    let shown = MailPage::new(page.frame_for(&reader), &reader.scopes());
    let Some(mailer) = auth.mailer() else {
        return show(&shown);
    };
    let (kind, rendered) = chosen(&request, mailer, page.language().code())?;
    show(&shown.with(kind, rendered, &mailer.config().locales))
}

/// The HTML of the mail alone.
pub(super) async fn preview_html(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    _reader: Reader<UsersRead>,
) -> Result<HttpResponse, Error> {
    let mailer = auth.mailer().ok_or(RequestError::NotFound)?;
    let (_, rendered) = chosen(&request, mailer, page.language().code())?;
    let policy = (header::CONTENT_SECURITY_POLICY, POLICY);
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/html; charset=utf-8")
        .insert_header(policy);
    Ok(response.body(rendered.html))
}

/// The mail that the query names; the first one by default, in the language of the page.
fn chosen(
    request: &HttpRequest,
    mailer: &Mailer,
    language: &str,
) -> Result<(Kind, Rendered), DomainError> {
    let kind = parameter(request, "kind").and_then(|name| Kind::of_name(&name));
    let kind = kind.unwrap_or(Kind::ResetPassword);
    let locale = parameter(request, "locale").unwrap_or_else(|| language.to_owned());
    let rendered = mailer.preview(kind, &locale).map_err(|error| {
        log::error!("{error}");
        DomainError::Internal
    })?;
    Ok((kind, rendered))
}
