//! The OpenAPI document: collected from the handlers, with the security schemes of the tutorial.

use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes, SecurityScheme,
};
use utoipa::{Modify, OpenApi};

use super::error_responses;
use super::routes::{
    account, admin, events, forward_auth, health, introspect, keys, logout, metrics,
    oauth_metadata, register, revoke, token, tutorial, users_me,
};
use crate::scope;

/// The OpenAPI 3.1 document of the service.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tokenhouse",
        description = "Users, passwords and access tokens. Sign in at `/token` with the OAuth2 \
            password form, and send the token in `Authorization: Bearer` or in the header `Token`.",
    ),
    paths(
        register::register,
        token::create_token,
        logout::logout,
        users_me::read_users_me,
        account::update,
        account::change_password,
        account::delete,
        keys::create,
        keys::list,
        keys::revoke,
        events::own,
        revoke::revoke,
        introspect::introspect,
        oauth_metadata::metadata,
        forward_auth::verify,
        admin::list,
        admin::create,
        admin::read,
        admin::update,
        admin::delete,
        admin::sign_out,
        admin::unlock,
        events::all,
        tutorial::page,
        tutorial::protected_route,
        health::live,
        health::ready,
        metrics::metrics,
    ),
    tags(
        (name = "sign-in", description = "Getting a token, and ending it"),
        (name = "users", description = "Registering, and the user's own account"),
        (name = "keys", description = "API keys, for the user's programs"),
        (name = "OAuth2", description = "Revocation, introspection, oauth_metadata"),
        (name = "reverse proxies", description = "Forward-auth"),
        (name = "administration", description = "Other people's accounts"),
        (name = "audit trail", description = "Who did what"),
        (name = "static key", description = "The tutorial's routes behind the static key"),
        (name = "health", description = "For load balancers and supervisors"),
    ),
    // utoipa collects the schemas of successes by itself, and of `IntoResponses` it does not.
    components(schemas(
        error_responses::ErrorBody,
        error_responses::HTTPValidationError,
        error_responses::ValidationError,
        error_responses::Location,
        error_responses::OAuthError,
        error_responses::OAuthValidationError,
        error_responses::TokenRefusal,
    )),
    modifiers(&Finish),
)]
struct Document;

struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        // utoipa puts Cargo's there, and Swagger UI makes a link to nowhere of an "A OR B".
        document.info.license = None;
        let scopes = Scopes::from_iter([
            (scope::USERS_READ, "See users"),
            (scope::USERS_WRITE, "Make, change and delete users"),
            (scope::EVENTS_READ, "See everybody's audit events"),
            (scope::INTROSPECT, "Ask about other people's credentials"),
        ]);
        let password = Flow::Password(Password::new("token", scopes));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "OAuth2PasswordBearer",
            SecurityScheme::OAuth2(OAuth2::with_description(
                [password],
                "A user's login token, or an API key. A client id and secret are not needed.",
            )),
        );
        components.add_security_scheme(
            "APIKeyHeader",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "Token",
                "The static key, `API_KEY_TOKEN` in the settings.",
            ))),
        );
        let mut basic = Http::new(HttpAuthScheme::Basic);
        basic.description = Some("Any name, and the static key as the password.".to_owned());
        components.add_security_scheme("StaticKeyBasic", SecurityScheme::Http(basic));
    }
}
