//! The API documentation for browsers, all of it from this binary: the pages load nothing from other
//! hosts, and their content security policy forbids it.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use actix_web::body::SizedStream;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::stream::{self, Stream};
use utoipa::openapi::Server;

use crate::auth::Auth;
use crate::config::PublicUrl;
use crate::http::idle_connections::ConnectionGuard;
use crate::http::openapi;
use crate::http::request_error::{Error, RequestError};

const SWAGGER_PAGE: &str = include_str!("../assets/swagger.html");
const SWAGGER_INIT: &str = include_str!("../assets/swagger-init.js");
const SWAGGER_STYLE: &str = include_str!("../assets/swagger-style.css");
/// Swagger UI 5.32.6 (Apache-2.0), as packed by `scripts/release.sh pack-swagger-ui`.
const SWAGGER_PACKED: &[u8] = include_bytes!("../assets/swagger-ui-bundle.js.gz");
const SWAGGER_STYLE_PACKED: &[u8] = include_bytes!("../assets/swagger-ui.css.gz");
const SWAGGER_REDIRECT_PAGE: &str = include_str!("../assets/swagger-oauth2-redirect.html");
const SWAGGER_REDIRECT: &str = include_str!("../assets/swagger-oauth2-redirect.js");
const SWAGGER_ICON: &[u8] = include_bytes!("../assets/swagger-favicon-32x32.png");
const REDOC_PAGE: &str = include_str!("../assets/redoc.html");
/// Redoc 2.5.4 (MIT), as made by `scripts/release.sh pack-redoc`.
const REDOC_PACKED: &[u8] = include_bytes!("../assets/redoc.standalone.js.gz");

/// The content security policy of the pages. Both libraries insert style sheets, and Redoc searches in
/// a worker that it creates from a blob.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'",
    ),
);

/// For files that change only with the binary.
const KEEP: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=3600");

/// The size of the pieces in which a file is sent. A client that does not read a piece within the idle
/// timeout is cut off; a slow client holds a few pieces in memory.
const PIECE_SIZE: usize = 4 << 10;

/// The OpenAPI document, which is built at the first request.
#[derive(Default)]
pub(crate) struct Document(OnceLock<Bytes>);

/// Swagger UI.
pub(crate) async fn swagger_ui() -> HttpResponse {
    page().body(SWAGGER_PAGE)
}

/// The files of Swagger UI.
pub(crate) async fn swagger_ui_file(
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    Ok(match name.as_str() {
        "init.js" => script().body(SWAGGER_INIT),
        "style.css" => style().body(SWAGGER_STYLE),
        "swagger-ui.css" => packed(style(), &request, SWAGGER_STYLE_PACKED),
        "swagger-ui-bundle.js" => packed(script(), &request, SWAGGER_PACKED),
        // The first is FastAPI's name of the page.
        "oauth2-redirect" | "oauth2-redirect.html" => HttpResponse::Ok()
            .insert_header(KEEP)
            .content_type("text/html; charset=utf-8")
            .body(SWAGGER_REDIRECT_PAGE),
        "oauth2-redirect.js" => script().body(SWAGGER_REDIRECT),
        "favicon-32x32.png" => HttpResponse::Ok()
            .insert_header(KEEP)
            .content_type("image/png")
            .body(SWAGGER_ICON),
        _ => return Err(RequestError::NotFound.into()),
    })
}

/// Redoc.
pub(crate) async fn redoc() -> HttpResponse {
    page().body(REDOC_PAGE)
}

/// The only file of Redoc.
pub(crate) async fn redoc_file(
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    match name.as_str() {
        "redoc.standalone.js" => Ok(packed(script(), &request, REDOC_PACKED)),
        _ => Err(RequestError::NotFound.into()),
    }
}

/// The OpenAPI document.
pub(crate) async fn openapi_json(
    auth: Auth,
    document: Data<Document>,
    url: Data<Option<PublicUrl>>,
) -> HttpResponse {
    let json = document.0.get_or_init(|| {
        let mut document = openapi::document(auth.config());
        let url = url.get_ref().as_ref();
        document.servers = url.map(|url| vec![Server::new(url.to_string())]);
        // The document consists of names and numbers, which always serialise.
        Bytes::from(document.to_json().unwrap_or_default())
    });
    HttpResponse::Ok()
        .content_type("application/json")
        .body(json.clone())
}

/// A file that is compressed with gzip, which all browsers accept.
fn packed(
    mut response: HttpResponseBuilder,
    request: &HttpRequest,
    file: &'static [u8],
) -> HttpResponse {
    response
        .insert_header((header::CONTENT_ENCODING, "gzip"))
        .body(in_pieces(request, Bytes::from_static(file)))
}

/// Sends a large file to a client that may be slow: its connection stays open while it reads.
fn in_pieces(
    request: &HttpRequest,
    file: Bytes,
) -> SizedStream<impl Stream<Item = Result<Bytes, Infallible>> + use<>> {
    let connection = request.conn_data::<Arc<ConnectionGuard>>().cloned();
    let size = file.len();
    let starts = (0..size).step_by(PIECE_SIZE);
    // Called when the previous piece has been sent.
    let pieces = starts.map(move |start| {
        if let Some(connection) = &connection {
            connection.end_request(Instant::now(), 0);
        }
        Ok(file.slice(start..size.min(start + PIECE_SIZE)))
    });
    SizedStream::new(size as u64, stream::iter(pieces))
}

fn page() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/html; charset=utf-8")
        .insert_header(POLICY)
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    response
}

fn script() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/javascript; charset=utf-8")
        .insert_header(KEEP);
    response
}

fn style() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/css; charset=utf-8")
        .insert_header(KEEP);
    response
}
