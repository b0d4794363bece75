//! The route table, and the handlers, a file for each thing they are about.

pub(super) mod account;
pub(super) mod admin;
pub(super) mod docs;
pub(super) mod events;
pub(super) mod forward_auth;
pub(super) mod health;
pub(super) mod introspect;
pub(super) mod keys;
pub(super) mod logout;
pub(super) mod metrics;
pub(super) mod oauth_metadata;
pub(super) mod register;
pub(super) mod revoke;
pub(super) mod token;
pub(super) mod tutorial;
pub(super) mod users_me;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, HttpRequest, Resource, Responder, Route, guard, web};
use chrono::{NaiveDateTime, SecondsFormat};

use super::log_limit::LogLimit;
use super::normalize_path;
use crate::error::Error;
use crate::metrics::Metrics;

/// The routes of the service, `/docs` and its companions only when wanted. Paths that are not
/// here, and methods that a path does not take, are answered as FastAPI answers them.
pub(super) fn routes(app: &mut web::ServiceConfig, metrics: &Metrics, with_docs: bool) {
    let resource = |path, methods| resource(metrics, path, methods);
    let any_method = web::resource("/verify")
        .app_data(metrics.route("/verify"))
        .app_data(LogLimit::default());
    // For users. The router asks from top to bottom, and these are asked for most.
    let me = get(users_me::read_users_me).patch(account::update);
    app.service(resource("/users/me", me.delete(account::delete)))
        .service(any_method.to(forward_auth::verify))
        .service(resource("/introspect", post(introspect::introspect)))
        .service(resource(
            "/users/me/password",
            post(account::change_password),
        ))
        .service(resource(
            "/users/me/keys",
            get(keys::list).post(keys::create),
        ))
        .service(resource("/users/me/keys/{id}", delete(keys::revoke)))
        .service(resource("/users/me/events", get(events::own)))
        // For whoever has the static key.
        .service(resource("/page", get(tutorial::page)))
        .service(resource("/protected", get(tutorial::protected_route)))
        // Signing up, in and out.
        .service(resource("/register", post(register::register)))
        .service(resource("/token", post(token::create_token)))
        .service(resource("/logout", post(logout::logout)))
        .service(resource("/revoke", post(revoke::revoke)))
        .service(resource(METADATA, get(oauth_metadata::metadata)));
    // For administrators.
    let user = get(admin::read).patch(admin::update);
    app.service(resource(
        "/admin/users",
        get(admin::list).post(admin::create),
    ))
    .service(resource("/admin/users/{id}", user.delete(admin::delete)))
    .service(resource(
        "/admin/users/{id}/tokens",
        delete(admin::sign_out),
    ))
    .service(resource("/admin/users/{id}/unlock", post(admin::unlock)))
    .service(resource("/admin/events", get(events::all)))
    // For whoever looks after the service.
    .service(resource("/health/live", get(health::live)))
    .service(resource("/livez", get(health::live)))
    .service(resource("/health/ready", get(health::ready)))
    .service(resource("/readyz", get(health::ready)))
    .service(resource("/metrics", get(metrics::metrics)))
    .default_service(web::to(normalize_path::not_found));
    if with_docs {
        app.service(resource("/docs", get(docs::swagger_ui)))
            .service(resource("/docs/{file}", get(docs::swagger_ui_file)))
            .service(resource("/redoc", get(docs::redoc)))
            .service(resource("/redoc/{file}", get(docs::redoc_file)))
            .service(resource("/openapi.json", get(docs::openapi_json)));
    }
}

/// The routes of the listener for metrics.
pub(super) fn metrics_routes(app: &mut web::ServiceConfig) {
    app.route("/metrics", web::get().to(metrics::open_metrics))
        .default_service(web::to(normalize_path::not_found));
}

/// Where RFC 8414 section 3 wants it.
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// What a path takes: the methods, as in the header `Allow`, and the routes for them.
struct Methods {
    allow: Vec<&'static str>,
    routes: Vec<Route>,
}

impl Methods {
    fn and(mut self, allow: &'static str, route: Route) -> Self {
        self.allow.push(allow);
        self.routes.push(route);
        self
    }

    fn post<F: Handler<Args>, Args: FromRequest + 'static>(self, handler: F) -> Self
    where
        F::Output: Responder + 'static,
    {
        self.and("POST", web::post().to(handler))
    }

    fn patch<F: Handler<Args>, Args: FromRequest + 'static>(self, handler: F) -> Self
    where
        F::Output: Responder + 'static,
    {
        self.and("PATCH", web::patch().to(handler))
    }

    fn delete<F: Handler<Args>, Args: FromRequest + 'static>(self, handler: F) -> Self
    where
        F::Output: Responder + 'static,
    {
        self.and("DELETE", web::delete().to(handler))
    }
}

/// No method yet.
const fn none() -> Methods {
    Methods {
        allow: Vec::new(),
        routes: Vec::new(),
    }
}

/// `GET`, and `HEAD` with it (RFC 9110 section 9.3.2).
fn get<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    let get_or_head = guard::Any(guard::Method(Method::GET)).or(guard::Method(Method::HEAD));
    none().and("GET, HEAD", web::route().guard(get_or_head).to(handler))
}

fn post<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    none().post(handler)
}

fn delete<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    none().delete(handler)
}

/// A path with its methods; any other is 405.
fn resource(metrics: &Metrics, path: &'static str, methods: Methods) -> Resource {
    let allow = methods.allow.join(", ");
    let routes = methods.routes.into_iter();
    routes
        .fold(web::resource(path), Resource::route)
        .app_data(metrics.route(path))
        .default_service(web::to(move || {
            let allow = allow.clone();
            async move { Err::<String, _>(Error::MethodNotAllowed { allow }) }
        }))
}

/// The id in the path. What is no id is the id of nothing.
fn path_id(request: &HttpRequest) -> Result<i64, Error> {
    let id = request.match_info().get("id").unwrap_or_default();
    id.parse().map_err(|_no_id| Error::NotFound)
}

/// A time as clients see it: RFC 3339, to the microsecond.
pub(crate) fn utc(time: NaiveDateTime) -> String {
    time.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true)
}
