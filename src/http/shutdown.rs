//! Graceful shutdown. The service first reports that it is not ready and drains, so that load
//! balancers send requests elsewhere before the socket is closed: connections that still wait for
//! `accept` at that moment are lost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::rt::time::timeout;
use futures_util::future::{Either, select};
use sd_notify::NotifyState;

/// Whether the service is shutting down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    /// Whether the service that received this request is shutting down.
    pub(crate) fn is_draining(request: &HttpRequest) -> bool {
        let shutdown = request.app_data::<Self>();
        shutdown.is_some_and(|shutdown| shutdown.0.load(Ordering::Relaxed))
    }

    /// Completes when the socket must be closed: a while after SIGTERM, immediately after SIGINT.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub(super) fn signal(self, drain: Duration) -> std::io::Result<impl Future<Output = ()>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            let drains = is_first(&mut terminate, &mut interrupt).await;
            log::info!("stopping: {}", if drains { "SIGTERM" } else { "SIGINT" });
            self.0.store(true, Ordering::Relaxed);
            // Fails when the service does not run under systemd.
            let _ = sd_notify::notify(&[NotifyState::Stopping]);
            if drains {
                // Ends after the drain period, or earlier on SIGINT.
                let _ = timeout(drain, interrupt.recv()).await;
            }
        })
    }
}

/// Waits for either signal. Returns whether `one` arrived.
async fn is_first(one: &mut Signal, other: &mut Signal) -> bool {
    let (one, other) = (std::pin::pin!(one.recv()), std::pin::pin!(other.recv()));
    matches!(select(one, other).await, Either::Left(_))
}
