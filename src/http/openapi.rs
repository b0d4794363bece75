//! The OpenAPI document: collected from the handlers, with the security schemes of the tutorial.

use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes, SecurityScheme,
};
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use super::error_responses;
use super::routes::{
    account, admin_access, admin_users, devices, events, factors, forward_auth, health, keys,
    oauth, oauth_metadata, passkeys, register, renewal, sessions, token, tutorial,
};
#[cfg(feature = "mail")]
use super::routes::{admin_mail, email_change, email_verification, invitations, password_reset};
use crate::config::AuthConfig;
use crate::scope;

/// The OpenAPI 3.1 document of a service with these settings.
pub fn document(config: &AuthConfig) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    #[cfg(feature = "mail")]
    if config.mail.is_some() {
        document.merge(MailDocument::openapi());
    }
    let components = document.components.get_or_insert_default();
    for name in [
        "UserCreate",
        "AdminUserCreate",
        "ProfileUpdate",
        "AdminUserUpdate",
    ] {
        if let Some(RefOr::T(Schema::Object(input))) = components.schemas.get_mut(name) {
            apply_rules(input, config);
        }
    }
    document
}

/// Describes the settings' rules for the fields of a user.
fn apply_rules(input: &mut Object, config: &AuthConfig) {
    let rules = config.profile_rules;
    if !rules.is_required {
        let is_required =
            |field: &String| !["name", "surname", "website"].contains(&field.as_str());
        input.required.retain(is_required);
    }
    if let Some(RefOr::T(Schema::Object(name))) = input.properties.get_mut("name") {
        name.min_length = Some(rules.name_min_length).filter(|min| *min > 0);
    }
    if let Some(RefOr::T(Schema::Object(password))) = input.properties.get_mut("password") {
        let policy = config.password_policy;
        let not_common = match policy.refuse_common {
            true => ", and not a common one",
            false => "",
        };
        password.description = Some(format!(
            "At least {} characters and at most 72 bytes{not_common}.",
            policy.min_length
        ));
    }
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
        token::logout,
        renewal::reauthenticate,
        passkeys::second_options,
        passkeys::options,
        passkeys::options_of_user,
        passkeys::related_origins,
        account::read,
        account::update,
        account::change_password,
        account::delete,
        keys::create,
        keys::list,
        keys::revoke,
        sessions::list,
        sessions::rename,
        sessions::end,
        sessions::end_all,
        factors::list,
        factors::create,
        factors::confirm,
        factors::rename,
        factors::remove,
        factors::create_recovery_codes,
        devices::list,
        devices::remove,
        devices::remove_all,
        events::own,
        oauth::revoke,
        oauth::introspect,
        oauth_metadata::metadata,
        forward_auth::verify,
        admin_users::list,
        admin_users::create,
        admin_users::read,
        admin_users::update,
        admin_users::delete,
        admin_access::sign_out,
        sessions::list_of_user,
        sessions::end_all_of_user,
        sessions::end_of_user,
        admin_access::unlock,
        admin_access::reset_factors,
        admin_access::reset_factor,
        events::all,
        tutorial::page,
        tutorial::protected_route,
        health::live,
        health::ready,
        health::metrics,
    ),
    tags(
        (name = "sign-in", description = "Tokens: issue and end them"),
        (name = "users", description = "Registration, and users' own accounts"),
        (name = "keys", description = "API keys, for the user's programs"),
        (name = "sessions", description = "Where a user is signed in"),
        (name = "second factors", description = "What a sign-in asks for besides the password"),
        (name = "OAuth2", description = "Revocation, introspection, metadata"),
        (name = "reverse proxies", description = "Forward-auth"),
        (name = "administration", description = "Accounts of other users"),
        (name = "audit trail", description = "Who did what"),
        (name = "static key", description = "The tutorial's routes behind the static key"),
        (name = "health", description = "For load balancers, supervisors and Prometheus"),
    ),
    // utoipa collects the schemas of success responses, but not those of `IntoResponses`.
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

/// What is done by mail: described only if the service sends mail.
#[cfg(feature = "mail")]
#[derive(OpenApi)]
#[openapi(
    paths(
        password_reset::forgot,
        password_reset::reset,
        password_reset::send_link,
        email_verification::request,
        email_verification::verify,
        email_change::request,
        email_change::withdraw,
        email_change::confirm,
        email_change::undo,
        invitations::create,
        invitations::list,
        invitations::resend,
        invitations::revoke,
        invitations::show,
        invitations::accept,
        admin_mail::list,
        admin_mail::retry,
        admin_mail::delete,
    ),
    tags((name = "mail", description = "What is done by mail: passwords and addresses")),
)]
struct MailDocument;

/// The operations that the tutorial has too: the path, and the id that FastAPI gives it.
const TUTORIAL_IDS: [(&str, &str); 5] = [
    ("/token", "create_token_token_post"),
    ("/register", "register_register_post"),
    ("/page", "page_page_get"),
    ("/protected", "protected_route_protected_get"),
    ("/users/me", "read_users_me_users_me_get"),
];

struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, id) in TUTORIAL_IDS {
            let item = document.paths.paths.get_mut(path);
            // The tutorial has one method for each of these paths.
            let operation = item.and_then(|item| item.post.as_mut().or(item.get.as_mut()));
            if let Some(operation) = operation {
                let extensions = Extensions::from_iter([("x-tutorial-operation-id", id)]);
                operation.extensions = Some(extensions);
            }
        }
        // utoipa inserts Cargo's license, and Swagger UI turns an "A OR B" into a broken link.
        document.info.license = None;
        let scopes = Scopes::from_iter([
            (scope::USERS_READ, "Read users"),
            (scope::USERS_WRITE, "Create, change and delete users"),
            (scope::EVENTS_READ, "Read the audit events of all users"),
            (
                scope::INTROSPECT,
                "Introspect the credentials of other users",
            ),
        ]);
        let password = Flow::Password(Password::new("token", scopes));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "OAuth2PasswordBearer",
            SecurityScheme::OAuth2(OAuth2::with_description(
                [password],
                "A user's login token, or an API key. No client id or secret is required.",
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
