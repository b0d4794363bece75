//! `tokenhouse serve`

use std::net::TcpListener;
use std::pin::pin;
use std::time::Instant;

use futures_util::future::{Either, select};
use sd_notify::NotifyState;
use serde::Serialize;

use super::output::{announce, announce_json, complain};
use crate::auth::Auth;
use crate::config::{Config, LogFormat, Profile};
use crate::error::Error;
use crate::http;
use crate::worker::Worker;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(config: &Config) -> Result<(), String> {
    for warning in config.warnings() {
        log::warn!("{warning}");
    }
    let auth = Auth::open(config).map_err(|error| error.to_string())?;
    let bind = config.server.bind;
    let listener = TcpListener::bind(bind)
        .map_err(|error| format!("TOKENHOUSE_BIND: cannot listen on {bind}: {}", error.kind()))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let metrics_listener = match config.server.metrics_bind {
        Some(bind) => Some(TcpListener::bind(bind).map_err(|error| {
            format!(
                "TOKENHOUSE_METRICS_BIND: cannot listen on {bind}: {}",
                error.kind()
            )
        })?),
        None => None,
    };
    let started = Instant::now();
    log::info!(
        "listening on http://{address}: version {}, database {}, profile {}",
        super::VERSION,
        config.database.url,
        match config.profile {
            Profile::Tutorial => "tutorial",
            Profile::Standard => "standard",
        }
    );
    announce_address(config, address);
    actix_web::rt::System::new()
        .block_on(async {
            // A database with pending migrations does not prevent the start: the readiness reports it.
            if let Err(error @ Error::OtherAuditKey) = auth.audit().begin().await {
                return Err(std::io::Error::other(error));
            }
            let worker = Worker::start(&auth)?;
            let version = env!("CARGO_PKG_VERSION");
            // If this fails, the worker writes it later.
            let _ = auth.audit().record_start(version, &config.digest).await;
            let server = http::server(auth.clone(), &config.server, listener)?;
            if let Some(listener) = metrics_listener {
                // Ends with the process.
                actix_web::rt::spawn(http::metrics_server(auth.clone(), listener)?);
            }
            // Lets systemd start the units that depend on the service. Fails without systemd.
            let _ = sd_notify::notify(&[NotifyState::Ready]);
            match select(server, pin!(auth.files_replaced())).await {
                Either::Left((ended, _)) => ended?,
                Either::Right((problem, _)) => give_up(&auth, &problem),
            }
            drop(worker);
            // Errors are in the log.
            let _ = auth.flush().await;
            let _ = auth.audit().record_stop().await;
            log::info!("stopped after {} s", started.elapsed().as_secs());
            Ok(())
        })
        .map_err(|error: std::io::Error| error.to_string())
}

/// Ends the process immediately, so that the supervisor restarts it on the new files. Runs no
/// destructors, in which SQLite would write to files that belong to another database.
fn give_up(auth: &Auth, problem: &str) -> ! {
    auth.release_files();
    complain(problem);
    std::process::exit(1)
}

/// The address on standard output, for a log in JSON.
#[derive(Serialize)]
struct Announced<'a> {
    url: String,
    version: &'a str,
    database: String,
}

/// Prints the address on standard output, as the log may be filtered: in the format of the log.
fn announce_address(config: &Config, address: std::net::SocketAddr) {
    let version = env!("CARGO_PKG_VERSION");
    if config.log_format == LogFormat::Json {
        announce_json(&Announced {
            url: format!("http://{address}"),
            version,
            database: config.database.url.to_string(),
        });
        return;
    }
    announce(&format!("Tokenhouse {version} on http://{address}"));
    announce(&format!("  database  {}", config.database.url));
    if config.server.docs {
        announce(&format!("  docs      http://{address}/docs"));
    }
}
