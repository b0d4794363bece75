//! The server: limits, the order of the middleware, and the shutdown.

use std::net::TcpListener;
#[cfg(any(feature = "cli", feature = "testing"))]
use std::rc::Rc;
use std::time::Duration;

#[cfg(any(feature = "cli", feature = "testing"))]
use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::dev::{HttpServiceFactory, Server};
#[cfg(any(feature = "cli", feature = "testing"))]
use actix_web::middleware::Next;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, Resource, web};
use socket2::SockRef;

use super::cors::Cors;
use super::idle_connections::{Connections, PROXY_IDLE_TIMEOUT};
use super::middleware::{AccessLog, around_route, around_service};
#[cfg(feature = "pages")]
use super::pages::{self, Pages};
use super::refusal_pace::RefusalPace;
#[cfg(feature = "mail")]
use super::routes::mail_routes;
use super::routes::{metrics_routes, other_paths, routes};
use super::shutdown::Shutdown;
use crate::auth::Auth;
use crate::config::{PublicUrl, ServerConfig, TrustedProxies};
use crate::metrics::Metrics;

/// The maximum time in which the head of a request must arrive.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long actix-web keeps a connection for the next request. [`Connections`] closes it sooner.
const KEEP_ALIVE_TIMEOUT: Duration = PROXY_IDLE_TIMEOUT.saturating_add(Duration::from_secs(30));

/// How much of a response is buffered for a client that does not read, in bytes. The files of the
/// documentation are larger, and thousands of clients may request them.
const MAX_WRITE_BUFFER: usize = 4 << 10;

/// The maximum duration of a shutdown, including the draining. It may take a second longer, since
/// actix-web checks once per second whether all requests have ended. Docker kills after 10 s.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(7);

/// The number of connections that may wait for `accept`: with the 128 of the standard library, a burst
/// delays others by a second or more.
const MAX_BACKLOG: i32 = 4_096;

/// Builds the server on a listening socket. It runs when it is awaited, and shuts down on SIGTERM and
/// SIGINT. After SIGTERM it drains: it keeps serving for a while but reports that it is not ready.
///
/// # Errors
/// When the socket or the signals cannot be used.
pub fn server(auth: Auth, config: &ServerConfig, listener: TcpListener) -> std::io::Result<Server> {
    SockRef::from(&listener).listen(MAX_BACKLOG)?;
    let service = WholeService::new(config);
    let connections = Connections::start(config.trusted_proxies.clone())?;
    let max_per_worker = connections.max() / config.workers.max(1);
    let shutdown = Shutdown::default();
    let signal = shutdown.clone().signal(config.drain)?;
    let app = move || {
        App::new()
            .app_data(shutdown.clone())
            .app_data(auth.clone())
            .configure(|app| service.configure(app, auth.metrics()))
            .wrap(from_fn(around_service))
    };
    let server = HttpServer::new(app)
        .workers(config.workers)
        .max_connections(max_per_worker)
        .on_connect(move |socket, extensions| connections.track(socket, extensions))
        .client_request_timeout(REQUEST_HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE_TIMEOUT)
        .h1_write_buffer_size(MAX_WRITE_BUFFER)
        .shutdown_signal(signal)
        .shutdown_timeout(SHUTDOWN_TIMEOUT.saturating_sub(config.drain).as_secs())
        .listen(listener)?
        .run();
    Ok(server)
}

/// Like [`server`], for a service that is replaced while the server runs, as tests do: each request is
/// handled by the one that `current` returns. All of them have the same metrics. `extend` adds routes. The
/// server ignores signals, does not limit connections, and never drains.
///
/// # Errors
/// When the socket cannot be used.
#[cfg(any(feature = "cli", feature = "testing"))]
pub(crate) fn replaceable_server(
    current: impl Fn() -> Auth + Clone + Send + 'static,
    config: &ServerConfig,
    listener: TcpListener,
    extend: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<Server> {
    SockRef::from(&listener).listen(MAX_BACKLOG)?;
    let service = WholeService::new(config);
    let app = move || {
        let (first, current) = (current(), current.clone());
        let use_current = move |mut request: ServiceRequest, next: Next<_>| {
            let mut data = Extensions::new();
            data.insert(current());
            request.add_data_container(Rc::new(data));
            next.call(request)
        };
        App::new()
            .configure(|app| service.configure(app, first.metrics()))
            .configure(&extend)
            .wrap(from_fn(around_service))
            .wrap(from_fn(use_current))
    };
    let server = HttpServer::new(app)
        .workers(config.workers)
        .client_request_timeout(REQUEST_HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE_TIMEOUT)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(server)
}

/// What the `App` of a server contains, apart from the [`Auth`].
#[derive(Clone)]
struct WholeService {
    access_log: AccessLog,
    public_url: web::Data<Option<PublicUrl>>,
    cors: web::Data<Cors>,
    trusted_proxies: TrustedProxies,
    routes: AllRoutes,
}

/// What decides which routes there are.
#[derive(Clone)]
struct AllRoutes {
    with_docs: bool,
    #[cfg(feature = "pages")]
    pages: Pages,
}

impl AllRoutes {
    fn new(config: &ServerConfig) -> Self {
        Self {
            with_docs: config.docs,
            #[cfg(feature = "pages")]
            pages: Pages::new(&config.pages),
        }
    }

    /// Adds the routes, each as `finish` completes it. The router tries them in this order.
    fn add<R: HttpServiceFactory + 'static>(
        &self,
        app: &mut web::ServiceConfig,
        metrics: &Metrics,
        finish: impl Fn(Resource) -> R + Copy,
    ) {
        routes(app, metrics, self.with_docs, finish);
        #[cfg(feature = "pages")]
        pages::routes(app, metrics, &self.pages, finish);
        #[cfg(feature = "mail")]
        {
            #[cfg(feature = "pages")]
            pages::mail_routes(app, metrics, &self.pages, finish);
            mail_routes(app, metrics, finish);
        }
    }
}

