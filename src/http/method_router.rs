//! The methods of a path: one handler for each, and 405 with `Allow` for the others.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard, web};

use super::request_error::{Error, RequestError};
use crate::metrics::Metrics;

/// The methods of a path, as in the header `Allow`, and their handlers.
pub(crate) struct Methods {
    allow: Vec<&'static str>,
    routes: Vec<Route>,
}

impl Methods {
    const fn new() -> Self {
        Self {
            allow: Vec::new(),
            routes: Vec::new(),
        }
    }

    fn with(mut self, allow: &'static str, route: Route) -> Self {
        self.allow.push(allow);
        self.routes.push(route);
        self
    }

    /// Adds `POST`.
    pub(crate) fn post<F: Handler<Args>, Args: FromRequest + 'static>(self, handler: F) -> Self
    where
        F::Output: Responder + 'static,
    {
        self.with("POST", web::post().to(handler))
    }

    /// Adds `PATCH`.
    pub(crate) fn patch<F: Handler<Args>, Args: FromRequest + 'static>(self, handler: F) -> Self
    where
        F::Output: Responder + 'static,
    {
        self.with("PATCH", web::patch().to(handler))
    }

    /// Adds `DELETE`.
    pub(crate) fn delete<F: Handler<Args>, Args: FromRequest + 'static>(self, handler: F) -> Self
    where
        F::Output: Responder + 'static,
    {
        self.with("DELETE", web::delete().to(handler))
    }
}

/// `GET`, which includes `HEAD` (RFC 9110 section 9.3.2).
pub(crate) fn get<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    let get_or_head = guard::Any(guard::Method(Method::GET)).or(guard::Method(Method::HEAD));
    let route = web::route().guard(get_or_head).to(handler);
    Methods::new().with("GET, HEAD", route)
}

/// `POST`.
pub(crate) fn post<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    Methods::new().post(handler)
}

/// `PATCH`.
pub(super) fn patch<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    Methods::new().patch(handler)
}

/// `DELETE`.
pub(crate) fn delete<F: Handler<Args>, Args: FromRequest + 'static>(handler: F) -> Methods
where
    F::Output: Responder + 'static,
{
    Methods::new().delete(handler)
}

/// A path with its methods; other methods get 405.
pub(crate) fn resource(metrics: &Metrics, path: &'static str, methods: Methods) -> Resource {
    let allow = methods.allow.join(", ");
    let routes = methods.routes.into_iter();
    routes
        .fold(web::resource(path), Resource::route)
        .app_data(metrics.route(path))
        .default_service(web::to(move || {
            let allow = allow.clone();
            async move {
                let error = RequestError::MethodNotAllowed { allow };
                Err::<String, _>(Error::from(error))
            }
        }))
}
