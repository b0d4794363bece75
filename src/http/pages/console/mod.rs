//! The administration: handlers and routes. Every page needs a scope of its reader; what changes
//! something takes an [`AdminForm`](forms::AdminForm), and calls the same operations as the JSON API.

mod apps;
mod events;
mod forms;
mod guard;
#[cfg(feature = "mail")]
mod mail;
mod overview;
mod system;
mod user;
mod users;

use actix_web::dev::HttpServiceFactory;
use actix_web::web;

pub(super) use events::LastVerification;
pub(super) use guard::Excluded;

use crate::http::method_router::{Methods, get, post};

/// The routes of the console, each as `page` makes it.
pub(super) fn routes<R: HttpServiceFactory + 'static>(
    app: &mut web::ServiceConfig,
    page: impl Fn(&'static str, Methods) -> R,
) {
    app.service(page("/console", get(overview::overview)))
        .service(page("/console/users", get(users::list).post(users::create)))
        .service(page("/console/users/new", get(users::new)))
        .service(page("/console/users/{id}", get(user::show_user)))
        .service(page("/console/users/{id}/disable", post(user::disable)))
        .service(page("/console/users/{id}/enable", post(user::enable)))
        .service(page("/console/users/{id}/unlock", post(user::unlock)))
        .service(page(
            "/console/users/{id}/scopes",
            post(user::change_scopes),
        ))
        .service(page("/console/users/{id}/sign-out", post(user::sign_out)))
        .service(page("/console/users/{id}/delete", post(user::delete)))
        .service(page(
            "/console/users/{id}/sessions/{session}/end",
            post(user::end_session),
        ))
        .service(page(
            "/console/users/{id}/keys/{key}/revoke",
            post(user::revoke_key),
        ))
        .service(page("/console/events", get(events::list)))
        .service(page("/console/events/verify", post(events::verify)))
        .service(page("/console/apps", get(apps::list)))
        .service(page("/console/settings", get(system::settings)))
        .service(page("/console/health", get(system::health)));
    #[cfg(feature = "mail")]
    app.service(page("/console/mail", get(mail::overview)))
        .service(page("/console/mail/{id}/retry", post(mail::retry)))
        .service(page("/console/mail/{id}/delete", post(mail::delete)))
        .service(page("/console/mail/html", get(mail::preview_html)));
}