impl WholeService {
    fn new(config: &ServerConfig) -> Self {
        Self {
            access_log: AccessLog(config.access_log),
            public_url: web::Data::new(config.public_url.clone()),
            cors: cors(config),
            trusted_proxies: config.trusted_proxies.clone(),
            routes: AllRoutes::new(config),
        }
    }

    fn configure(&self, app: &mut web::ServiceConfig, metrics: &Metrics) {
        app.app_data(self.access_log)
            .app_data(self.public_url.clone())
            .app_data(self.cors.clone())
            .app_data(RefusalPace::default())
            .app_data(self.trusted_proxies.clone())
            .app_data(metrics.route("unknown"));
        self.routes.add(app, metrics, |resource| resource);
        other_paths(app);
    }
}

/// The routes of the service, for the `App` or a `Scope` of another program, with their limits of
/// bodies, headers, CORS and metrics:
///
/// ```no_run
/// use actix_web::{App, HttpServer, Resource, web};
/// use tokenhouse::{Auth, Config, Worker, http};
///
/// #[actix_web::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let config = Config::from_env()?;
///     let auth = Auth::open(&config)?;
///     let _worker = Worker::start(&auth)?;
///     let bind = config.server.bind;
///     let app = move || {
///         let service = http::configure(&auth, &config.server);
///         App::new().service(web::scope("/auth").configure(service))
///     };
///     HttpServer::new(app).bind(bind)?.run().await?;
///     Ok(())
/// }
/// ```
///
/// Call it once for each `App`, inside the factory. It adds routes and nothing around them: other
/// routes keep their own headers, errors and middleware, and every unknown path gets the response of
/// the program. In an `App`, its `app_data` also holds the [`Auth`] for the guards of other routes;
/// after a `Scope`, add `.app_data(auth.clone())` to the `App`.
///
/// What concerns whole connections stays with the program's `HttpServer`: the address, workers,
/// timeouts of request heads and idle connections, and the shutdown. So do redirects from paths with
/// a slash at the end, and `TOKENHOUSE_METRICS_BIND`.
///
/// # Parameters
/// - `auth`: what the routes use. The program also starts a [`Worker`](crate::Worker) with it.
/// - `config`: the CORS origins, the trusted proxies, the public URL (with the path of the `Scope`), the
///   pages, and whether `/docs` and `/redoc` are served. The other settings are ignored.
pub fn configure(
    auth: &Auth,
    config: &ServerConfig,
) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let (auth, config) = (auth.clone(), config.clone());
    let routes = AllRoutes::new(&config);
    move |app| {
        app.app_data(auth.clone())
            .app_data(config.trusted_proxies.clone())
            .app_data(cors(&config))
            .app_data(RefusalPace::default())
            .app_data(web::Data::new(config.public_url.clone()));
        routes.add(app, auth.metrics(), |resource| {
            resource.wrap(from_fn(around_route))
        });
    }
}

fn cors(config: &ServerConfig) -> web::Data<Cors> {
    web::Data::new(Cors::new(&config.cors_origins, config.public_url.as_ref()))
}

/// Builds the server of the metrics, for a separate listener. It requires no key, so it must not be
/// reachable from outside. It ignores signals, so that the shutdown can be observed as well.
///
/// # Errors
/// When the socket cannot be used.
pub fn metrics_server(auth: Auth, listener: TcpListener) -> std::io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(auth.clone())
            .configure(metrics_routes)
            .wrap(from_fn(around_service))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .client_request_timeout(REQUEST_HEAD_TIMEOUT)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(server)
}
