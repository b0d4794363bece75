//! The files of the pages.

use actix_web::http::header;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use super::Pages;
use crate::error::Error as DomainError;
use crate::http::request_error::{Error, RequestError};

/// A year, and never asked for again: another content has another name.
const KEEP: &str = "public, max-age=31536000, immutable";

/// A file by its name with the digest.
pub(super) async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Error> {
    let pages = request.app_data::<Pages>().ok_or(DomainError::Internal)?;
    let asset = pages.assets.find(&name).ok_or(RequestError::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(asset.media_type)
        .insert_header((header::CACHE_CONTROL, KEEP))
        .body(asset.bytes.clone()))
}
