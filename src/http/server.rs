//! The server: limits, order of the middleware, and how it ends.

use std::net::TcpListener;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::Server;
use actix_web::http::{Method, header};
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, HttpServer, web};
use socket2::SockRef;

use super::idle_connections::Connections;
use super::middleware::envelope;
use super::routes::oauth_metadata::PublicUrl;
use super::routes::{metrics_routes, routes};
use super::shutdown::Stopping;
use crate::auth::Auth;
use crate::config::ServerConfig;

/// The longest that the head of a request may take to arrive.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// How long actix-web keeps a connection for the next request. [`Connections`] cuts it sooner unless
/// it is that of a proxy.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What of an answer waits in memory for a client that does not read, in bytes. A file is larger, and
/// thousands may ask for it.
const WRITE_BUFFER: usize = 4 << 10;

/// How long the service takes to stop, the time without readiness included, and up to a second more,
/// since actix-web looks once a second whether it is over. Docker kills after 10 s.
const STOP_WITHIN: Duration = Duration::from_secs(7);

/// How many connections may wait to be accepted: with the 128 of the standard library, a burst of them
/// makes others wait for a second or more.
const BACKLOG: i32 = 4_096;

/// Builds the server on a listening socket. It runs when it is awaited, and stops by itself on
/// SIGTERM and SIGINT. For a while after SIGTERM it goes on serving and says that it is not ready.
///
/// # Errors
/// When the socket or the signals cannot be used.
pub fn server(auth: Auth, config: &ServerConfig, listener: TcpListener) -> std::io::Result<Server> {
    SockRef::from(&listener).listen(BACKLOG)?;
    let (with_docs, origins) = (config.docs, config.cors_origins.clone());
    let trusted_proxies = config.trusted_proxies.clone();
    let connections = Connections::start(trusted_proxies.clone())?;
    let most = connections.most() / config.workers.max(1);
    let public_url = web::Data::new(PublicUrl(config.public_url.clone()));
    let stopping = Stopping::default();
    let ordered = stopping.clone().ordered(config.drain)?;
    let app = move || {
        App::new()
            .app_data(auth.clone())
            .app_data(stopping.clone())
            .app_data(public_url.clone())
            .app_data(trusted_proxies.clone())
            .app_data(auth.metrics().route("unknown"))
            .configure(|app| routes(app, auth.metrics(), with_docs))
            .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
            .wrap(from_fn(envelope))
    };
    let server = HttpServer::new(app)
        .workers(config.workers)
        .max_connections(most)
        .on_connect(move |socket, extensions| connections.welcome(socket, extensions))
        .client_request_timeout(HEAD_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .h1_write_buffer_size(WRITE_BUFFER)
        .shutdown_signal(ordered)
        .shutdown_timeout(STOP_WITHIN.saturating_sub(config.drain).as_secs())
        .listen(listener)?
        .run();
    Ok(server)
}

/// Lets scripts of these origins call us, without cookies: we have none.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::HeaderName::from_static("token"),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            header::HeaderName::from_static("x-request-id"),
        ])
        .max_age(600);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Builds the server of the metrics, for a listener of their own: no key is asked for there, so it
/// must not be open to the world. It does not stop by itself, since the end is to be watched too.
///
/// # Errors
/// When the socket cannot be used.
pub fn metrics_server(auth: Auth, listener: TcpListener) -> std::io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(auth.clone())
            .configure(metrics_routes)
            .wrap(from_fn(envelope))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .client_request_timeout(HEAD_WITHIN)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(server)
}
