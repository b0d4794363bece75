//! Request bodies: read within limits, then taken apart by [`json`] or [`form`].

pub(super) mod form;
pub(super) mod forms;
pub(super) mod json;
pub(super) mod query;

use std::ops::Range;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::guards::audit_context::network;
use crate::guards::auth;

/// The longest that a body may take to arrive. actix-web has a limit for the head only.
const ARRIVE_WITHIN: Duration = Duration::from_secs(5);

/// How much of a body that is too large is read and thrown away. A client that is cut off while it
/// sends sees a broken connection, and not the answer that tells it why.
const DISCARD_AT_MOST: usize = 2 << 20;

/// How long a request waits to be turned away. Not the same for all, or they would all come back
/// at the same moment.
const TURN_AWAY_AFTER: Range<Duration> = Duration::from_millis(34)..Duration::from_millis(44);

/// What arrived of a body.
pub(crate) struct Body {
    /// The beginning, up to the limit.
    pub(crate) bytes: Bytes,
    /// Whether that is all.
    pub(crate) whole: bool,
}

/// Reads the body, up to `limit` bytes, of a request that wants a password hashed.
///
/// While more of them wait than can be served in time, it turns them away before anything is made
/// of the body, and takes its time over that: a client that asks again at once would otherwise
/// keep a core busy with being turned away.
///
/// # Errors
/// [`Error::BodyTimeout`] when the body does not arrive in time, [`Error::BrokenBody`] when it breaks
/// off or is no chunks; [`Error::Busy`].
pub(super) async fn read_if_admitted(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> Result<Body, Error> {
    let body = read(payload, limit).await?;
    if let Err(busy) = auth(request)?.check_capacity(network(request)) {
        sleep(rand::random_range(TURN_AWAY_AFTER)).await;
        return Err(busy);
    }
    Ok(body)
}

async fn read(payload: &mut Payload, limit: usize) -> Result<Body, Error> {
    timeout(ARRIVE_WITHIN, read_all(payload, limit))
        .await
        .unwrap_or(Err(Error::BodyTimeout))
}

async fn read_all(payload: &mut Payload, limit: usize) -> Result<Body, Error> {
    let mut bytes = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_broken| Error::BrokenBody)?;
        seen = seen.saturating_add(chunk.len());
        let room = limit - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if seen > DISCARD_AT_MOST {
            break;
        }
    }
    Ok(Body {
        whole: seen <= limit,
        bytes: bytes.freeze(),
    })
}
