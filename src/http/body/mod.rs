//! Request bodies and queries: read within limits, then parsed by [`json`], [`form`] or [`query`].

pub(super) mod form;
pub(super) mod json;
pub(super) mod query;

use std::ops::Range;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use crate::guards::audit_context::network;
use crate::guards::auth;
use crate::http::request_error::{Error, RequestError};

/// The longest time that a body may take to arrive. actix-web limits the head only.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a body that is too large is read and discarded. A client that is cut off while it sends
/// sees a broken connection instead of the response with the reason.
const MAX_DISCARDED: usize = 2 << 20;

/// How long a request waits for the response that the hash queue is full. It varies, so that
/// clients do not all retry at the same moment.
const REJECTION_DELAY: Range<Duration> = Duration::from_millis(34)..Duration::from_millis(44);

/// The received part of a body.
pub(crate) struct Body {
    /// The first bytes, up to the limit.
    pub(crate) bytes: Bytes,
    /// Whether that is the whole body.
    pub(crate) whole: bool,
}

/// Reads the body, up to `limit` bytes.
///
/// # Errors
/// [`RequestError::BodyTimeout`] when the body does not arrive in time, [`RequestError::BrokenBody`]
/// when it ends early or its chunks are malformed.
async fn read(payload: &mut Payload, limit: usize) -> Result<Body, Error> {
    timeout(BODY_TIMEOUT, read_all(payload, limit))
        .await
        .map_err(|_elapsed| RequestError::BodyTimeout)?
}

/// Rejects a request with a password to hash while the hash queue is full: before its body is parsed,
/// and after a short delay, since a client that retries immediately would otherwise keep a core busy
/// with rejections.
///
/// # Errors
/// `Busy` when the queue is full.
pub(crate) async fn refuse_while_busy(request: &HttpRequest) -> Result<(), Error> {
    if let Err(busy) = auth(request)?.check_capacity(network(request)) {
        sleep(rand::random_range(REJECTION_DELAY)).await;
        return Err(busy.into());
    }
    Ok(())
}

async fn read_all(payload: &mut Payload, limit: usize) -> Result<Body, Error> {
    let mut bytes = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_broken| RequestError::BrokenBody)?;
        seen = seen.saturating_add(chunk.len());
        let room = limit - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if seen > MAX_DISCARDED {
            break;
        }
    }
    Ok(Body {
        whole: seen <= limit,
        bytes: bytes.freeze(),
    })
}
