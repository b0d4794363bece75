//! HTTP: the route table, the guards, and the mapping of errors to answers.

mod body;
mod envelope;
mod error;
mod extract;
mod openapi;
mod path;
mod routes;
mod server;

use actix_web::http::Method;
use actix_web::{Handler, Resource, Responder, Route, guard, web};

pub use extract::{Authenticated, MaybeAuthenticated, StaticKey};
pub use openapi::document as openapi_document;
pub use server::server;

use crate::error::Error;
use routes::{docs, guarded, health, logout, register, token, users_me};

/// The routes of the service, `/docs` and its companions only when wanted. Paths that are not
/// here, and methods that a path does not take, are answered as FastAPI answers them.
fn routes(app: &mut web::ServiceConfig, with_docs: bool) {
    // For users. The router asks from top to bottom, and this is asked for most.
    app.service(resource("/users/me", get(users_me::read_users_me)))
        // For whoever has the static key.
        .service(resource("/page", get(guarded::page)))
        .service(resource("/protected", get(guarded::protected_route)))
        // Signing up, in and out.
        .service(resource("/register", post(register::register)))
        .service(resource("/token", post(token::create_token)))
        .service(resource("/logout", post(logout::logout)))
        // For whoever looks after the service.
        .service(resource("/health/live", get(health::live)))
        .service(resource("/livez", get(health::live)))
        .service(resource("/health/ready", get(health::ready)))
        .service(resource("/readyz", get(health::ready)))
        .default_service(web::to(path::not_found));
    if with_docs {
        app.service(resource("/docs", get(docs::swagger_ui)))
            .service(resource("/docs/{file}", get(docs::swagger_ui_file)))
            .service(resource("/redoc", get(docs::redoc)))
            .service(resource("/redoc/{file}", get(docs::redoc_file)))
            .service(resource("/openapi.json", get(docs::openapi_json)));
    }
}

/// What a path takes: the methods, as in the header `Allow`, and the route for them.
struct Methods {
    allow: &'static str,
    route: Route,
}

/// `GET`, and `HEAD` with it (RFC 9110 section 9.3.2).
fn get<F, Args>(handler: F) -> Methods
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let get_or_head = guard::Any(guard::Method(Method::GET)).or(guard::Method(Method::HEAD));
    Methods {
        allow: "GET, HEAD",
        route: web::route().guard(get_or_head).to(handler),
    }
}

fn post<F, Args>(handler: F) -> Methods
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Methods {
        allow: "POST",
        route: web::post().to(handler),
    }
}

/// A path with its methods; any other is 405.
fn resource(path: &str, methods: Methods) -> Resource {
    let allow = methods.allow;
    web::resource(path)
        .route(methods.route)
        .default_service(web::to(move || async move {
            Err::<String, _>(Error::MethodNotAllowed { allow })
        }))
}
