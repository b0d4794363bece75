//! How the service ends. Its readiness ends first, so that whoever sends it requests sends them
//! elsewhere before its door is closed: a connection that waits at the door then is lost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::rt::time::timeout;
use futures_util::future::{Either, select};
use sd_notify::NotifyState;

/// Whether the service has been told to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Whether it has.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether the service that this request came to has been told to stop.
    pub(crate) fn has_begun_for(request: &HttpRequest) -> bool {
        request.app_data().is_some_and(Self::has_begun)
    }

    /// Ends when the door is to be closed: a while after SIGTERM, at once after SIGINT.
    ///
    /// # Errors
    /// When the system does not tell us of signals.
    pub(super) fn ordered(self, drain: Duration) -> std::io::Result<impl Future<Output = ()>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            let is_patient = is_first(&mut terminate, &mut interrupt).await;
            self.0.store(true, Ordering::Relaxed);
            // Nobody may have asked to be told.
            let _told_or_not_asked = sd_notify::notify(&[NotifyState::Stopping]);
            if is_patient {
                let _interrupted_or_over = timeout(drain, interrupt.recv()).await;
            }
        })
    }
}

/// Whether the first of two signals is the one that comes first.
async fn is_first(one: &mut Signal, other: &mut Signal) -> bool {
    let (one, other) = (std::pin::pin!(one.recv()), std::pin::pin!(other.recv()));
    matches!(select(one, other).await, Either::Left(_))
}
