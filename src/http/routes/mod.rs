//! The route table, and the handlers, one file for each subject.

pub(super) mod account;
pub(super) mod admin_access;
#[cfg(feature = "mail")]
pub(super) mod admin_mail;
pub(super) mod admin_users;
pub(super) mod devices;
pub(super) mod docs;
#[cfg(feature = "mail")]
pub(super) mod email_change;
#[cfg(feature = "mail")]
pub(super) mod email_verification;
pub(super) mod events;
mod factor_bodies;
pub(super) mod factors;
pub(super) mod forward_auth;
pub(super) mod health;
#[cfg(feature = "mail")]
pub(super) mod invitations;
pub(super) mod keys;
pub(super) mod oauth;
pub(super) mod oauth_metadata;
pub(super) mod passkeys;
#[cfg(feature = "mail")]
pub(super) mod password_reset;
pub(super) mod register;
pub(super) mod renewal;
pub(super) mod sessions;
pub(super) mod start_page;
pub(super) mod token;
pub(super) mod token_form;
pub(super) mod tutorial;

use actix_web::dev::HttpServiceFactory;
use actix_web::{HttpRequest, Resource, web};

use super::log_limit::LogLimit;
use super::method_router::{delete, get, patch, post, resource};
use super::normalize_path;
use super::request_error::RequestError;
use crate::metrics::Metrics;

/// The routes of the service, `/docs` and its files only on request, each as `finish` completes it.
/// Unknown methods get the same responses as with FastAPI.
pub(super) fn routes<R: HttpServiceFactory + 'static>(
    app: &mut web::ServiceConfig,
    metrics: &Metrics,
    with_docs: bool,
    finish: impl Fn(Resource) -> R,
) {
    let resource = |path, methods| finish(resource(metrics, path, methods));
    let any_method = web::resource("/verify")
        .app_data(metrics.route("/verify"))
        .app_data(LogLimit::default())
        .to(forward_auth::verify);
    // For users. The router tries routes in order, and these are the most frequent.
    let me = get(account::read).patch(account::update);
    app.service(resource("/users/me", me.delete(account::delete)))
        .service(finish(any_method))
        .service(resource("/introspect", post(oauth::introspect)))
        .service(resource(
            "/users/me/password",
            post(account::change_password),
        ))
        .service(resource(
            "/users/me/keys",
            get(keys::list).post(keys::create),
        ))
        .service(resource("/users/me/keys/{id}", delete(keys::revoke)))
        .service(resource(
            "/users/me/sessions",
            get(sessions::list).delete(sessions::end_all),
        ))
        .service(resource(
            "/users/me/sessions/{id}",
            patch(sessions::rename).delete(sessions::end),
        ))
        .service(resource("/users/me/events", get(events::own)))
        .service(resource(
            "/users/me/factors",
            get(factors::list).post(factors::create),
        ))
        .service(resource(
            "/users/me/devices",
            get(devices::list).delete(devices::remove_all),
        ))
        .service(resource("/users/me/devices/{id}", delete(devices::remove)))
        .service(resource(
            "/users/me/reauthenticate",
            post(renewal::reauthenticate),
        ))
        .service(resource(
            "/users/me/reauthenticate/options",
            post(passkeys::options_of_user),
        ))
        .service(resource(
            "/users/me/factors/{id}",
            patch(factors::rename).delete(factors::remove),
        ))
        .service(resource(
            "/users/me/factors/{id}/confirm",
            post(factors::confirm),
        ))
        .service(resource(
            "/users/me/recovery-codes",
            post(factors::create_recovery_codes),
        ))
        // For clients with the static key.
        .service(resource("/page", get(tutorial::page)))
        .service(resource("/protected", get(tutorial::protected_route)))
        // Registration, sign-in and sign-out.
        .service(resource("/register", post(register::register)))
        .service(resource("/token", post(token::create_token)))
        .service(resource("/logout", post(token::logout)))
        .service(resource("/revoke", post(oauth::revoke)))
        .service(resource(
            "/mfa/webauthn/options",
            post(passkeys::second_options),
        ))
        .service(resource("/passkeys/options", post(passkeys::options)))
        .service(resource(
            "/.well-known/webauthn",
            get(passkeys::related_origins),
        ))
        .service(resource(METADATA, get(oauth_metadata::metadata)))
        .service(resource(
            METADATA_OF_PATH,
            get(oauth_metadata::metadata_of_path),
        ));
    // For administrators.
    let user = get(admin_users::read).patch(admin_users::update);
    app.service(resource(
        "/admin/users",
        get(admin_users::list).post(admin_users::create),
    ))
    .service(resource(
        "/admin/users/{id}",
        user.delete(admin_users::delete),
    ))
    .service(resource(
        "/admin/users/{id}/tokens",
        delete(admin_access::sign_out),
    ))
    .service(resource(
        "/admin/users/{id}/sessions",
        get(sessions::list_of_user).delete(sessions::end_all_of_user),
    ))
    .service(resource(
        "/admin/users/{id}/sessions/{session}",
        delete(sessions::end_of_user),
    ))
    .service(resource(
        "/admin/users/{id}/unlock",
        post(admin_access::unlock),
    ))
    .service(resource(
        "/admin/users/{id}/factors",
        delete(admin_access::reset_factors),
    ))
    .service(resource(
        "/admin/users/{id}/factors/{factor}",
        delete(admin_access::reset_factor),
    ))
    .service(resource("/admin/events", get(events::all)))
    // For operations.
    .service(resource("/health/live", get(health::live)))
    .service(resource("/livez", get(health::live)))
    .service(resource("/health/ready", get(health::ready)))
    .service(resource("/readyz", get(health::ready)))
    .service(resource("/metrics", get(health::metrics)));
    if with_docs {
        app.app_data(web::Data::new(docs::Document::default()))
            .service(resource("/docs", get(docs::swagger_ui)))
            .service(resource("/docs/{file}", get(docs::swagger_ui_file)))
            .service(resource("/redoc", get(docs::redoc)))
            .service(resource("/redoc/{file}", get(docs::redoc_file)))
            .service(resource("/openapi.json", get(docs::openapi_json)));
    }
}

