//! The mails that have failed, and what mails look like.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::forms::AdminForm;
use super::guard::Reader;
use crate::auth::{AuditContext, Auth};
use crate::error::Error as DomainError;
use crate::http::extractors::UsersRead;
use crate::http::pages::forms::NoFields;
use crate::http::pages::page::{parameter, says};
use crate::http::pages::{Page, back_to, show};
use crate::http::request_error::{Error, RequestError};
use crate::http::routes::path_id;
use crate::mail::{Kind, Mailer, Rendered};
use crate::pages::console::{MailNotice, MailPage, Section};
use crate::store::MailState;

/// The number of failed mails on a page.
const PAGE_SIZE: i64 = 20;

/// The policy of a mail, which has styles of its own: nothing else, and no page of ours around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; sandbox",
);

/// The numbers of mails, those that have failed, and a mail with sample data as text.
pub(super) async fn overview(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let shown = MailPage::new(page.frame_for(&reader), &reader.scopes());
    let Some(mailer) = auth.mailer() else {
        return show(&shown);
    };
    let (kind, rendered) = chosen(&request, mailer, page.language().code())?;
    let shown = shown.with(kind, rendered, &mailer.config().locales);
    let before = parameter(&request, "before").and_then(|id| id.parse().ok());
    let (admin, failed) = (reader.administrator(context), Some(MailState::Failed));
    let counts = auth.count_mails().await?;
    let mails = auth.list_mails(&admin, failed, before, PAGE_SIZE).await?;
    let mut notices = MailNotice::ALL.into_iter();
    let notice = notices.find(|notice| says(&request, notice.query()));
    let now = auth.clock().now();
    show(
        &shown
            .with_queue(counts, &mails, before.is_none(), now)
            .after(notice),
    )
}

/// Queues a failed mail again.
pub(super) async fn retry(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    auth.require_mail()?;
    let retried = auth.retry_mail(&form.admin, path_id(&request)?).await;
    back(&page, retried, MailNotice::Retried)
}

/// Deletes a failed mail.
pub(super) async fn delete(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    form: AdminForm<NoFields>,
) -> Result<HttpResponse, Error> {
    auth.require_mail()?;
    let dropped = auth.drop_mail(&form.admin, path_id(&request)?).await;
    back(&page, dropped, MailNotice::Dropped)
}

/// Leads to the page of mails, which says what has happened.
fn back(
    page: &Page,
    outcome: Result<(), DomainError>,
    notice: MailNotice,
) -> Result<HttpResponse, Error> {
    match outcome {
        // Without such a mail, the button was pressed twice.
        Ok(()) | Err(DomainError::MailNotFound) => {
            Ok(back_to(page, Section::Mail.path(), notice.query()))
        }
        Err(error) => Err(error.into()),
    }
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
