//! The API documentation for browsers, all of it from this binary: the pages load nothing from other
//! hosts, and their content security policy forbids it.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use actix_web::body::SizedStream;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::stream::{self, Stream};
use utoipa::openapi::Server;
use utoipa_swagger_ui::Config;

use crate::auth::Auth;
use crate::config::PublicUrl;
use crate::http::idle_connections::ConnectionGuard;
use crate::http::openapi;
use crate::http::request_error::{Error, RequestError};

const SWAGGER_PAGE: &str = include_str!("../assets/swagger.html");
const SWAGGER_INIT: &str = include_str!("../assets/swagger-init.js");
const SWAGGER_STYLE: &str = include_str!("../assets/swagger-style.css");
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

static SWAGGER_CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/openapi.json")));

/// Swagger UI.
pub(crate) async fn swagger_ui() -> HttpResponse {
    page().body(SWAGGER_PAGE)
}

/// The files of Swagger UI.
pub(crate) async fn swagger_ui_file(
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    match name.as_str() {
        "init.js" => return Ok(script().body(SWAGGER_INIT)),
        "style.css" => return Ok(style().body(SWAGGER_STYLE)),
        "swagger-ui.css"
        | "swagger-ui-bundle.js"
        | "oauth2-redirect"
        | "oauth2-redirect.html"
        | "favicon-32x32.png" => {}
        _ => return Err(RequestError::NotFound.into()),
    }
    let file = match name.as_str() {
        // FastAPI's name of the page.
        "oauth2-redirect" => "oauth2-redirect.html",
        name => name,
    };
    let found = utoipa_swagger_ui::serve(file, SWAGGER_CONFIG.clone());
    let file = found.ok().flatten().ok_or(RequestError::NotFound)?;
    // Borrows static files: a slow client would hold its own copy in memory.
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(HttpResponse::Ok()
        .insert_header(KEEP)
        .content_type(file.content_type)
        .body(in_pieces(&request, bytes)))
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
        "redoc.standalone.js" => Ok(script()
            .insert_header((header::CONTENT_ENCODING, "gzip"))
            .body(in_pieces(&request, Bytes::from_static(REDOC_PACKED)))),
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
