//! The page that a browser shows at the root of the service: whether the service is ready, and where
//! to go from here. It shows nothing about the users: every client can read it.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, header::HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::docs::Document;
use crate::auth::Auth;
#[cfg(feature = "pages")]
use crate::guards::Site;
use crate::http::normalize_path;
#[cfg(feature = "pages")]
use crate::http::pages::Pages;
use crate::http::request_error::Error;
use crate::http::shutdown::Shutdown;

const PAGE: &str = include_str!("../assets/start.html");

/// What the page says about the state.
const READY: &str = r#"<p class="state ready">Ready for requests</p>"#;
const NOT_READY: &str =
    r#"<p class="state">Not ready: its operator finds the reason in the log</p>"#;

/// Permits only the style of the page itself, and no script and no other file.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = between(PAGE, "<style>", "</style>");
    let digest = STANDARD.encode(Sha256::digest(style));
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
});

/// The page for a browser at `/`; otherwise the response for a path without a route.
pub(crate) async fn start_page_or_not_found(
    request: HttpRequest,
    auth: Auth,
    document: Option<Data<Document>>,
) -> Result<HttpResponse, Error> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if request.path() != "/" || !is_read || !accepts_html(request.headers()) {
        return normalize_path::not_found(request).await;
    }
    let is_ready = !Shutdown::is_draining(&request) && auth.check_ready().await.is_ok();
    let mut page = PAGE.replace("<!-- state -->", if is_ready { READY } else { NOT_READY });
    // The settings turn the documentation and the pages off.
    for (part, is_shown) in [("docs", document.is_some()), ("pages", has_pages(&request))] {
        let (start, end) = (
            format!("<!-- {part} -->"),
            format!("<!-- end of {part} -->"),
        );
        if !is_shown {
            page = page.replace(between(PAGE, &start, &end), "");
        }
        page = page.replace(&start, "").replace(&end, "");
    }
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((header::VARY, "Accept"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(page))
}

/// Whether there is a page for signing in, at which this client can sign in.
fn has_pages(request: &HttpRequest) -> bool {
    #[cfg(feature = "pages")]
    let has_pages = request.app_data().is_some_and(Pages::are_on) && Site::of(request).is_ok();
    #[cfg(not(feature = "pages"))]
    let has_pages = {
        let _no_pages = request;
        false
    };
    has_pages
}

/// Whether the client names `text/html`: `*/*` is also what programs send.
fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).map(HeaderValue::to_str);
    let mut ranges = values.flatten().flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(is_zero)
    })
}

/// Whether this is `q=0` (RFC 9110 section 12.4.2): not acceptable.
fn is_zero(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else {
        return false;
    };
    name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0_f32)
}

/// The text between two others; empty if one of them is missing.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(between, _)| between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_for_clients_that_name_html() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            accepts_html(&headers)
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(accepts("application/json, TEXT/HTML;q=0.5"));
        for value in [
            "*/*",
            "text/*",
            "application/json",
            "text/html;q=0",
            "text/html; q=0.000",
            "",
        ] {
            assert!(!accepts(value), "{value}");
        }
    }

    #[test]
    fn page_has_every_part_that_is_replaced() {
        assert!(PAGE.contains("<!-- state -->"));
        assert!(between(PAGE, "<style>", "</style>").len() > 100);
        assert!(between(PAGE, "<!-- docs -->", "<!-- end of docs -->").contains("docs"));
    }
}
