//! The documentation for the browser, all of it from this binary: the pages load nothing from
//! anywhere else, and their policy lets them load nothing.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpResponse, HttpResponseBuilder};
use utoipa_swagger_ui::Config;

use crate::error::Error;
use crate::http::openapi;

const SWAGGER_PAGE: &str = include_str!("../assets/swagger.html");
const SWAGGER_INIT: &str = include_str!("../assets/swagger-init.js");
const REDOC_PAGE: &str = include_str!("../assets/redoc.html");
/// Redoc 2.5.4 (MIT), as made by `scripts/pack-redoc`.
const REDOC_PACKED: &[u8] = include_bytes!("../assets/redoc.standalone.js.gz");

/// What the pages may do. Both libraries put style sheets into the page, and Redoc searches in a
/// worker that it makes from a blob.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'",
    ),
);

/// Files that change with the binary only.
const KEEP: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=3600");

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    // The document is built of names and numbers only, which always serialise.
    Bytes::from(openapi::document().to_json().unwrap_or_default())
});

static SWAGGER_CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/openapi.json")));

/// Swagger UI.
pub(crate) async fn swagger_ui() -> HttpResponse {
    page().body(SWAGGER_PAGE)
}

/// The files of Swagger UI.
pub(crate) async fn swagger_ui_file(name: Path<String>) -> Result<HttpResponse, Error> {
    match name.as_str() {
        "init.js" => return Ok(script().body(SWAGGER_INIT)),
        "swagger-ui.css"
        | "swagger-ui-bundle.js"
        | "oauth2-redirect.html"
        | "favicon-32x32.png" => {}
        _ => return Err(Error::NotFound),
    }
    let found = utoipa_swagger_ui::serve(&name, SWAGGER_CONFIG.clone());
    let file = found.ok().flatten().ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header(KEEP)
        .content_type(file.content_type)
        .body(file.bytes.into_owned()))
}

/// Redoc.
pub(crate) async fn redoc() -> HttpResponse {
    page().body(REDOC_PAGE)
}

/// The one file of Redoc.
pub(crate) async fn redoc_file(name: Path<String>) -> Result<HttpResponse, Error> {
    match name.as_str() {
        "redoc.standalone.js" => Ok(script()
            .insert_header((header::CONTENT_ENCODING, "gzip"))
            .body(REDOC_PACKED)),
        _ => Err(Error::NotFound),
    }
}

/// The OpenAPI document.
pub(crate) async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT.clone())
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
