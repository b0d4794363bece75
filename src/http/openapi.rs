//! The OpenAPI document: collected from the handlers, with the security schemes of the tutorial.

use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Flow, OAuth2, Password, Scopes, SecurityScheme,
};
use utoipa::{Modify, OpenApi};

use super::routes::{guarded, health, logout, register, token, users_me};

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
        guarded::page,
        guarded::protected_route,
        health::live,
        health::ready,
    ),
    tags(
        (name = "sign-in", description = "Getting a token, and ending it"),
        (name = "users", description = "Registering, and the user's own account"),
        (name = "static key", description = "The tutorial's routes behind the static key"),
        (name = "health", description = "For load balancers and supervisors"),
    ),
    // utoipa collects the schemas of successes by itself, and of `IntoResponses` it does not.
    components(schemas(
        answers::ErrorBody,
        answers::HTTPValidationError,
        answers::ValidationError,
        answers::Location,
        answers::OAuthError,
        answers::OAuthValidationError,
        answers::TokenRefusal,
    )),
    modifiers(&SecuritySchemes),
)]
struct Document;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let password = Flow::Password(Password::new("token", Scopes::new()));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "OAuth2PasswordBearer",
            SecurityScheme::OAuth2(OAuth2::new([password])),
        );
        components.add_security_scheme(
            "APIKeyHeader",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("Token"))),
        );
    }
}

/// The answers other than success, as the handlers list them.
pub(super) mod answers {
    use serde_json::Value;
    use utoipa::{IntoResponses, ToSchema};

    /// An error in one sentence.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct ErrorBody {
        #[schema(example = "Not authenticated")]
        detail: String,
    }

    /// What is wrong with one field, as pydantic words it.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct ValidationError {
        /// Where: `body`, then the field or, in broken JSON, the character.
        loc: Vec<Location>,
        msg: String,
        r#type: String,
        /// The offending value; null where it may be a secret.
        input: Value,
        /// The numbers and texts in `msg`, by name.
        ctx: Option<Value>,
    }

    /// A step on the way to the offending value.
    #[derive(ToSchema)]
    #[schema(no_recursion)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    #[serde(untagged)]
    pub(crate) enum Location {
        Name(String),
        Index(u64),
    }

    /// Every field that is wrong.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct HTTPValidationError {
        detail: Vec<ValidationError>,
    }

    /// An error with OAuth2's code for it (RFC 6749 section 5.2).
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct OAuthError {
        #[schema(example = "Unauthorized")]
        detail: String,
        #[schema(example = "invalid_grant")]
        error: String,
        #[schema(example = "Incorrect username or password")]
        error_description: String,
    }

    /// Wrong fields at `/token`, in both wordings.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct OAuthValidationError {
        detail: Vec<ValidationError>,
        #[schema(example = "invalid_request")]
        error: String,
        error_description: String,
    }

    /// A form at `/token` that cannot be used.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct TokenRefusal {
        /// A sentence; with `TOKENHOUSE_OAUTH_STRICT_STATUS`, what is otherwise in 401 or 422.
        detail: Value,
        #[schema(nullable = false, example = "invalid_request")]
        error: Option<String>,
        #[schema(nullable = false, example = "A parameter is repeated")]
        error_description: Option<String>,
    }

    /// No credential, or one that is not valid (any more)
    #[derive(IntoResponses)]
    #[response(status = 401, headers(("WWW-Authenticate" = String, description = "RFC 6750")))]
    pub(crate) struct NotAuthenticated(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// Two different credentials
    #[derive(IntoResponses)]
    #[response(status = 400)]
    pub(crate) struct TwoCredentials(#[expect(dead_code, reason = "schema")] OAuthError);

    /// The static key is missing or wrong
    #[derive(IntoResponses)]
    #[response(status = 403)]
    pub(crate) struct StaticKeyRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The body is not text, or is nested beyond reason
    #[derive(IntoResponses)]
    #[response(status = 400)]
    pub(crate) struct UnreadableBody(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The settings do not let this address register
    #[derive(IntoResponses)]
    #[response(status = 403)]
    pub(crate) struct RegistrationRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The address belongs to a user already
    #[derive(IntoResponses)]
    #[response(status = 409)]
    pub(crate) struct EmailTaken(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// Fields are missing or wrong, or the body is no JSON
    #[derive(IntoResponses)]
    #[response(status = 422)]
    pub(crate) struct InvalidBody(#[expect(dead_code, reason = "schema")] HTTPValidationError);

    /// The form cannot be read, or repeats a parameter
    #[derive(IntoResponses)]
    #[response(status = 400)]
    pub(crate) struct BadForm(#[expect(dead_code, reason = "schema")] TokenRefusal);

    /// The name or the password is wrong; which, is not told
    #[derive(IntoResponses)]
    #[response(status = 401, headers(("WWW-Authenticate" = String, description = "RFC 6750")))]
    pub(crate) struct BadCredentials(#[expect(dead_code, reason = "schema")] OAuthError);

    /// Fields are missing or wrong
    #[derive(IntoResponses)]
    #[response(status = 422)]
    pub(crate) struct InvalidForm(#[expect(dead_code, reason = "schema")] OAuthValidationError);

    /// The body did not arrive in time
    #[derive(IntoResponses)]
    #[response(status = 408)]
    pub(crate) struct BodyLate(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The body is too large
    #[derive(IntoResponses)]
    #[response(status = 413)]
    pub(crate) struct BodyTooLarge(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The database does not answer, or more passwords wait than can be hashed in time
    #[derive(IntoResponses)]
    #[response(status = 503, headers(("Retry-After" = u64, description = "Seconds")))]
    pub(crate) struct Unavailable(#[expect(dead_code, reason = "schema")] ErrorBody);
}
