//! `tokenhouse serve`

use std::net::TcpListener;
use std::pin::pin;

use futures_util::future::{Either, select};
use sd_notify::NotifyState;

use super::output::{complain, say};
use crate::auth::Auth;
use crate::config::Config;
use crate::error::Error;
use crate::http;

/// Serves until it is told to stop.
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
    announce(config, address);
    actix_web::rt::System::new()
        .block_on(async {
            // A database that is not migrated yet is no reason not to start; the readiness says so.
            if let Err(error @ Error::OtherAuditKey) = auth.begin_trail().await {
                return Err(std::io::Error::other(error));
            }
            let _watched_or_later = auth.watch_clock().await;
            // Written with the chores otherwise.
            let version = env!("CARGO_PKG_VERSION");
            let _written_or_later = auth.note_start(version, &config.digest).await;
            let server = http::server(auth.clone(), &config.server, listener)?;
            if let Some(listener) = metrics_listener {
                // Ends with the program.
                actix_web::rt::spawn(http::metrics_server(auth.clone(), listener)?);
            }
            // systemd, where it waits for this, starts what comes after us from now on.
            let _told_or_not_asked = sd_notify::notify(&[NotifyState::Ready]);
            match select(server, pin!(auth.files_replaced())).await {
                Either::Left((ended, _)) => ended?,
                Either::Right((problem, _)) => give_up(&auth, &problem),
            }
            // What is lost with a database that is away at the end is in the log.
            let _settled_or_lost = auth.settle().await;
            let _written_or_lost = auth.note_stop().await;
            Ok(())
        })
        .map_err(|error: std::io::Error| error.to_string())
}

/// Ends the process at once: the supervisor starts another one, on the files as they are. Nothing
/// is dropped, because SQLite would write to a file that is not its own any more.
fn give_up(auth: &Auth, problem: &str) -> ! {
    auth.release_files();
    complain(problem);
    std::process::exit(1)
}

/// Says where the service is, on standard output: the log may be filtered.
fn announce(config: &Config, address: std::net::SocketAddr) {
    let version = env!("CARGO_PKG_VERSION");
    say(&format!("Tokenhouse {version} on http://{address}"));
    say(&format!("  database  {}", config.database.url));
    if config.server.docs {
        say(&format!("  docs      http://{address}/docs"));
    }
}