/// What is done by mail. Links that were printed work without mail too.
#[cfg(feature = "mail")]
pub(super) fn mail_routes<R: HttpServiceFactory + 'static>(
    app: &mut web::ServiceConfig,
    metrics: &Metrics,
    finish: impl Fn(Resource) -> R,
) {
    let resource = |path, methods| finish(resource(metrics, path, methods));
    app.service(resource("/forgot-password", post(password_reset::forgot)))
        .service(resource("/reset-password", post(password_reset::reset)))
        .service(resource(
            "/verify-email/request",
            post(email_verification::request),
        ))
        .service(resource("/verify-email", post(email_verification::verify)))
        .service(resource(
            "/users/me/email",
            post(email_change::request).delete(email_change::withdraw),
        ))
        .service(resource("/change-email", post(email_change::confirm)))
        .service(resource("/change-email/undo", post(email_change::undo)))
        .service(resource(
            "/admin/users/{id}/reset",
            post(password_reset::send_link),
        ))
        .service(resource(
            "/admin/invitations",
            get(invitations::list).post(invitations::create),
        ))
        .service(resource(
            "/admin/invitations/{id}",
            delete(invitations::revoke),
        ))
        .service(resource(
            "/admin/invitations/{id}/resend",
            post(invitations::resend),
        ))
        // Before the route with a token.
        .service(resource("/invitations/accept", post(invitations::accept)))
        .service(resource("/invitations/{token}", get(invitations::show)))
        .service(resource("/admin/mail", get(admin_mail::list)))
        .service(resource("/admin/mail/{id}", delete(admin_mail::delete)))
        .service(resource("/admin/mail/{id}/retry", post(admin_mail::retry)));
}

/// The routes of the separate listener for metrics.
pub(super) fn metrics_routes(app: &mut web::ServiceConfig) {
    app.route("/metrics", web::get().to(health::open_metrics))
        .default_service(web::to(normalize_path::not_found));
}

/// Every other path: the start page for browsers, and otherwise the same responses as with FastAPI.
pub(super) fn other_paths(app: &mut web::ServiceConfig) {
    app.default_service(web::to(start_page::start_page_or_not_found));
}

/// Where RFC 8414 section 3 puts the metadata.
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The same for a service below a path.
const METADATA_OF_PATH: &str = "/.well-known/oauth-authorization-server/{path:.+}";

/// The id in the path. A malformed id identifies nothing.
pub(super) fn path_id(request: &HttpRequest) -> Result<i64, RequestError> {
    path_number(request, "id")
}

/// The number in the path with this name. A malformed one identifies nothing.
pub(super) fn path_number(request: &HttpRequest, name: &str) -> Result<i64, RequestError> {
    let number = request.match_info().get(name).unwrap_or_default();
    number.parse().map_err(|_malformed| RequestError::NotFound)
}
